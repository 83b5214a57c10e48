"""torch.compile without a graph break, and torch.export for any batch and image size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from atmnet import models
from tests.models.build import build
from tests.ops.compilers import COMPILERS


def small(stages: int = 1) -> models.ATMNet:
    """Few stages between stem and head: a compiler's time grows with the number of layers."""
    dims = (8, 12)[:stages]
    model = models.ATMNet(
        depths=(2,) * stages, dims=dims, mlp_ratios=(1,) * stages, shares=(2,) * stages, num_classes=4
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def same_outputs_and_gradients(compiled: Callable[[Tensor], Tensor], model: nn.Module, image: Tensor) -> None:
    runs = []
    for function in (compiled, model):
        out = function(image)
        runs.append([out, *torch.autograd.grad(out.square().sum(), list(model.parameters()))])
    for ours, theirs in zip(*runs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


def test_compile():
    torch.compiler.reset()
    model, image = small(), torch.randn(2, 3, 36, 40)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), model(image), rtol=1e-4, atol=1e-4)


def test_compile_for_training():
    torch.compiler.reset()
    model = small().train()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    same_outputs_and_gradients(compiled, model, torch.randn(2, 3, 36, 40))


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_compile_the_whole_model(compiler):
    torch.compiler.reset()
    model = build()
    compiled = torch.compile(model, backend=compiler, fullgraph=True)
    same_outputs_and_gradients(compiled, model, torch.randn(2, 3, 64, 64))


def test_export_any_batch_and_size():
    model = small(stages=2)
    # Where a stage has a single token, the exporter specialises.
    dims = {name: torch.export.Dim(name, min=1 if name == "batch" else 64) for name in ("batch", "height", "width")}
    shapes = ({0: dims["batch"], 2: dims["height"], 3: dims["width"]},)
    program = torch.export.export(model, (torch.randn(2, 3, 96, 80),), dynamic_shapes=shapes)
    exported = program.module()
    for shape in ((1, 3, 64, 64), (3, 3, 97, 130), (2, 3, 96, 80)):
        image = torch.randn(shape)
        torch.testing.assert_close(exported(image), model(image), rtol=1e-4, atol=1e-4)
