"""Models under measurement: how they compute, and what is told of them."""

import pytest
import torch
from torch import nn

from atmnet.benchmark import Workload, build_model, measure_models, versions
from atmnet_cli.errors import UserError
from tests.ops.compilers import COMPILERS


class Net(nn.Module):
    """Notes how it was called."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.calls = []

    def forward(self, x):
        out = self.conv(x).mean((2, 3))
        self.calls.append((x.dtype, out.dtype, torch.is_inference_mode_enabled(), self.training))
        return out


def test_inference_casts_the_model():
    net = Net()
    Workload(net, 8, 2, dtype=torch.bfloat16)()
    assert net.calls == [(torch.bfloat16, torch.bfloat16, True, False)]
    assert net.conv.weight.dtype == torch.bfloat16


def test_inference_under_autocast():
    net = Net()
    Workload(net, 8, 2, dtype=torch.bfloat16, autocast=True)()
    assert net.calls == [(torch.float32, torch.bfloat16, True, False)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_step_leaves_float32_weights_that_moved_a_little(dtype):
    net = Net()
    before = net.conv.weight.detach().clone()
    workload = Workload(net, 8, 2, dtype=dtype, train=True)
    workload()
    assert net.calls == [(torch.float32, dtype, False, True)]
    assert net.conv.weight.dtype == torch.float32
    assert 0 < (net.conv.weight - before).abs().max() < 1e-5
    assert all(parameter.grad is None for parameter in net.parameters())


def test_memory():
    net = Net()
    inference, training = Workload(net, 34, 2), Workload(Net(), 34, 2, train=True)
    image, out = 2 * 3 * 34 * 34 * 4, 2 * 4 * 32 * 32 * 4
    assert out <= inference.peak_bytes() < 8 * out  # libraries may reorder image and output
    assert training.peak_bytes() > out
    assert training.saved_bytes() == pytest.approx(image, abs=100)  # the convolution's input; the mean keeps none


def test_rows():
    workloads = {"a": Workload(Net(), 8, 2), "b": Workload(Net(), 16, 2)}
    rounds = []
    rows = measure_models(workloads, rounds=2, after_round=lambda: rounds.append(None))
    assert len(rounds) == 2
    assert list(rows) == ["a", "b"]
    for row in rows.values():
        assert list(row) == ["seconds", "images_per_second", "ratio", "peak_bytes"]
        assert row["images_per_second"] == pytest.approx(2 / row["seconds"]["median"])
    assert rows["a"]["ratio"] == {"median": 1, "lower_quartile": 1, "upper_quartile": 1}
    rows = measure_models({"a": Workload(Net(), 8, 2, train=True)}, rounds=2)
    assert rows["a"]["saved_bytes"] > 0


@pytest.mark.parametrize("compiler", COMPILERS[1:])
def test_compiled_training_step(compiler):
    torch.compiler.reset()
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    workload = Workload(model, 32, 2, train=True, compile=True)
    (row,) = measure_models({"a": workload}, rounds=2).values()
    assert row["peak_bytes"] > 0
    assert row["saved_bytes"] > 0


@pytest.mark.parametrize(("name", "size"), [("test_vit", 96), ("test_resnet", 75), ("atmnet_nano", 45)])
def test_any_size_that_a_model_takes(name, size):
    model = build_model(name, size).eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, size, size)).shape[0] == 1


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("atmnet_tny", 224, r"models: unknown model 'atmnet_tny'; do you mean atmnet_tiny or "),
        ("zzz", 224, r"models: unknown model 'zzz'; do you mean atmnet_base or "),
        ("nest_tiny", 225, r"models: nest_tiny cannot be built at img_size 225: .*patch_size"),
    ],
)
def test_refused(name, size, told):
    with pytest.raises(UserError, match=told):
        build_model(name, size)


def test_versions():
    found = versions()
    assert {"processor", "cores", "threads", "atmnet", "python", "torch", "torchvision", "timm"} <= set(found)
    assert "gpu" not in found
    assert found["threads"] == torch.get_num_threads()
    assert torch.__version__.startswith(found["torch"])
