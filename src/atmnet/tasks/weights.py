"""Find checkpoint folders, and read weights from them and from files."""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import timm
from timm.models import load_state_dict
from torch import Tensor, nn

from atmnet.files import pointed_at
from atmnet.models.store import find_weights
from atmnet.records import read_json
from atmnet.tasks.allocation import check_tensors
from atmnet.tasks.configuration import class_names, read_config
from atmnet_cli.errors import UserError, first_line


def find_checkpoint(path: Path) -> Path | None:
    """The checkpoint folder at ``path``: the folder itself, or the best or last checkpoint of a run.

    Returns:
        The folder; None if ``path`` is not a folder.

    Raises:
        UserError: If ``path`` is a folder without a checkpoint.
    """
    for folder in (*map(pointed_at, (path, path / "best", path / "last")), *_without_pointers(path)):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    if path.is_dir():
        raise UserError(
            f"{path}: contains no checkpoint; expected config.json and model.safetensors in it, in best/ or in last/"
        )
    return None


def _without_pointers(path: Path) -> Iterator[Path]:
    """Checkpoints that ``path``, a run or its ``best`` or ``last``, stands for in a copy of the run that lost both."""
    run = path.parent if path.name in ("best", "last") and not path.exists() else path
    checkpoints = sorted((run / "checkpoints").glob("step-*"), reverse=True)
    if checkpoints and path.name != "last":
        with suppress(UserError, LookupError, TypeError, ValueError):
            state = dict(read_json(checkpoints[0] / "trainer.json")["dict"])
            yield run / "checkpoints" / f"step-{dict(state['best']['dict'])['step']:08d}"
    yield from checkpoints


def read_weights(path: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in a file or folder, or of a name such as 'atmnet_tiny.in1k', and the class names if it has them.

    Raises:
        UserError: If there are no such weights, or they cannot be read, or are something else than weights.
    """
    names: list[str] = []
    folder = find_checkpoint(Path(path)) or find_weights(path)
    if folder is not None:
        names = class_names(read_config(folder))
        path = str(folder / "model.safetensors")
    if not Path(path).is_file():
        return _published_weights(path), names
    _check_archive(path)
    try:
        tensors = load_state_dict(path)  # no code is run: torch loads it with weights_only=True
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"{path}: not a readable checkpoint: {first_line(error)}") from error
    check_tensors(tensors, path)
    return tensors, names


def _published_weights(name: str) -> dict[str, Tensor]:
    """The weights that timm knows under a name, such as 'resnet18.a1_in1k'; timm downloads those of others."""
    if not timm.is_model(name.partition(".")[0]):
        may_be_name = Path(name).name == name
        raise UserError(f"{name}: no such file or folder" + may_be_name * ", and no name of weights that timm knows")
    try:
        model: nn.Module = timm.create_model(name, pretrained=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise UserError(f"{name}: no such file or folder, and as a name: {first_line(error)}") from error
    return model.state_dict()


def _check_archive(path: str) -> None:
    """Refuse compressed archives, which torch never writes and which could contain any number of bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # not an archive, or one that torch will refuse
        return
    if content > Path(path).stat().st_size:
        raise UserError(f"{path}: not a readable checkpoint: a compressed archive of {content:,} bytes")
