"""config.json of a checkpoint, which anybody may have written.

A checkpoint is data: it names an architecture that timm knows and gives its arguments as plain values. Places where
weights lie, such as addresses and files, are left out, since the weights are in the checkpoint; whatever else could
name one is refused.
"""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from timm.models import PretrainedCfg

from atmnet.models.create import check_model_name
from atmnet.records import Record
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, Kind, ModelOptions
from atmnet_cli.renamed import translate

#: Upper limits: sides of images in pixels, integers and lengths among arguments, depth of lists within lists.
MAX_SIDE, _MAX_INTEGER, _MAX_LENGTH, _MAX_DEPTH = 8192, 10**6, 4096, 4
#: Key of a classifier's temperature, and its limits. Plain "temperature" is an option of generation in transformers.
TEMPERATURE, MIN_TEMPERATURE, MAX_TEMPERATURE = "calibration_temperature", 0.01, 100.0
#: Kinds of networks that are unchanged models of timm: for one label per image, and for sets of labels.
CLASSIFIERS: tuple[Kind, ...] = ("classification", "multilabel")
#: Arguments of timm that tell where weights lie and how they are read. Recorded by runs that started from such weights.
_PLACES = {
    "pretrained", "pretrained_filter_fn", "pretrained_model_args", "pretrained_strict", "checkpoint_path", "cache_dir",
}  # fmt: skip
#: Arguments whose value is an object as in ``pretrained_cfg`` of timm's hub layout.
_DESCRIPTIONS = {"pretrained_cfg", "pretrained_cfg_overlay"}
#: What such an object may contain; all other fields of timm's say where weights lie.
_FACTS = {field.name for field in fields(PretrainedCfg)} - {
    "url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load", "origin_url",
}  # fmt: skip
#: Names of layers, tags and modes; no path and no address is one.
_WORD = re.compile(r"\w[\w.+-]{0,99}|")


def read_config(folder: Path) -> Record:
    """The configuration in a checkpoint folder.

    Raises:
        UserError: If its config.json does not describe a network.
    """
    record = Record.read(folder / "config.json")
    if "architecture" not in record and "head" not in record:
        raise UserError(
            f"{record.where}: not the configuration of a model: neither a timm model nor a detector or segmenter"
        )
    return record


def class_names(record: Record) -> list[str]:
    """The class names in a configuration; empty if it has none."""
    return record.texts("label_names", []) if "label_names" in record else []


def value_range(record: Record) -> tuple[float, float] | None:
    """The range of values that a network was trained with, see ``data.range``; None if ``record`` has none.

    Raises:
        UserError: If it is not two finite numbers, the lower one first.
    """
    if "range" not in record:
        return None
    low, high = record.numbers("range", 2)
    if low >= high:
        raise UserError(f"{record.where}: range: got {low:g} and {high:g}, expected the lower number first")
    return low, high


def temperature_of(record: Record) -> float:
    """The number that a classifier's logits are divided by, see :mod:`atmnet.tasks.calibration`; 1 if there is none.

    Raises:
        UserError: If it is not a number from 0.01 to 100.
    """
    return record.number(TEMPERATURE, MIN_TEMPERATURE, MAX_TEMPERATURE, default=1.0)


def classifier_kind(record: Record) -> Kind:
    """Whether a classifier is for one label per image, the default, or for sets of labels.

    Raises:
        UserError: If it is for something else.
    """
    name = record.text("kind", "classification")
    for kind in CLASSIFIERS:
        if name == kind:
            return kind
    raise UserError(f"{record.where}: kind: got {name!r:.80}, expected {' or '.join(CLASSIFIERS)}")


