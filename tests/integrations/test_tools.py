"""The tools around PyTorch work on the models: those of benchmarks/ecosystem.py, and every submodule of every model."""

import importlib.util

import pytest
import timm
import torch
from torch import nn

from benchmarks.ecosystem import TOOLS, outcome

#: Tools that compile, convert, or adapt for long.
LONG = ("torch.compile", "torch.export", "torch.jit", "convert_model", "DoRA", "LoRA", "Plus", "PAN")
VARIANTS = [
    "nano",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("xtiny", "tiny", "small", "base", "large")),
]


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize(
    "tool", [pytest.param(t, marks=pytest.mark.slow) if any(part in t for part in LONG) else t for t in TOOLS]
)
def test_tool(tool):
    library, _ = TOOLS[tool]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert outcome("atmnet_nano", tool).get("reason") is None


class Doubled(nn.Module):
    """Stands in the place of a module, and shows in what comes out."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, *args, **kwargs):
        self.calls += 1
        return 2 * self.module(*args, **kwargs)


def leaves(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if name and not isinstance(module, nn.ModuleList)]


def model_and_image(variant):
    torch.manual_seed(0)
    model = timm.create_model(f"atmnet_{variant}", num_classes=5).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.dim() == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model, torch.randn(2, 3, 64, 64)


@pytest.mark.parametrize("kind", ["pre-forward", "forward", "backward"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_hook_fires_once(variant, kind):
    model, image = model_and_image(variant)
    times = dict.fromkeys(leaves(model), 0)

    def count(name):
        def hook(*_):
            times[name] += 1

        return hook

    for name in times:
        module = model.get_submodule(name)
        if kind == "pre-forward":
            module.register_forward_pre_hook(count(name))
        elif kind == "forward":
            module.register_forward_hook(count(name))
        else:
            module.register_full_backward_hook(count(name))
    with torch.set_grad_enabled(kind == "backward"):
        out = model(image.requires_grad_(kind == "backward"))
    if kind == "backward":
        out.sum().backward()
    missed = [name for name, n in times.items() if n == 0]
    assert not missed
    repeated = {name for name, n in times.items() if n > 1}
    # The position encoding is called for each group, and a block's stochastic depth for both of its branches.
    assert not [name for name in repeated if "pos_embed" not in name and "drop_path" not in name]


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_every_module_can_be_wrapped(variant):
    """Each alone: a wrapper is called, and changes what comes out."""
    model, image = model_and_image(variant)
    image = image[:1, :, :32, :32]
    expected = model(image)
    unseen = []
    for name in leaves(model):
        parent, _, child = name.rpartition(".")
        holder, module = model.get_submodule(parent), model.get_submodule(name)
        wrapper = Doubled(module)
        setattr(holder, child, wrapper)
        if model(image).equal(expected) or not wrapper.calls:
            unseen.append(name)
        setattr(holder, child, module)
    assert not unseen
    assert model(image).equal(expected)
