"""Exported files that many tests share: writing one takes seconds. No test may change them."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from atmnet.export import ExportReport, export_dense, export_model
from atmnet.tasks import DenseNetwork
from atmnet_cli.command import main
from tests.export.dense import network, save
from tests.export.models import spread
from tests.shared import made_once

CLASSES = [f"class {k}" for k in range(10)]


class DenseFile(NamedTuple):
    """A segmenter or detector, a checkpoint of it and a file of it."""

    network: DenseNetwork
    checkpoint: Path
    report: ExportReport


def _written(factory: Any, what: str, dense: DenseNetwork, name: str = "a.onnx", **settings: Any) -> DenseFile:
    def write(folder: Path) -> tuple[Path, ExportReport]:
        (folder / "run").mkdir()
        return save(dense, folder / "run"), export_dense(dense, folder / name, **settings)

    return DenseFile(dense, *made_once(factory, what, write))


@pytest.fixture(scope="session")
def onnx_libraries():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")


@pytest.fixture(scope="session")
def nano():
    return spread("atmnet_nano")


@pytest.fixture(scope="session")
def exported(nano, onnx_libraries, tmp_path_factory):
    """(report, model) of an ONNX file with open sizes."""
    write = lambda folder: export_model(nano, folder / "nano.onnx", classes=CLASSES)  # noqa: E731
    return made_once(tmp_path_factory, "onnx", write), nano


@pytest.fixture(scope="session")
def openvino_file(exported, tmp_path_factory):
    """The report of an OpenVINO file with open sizes.

    It is made from the file of ``exported``, as tracing the model again takes longest; ``openvino_segmenter`` is made
    without this shortcut.
    """
    pytest.importorskip("openvino")
    report, model = exported

    def write(folder: Path) -> ExportReport:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "atmnet.export.openvino_file.write_onnx", lambda job, path, metadata: shutil.copy(report.path, path)
            )
            return export_model(model, folder / "a.xml", to="openvino", classes=CLASSES)

    return made_once(tmp_path_factory, "openvino", write)


@pytest.fixture(scope="session")
def segmenter_file(onnx_libraries, tmp_path_factory):
    """A segmenter on a ResNet with our neck and its alignment, in ONNX with open sizes."""
    return _written(tmp_path_factory, "segmenter", network("semantic_fpn", "atmfpn_aligned", "test_resnet"))


@pytest.fixture(scope="session")
def openvino_segmenter(onnx_libraries, tmp_path_factory):
    """A segmenter on a ResNet, in OpenVINO with open sizes."""
    pytest.importorskip("openvino")
    dense = network("semantic_fpn", name="test_resnet")
    return _written(tmp_path_factory, "openvino_segmenter", dense, "a.xml", to="openvino")


@pytest.fixture(scope="session")
def bytes_segmenter(onnx_libraries, tmp_path_factory):
    """The segmenter for two images of 48 pixels in bytes, as the command writes it; and what the command printed."""
    dense = network("semantic_fpn", name="test_resnet", side=48)

    def write(folder: Path) -> Path:
        (folder / "run").mkdir()
        save(dense, folder / "run")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main(["export", "run", "--dynamic=false", "--img_size=48", "--batch_size=2", "--pixels=uint8"]) == 0
        return folder

    return dense, made_once(tmp_path_factory, "bytes", write)


@pytest.fixture(scope="session")
def mask_rcnn_file(onnx_libraries, tmp_path_factory):
    """A detector with masks on a ResNet, in ONNX with open sizes.

    Its scores are at most 0.176 on noise and 0.174 on photographs, so it finds some objects and not as many as it may.
    """
    dense = network("mask_rcnn", name="test_resnet", box_score_thresh=0.172)
    dense.category_ids = [3, 7, 8, 44, 90]
    return _written(tmp_path_factory, "mask_rcnn", dense)


@pytest.fixture(scope="session")
def raw_file(onnx_libraries, tmp_path_factory):
    """The raw outputs of a RetinaNet on a ResNet, in ONNX with open sizes."""
    return _written(tmp_path_factory, "raw", network("retinanet", name="test_resnet"), raw=True)


@pytest.fixture
def photographs(tmp_path):
    """A folder of three pictures with some contrast, of several sizes."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for number, size in enumerate([(64, 64), (90, 70), (50, 120)]):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder
