"""Whole models on a CUDA device: golden files, automatic mixed precision, compilation, memory formats, CUDA graphs."""

import pytest
import timm
import torch

from tests import golden
from tests.models.build import build

BRAIN, HALF, FLOAT, WIDE = torch.bfloat16, torch.float16, torch.float32, torch.float64


@pytest.mark.parametrize(("dtype", "bound"), [(WIDE, 1e-9), (FLOAT, 2e-5)], ids=str)
@pytest.mark.parametrize("path", sorted(golden.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_golden(path, dtype, bound):
    errors = golden.errors(path, dtype, "cuda")
    assert errors["logits"] < bound
    if dtype == WIDE:
        assert max(errors.values()) < bound


@pytest.mark.parametrize("dtype", [BRAIN, HALF], ids=str)
def test_training_step_under_autocast(dtype, monkeypatch):
    """Gradients are as near those of float64 as with plain PyTorch operations under the same autocast."""
    model, image = build().cuda(), golden.image(2, 64, 48).float().cuda()
    wide = build().double().cuda()
    exact = torch.autograd.grad(wide(image.double()).square().sum(), list(wide.parameters()))
    direction = torch.cat([gradient.flatten() for gradient in exact])
    angles = {}
    for backend in ("triton", "reference"):
        monkeypatch.setenv("ATMNET_BACKEND", backend)
        with torch.autocast("cuda", dtype=dtype):
            loss = model(image).float().square().sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        ours = torch.cat([gradient.flatten() for gradient in gradients]).double()
        angles[backend] = torch.acos(torch.cosine_similarity(ours, direction, dim=0)).item()
    assert angles["triton"] < 1.05 * angles["reference"] < 0.5


@pytest.mark.parametrize("dtype", [FLOAT, BRAIN], ids=str)
def test_compiled_training_step(dtype):
    model, image = build().cuda(), golden.image(2, 64, 64).float().cuda()
    compiled = torch.compile(model, fullgraph=True)
    runs = []
    for function in (compiled, model):
        with torch.autocast("cuda", dtype=dtype, enabled=dtype != FLOAT):
            out = function(image)
        gradients = torch.autograd.grad(out.float().square().sum(), list(model.parameters()))
        runs.append([out.float().flatten(), torch.cat([g.flatten() for g in gradients])])
    (out, gradient), (expected, expected_gradient) = runs
    assert golden.relative_error(out, expected) < (1e-4 if dtype == FLOAT else 2e-2)
    # Rounding moves tokens across kinks of the interpolation, where gradients jump: so only the direction is compared.
    assert torch.cosine_similarity(gradient, expected_gradient, dim=0) > (0.9999 if dtype == FLOAT else 0.95)


def test_channels_last_images():
    model, image = build().cuda().eval(), golden.image(2, 96, 64).float().cuda()
    with torch.no_grad():
        torch.testing.assert_close(model(image.to(memory_format=torch.channels_last)), model(image))
        ours = model.to(memory_format=torch.channels_last)(image)
    torch.testing.assert_close(ours, build().cuda().eval()(image).detach())


def test_in_a_cuda_graph():
    model = timm.create_model("atmnet_tiny").cuda().eval()
    image = torch.randn(1, 3, 224, 224, device="cuda")
    with torch.inference_mode():
        expected = model(image)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = model(image)
        graph.replay()
        torch.testing.assert_close(captured, expected)


def test_reduce_overhead():
    """torch.compile makes CUDA graphs by itself; each call gets other images."""
    model = build().cuda().eval()
    compiled = torch.compile(model, mode="reduce-overhead", fullgraph=True)
    with torch.inference_mode():
        for seed in range(4):  # the first calls compile and record
            image = torch.randn(2, 3, 64, 64, generator=torch.Generator("cuda").manual_seed(seed), device="cuda")
            assert golden.relative_error(compiled(image).clone(), model(image)) < 1e-4
