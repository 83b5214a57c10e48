"""What a Python program does with one call: train a network, and later use it.

``atmnet.train`` and ``atmnet.load`` are these functions. The command line runs the same code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmnet import engine
from atmnet.data.own import OWN, DatasetSplit, Splits
from atmnet.files import to_json
from atmnet.predictions import Predictor
from atmnet.predictions.board import DRAW
from atmnet.tasks import find_head, load_task
from atmnet_cli.command import parse
from atmnet_cli.errors import UserError
from atmnet_cli.options import Kind, TrainOptions

#: The recipe of a run that names none.
_RECIPES: dict[Kind, str] = {
    "classification": "finetune",
    "multilabel": "finetune",
    "detection": "own_detection",
    "segmentation": "own_segmentation",
}


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        folder: Its folder: options, metrics, and the checkpoints ``best`` and ``last``.
    """

    folder: Path

    def load(self, checkpoint: str = "best", device: str = "auto") -> Predictor:
        """The trained network of the checkpoint 'best' or 'last'."""
        return load(self.folder / checkpoint, device=device)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, in order: those of kind 'train' and those of kind 'eval'."""
        return engine.read_metrics(self.folder)


def train(
    data: str | Path | Mapping[str, Any] | tuple[Any, Any] | None = None,
    model: str | Mapping[str, Any] = "atmnet_tiny",
    *,
    output: str | Path | None = None,
    recipe: str | None = None,
    classes: Sequence[str] | None = None,
    **options: Any,
) -> Run:
    """Train a network. The same call resumes a run that was stopped.

    Args:
        data: A folder of images; or options of the data, such as ``{"source": "digits"}``; or two data sets, for
            training and validation, that give (picture, target): see :class:`atmnet.data.own.DatasetSplit`. Default:
            what the recipe names.
        model: The name of a timm model, or options of the network, such as ``{"name": "atmnet_tiny", "head": "fcos"}``.
        output: Folder of the run. Default: ``runs/DATA-MODEL``.
        recipe: A recipe's name or a YAML file of options. Default: by the head, 'finetune', 'own_detection' or
            'own_segmentation'.
        classes: Class names, if ``data`` are two data sets.
        options: Any other option of ``atmnet train``; those of a group as a mapping, such as ``optim={"lr": 1e-3}``.

    Returns:
        The run.

    Raises:
        UserError: For a mistake that the user can correct, before the first step.
        Interrupted: After Ctrl-C, with everything saved.

    Examples:
        >>> run = atmnet.train("IMAGES", "atmnet_tiny", epochs=30)  # doctest: +SKIP
        >>> run = atmnet.train((train_set, val_set), classes=["cat", "dog"], epochs=30)  # doctest: +SKIP
    """
    network = {"name": model} if isinstance(model, str) else dict(model)
    kind = find_head(network.get("head", "classifier")).kind
    splits = None
    if isinstance(data, tuple):
        splits = _own_splits(data, classes, kind)
        where: dict[str, Any] = {"source": OWN}
    elif classes is not None:
        raise UserError("classes: these are for two data sets; folders name the classes, or the file of data.classes")
    else:
        where = {"root": str(data)} if isinstance(data, str | Path) else dict(data or {})
    folder = str(output) if output is not None else _default_folder(where, str(network.get("name", "")))
    values = {"output": folder, "data": where, "model": network, **options}
    return Run(engine.train(_train_options(_RECIPES[kind] if recipe is None else recipe, values), splits, DRAW))


def load(
    model: str | Path, weights: str | Path = "", *, device: str = "auto", batch_size: int = 32, flip: bool = False
) -> Predictor:
    """Load a trained network to use it on pictures.

    Args:
        model: A run or checkpoint folder, a file that ``atmnet export`` wrote, or the name of weights or of a model.
        weights: Weights file, if ``model`` is the name of a model.
        device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ...
        batch_size: Images per forward pass.
        flip: Test-time mirroring: merge the answers for the image and the mirrored image.

    Returns:
        The network with its preprocessing, to be called with pictures.

    Raises:
        UserError: If there is no such network, or it does not fit ``weights``.

    Examples:
        >>> predictor = atmnet.load("atmnet_nano.digits")
        >>> predictor.kind, len(predictor.classes)
        ('classification', 10)
    """
    return Predictor(load_task(str(model), str(weights), flip=flip), device, batch_size)


def _own_splits(data: tuple[Any, Any], classes: Sequence[str] | None, kind: Kind) -> Splits:
    names = classes if classes is not None else getattr(data[0], "classes", None)
    if not names:
        raise UserError("classes: the data sets do not name their classes; pass classes=[...]")
    train_split, val_split = (DatasetSplit(each, names, kind) for each in data)
    return Splits(train_split, val_split)


def _default_folder(data: Mapping[str, Any], model: str) -> str:
    name = Path(data["root"]).resolve().name if data.get("root") else str(data.get("source", "data"))
    return str(Path("runs") / re.sub(r"[^\w.-]+", "-", f"{name}-{model}"))


def _train_options(recipe: str, values: Mapping[str, Any]) -> TrainOptions:
    """The options, read as those of the command line are, so that both refuse the same."""
    arguments = ["train", *(["--config", recipe] if recipe else [])]
    arguments += [f"--{name}={value if isinstance(value, str) else to_json(value)}" for name, value in _flat(values)]
    options: TrainOptions = parse(arguments)[1]
    return options


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The options under their dotted names. A mapping whose own name ends in 'kwargs' is the value of an option."""
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        is_group = isinstance(value, Mapping) and not name.endswith("kwargs")
        pairs += _flat(value, f"{prefix}{name}.") if is_group else [(prefix + name, value)]
    return pairs
