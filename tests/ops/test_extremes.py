"""Sizes at which a kernel's stack, or the precision of positions, would end."""

import threading

import pytest
import torch

from atmnet.ops import available_backends, sample_along

BACKENDS = [name for name in available_backends(torch.empty(1)) if name != "triton"]


@pytest.mark.parametrize(
    ("share", "dtype"),
    [
        (2**16, torch.float16),
        *(
            pytest.param(share, dtype, marks=pytest.mark.slow)  # each is compiled anew
            for share, dtype in [(2**16, torch.float32), (12289, torch.float16), (12289, torch.bfloat16)]
        ),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wide_share_on_a_small_stack(backend, share, dtype):
    """Threads of 256 KiB: threads of musl have 128 KiB, those of other libraries less than Linux's 8 MiB."""
    x, offset = torch.randn(1, 4, share).to(dtype), torch.randn(1, 4, 1)
    results = []

    def run(name):
        leaves = x.clone().requires_grad_(), offset.clone().requires_grad_()
        out = sample_along(*leaves, 1, backend=name)
        results.append([out.detach(), *torch.autograd.grad(out.float().sum(), leaves)])

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run, args=(backend,))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    run("reference")
    out, grad_x, grad_offset = (a.float() - b.float() for a, b in zip(*results, strict=True))
    assert not out.any()
    assert grad_x.abs().max() < 0.05
    assert grad_offset.abs().max() < 0.02 * share**0.5


def assert_fractions_are_kept(backend, length):
    x = (torch.arange(length) % 2).float().view(1, length, 1)
    out = sample_along(x, torch.full((1, length, 1), 0.3), 1, backend=backend)[0, :-1, 0]
    for parity, expected in ((0, 0.3), (1, 0.7)):
        assert (out[parity::2] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_in_long_rows(backend):
    """In float32, 2**20 + 0.3 is 2**20 + 0.3125."""
    assert_fractions_are_kept(backend, 2**20)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_beyond_the_integers_of_float32(backend):
    assert_fractions_are_kept(backend, 2**24 + 64)
