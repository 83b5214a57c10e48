"""Whatever the metadata of an exported file say, opening it or running it works or gives one line."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atmnet.tasks import load_network
from atmnet_cli.errors import UserError
from atmnet_runtime import ExportedFile, FileError, open_classifier

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from tests.export.tiny_files import METADATA, metadata, write_tiny  # noqa: E402

KINDS = list(METADATA)
HUGE = 10**9
WRONG: dict[str, Any] = {
    "classes": [5, None, [], ["a", 2, "c"], "abc", {"a": 1}],
    "input_size": [0, [3, 0, 0], [3, HUGE, HUGE], [3, 32], [3.0, 32.5, 32], [1, 32, 32], [True, 32, 32], "3"],
    "mean": [0, [], [0.5, 0.5], [None] * 3, "abc", [1e300] * 3, [True] * 3],
    "std": [0, [0, 0, 0], [-1, 1, 1], [1, 1], [1e-30] * 3],
    "pixels": [5, "bits", [], None],
    "task": [5, None, "pose", [], {}],
}
_RESIZING: dict[str, Any] = {
    "interpolation": [5, "x", None, [], "BICUBICX"],
    "crop_pct": [0, -1, "1", None, 1e9, 1e-9, [], True],
    "crop_mode": [5, "x", None, []],
}
WRONG_OF: dict[str, dict[str, Any]] = {
    "classification": _RESIZING,
    "multilabel": _RESIZING,
    "segmentation": {"shorter": [0, HUGE, "a", 1.5], "longest": [0, HUGE, None], "head": [5, None, "nothing", "fcos"]},
    "detection": {
        "raw": [5, "true", None], "category_ids": [5, [1], ["a", 2, 3], [1, 2, -3], [1.5, 2, 3]],
        "head": ["nothing", "upernet"],
    },
}  # fmt: skip
CASES = [(kind, key, value) for kind in KINDS for key, values in (WRONG | WRONG_OF[kind]).items() for value in values]
#: Texts that are no JSON, or more of it than a number may be.
TEXTS = [
    "",
    "NaN",
    "[NaN, 1, 1]",
    "Infinity",
    "[" * 10**5,
    "9" * 10**5,
    "[0.5,",
    "\ud800".encode("utf-16", "surrogatepass").hex(),
]


def _refused(path, message=None):
    """Both ways to open a file refuse it in the same line."""
    with pytest.raises((FileError, UserError), match=message) as caught:
        load_network(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_work_as_they_are(kind, tmp_path):
    file = ExportedFile(write_tiny(tmp_path / "a.onnx", kind))
    assert file.kind == kind
    assert len(file.outputs(np.zeros((1, 3, 40, 40), np.float32))[0]) == 1
    assert load_network(str(file.path)).classes == ["a", "b", "c"]


@pytest.mark.parametrize(("kind", "key"), sorted({case[:2] for case in CASES}))
def test_wrong_values(kind, key, tmp_path):
    for value in [case[2] for case in CASES if case[:2] == (kind, key)]:
        _refused(write_tiny(tmp_path / "a.onnx", kind, metadata(kind) | {key: json.dumps(value)}))


@pytest.mark.parametrize("key", ["classes", "mean", "crop_pct"])
def test_no_json(key, tmp_path):
    for text in TEXTS:
        _refused(write_tiny(tmp_path / "a.onnx", values=metadata("classification") | {key: text}), f"damaged: {key}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": 0}, {"inputs": 2}, {"shape": None}, {"shape": ("N", 3)}, {"shape": ("N", 4, "H", "W")},
        {"shape": (1, 3, HUGE, 32)}, {"shape": (HUGE, 3, 32, 32)},
    ],
    ids=str,
)  # fmt: skip
def test_other_inputs(kind, changes, tmp_path):
    _refused(write_tiny(tmp_path / "a.onnx", kind, **changes))


def test_bytes_where_the_metadata_say_floats(tmp_path):
    file = ExportedFile(write_tiny(tmp_path / "a.onnx", "segmentation", dtype=onnx.TensorProto.UINT8))
    with pytest.raises(FileError, match="cannot run on images"):
        file.outputs(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("kind", ["classification", "segmentation"])
@pytest.mark.parametrize("classes", [["a"], list("abcd")])
def test_more_or_fewer_names_than_classes(kind, classes, tmp_path):
    path = write_tiny(tmp_path / "a.onnx", kind, metadata(kind) | {"classes": json.dumps(classes)})
    with pytest.raises(FileError, match=rf"not those of {kind} with {len(classes)} classes"):
        ExportedFile(path).outputs(np.zeros((1, 3, 8, 8), np.float32))


def test_an_object_of_no_class(tmp_path):
    values = metadata("detection") | {"classes": '["a"]', "category_ids": "[7]"}
    with pytest.raises(FileError, match="not those of detection with 1 classes"):
        ExportedFile(write_tiny(tmp_path / "a.onnx", "detection", values)).outputs(np.zeros((1, 3, 8, 8), np.float32))


@pytest.mark.parametrize("place", ["absolute", "above", "link", "missing"])
def test_weights_in_a_file_elsewhere(place, tmp_path):
    """A file may not make the runtime read another one that does not lie beside it."""
    (tmp_path / "model").mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(np.float32([1, 2, 3]).tobytes())
    (tmp_path / "model" / "link").symlink_to(secret)
    external = {"absolute": str(secret), "above": "../secret", "link": "link", "missing": "nothing"}[place]
    path = write_tiny(tmp_path / "model" / "a.onnx", external=external)
    with pytest.raises(FileError, match="not a readable model") as caught:
        open_classifier(path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def openvino_text(tmp_path_factory):
    """The .xml and .bin of a classifier."""
    openvino = pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("openvino")
    model = openvino.Core().read_model(str(write_tiny(folder / "a.onnx")))
    for key, value in metadata("classification").items():
        model.set_rt_info(value, ["atmnet", key])
    openvino.save_model(model, str(folder / "a.xml"), compress_to_fp16=False)
    return (folder / "a.xml").read_text(), (folder / "a.bin").read_bytes()


_BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
SPOILT = {
    "no weights": lambda xml, weights: (xml, None),
    "cut weights": lambda xml, weights: (xml, weights[:4]),
    "cut": lambda xml, weights: (xml[: len(xml) // 2], weights),
    "empty": lambda xml, weights: ("", weights),
    "other metadata": lambda xml, weights: (xml.replace("crop_pct", "crop_pc"), weights),
    "an entity": lambda xml, weights: (_BOMB + xml[xml.index("<net") :].replace("bicubic", "&b;"), weights),
    "an outer entity": lambda xml, weights: (
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + xml[xml.index("<net") :].replace("bicubic", "&a;"),
        weights,
    ),
    "deep": lambda xml, weights: ("<net>" * 10_000, weights),
    "a layer of no kind": lambda xml, weights: (xml.replace('type="ReduceMean"', 'type="Nothing"'), weights),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_openvino(openvino_text, spoil, tmp_path):
    xml, weights = spoil(*openvino_text)
    assert (xml, weights) != openvino_text
    (tmp_path / "a.xml").write_text(xml)
    if weights is not None:
        (tmp_path / "a.bin").write_bytes(weights)
    _refused(tmp_path / "a.xml")


def test_openvino_as_it_is(openvino_text, tmp_path):
    (tmp_path / "a.xml").write_text(openvino_text[0])
    (tmp_path / "a.bin").write_bytes(openvino_text[1])
    assert open_classifier(tmp_path / "a.xml")([Image.new("RGB", (40, 30), "red")]).argmax() == 0
