"""Every way to call it wrongly raises a ValueError that names the argument and says what was expected."""

import pytest
import torch

from atmnet.ops import available_backends, sample_along, sample_branches


def tokens(*shape: int, **kwargs) -> torch.Tensor:
    return torch.zeros(shape, **kwargs)


@pytest.mark.parametrize(
    ("x", "offset", "dim", "message"),
    [
        (tokens(2, 5, 4, dtype=torch.int64), tokens(2, 5, 4), 1, r"^x: got dtype torch.int64, expected a floating"),
        (tokens(2, 5, 4), tokens(2, 5, 4, dtype=torch.int32), 1, r"^offset: got dtype torch.int32, expected a float"),
        (tokens(2, 5, 4, dtype=torch.complex64), tokens(2, 5, 4), 1, r"^x: got dtype torch.complex64"),
        (tokens(4), tokens(4), 0, r"^x: got shape \(4,\), expected at least two axes"),
        (tokens(2, 5, 4), tokens(2, 5, 4), 2, r"^dim: got 2, expected an axis of x \(2, 5, 4\) other than the last"),
        (tokens(2, 5, 4), tokens(2, 5, 4), -1, r"^dim: got -1, expected"),
        (tokens(2, 5, 4), tokens(2, 5, 4), 3, r"^dim: got 3, expected"),
        (tokens(2, 5, 4), tokens(2, 5, 4), -4, r"^dim: got -4, expected"),
        (tokens(2, 5, 4), tokens(2, 6, 4), 1, r"^offset: got shape \(2, 6, 4\), expected \(2, 5\) \+ \(G,\)"),
        (tokens(2, 5, 4), tokens(1, 5, 4), 1, r"^offset: got shape \(1, 5, 4\), expected"),  # no broadcasting
        (tokens(2, 5, 4), tokens(2, 5), 1, r"^offset: got shape \(2, 5\), expected"),
        (tokens(2, 5, 4), tokens(2, 5, 3), 1, r"^offset: got 3 share groups, expected a divisor of x's 4 channels"),
        (tokens(2, 5, 4), tokens(2, 5, 8), 1, r"^offset: got 8 share groups, expected a divisor"),
        (tokens(2, 5, 4), tokens(2, 5, 0), 1, r"^offset: got 0 share groups, expected a divisor"),
        (tokens(2, 5, 4), tokens(2, 5, 4, device="meta"), 1, r"^offset: got device meta, expected x's device cpu"),
    ],
)
def test_arguments(x, offset, dim, message):
    with pytest.raises(ValueError, match=message):
        sample_along(x, offset, dim)


def test_unknown_backend(monkeypatch):
    x = tokens(2, 5, 4)
    with pytest.raises(ValueError, match=r"^backend: got 'cuda', expected one of .*reference"):
        sample_along(x, x, 1, backend="cuda")
    monkeypatch.setenv("ATMNET_BACKEND", "nonsense")  # read at the call, not at import
    with pytest.raises(ValueError, match=r"^backend: got 'nonsense', expected one of"):
        sample_along(x, x, 1)


def test_the_argument_precedes_the_environment(monkeypatch):
    x = tokens(2, 5, 4)
    monkeypatch.setenv("ATMNET_BACKEND", "nonsense")
    assert sample_along(x, x, 1, backend="reference").equal(x)


@pytest.mark.parametrize("value", ["", "reference"])
def test_the_environment_may_be_empty_or_right(monkeypatch, value):
    x = torch.randn(2, 5, 4)
    monkeypatch.setenv("ATMNET_BACKEND", value)
    assert sample_along(x, torch.zeros_like(x), 1).equal(x)


def test_the_environment_decides(monkeypatch):
    from atmnet.ops import _dispatch

    backend = _dispatch._Backend(lambda x, *_: x.unsqueeze(-2) + 1, lambda *_: None)
    monkeypatch.setitem(_dispatch._BACKENDS, "plus_one", backend)
    x = tokens(2, 5, 4)
    assert not sample_along(x, x, 1).any()
    monkeypatch.setenv("ATMNET_BACKEND", "plus_one")
    assert sample_along(x, x, 1).equal(x + 1)


def test_a_backend_that_cannot_run_says_why(monkeypatch):
    from atmnet.ops import _dispatch

    backend = _dispatch._Backend(lambda x, *_: x, lambda device, dtype: f"it needs a GPU, x is on {device}")
    monkeypatch.setitem(_dispatch._BACKENDS, "elsewhere", backend)
    x = tokens(2, 5, 4)
    with pytest.raises(ValueError, match=r"^backend: 'elsewhere' cannot run here: it needs a GPU, x is on cpu$"):
        sample_along(x, x, 1, backend="elsewhere")
    assert "elsewhere" not in available_backends(x)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_reference_runs_anywhere_and_comes_last(device):
    assert available_backends(torch.empty(1, device=device))[-1] == "reference"


def test_meta_tensors():
    x = tokens(2, 5, 4, device="meta")
    out = sample_along(x, x[..., :2], 1)
    assert out.shape == x.shape
    assert out.is_meta


@pytest.mark.parametrize(("shape", "axes"), [((5, 3, 8), 2), ((2, 5, 3, 8), 1), ((2, 5, 8), 0)])
def test_another_number_of_axes(shape, axes):
    with pytest.raises(ValueError, match=f"x: got shape .* with {axes} token axes"):
        sample_branches(torch.randn(shape), torch.zeros(*shape[:-1], 4), axes)


def test_third_derivatives_are_the_references():
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)

    def third(backend):
        grad = sample_along(x, offset, 1, backend=backend).pow(3).sum()
        for _ in range(2):
            (grad,) = torch.autograd.grad(grad.sum(), x, create_graph=True)
        return torch.autograd.grad(grad.sum(), offset)[0]

    for backend in available_backends(x):
        torch.testing.assert_close(third(backend), third("reference"))
