"""A colour for each class: the same in all pictures, told apart with and without colour-blindness."""

from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

_OKABE_ITO: list[Colour] = [
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
]  # fmt: skip
"""The palette by which science journals let everybody tell curves apart, without its black."""

_TO_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_TO_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
_DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
"""Machado, Oliveira and Fernandes 2009: what linear light looks like without green cones."""

_STEPS = 13
"""Levels of red, green and blue to choose from."""


def class_colours(count: int) -> list[Colour]:
    """A colour for each of ``count`` classes; those of fewer classes are the first of more.

    Seven colours are Okabe and Ito's. Each further one is as different from all before it as can be, to whom
    deuteranopia makes it look alike and to others, among colours neither near black nor near white.
    """
    colours = list(_palette(min(max(count, 1), 256)))
    return (colours * -(-count // len(colours)))[:count]


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is easier to read on ``colour``."""
    luminance = float(_linear(np.array(colour)) @ [0.2126, 0.7152, 0.0722])
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)  # where WCAG's contrast of both is the same


@cache
def _palette(count: int) -> tuple[Colour, ...]:
    levels = np.linspace(0, 255, _STEPS).round().astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    lightness = _seen(grid)[0, :, 0]
    grid = grid[(lightness > 0.47) & (lightness < 0.9)]
    seen = _seen(grid)
    chosen = list(_OKABE_ITO)
    distance = np.full(len(grid), np.inf)
    for known in _seen(np.array(chosen)).swapaxes(0, 1):
        distance = np.minimum(distance, _distance(seen, known))
    while len(chosen) < count:
        best = int(distance.argmax())
        chosen.append(tuple(grid[best].tolist()))
        distance = np.minimum(distance, _distance(seen, seen[:, best]))
    return tuple(chosen[:count])


def _distance(seen: npt.NDArray[np.float64], one: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of colours (2, N, 3) from one (2, 3), to the eyes that see less difference."""
    return np.linalg.norm(seen - one[:, None], axis=-1).min(0)


def _seen(colours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Colours (N, 3) in Oklab, where distance is difference: (2, N, 3), as most people see them and deuteranopes."""
    light = _linear(colours)
    both = np.stack([light, (light @ _DEUTERANOPIA.T).clip(0, 1)])
    return np.cbrt(both @ _TO_CONES.T) @ _TO_OKLAB.T


def _linear(colours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Colours of sRGB as linear light, 0 to 1."""
    v = colours / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
