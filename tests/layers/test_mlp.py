"""The MLP is timm's in value and gradient; it only holds less."""

import pytest
import timm.layers
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from atmnet.benchmark import saved_bytes
from atmnet.layers import Block, mlp
from atmnet.layers.mlp import MemoryEfficientMlp

IN, HIDDEN, OUT = 6, 10, 4


def pair(dtype: torch.dtype = torch.float32) -> tuple[MemoryEfficientMlp, nn.Module]:
    """Ours and timm's, with the same weights."""
    ours, theirs = MemoryEfficientMlp(IN, HIDDEN, OUT, dtype=dtype), timm.layers.Mlp(IN, HIDDEN, OUT, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def results(module: nn.Module, x: Tensor) -> list[Tensor]:
    """The output and every gradient."""
    x = x.detach().requires_grad_()
    out = module(x)
    return [out, *torch.autograd.grad(out, (x, *module.parameters()), torch.ones_like(out))]


@pytest.fixture
def hidden_sizes(monkeypatch):
    """Elements of each hidden tensor that Mlps make. A hook would see all tokens at once."""
    sizes: list[int] = []
    linear = torch.nn.functional.linear

    def counted(x, weight, bias=None):
        out = linear(x, weight, bias)
        if weight.shape[0] > weight.shape[1]:
            sizes.append(out.numel())
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    return sizes


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(IN,), (7, IN), (2, 3, 5, IN), (2, 2, 3, 2, IN), (0, 5, IN), (2, 0, IN)], ids=str)
def test_the_same_bits_as_timm(shape, dtype):
    ours, theirs = pair(dtype)
    x = torch.randn(shape, dtype=dtype)
    for mine, other in zip(results(ours, x), results(theirs, x), strict=True):
        assert mine.equal(other)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert ours(x).equal(theirs(x))


def test_tokens_with_strides():
    ours, theirs = pair()
    x = torch.randn(2, IN, 5, 3).movedim(1, -1)
    for mine, other in zip(results(ours, x), results(theirs, x), strict=True):
        assert mine.equal(other)


@pytest.mark.parametrize("shape", [(37, IN), (2, 3, 7, IN), (1, 101, IN), (8, IN)], ids=str)
def test_in_slices(shape, monkeypatch, hidden_sizes):
    monkeypatch.setattr(mlp, "_MAX_HIDDEN_VALUES", 8 * HIDDEN + 3)
    ours, theirs = pair(torch.float64)
    x = torch.randn(shape, dtype=torch.float64)
    for view in (x, x.transpose(0, -2).contiguous().transpose(0, -2)):
        for mode in (torch.no_grad, torch.inference_mode):
            hidden_sizes.clear()
            with mode():
                out = ours(view)
                assert max(hidden_sizes) == 8 * HIDDEN
                assert sum(hidden_sizes) == x[..., 0].numel() * HIDDEN
                torch.testing.assert_close(out, theirs(view), rtol=1e-12, atol=1e-12)


def test_slices_are_small_in_earnest(hidden_sizes):
    module, x = MemoryEfficientMlp(2, 1024, 2), torch.randn(1, 50, 60, 2)
    with torch.no_grad():
        assert module(x).shape == x.shape
    assert max(hidden_sizes) <= 2**20 < sum(hidden_sizes)


def test_one_token_is_the_least(monkeypatch, hidden_sizes):
    monkeypatch.setattr(mlp, "_MAX_HIDDEN_VALUES", 1)
    ours, theirs = pair()
    x = torch.randn(3, IN)
    with torch.no_grad():
        expected = theirs(x)
        hidden_sizes.clear()
        torch.testing.assert_close(ours(x), expected)
        assert ours(x[:0]).shape == (0, OUT)
    assert hidden_sizes == [HIDDEN] * 3 + [0]


def test_nothing_is_sliced_where_gradients_are_recorded(monkeypatch, hidden_sizes):
    monkeypatch.setattr(mlp, "_MAX_HIDDEN_VALUES", 1)
    ours, _ = pair()
    ours(torch.randn(5, IN)).sum().backward()
    assert hidden_sizes == [5 * HIDDEN]


def test_less_is_kept_for_the_backward_pass():
    ours, theirs = pair()
    x = torch.randn(2, 30, IN, requires_grad=True)
    hidden = 2 * 30 * HIDDEN * 4
    assert saved_bytes(lambda: theirs(x), theirs) == x.nbytes + 2 * hidden
    assert saved_bytes(lambda: ours(x), ours) == x.nbytes + hidden


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype):
    ours, theirs = pair()
    x = torch.randn(2, 7, IN)
    with torch.autocast("cpu", dtype):
        runs = [results(module, x) for module in (ours, theirs)]
        with torch.no_grad():
            assert ours(x).equal(theirs(x))
    assert runs[0][0].dtype == dtype
    for mine, other in zip(*runs, strict=True):
        assert mine.equal(other)


def test_derivatives():
    ours, _ = pair(torch.float64)
    x = torch.randn(3, IN, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, *parameters: ours(x), (x, *ours.parameters()))
    assert gradgradcheck(lambda x, *parameters: ours(x), (x, *ours.parameters()))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")  # torch's own jvp rules call it
@pytest.mark.parametrize("sliced", [False, True])
def test_function_transforms(sliced, monkeypatch):
    if sliced:
        monkeypatch.setattr(mlp, "_MAX_HIDDEN_VALUES", 2 * HIDDEN)
    ours, theirs = pair(torch.float64)
    x = torch.randn(5, IN, dtype=torch.float64)

    def loss(module, parameters, x):
        return torch.func.functional_call(module, parameters, (x,)).square().sum()

    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            runs = []
            for module in (ours, theirs):
                parameters = dict(module.named_parameters())
                each = torch.vmap(torch.func.grad(loss, argnums=1), (None, None, 0))
                runs.append(
                    [
                        torch.func.grad(loss, argnums=1)(module, parameters, x),
                        each(module, parameters, x.unsqueeze(1)),
                        torch.func.jvp(lambda x, module=module: module(x), (x,), (x,)),
                    ]
                )
        torch.testing.assert_close(*runs)


@pytest.mark.filterwarnings("ignore:`torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("way", ["script", "trace", "export", "compile"])
def test_other_forms(way):
    ours, theirs = pair()
    x = torch.randn(2, 7, IN)
    if way == "script":
        other = torch.jit.script(ours)
    elif way == "trace":
        other = torch.jit.trace(ours, x)
    elif way == "export":
        other = torch.export.export(ours, (x,)).module()
    else:
        torch.compiler.reset()
        other = torch.compile(ours, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(results(other, x), results(theirs, x))
    with torch.no_grad():
        torch.testing.assert_close(other(x), theirs(x))


@pytest.mark.parametrize("wanted", [(), ("x",), ("fc1",), ("fc2",), ("x", "fc2")], ids=str)
def test_frozen_weights(wanted):
    x = torch.randn(2, 7, IN, requires_grad="x" in wanted)
    runs = []
    for module in pair():
        for name in ("fc1", "fc2"):
            getattr(module, name).requires_grad_(name in wanted)
        out = module(x)
        assert out.requires_grad == bool(wanted)
        leaves = [leaf for leaf in (x, *module.parameters()) if leaf.requires_grad]
        runs.append((out, *(torch.autograd.grad(out.sum(), leaves) if leaves else ())))
    for mine, other in zip(*runs, strict=True):
        assert mine.equal(other)


@pytest.mark.parametrize("name", ["mlp", "mlp.fc1", "mlp.fc2", "atm", "atm.proj"])
def test_what_a_hook_keeps_stays_as_it_was(name):
    """Features are taken by forward hooks, and without gradients."""
    block = Block(8)
    kept = []
    block.get_submodule(name).register_forward_hook(lambda module, args, out: kept.extend([out, out.clone()]))
    with torch.no_grad():
        block(torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 16))
    assert kept[0].equal(kept[1])
