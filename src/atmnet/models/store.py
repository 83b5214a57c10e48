"""Where ``pretrained=True`` finds weights: in the store on this machine, in the package, or on a team's hub.

The store is a folder with a sub-folder for each set of weights, such as ``atmnet_tiny.in1k``, in timm's hub layout
(config.json, model.safetensors, README.md). ``atmnet weights import`` fills it.
"""

import os
import sys
from pathlib import Path

from timm.models import get_pretrained_cfg

#: The folder of the weights that come with the package.
PACKAGE = Path(__file__).parents[1] / "weights"

#: Where the authors link their weights, by name. The links are for a browser; no program can fetch them reliably.
LINKS = {
    "atmnet_xtiny.in1k": "https://1drv.ms/u/s!AjKVODXuNei2gURnyKmplFDprQKN?e=ASnyhY",
    "atmnet_tiny.in1k": "https://1drv.ms/u/s!AjKVODXuNei2gU0rtxn6X4OYXNk_?e=NK0na9",
    "atmnet_small.in1k": "https://1drv.ms/u/s!AjKVODXuNei2gUfauQWGx-Van6Jm?e=dhhAuY",
    "atmnet_base.in1k": "https://1drv.ms/u/s!AjKVODXuNei2gUlrARMxjRm7NXl-?e=EtIhf8",
    "atmnet_large.in1k": "https://1drv.ms/u/s!AjKVODXuNei2gUx7dqh6RmoXuawu?e=6LrtCa",
    "atmnet_large.in1k_384": "https://1drv.ms/u/s!AjKVODXuNei2gU7b2E7Y93-lKCGd?e=hHyPkq",
}
#: The authors' page, which describes all of their files, those of segmenters included.
OFFICIAL_WEIGHTS = "https://github.com/microsoft/ActiveMLP"


def store_folder() -> Path:
    """The folder of the store: ``ATMNET_WEIGHTS``, by default ``atmnet/weights`` in the user's cache."""
    if chosen := os.environ.get("ATMNET_WEIGHTS"):
        return Path(chosen)
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "atmnet" / "weights"


def stored_weights() -> dict[str, Path]:
    """The folders of all weights on this machine, by name; the store's go before the package's."""
    folders: dict[str, Path] = {}
    for root in (PACKAGE, store_folder()):
        if root.is_dir():
            folders |= {path.name: path for path in sorted(root.iterdir()) if _is_complete(path)}
    return folders


def full_name(name: str) -> str:
    """The name of weights with its tag, which for 'atmnet_tiny' is 'in1k', as in timm."""
    default = None if "." in name else get_pretrained_cfg(name)
    return name if default is None else f"{name}.{default.tag}"


def find_weights(name: str) -> Path | None:
    """The folder of the weights ``name``, such as 'atmnet_tiny.in1k', on this machine; None if there are none."""
    name = full_name(name)
    if os.path.basename(name) != name:
        return None
    for root in (store_folder(), PACKAGE):
        if _is_complete(root / name):
            return root / name
    return None


def weights_source(name: str) -> dict[str, str]:
    """The entries of timm's pretrained configuration that say where the weights ``name`` are.

    Raises:
        RuntimeError: If they are not on this machine and ``ATMNET_HUB`` names no owner; it says how to get them.
    """
    folder = find_weights(name)
    if folder is not None:
        return {"file": str(folder / "model.safetensors")}
    if owner := os.environ.get("ATMNET_HUB"):
        return {"hf_hub_id": f"{owner}/{name}"}
    raise RuntimeError(f"pretrained=True: there are no weights {name} in {store_folder()}; {how_to_get(name)}")


def how_to_get(name: str) -> str:
    """What to do for the weights ``name``, in words."""
    if name in LINKS:
        return f"open {LINKS[name]} in a browser, then run `atmnet weights import FILE`"
    architecture = name.partition(".")[0]
    linked = [each for each in LINKS if each.partition(".")[0] == architecture]
    others = f"; of {architecture}, there is a link to {' and '.join(linked)}" if linked else ""
    return f"find their file at {OFFICIAL_WEIGHTS}, then run `atmnet weights import FILE`{others}"


def _is_complete(folder: Path) -> bool:
    return all(os.path.isfile(folder / file) for file in ("config.json", "model.safetensors"))
