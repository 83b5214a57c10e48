"""The state of a training comes back from JSON and tensors in the same types and bits, or is refused by name."""

import collections
import json

import numpy as np
import pytest
import timm
import torch
from torch import nn

from atmnet.engine.state import UnsavableState, pack, unpack
from atmnet.files import write_tensors
from atmnet_cli.errors import UserError

STATE = {
    "tuples": ((1, 2.5), [3, (None, "a")], torch.Size([2, 3]), ()),
    "dtypes": [torch.bfloat16, torch.float32, torch.bool],
    "numbers": [float("nan"), float("inf"), -float("inf"), -0.0, 1e-320, True, None, 10**30],
    "numpy": [np.float64(0.1), np.int64(-3), np.bool_(True), np.arange(6.0).reshape(2, 3), np.float32("nan")],
    "tags": [{"float": "nan"}, {"tuple": [1]}, {"dict": []}, {"tensor": "numpy"}],
    "keys": {1: torch.ones(1), "1": torch.zeros(1), (2, "b"): 3, None: 4, 1.5: 5},
    "a": {"b.c": torch.ones(2), "b": {"c": torch.zeros(2)}},
    "layouts": [torch.randn(3, 4).t(), torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.tensor(7)],
    "float8": torch.ones(3).to(torch.float8_e4m3fn),
}


def _assert_same(a, b):
    kind = tuple if type(a) is torch.Size else type(a)
    assert kind is type(b)
    if isinstance(a, dict):
        assert [(type(key), key) for key in a] == [(type(key), key) for key in b]
        a, b = list(a.values()), list(b.values())
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _assert_same(x, y)
    elif isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.float().equal(b.float())
    elif isinstance(a, np.ndarray | np.generic):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    else:
        assert repr(a) == repr(b)


def test_every_type_comes_back():
    tensors = {}
    text = json.dumps(pack(STATE, "", tensors), allow_nan=False)
    _assert_same(STATE, unpack(json.loads(text), tensors))


PAIR = collections.namedtuple("PAIR", "a b")


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"a", 1j, torch.ones(2, 2).to_sparse(), torch.ones(1, dtype=torch.complex128), np.array(["a"]),
     PAIR(1, 2), nn.Identity(), print],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_other_type_is_named(value):
    with pytest.raises(UnsavableState, match=r"^optimizer\.3\.0 is "):
        pack({"optimizer": {3: [value]}}, "", {})


@pytest.mark.parametrize(
    "damaged",
    [{}, {"dict": 5}, {"dict": [[1]]}, {"dict": [[[1], 2]]}, {"tensor": "b"}, {"tensor": []}, {"scalar": None},
     {"a": 1}, {"float": "1"}, {"dtype": "nn"}, {"tuple": 1}, {"dict": [], "b": 1}],
    ids=str,
)  # fmt: skip
def test_damaged_state_is_one_line(damaged):
    with pytest.raises(UserError):
        unpack([damaged], {"a": torch.ones(1)})


def test_tied_weights_are_stored_under_each_name(tmp_path):
    """timm finds each of them where it expects it."""
    model = timm.create_model("test_vit", num_classes=3)
    model.blocks[1].mlp.fc1.weight = model.blocks[0].mlp.fc1.weight
    model.register_buffer("view", model.blocks[0].mlp.fc2.weight[1:])
    write_tensors(tmp_path / "model.safetensors", model.state_dict())
    weights = timm.models.load_state_dict(str(tmp_path / "model.safetensors"))
    assert list(weights) == sorted(model.state_dict())
    for name, value in model.state_dict().items():
        assert weights[name].equal(value), name
