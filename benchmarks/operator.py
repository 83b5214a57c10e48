"""Sampling along both axes against two calls of torchvision's ``deform_conv2d``: ``python -m benchmarks.operator``.

The baseline is the published formulation: offsets materialised for both axes at full channel count, a 1x1 weight each.
Ours here is the plain-PyTorch reference, sampling and two matrix products. Prints a Markdown table and writes
benchmarks/results/operator.json.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

import atmnet
from atmnet.ops import sample_along
from benchmarks.machine import ratio, versions

RESULT = Path(__file__).parent / "results" / "operator.json"
SHAPES = [(4, 56, 56, 64, 2), (4, 28, 28, 128, 4), (4, 14, 14, 320, 4), (4, 7, 7, 512, 8)]


def published(x: Tensor, offset: Tensor, weights: list[Tensor], share: int) -> Tensor:
    """Tokens (B, H, W, C), offsets (B, H, W, 2G) -> sum of both branches, by ``deform_conv2d``."""
    image = x.permute(0, 3, 1, 2)
    full = offset.permute(0, 3, 1, 2).repeat_interleave(share, dim=1)
    out = torch.zeros_like(image)
    for part, weight, other in zip(full.chunk(2, dim=1), weights, (1, 0), strict=True):
        both = torch.zeros(x.shape[0], 2 * x.shape[3], *x.shape[1:3])
        both[:, other::2] = part
        out = out + deform_conv2d(image, both, weight[:, :, None, None])
    return out.permute(0, 2, 3, 1)


def ours(x: Tensor, offset: Tensor, weights: list[Tensor]) -> Tensor:
    """The same by :func:`sample_along` and matrix products."""
    width, height = offset.chunk(2, dim=-1)
    return F.linear(sample_along(x, width, -2), weights[0]) + F.linear(sample_along(x, height, -3), weights[1])


def compare(shape: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Speed ratios of one shape (B, H, W, C, S), forward and with the backward; checks first that both agree."""
    *size, share = shape
    x = torch.randn(size, requires_grad=True)
    offset = (torch.randn(*size[:3], 2 * size[3] // share) * 3).requires_grad_()
    weights = [torch.randn(size[3], size[3]) / size[3] ** 0.5 for _ in range(2)]
    torch.testing.assert_close(ours(x, offset, weights), published(x, offset, weights, share), rtol=1e-4, atol=1e-4)

    def trained(run: Callable[..., Tensor], *more: int) -> Callable[[], object]:
        return lambda: torch.autograd.grad(run(x, offset, weights, *more).sum(), (x, offset))

    with torch.no_grad():
        forward = ratio(lambda: published(x, offset, weights, share), lambda: ours(x, offset, weights))
    return {"forward": forward, "forward and backward": ratio(trained(published, share), trained(ours))}


def main() -> None:
    """Measure, print, and record."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    results = {"x".join(map(str, shape[:4])) + f" S={shape[4]}": compare(shape) for shape in SHAPES}
    print("| tokens | forward | forward and backward |\n|---|---|---|")
    for name, result in results.items():
        cells = ["{median:.2f}x ({lower_quartile:.2f} to {upper_quartile:.2f})".format(**r) for r in result.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    RESULT.write_text(json.dumps({"atmnet": atmnet.__version__, **versions(), "ratios": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
