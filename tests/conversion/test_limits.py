"""What a format cannot hold is refused or counted; nothing is lost without a word."""

import io
import json
import tarfile

import pytest
from PIL import Image

from atmnet.conversion import convert
from atmnet.conversion.edges import clip_polygon
from atmnet.data.outlines import polygon_area
from atmnet.data.sources import open_split
from atmnet_cli import command
from atmnet_cli.errors import UserError
from atmnet_cli.options import ConvertOptions, DataOptions
from tests.conversion.test_random_sets import FORMAT_NAMES, contents
from tests.data.tiny import write_digits
from tests.data.tiny_dense import SIZE, write_picture
from tests.data.tiny_formats import write_yolo

HEIGHT, WIDTH = SIZE
BOX = [2, 3, 10, 10]


def write(root, names=("a.png",), boxes=(BOX,), classes=("cat",), size=(WIDTH, HEIGHT), **changes):
    """COCO's format with all objects in the first picture; ``changes`` are keys of the objects."""
    for split in ("train", "val"):
        for number, name in enumerate(names):
            write_picture(root / split / name, seed=number)
        images = [{"id": n, "file_name": name, "width": size[0], "height": size[1]} for n, name in enumerate(names)]
        objects = [
            {"id": n, "image_id": 0, "category_id": 0, "bbox": box, "area": 9, "iscrowd": 0, **changes}
            for n, box in enumerate(boxes)
        ]
        content = {
            "images": images,
            "annotations": objects,
            "categories": [{"id": n, "name": name} for n, name in enumerate(classes)],
        }
        path = root / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return root


def to(root, target, output, source="coco", **changes):
    return convert(ConvertOptions(to=target, output=str(output), data=DataOptions(source, str(root)), **changes))