def classifier_arguments(record: Record) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Architecture, timm's description of weights and preprocessing, and arguments of the model, from timm's layout.

    Raises:
        UserError: If timm does not know the architecture, or a value is not one that a checkpoint may contain.
    """
    name = record.text("architecture")
    _check_name(record, name)
    described = record.record("pretrained_cfg").value if "pretrained_cfg" in record else record.value
    facts = _facts(described, f"{record.where}: pretrained_cfg")
    for key in ("num_classes", "label_names", "label_descriptions"):
        if key in record:
            facts[key] = record.value[key]
    arguments = record.record("model_args").value if "model_args" in record else {}
    plain = plain_arguments(arguments, f"{record.where}: model_args")
    return name, facts, {key: value for key, value in plain.items() if key not in _DESCRIPTIONS}


def dense_arguments(record: Record) -> tuple[ModelOptions, DenseOptions, list[str], list[int]]:
    """Network, image sizes, class names and category ids of a detector or segmenter.

    Raises:
        UserError: If timm does not know the backbone, or a value is not one that a checkpoint may contain.
    """
    for key in ("model", "dense", "label_names"):
        if key not in record:
            raise UserError(f"{record.where}: not the configuration of a detector or segmenter: {key!r} is missing")
    model = Record(translate(record.record("model").value, "model."), f"{record.where}: model")
    dense = Record(translate(record.record("dense").value, "dense."), f"{record.where}: dense")
    for part, options in ((model, ModelOptions), (dense, DenseOptions)):
        if unknown := part.value.keys() - {field.name for field in fields(options)}:
            raise UserError(f"{part.where}: got the unknown {min(unknown)!r:.80}; update atmnet")
    name = model.text("name")
    _check_name(model, name)
    kept: dict[str, Any] = {
        "head_kwargs": plain_arguments(model.record("head_kwargs", {}).value, f"{model.where}: head_kwargs"),
        "kwargs": plain_arguments(model.record("kwargs", {}).value, f"{model.where}: kwargs"),
        "weights": "",
    }
    for key, read in _MODEL_FIELDS.items():
        if key in model:
            kept[key] = read(model, key)
    names = record.texts("label_names")
    ids = record.numbers("category_ids", len(names), 0, 2**53, []) if "category_ids" in record else []
    if not all(isinstance(number, int) for number in ids):
        raise UserError(f"{record.where}: category_ids: expected integers")
    sizes: dict[str, Any] = {key: read(dense, key) for key, read in _DENSE_FIELDS.items() if key in dense}
    if not names or not sizes.get("img_sizes", [1]):
        raise UserError(f"{record.where}: {'dense: img_sizes' if names else 'label_names'}: got none, expected one")
    return ModelOptions(name=name, **kept), DenseOptions(**sizes), names, [int(number) for number in ids]


def check_preprocessing(config: Any, where: str) -> None:
    """Check size, mean and standard deviation of the images that a network takes.

    Raises:
        UserError: If they do not fit each other or are out of range.
    """
    record = Record({key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}, where)
    channels, height, width = record.numbers("input_size", 3, 1, MAX_SIDE)
    if not all(isinstance(size, int) for size in (channels, height, width)):
        raise UserError(f"{where}: input_size: got {record.value['input_size']}, expected integers")
    for key, low in (("mean", -1e6), ("std", 1e-6)):
        record.numbers(key, 1 if len(config[key]) == 1 else int(channels), low, 1e6)
    if "crop_pct" in record:
        record.number("crop_pct", 0.05, 20)
    for key, choices in _CHOICES.items():
        if key in record and record.text(key) not in choices:
            raise UserError(f"{where}: {key}: got {record.value[key]!r:.80}, expected one of {', '.join(choices)}")


def plain_arguments(arguments: dict[str, Any], where: str) -> dict[str, Any]:
    """The arguments of a model that a checkpoint may name, without those that say where weights lie.

    Raises:
        UserError: If a value is not a number, a truth value, a word, or a list or object of such.
    """
    kept = {}
    for key, value in arguments.items():
        if key in _DESCRIPTIONS:
            if isinstance(value, dict):
                kept[key] = _facts(value, f"{where}: {key}")
            elif value is not None:  # a tag of timm's registry
                _check_plain(value, f"{where}: {key}")
                kept[key] = value
        elif key not in _PLACES:
            _check_plain(value, f"{where}: {key!r:.80}")
            kept[key] = value
    return kept


def _facts(described: dict[str, Any], where: str) -> dict[str, Any]:
    facts = {key: value for key, value in described.items() if key in _FACTS}
    check_sizes = {key: facts[key] for key in ("input_size", "test_input_size", "min_input_size") if facts.get(key)}
    record = Record(check_sizes, where)
    for key in check_sizes:
        record.numbers(key, 3, 1, MAX_SIDE)
    return facts


def _check_name(record: Record, name: str) -> None:
    if not _WORD.fullmatch(name):
        raise UserError(f"{record.where}: got {name!r:.80} as architecture, expected the name of a timm model")
    check_model_name(name, f"{record.where}: architecture")


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    if isinstance(value, list | dict):
        if len(value) > _MAX_LENGTH or depth == _MAX_DEPTH:
            raise UserError(f"{where}: got a list of {len(value):,} items or too deep, expected a short list")
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, where, depth + 1)
        if isinstance(value, dict) and value.keys() & (_PLACES | _DESCRIPTIONS):
            raise UserError(f"{where}: got an object that says where weights lie, expected plain values")
    elif isinstance(value, str):
        if not _WORD.fullmatch(value):
            raise UserError(f"{where}: got {value!r:.80}, expected a word: a checkpoint names no file and no address")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        limit = _MAX_INTEGER if isinstance(value, int) else 1e30
        if not -limit <= value <= limit:
            raise UserError(f"{where}: got a number beyond {limit:,}, expected a smaller one")


def _text(record: Record, key: str) -> str:
    return record.text(key)


def _side(record: Record, key: str) -> int:
    return record.integer(key, 1, MAX_SIDE)


def _share(record: Record, key: str) -> float:
    return record.number(key, 0, 1)


def _boolean(record: Record, key: str) -> bool:
    return record.boolean(key)


def _sides(record: Record, key: str) -> list[int]:
    return [int(side) for side in record.numbers(key, None, 1, MAX_SIDE)]


_CHOICES = {
    "interpolation": ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming", "random"),
    "crop_mode": ("center", "squash", "border"),
}
_MODEL_FIELDS: dict[str, Callable[[Record, str], Any]] = {
    "head": _text,
    "neck": _text,
    "channels": lambda record, key: record.integer(key, 1, 65536),
    "drop_path": _share,
    "grad_checkpointing": _boolean,
}
_DENSE_FIELDS: dict[str, Callable[[Record, str], Any]] = {
    "img_sizes": _sides,
    "max_img_size": _side,
    "crop_size": _side,
    "scale": lambda record, key: tuple(record.numbers(key, 2, 0, 1e3)),
    "max_class_share": _share,
    "hflip": _share,
    "distort": _boolean,
    "class_weights": lambda record, key: record.numbers(key, None, 0),
}
