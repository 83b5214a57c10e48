"""Files of weights are data: nothing in them is run, and nothing larger than the file is made of them."""

import json
import os
import pickle
import re
import struct
import time
import zipfile

import pytest
import safetensors.torch
import torch

from atmnet.tasks import build_classifier, load_classifier, load_network
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions
from tests.shared import made_once
from tests.tasks.checkpoints import write_checkpoints

WIDE = 10**9


def _view(path, model):
    """A classifier of as many classes as fit into no memory, in a file of some bytes."""
    torch.save({**model, "fc.weight": torch.zeros(1, 1).expand(WIDE, 96)}, path)


def _shared(path, model):
    """Many large views of the same numbers."""
    one = torch.zeros(100_000)
    torch.save({f"fc.{k}": one for k in range(1000)}, path)


def _nan(path, model):
    torch.save({**model, "fc.bias": torch.full((2,), float("nan"))}, path)


def _sparse(path, model):
    torch.save(
        {**model, "fc.weight": torch.sparse_coo_tensor([[0], [0]], [1.0], (WIDE, 96), check_invariants=True)}, path
    )


def _numbers(path, model):
    torch.save({**model, "fc.weight": 5}, path)


def _names(path, model):
    torch.save({5: torch.zeros(1)}, path)


def _compressed(path, model):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(50_000_000))


class _Code:
    """Makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _code(path, model):
    torch.save({**model, "fc.weight": _Code(path.parent / "touched")}, path)


def _bare_code(path, model):
    path.write_bytes(pickle.dumps(_Code(path.parent / "touched")))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return made_once(tmp_path_factory, "tiny-checkpoints", write_checkpoints)


@pytest.mark.parametrize("spoil", [_view, _shared, _nan, _sparse, _numbers, _names, _compressed, _code, _bare_code])
def test_refused(spoil, folders, tmp_path):
    path = tmp_path / "weights.pth"
    spoil(path, load_classifier(str(folders / "classifier")).model.state_dict())
    start = time.process_time()
    for load in (
        lambda: build_classifier(ModelOptions(name="test_resnet", weights=str(path)), ["a", "b"], None),
        lambda: load_classifier("test_resnet", str(path)),
    ):
        with pytest.raises(UserError, match=re.escape(str(path))) as caught:
            load()
        assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5
    assert not (tmp_path / "touched").exists()


def _header(table: dict, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _tensor(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


TABLES = {
    "a lying size": _header({"fc.weight": _tensor([WIDE, 96], 0, 8)}, bytes(8)),
    "beyond the end": _header({"fc.weight": _tensor([2], 0, 8)}, bytes(4)),
    "overlapping": _header({"a": _tensor([2], 0, 8), "b": _tensor([2], 4, 12)}, bytes(12)),
    "a huge header": _header({}, length=2**62),
    "no header": b"",
    "an unknown type": _header({"a": _tensor([2], 0, 8, "F99")}, bytes(8)),
    "a negative size": _header({"a": _tensor([-2], 0, 8)}, bytes(8)),
    "sizes that overflow": _header({"a": _tensor([2**62, 2**62], 0, 8)}, bytes(8)),
    "deep lists": struct.pack("<Q", 10**5) + b"[" * 10**5,
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("network", ["classifier", "fcos"])
def test_lying_headers(content, network, folders, tmp_path):
    (tmp_path / "config.json").write_text((folders / network / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors: ") as caught:
        load_network(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", ["classifier", "semantic_fpn"])
def test_nan_in_a_checkpoint(network, folders, tmp_path):
    """A network whose training diverged says so, rather than giving NaN for every picture."""
    (tmp_path / "config.json").write_text((folders / network / "config.json").read_text())
    weights = safetensors.torch.load_file(folders / network / "model.safetensors")
    name = next(name for name in weights if name.endswith("bn1.weight"))
    weights[name][0] = float("nan")
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=rf"model\.safetensors: '{name}': contains NaN"):
        load_network(str(tmp_path))
