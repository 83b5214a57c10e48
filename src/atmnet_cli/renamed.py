"""Options with other names in earlier versions: refused on the command line, translated in recorded options."""

from collections.abc import Mapping
from typing import Any

#: Old name -> new name, for the options of all commands.
RENAMED = {
    "amp": "precision",
    "dtype": "precision",
    "size": "img_size",
    "side": "img_size",
    "sizes": "digit_sizes",
    "model.checkpoint": "model.weights",
    "dense.sides": "dense.img_sizes",
    "dense.longest": "dense.max_img_size",
    "dense.crop": "dense.crop_size",
    "windows.flip": "flip",
    "data.kwargs.side": "data.kwargs.img_size",
    "data.kwargs.sizes": "data.kwargs.digit_sizes",
}
#: Old value -> new value, for each option by its new name.
_VALUES: dict[str, dict[Any, Any]] = {"precision": {"none": "fp32"}}


def translate(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Translate recorded options to the names of this version.

    Args:
        options: Nested options as a run or checkpoint recorded them.
        prefix: Group that the options belong to, with a dot at the end, such as 'model.'.

    Returns:
        The same options, renamed where their names have changed since.
    """
    translated: dict[str, Any] = {}
    for name, value in options.items():
        renamed = RENAMED.get(f"{prefix}{name}", f"{prefix}{name}")
        if isinstance(value, Mapping):
            value = translate(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            value = _VALUES.get(renamed, {}).get(value, value)
        translated[renamed.removeprefix(prefix)] = value
    return translated
