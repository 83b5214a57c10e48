"""Procedural weights and inputs of the golden files: outputs of the authors' own code (tests/golden/README.md)."""

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor

from atmnet.models._checkpoint import convert

FOLDER = Path(__file__).parent / "golden"
_MASK = 2**64 - 1


def uniform(seed: int, n: int) -> np.ndarray:
    """Uniform in [-1, 1) from a 64-bit hash, exact on every machine."""
    with np.errstate(over="ignore"):
        z = np.arange(n, dtype=np.uint64) + np.uint64((seed * 2**32 + 1) & _MASK)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2**53 * 2 - 1


def official_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official ``state_dict()`` of a model's architecture, in its order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *weight: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = weight
        if bias:
            shapes[f"{name}.bias"] = (weight[0],)

    dims = [info["num_chs"] for info in model.feature_info]
    add("patch_embed.proj", dims[0], model.in_chans, 7, 7)
    for i, stage in enumerate(model.stages):
        c, j = dims[i], 0
        depth = sum(len(group.blocks) for group in stage.groups)
        for group in stage.groups:
            for k, block in enumerate(group.blocks):
                name, hidden = f"blocks.{i}.{j}", block.mlp.fc1.out_features
                add(f"{name}.norm1", c)
                add(f"{name}.atm.atm_c", c, c, bias=False)
                add(f"{name}.atm.atm_h", c, c, 1, 1)
                add(f"{name}.atm.atm_w", c, c, 1, 1)
                add(f"{name}.atm.fusion.fc1", c // 4, c)
                add(f"{name}.atm.fusion.fc2", 3 * c, c // 4)
                add(f"{name}.atm.proj", c, c)
                add(f"{name}.norm2", c)
                add(f"{name}.mlp.fc1", hidden, c)
                add(f"{name}.mlp.fc2", c, hidden)
                if j == depth - 1 and i + 1 < len(dims):
                    add(f"{name}.downsample.proj", dims[i + 1], c, 3, 3)
                if k == 0:
                    add(f"{name}.offset_layer.0", c)
                    add(f"{name}.offset_layer.1", group.offset.proj.out_features, c)
                j += 1
    for i, c in enumerate(dims):
        add(f"pos_blocks.{i}.proj", c, 1, 3, 3)
    add("norm", dims[-1])
    add("head", model.num_classes, dims[-1])
    return shapes


def official_weights(model: Any) -> dict[str, Tensor]:
    """The golden files' weights under their official names, rounded to float32."""
    weights = {}
    for i, (name, shape) in enumerate(official_shapes(model).items()):
        u = uniform(i, int(np.prod(shape))).reshape(shape)
        if len(shape) == 1:
            u = 1 + 0.2 * u if name.endswith("weight") else 0.2 * u
        else:
            u *= np.sqrt(3 / np.prod(shape[1:])) * (3 if "offset_layer" in name else 1)
        weights[name] = torch.from_numpy(u).float()
    return weights


def our_names(model: Any) -> dict[str, str]:
    """Official parameter name -> ours."""
    shapes = official_shapes(model)
    tags = {name: torch.full(shape, float(i)) for i, (name, shape) in enumerate(shapes.items())}
    official = list(shapes)
    return {official[int(tag.flatten()[0])]: ours for ours, tag in convert(tags, model).items()}


def image(batch: int, height: int, width: int) -> Tensor:
    """The golden files' input (B, 3, H, W), float64."""
    return torch.from_numpy(2 * uniform(10**6, batch * 3 * height * width).reshape(batch, 3, height, width))


def gradient(parameter: Tensor) -> Tensor:
    """A parameter's gradient, flat, in float64."""
    assert parameter.grad is not None
    return parameter.grad.double().cpu().flatten()


def relative_error(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """|a - b| / |b|, norms over the whole tensor."""
    a, b = (
        np.asarray(each.detach().double().cpu() if isinstance(each, Tensor) else each, np.float64) for each in (a, b)
    )
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def errors(path: Path, dtype: torch.dtype, device: str = "cpu") -> dict[str, float]:
    """Relative errors of a model against a golden file: stages, logits, and gradients if the file has any."""
    theirs = np.load(path)
    variant, size = path.stem.split("_")[:2]
    model: Any = timm.create_model(f"atmnet_{variant}").eval()
    model.load_state_dict(official_weights(model))
    model.to(device, dtype)
    pictures = image(len(theirs["logits"]), *map(int, size.split("x"))).to(device, dtype)

    found = {}
    with torch.no_grad():
        maps = model.forward_intermediates(pictures, output_fmt="NHWC", intermediates_only=True)
    for i, tokens in enumerate(maps):
        found[f"stage {i} mean"] = relative_error(tokens.mean((1, 2)), theirs[f"stage{i}_mean"])
        found[f"stage {i} std"] = relative_error(tokens.std((1, 2)), theirs[f"stage{i}_std"])
    logits = model(pictures)
    found["logits"] = relative_error(logits, theirs["logits"])
    if "grad_names" in theirs:
        t = torch.from_numpy(uniform(2 * 10**6, logits.numel())).to(logits).view_as(logits)
        (logits * t).sum().backward()
        ours, parameters = our_names(model), dict(model.named_parameters())
        grads = [gradient(parameters[ours[str(name)]]) for name in theirs["grad_names"]]
        dots = [g @ torch.from_numpy(uniform(3 * 10**6 + i, g.numel())) for i, g in enumerate(grads)]
        found["gradient norms"] = relative_error(torch.stack([g.norm() for g in grads]), theirs["grad_norm"])
        found["gradients"] = relative_error(torch.stack(dots), theirs["grad_dot"])
    return found
