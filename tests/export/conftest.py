"""One exported file for many tests: writing it takes seconds."""

import pytest

from atmnet.export import export_model
from tests.export.models import spread

CLASSES = [f"class {k}" for k in range(10)]


@pytest.fixture(scope="session")
def nano():
    return spread("atmnet_nano")


@pytest.fixture(scope="session")
def exported(nano, tmp_path_factory):
    """(report, model) of an ONNX file with open sizes; not to be changed."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("onnx") / "nano.onnx"
    return export_model(nano, path, classes=CLASSES), nano
