"""Peak and saved bytes of functions whose allocations are known."""

import pytest
import torch
from torch import nn
from torchvision.ops import deform_conv2d

from atmnet.benchmark import peak_bytes, saved_bytes

NONE = nn.Identity()


def test_peak_is_the_largest_sum_of_live_blocks():
    def call():
        a = torch.empty(1000)
        b = torch.empty(500)
        del a
        c = torch.empty(2000)  # 2,500 floats are live
        del b, c
        torch.empty(2400)

    assert peak_bytes(call) == 4 * 2500


def test_what_was_live_before_does_not_count():
    held = {"x": torch.empty(5000)}

    def call():
        held["x"] = torch.empty(1000)  # the one before goes only then

    assert [peak_bytes(call) for _ in range(2)] == [4000, 4000]

    def frees():
        held.clear()
        held["x"] = torch.empty(1000)

    assert [peak_bytes(frees) for _ in range(2)] == [4000, 4000]


def test_views_and_nothing():
    x = torch.empty(100, 100)
    assert peak_bytes(lambda: x.t()[3:].unsqueeze(0)) == 0


def test_buffers_inside_cpp_operators_count():
    """deform_conv2d holds columns and two more buffers of the output's size beside the output."""
    x, offset, weight = torch.randn(4, 16, 20, 20), torch.randn(4, 32, 20, 20), torch.randn(16, 16, 1, 1)
    peak = peak_bytes(lambda: deform_conv2d(x, offset, weight))
    assert 3 * x.nbytes < peak < 4.01 * x.nbytes


def test_peak_of_a_backward_pass():
    x = torch.randn(1000, requires_grad=True)
    assert peak_bytes(lambda: torch.autograd.grad(x.exp().sum(), x)) == pytest.approx(8000, abs=100)


def test_saved_activations_of_a_small_network():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(10, 4)
    # The input and what ReLU gives; the second Linear saves the latter again, and both save their weights.
    assert saved_bytes(lambda: model(x), model) == 4 * (10 * 4 + 10 * 8)


def test_a_storage_counts_once_and_whole():
    x = torch.randn(100, requires_grad=True)
    assert saved_bytes(lambda: x * x, NONE) == 400
    assert saved_bytes(lambda: x[:10] * x[10:20], NONE) == 400
    assert saved_bytes(lambda: x + 1, NONE) == 0


def test_parameters_and_buffers_do_not_count():
    norm = nn.BatchNorm1d(8).eval()
    x = torch.randn(5, 8, requires_grad=True)
    counted = saved_bytes(lambda: norm(x), norm)
    # The input; PyTorch may keep empty statistics beside it.
    assert counted == x.nbytes


def test_intermediates_that_die_do_not_hide_each_other():
    x = torch.randn(256, requires_grad=True)

    def forward():
        y = x
        for _ in range(5):
            y = y.sigmoid()  # saves its result
        return y

    assert saved_bytes(forward, NONE) == 5 * 1024


def test_custom_operators_count(twice):
    x = torch.randn(64, requires_grad=True)
    assert saved_bytes(lambda: twice(x).sum(), NONE) == 2 * 256


def test_cpp_operators_count():
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    offset, weight = torch.randn(1, 8, 6, 6), torch.randn(4, 4, 1, 1)
    saved = saved_bytes(lambda: deform_conv2d(x, offset, weight), NONE)
    # Besides, torchvision makes a bias of zeros and a mask that is not used.
    assert saved == pytest.approx(x.nbytes + offset.nbytes + weight.nbytes, abs=40)


@pytest.fixture(scope="module")
def twice():
    """An operator of torch.library that saves its input and its output."""

    @torch.library.custom_op("atmnet_test_memory::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def save(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output)

    def backward(ctx, grad):
        assert len(ctx.saved_tensors) == 2
        return 2 * grad

    twice.register_autograd(backward, setup_context=save)
    return twice