@pytest.mark.parametrize("target", FORMAT_NAMES)
@pytest.mark.parametrize("changes", [{"size": (HEIGHT, WIDTH)}, {"names": ["a.png", "b.png"]}], ids=["size", "bytes"])
def test_pictures_that_contradict_or_cannot_be_read(tmp_path, target, changes):
    root = write(tmp_path / "in", **changes)
    (root / "train" / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"is annotated as|not readable as an image"):
        to(root, target, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_objects_of_an_unreadable_picture_are_not_lost(tmp_path):
    """Readers of formats without sizes pass over the objects of such a picture."""
    write_yolo(tmp_path / "in")
    (tmp_path / "in/train/images/b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"b\.png: not readable as an image"):
        to(tmp_path / "in", "coco", tmp_path / "out", "yolo")


@pytest.mark.parametrize("target", ["voc", "labelme", "cvat", "labelstudio"])
@pytest.mark.parametrize("name", ["c\x0bat", "c\nat", " cat", "c\u2028at", "c\uffffat"])
def test_classes_that_texts_cannot_hold(tmp_path, target, name):
    root = write(tmp_path / "in", classes=[name])
    with pytest.raises(UserError, match="cannot hold class"):
        to(root, target, tmp_path / "out")
    to(root, "yolo", tmp_path / "yolo")
    assert open_split(DataOptions("yolo", str(tmp_path / "yolo")), "train", "detection").classes == [name]


@pytest.mark.parametrize("target", ["voc", "cvat", "labelstudio"])
def test_names_of_pictures_that_are_no_text(tmp_path, target):
    root = write(tmp_path / "in", names=["a\udcff.png"])
    with pytest.raises(UserError, match="cannot hold the name"):
        to(root, target, tmp_path / "out")


@pytest.mark.parametrize("name", [".hidden.png", "images/a.png"])
def test_pictures_that_yolo_would_pass_over(tmp_path, name):
    root = write(tmp_path / "in", names=["a.png", name])
    with pytest.raises(UserError, match=r"cannot be read from this format|has the folder 'images' for itself"):
        to(root, "yolo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_images_within_that_of_a_split(tmp_path):
    """data.yaml names the folder of the pictures itself, which has one called 'images'."""
    for name in ("a", "images/b"):
        write_picture(tmp_path / f"images/train/{name}.png")
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0 .5 .5 .2 .2")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    split = open_split(DataOptions("yolo", str(tmp_path)), "train", "detection")
    assert [split.name(index) for index in range(len(split))] == ["a.png", "images/b.png"]
    assert len(split.load(0, "RGB")[1].labels) == 1


@pytest.mark.parametrize("target", FORMAT_NAMES)
def test_a_class_without_objects_for_training(tmp_path, target, capsys):
    """The command's last line names the arguments with which the classes and their order are those of before."""
    root = write(tmp_path / "in", classes=["zebra", "ant", "cat"])
    path = root / "annotations/instances_val.json"
    path.write_text(path.read_text().replace('"category_id": 0', '"category_id": 1'))
    arguments = ["convert", "--data.root", str(root), "--to", target, "--output", str(tmp_path / "out")]
    assert command.main(arguments) == 0
    words = capsys.readouterr().out.splitlines()[-1].partition(": ")[2].split()
    given = dict(zip((word.removeprefix("--data.") for word in words[::2]), words[1::2], strict=True))
    data = DataOptions(**given)
    train = open_split(data, "train", "detection")
    assert train.classes == ["zebra", "ant", "cat"]
    assert open_split(data, "val", "detection", train.classes).load(0, "RGB")[1].labels.tolist() == [1]
    assert command.main(["check-data", *words]) == 0


@pytest.mark.parametrize("target", ["yolo", "voc", "labelstudio"])
def test_what_is_outside_is_cut_off_and_counted(tmp_path, target):
    boxes = [[-3, -2.5, 10, 10], [25, 10, 200, 200], [-300, -300, 900, 900], [5, 5, 0, 3], [40, 5, 5, 5], BOX]
    lines = to(write(tmp_path / "in", boxes=boxes), target, tmp_path / "out")
    assert "note: what is outside the picture is cut off: 6 objects" in lines
    assert "note: objects without area within the picture are left out: 4 objects" in lines
    _, _, actual = contents(tmp_path / "out", target)["train", "a.png"]
    expected = [[0, 0, 7, 7.5], [25, 10, 30, 20], [0, 0, 30, 20], [2, 3, 12, 13]]
    assert sorted(actual) == [pytest.approx(box, abs=1e-3) for box in sorted(expected)]


@pytest.mark.parametrize("target", ["labelme", "cvat"])
def test_formats_in_pixels_keep_what_is_outside(tmp_path, target):
    boxes = [[-3, -2.5, 10, 10], [25, 10, 200, 200]]
    assert not [line for line in to(write(tmp_path / "in", boxes=boxes), target, tmp_path / "out") if "note" in line]
    assert contents(tmp_path / "out", target) == contents(tmp_path / "in", "coco")


@pytest.mark.parametrize(("target", "count"), [("coco", 0), ("voc", 0), ("yolo", 2), ("cvat", 2), ("labelme", 2)])
def test_boxes_that_are_not_those_of_their_masks(tmp_path, target, count):
    root = write(tmp_path / "in", boxes=[[0, 0, 20, 20]], segmentation=[[2, 3, 12, 3, 12, 13, 2, 13]])
    lines = [line for line in to(root, target, tmp_path / "out") if "boxes that differ from their masks" in line]
    assert [line.rpartition(": ")[2] for line in lines] == ([f"{count} objects"] if count else [])


@pytest.mark.parametrize("target", FORMAT_NAMES)
@pytest.mark.parametrize("segmentation", [[[2, 3, 12, 3, 12, 13, 2]], [[2, 3]], {"size": [20, 30], "counts": "a"}])
def test_masks_that_are_none(tmp_path, target, segmentation):
    root = write(tmp_path / "in", segmentation=segmentation)
    with pytest.raises(UserError, match=r"a mask of split train: .*`atmnet check-data` lists all"):
        to(root, target, tmp_path / "out")


def test_polygons_are_cut_exactly():
    diamond = clip_polygon([-1, 2, 2, -1, 5, 2, 2, 5], 4, 4)
    assert polygon_area(diamond) == pytest.approx(18 - 4 * 1)  # without its four corners of 2 x 1
    assert clip_polygon([9, 9, 12, 9, 12, 12], 8, 8) == []
    notch = [1, -2, 7, -2, 7, 4, 5, 4, 5, -1, 3, -1, 3, 4, 1, 4]  # leaves the picture between two parts
    assert polygon_area(clip_polygon(notch, 8, 8)) == pytest.approx(16)


@pytest.mark.parametrize("target", FORMAT_NAMES)
def test_annotations_without_pictures(tmp_path, target):
    root = write(tmp_path / "in", names=["a.png", "b/c.png"])
    lines = to(root, target, tmp_path / "out", images="none")
    assert not list((tmp_path / "out").rglob("*.png"))
    folder = next(line for line in lines if line.startswith("train: put")).rpartition(" ")[2]
    for split in ("train", "val"):
        for name in ("a.png", "b/c.png"):
            target_path = tmp_path / "out" / folder.replace("train", split) / name
            target_path.parent.mkdir(parents=True, exist_ok=True)
            target_path.write_bytes((root / split / name).read_bytes())
    assert contents(tmp_path / "out", target) == contents(root, "coco")


def test_a_table_without_pictures(tmp_path):
    write_digits(tmp_path / "in")
    to(tmp_path / "in", "table", tmp_path / "out", "folder", images="none")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labels.csv"]
    with pytest.raises(UserError, match="images: got 'none'"):
        to(tmp_path / "in", "folder", tmp_path / "b", "folder", images="none")


@pytest.mark.parametrize("name", ["../dog/b.png", "dog/x/../../../../../dog/b.png", "{}/dog/b.png"])
def test_names_in_archives_that_lead_out(tmp_path, name):
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    for split in ("train", "val"):
        with tarfile.open(tmp_path / f"{split}.tar", "w") as archive:
            for member in ("cat/a.png", name.format(tmp_path)):
                info = tarfile.TarInfo(member)
                info.size = len(content.getvalue())
                archive.addfile(info, io.BytesIO(content.getvalue()))
    with pytest.raises(UserError, match="expected the path of an image in the data set"):
        to(tmp_path, "table", tmp_path / "deep/er/out", "tar")
    assert not list(tmp_path.rglob("*.png"))
