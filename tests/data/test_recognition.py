"""``data.source auto`` recognises each layout, says why, and refuses what may be several or none."""

import pytest

from atmnet.data.sources import choose_source, open_split
from atmnet_cli.errors import UserError
from atmnet_cli.options import DataOptions
from tests.data.tiny_dense import coco_content, write_ade20k, write_coco, write_picture
from tests.data.tiny_formats import FORMATS, write_voc, write_yolo


def write_folder(root):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            write_picture(root / split / name / "1.png")
    return root


LAYOUTS = {
    "folder": ("classification", write_folder, {}),
    "coco": ("detection", write_coco, {}),
    "ade20k": ("segmentation", write_ade20k, {"train": "training"}),
    **{case: ("detection", write, {}) for case, (_, write) in FORMATS.items()},
}


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("any_kind", [False, True])
def test_a_layout_is_recognised(case, any_kind, tmp_path):
    kind, write, splits = LAYOUTS[case]
    chosen, line = choose_source(DataOptions(root=str(write(tmp_path)), **splits), None if any_kind else kind)
    assert chosen.source == case.partition(",")[0]
    assert line.startswith(f"data.source: {chosen.source}, from ")
    assert choose_source(chosen) == (chosen, "")


def test_a_folder_that_fits_two_formats_is_refused(tmp_path):
    write_yolo(tmp_path)
    write_voc(tmp_path)
    with pytest.raises(UserError, match=r"may be one of several: yolo \(.*\); voc \(.*\); choose one"):
        choose_source(DataOptions(root=str(tmp_path)), "detection")


def test_a_folder_that_fits_no_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not look like one of coco, yolo, voc"):
        choose_source(DataOptions(root=str(tmp_path)), "detection")
    (tmp_path / "export.zip").touch()
    with pytest.raises(UserError, match=r"export\.zip is a file; expected a folder: unpack"):
        choose_source(DataOptions(root=str(tmp_path / "export.zip")), "detection")
    with pytest.raises(UserError, match=r"data.root: expected the folder"):
        choose_source(DataOptions(), "detection")


@pytest.mark.dense
def test_coco_as_roboflow_writes_it(tmp_path):
    pytest.importorskip("faster_coco_eval")
    import json

    for split in ("train", "valid"):
        for number in (10, 20, 30):
            write_picture(tmp_path / split / f"{number}.png", seed=number)
        content = coco_content()
        content["categories"].append({"id": 0, "name": "things", "supercategory": "none"})
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    options, line = choose_source(DataOptions(root=str(tmp_path), used_classes=True), "detection")
    assert line == "data.source: coco, from train/_annotations.coco.json"
    train = open_split(options, "train", "detection")
    assert train.classes == ["train", "toothbrush"]
    assert len(open_split(options, "val", "detection", train.classes)) == 3
