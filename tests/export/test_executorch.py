"""ExecuTorch programs, and the networks with grids that they are made from."""

import json
import sys

import numpy as np
import pytest
import torch

from atmnet.export import export_model, exportable
from atmnet.export.executorch_file import load_executorch
from atmnet.export.plain.grid import by_grids
from atmnet_cli.errors import UserError
from tests.export.conftest import CLASSES
from tests.export.dense import network


@pytest.mark.parametrize("size", [(2, 32, 32), (1, 33, 70), (1, 14, 23)])
def test_grids(nano, size):
    """In float64; 32 x 32 leaves the last stage a single token."""
    images = torch.randn(size[0], 3, *size[1:], dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = by_grids(exportable(nano)).double()(images), exportable(nano).double()(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("neck", ["atmfpn", "atmfpn_aligned"])
def test_grids_of_necks(neck):
    model = network("semantic_fpn", neck).model
    images = torch.randn(1, 3, 61, 99, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = by_grids(exportable(model)).double()(images), exportable(model).double()(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_program(nano, tmp_path):
    executorch = pytest.importorskip("executorch.runtime")
    report = export_model(nano, tmp_path / "a.pte", to="executorch", classes=CLASSES)
    assert report.largest <= 5e-6
    assert report.agreement in (None, 1)
    run = load_executorch(report.path, 1)
    images = torch.randn(1, 3, 32, 32).to(memory_format=torch.channels_last)
    with torch.no_grad():
        np.testing.assert_allclose(run(images.numpy())[0], nano(images).numpy(), atol=5e-6)
    program = executorch.Runtime.get().load_program(report.path.read_bytes())
    assert json.loads(program.load_method("classes").execute([])[0]) == CLASSES


def test_without_executorch(nano, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch", None)
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    monkeypatch.setitem(sys.modules, "executorch.backends.xnnpack.partition.xnnpack_partitioner", None)
    with pytest.raises(UserError, match="to: executorch is not installed: pip install"):
        export_model(nano, tmp_path / "a.pte", to="executorch")
    assert not list(tmp_path.iterdir())
