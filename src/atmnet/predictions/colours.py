"""Class colours: the same in all images, and distinguishable with and without colour blindness."""

from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_OKABE_ITO: list[Colour] = [
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
]  # fmt: skip
"""The palette of Okabe and Ito, which scientific journals recommend, without its black."""

_TO_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_TO_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
_DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
"""Simulation of deuteranopia, which is vision without green cones, on linear RGB (Machado et al. 2009)."""

_LEVELS = 13
"""Number of candidate levels of red, green and blue."""


def class_colours(count: int) -> list[Colour]:
    """A colour for each of ``count`` classes. The first n colours are the same for every ``count``.

    The first seven are those of Okabe and Ito. Each further one has the largest minimum distance to all colours before
    it, as seen with or without deuteranopia, among colours that are neither too dark nor too bright. Colours repeat
    after 256.
    """
    colours = list(_palette(min(max(count, 1), 256)))
    return (colours * -(-count // len(colours)))[:count]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on ``colour``."""
    luminance = float(_linear(np.array(colour)) @ [0.2126, 0.7152, 0.0722])
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)  # at 0.18 both have the same contrast by WCAG


@cache
def _palette(count: int) -> tuple[Colour, ...]:
    levels = np.linspace(0, 255, _LEVELS).round().astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    lightness = _to_oklab(grid)[0, :, 0]
    grid = grid[(lightness > 0.47) & (lightness < 0.9)]
    candidates = _to_oklab(grid)
    chosen = list(_OKABE_ITO)
    distance = np.full(len(grid), np.inf)
    for known in _to_oklab(np.array(chosen)).swapaxes(0, 1):
        distance = np.minimum(distance, _distance(candidates, known))
    while len(chosen) < count:
        best = int(distance.argmax())
        chosen.append(tuple(grid[best].tolist()))
        distance = np.minimum(distance, _distance(candidates, candidates[:, best]))
    return tuple(chosen[:count])


def _distance(colours: npt.NDArray[np.float64], colour: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance (N,) of ``colours`` (2, N, 3) to ``colour`` (2, 3), for the vision to which it is smaller."""
    distance: npt.NDArray[np.float64] = np.linalg.norm(colours - colour[:, None], axis=-1).min(0)
    return distance


def _to_oklab(colours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """sRGB colours (N, 3) in the perceptually uniform space Oklab: (2, N, 3), with normal vision and deuteranopia."""
    light = _linear(colours)
    both = np.stack([light, (light @ _DEUTERANOPIA.T).clip(0, 1)])
    oklab: npt.NDArray[np.float64] = np.cbrt(both @ _TO_CONES.T) @ _TO_OKLAB.T
    return oklab


def _linear(colours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """sRGB colours, 0 to 255, as linear light, 0 to 1."""
    v = colours / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
