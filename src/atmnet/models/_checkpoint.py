"""Reads checkpoints of three layouts: the authors' for classification, theirs for segmentation, and our own.

The authors' classifier names its blocks ``blocks.{stage}.{block}``. Their segmenters prefix these names with
``backbone.``, have ``norm_{stage}`` in place of norm and head, and contain a decoder, which is skipped.
"""

import logging
import re
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from atmnet.layers import Block, OffsetGroup, Stage

if TYPE_CHECKING:
    from atmnet.models.atmnet import ATMNet

_logger = logging.getLogger(__name__)

#: Parts that may be missing from a checkpoint, or be ignored in it; all others must match the model.
_OPTIONAL = ("norm.", "head.", "stage_norms.")
_RENAMED = {"atm_c": "identity", "atm_w": "along.0", "atm_h": "along.1"}


def convert(state_dict: dict[str, Tensor], model: "ATMNet") -> dict[str, Tensor]:
    """Rename the weights of an official checkpoint to those of ``model``; return our own layout unchanged.

    Raises:
        ValueError: If an official checkpoint is of another variant than ``model``.
    """
    if any(key.startswith("backbone.blocks.") for key in state_dict):
        state_dict = {
            key.removeprefix("backbone."): value for key, value in state_dict.items() if key.startswith("backbone.")
        }
    if not any(key.startswith("blocks.") for key in state_dict):
        return state_dict
    _check_variant(state_dict, model)
    block_names = [list(blocks) for blocks in _blocks_by_name(model)]
    converted = {}
    for key, value in state_dict.items():
        name = _our_name(key, block_names)
        if name is not None:
            converted[name] = value.flatten(1) if re.search(r"\.along\.\d+\.weight$", name) else value
    return converted


def _blocks_by_name(model: "ATMNet") -> list[dict[str, Block]]:
    """For each stage its blocks, in order, by their names inside the stage, e.g. ``groups.0.blocks.1``."""
    return [
        {
            f"groups.{g}.blocks.{b}": cast(Block, block)
            for g, group in enumerate(cast(Stage, stage).groups)
            for b, block in enumerate(cast(OffsetGroup, group).blocks)
        }
        for stage in model.stages
    ]


def _our_name(key: str, block_names: list[list[str]]) -> str | None:
    """Our name of an official parameter; None if the model was pruned and has no such stage.

    Args:
        key: The official name.
        block_names: For each stage the names of its blocks.
    """
    if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", key):
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        if rest.startswith("downsample."):
            return f"stages.{stage + 1}.{rest}" if stage + 1 < len(block_names) else None
        if stage >= len(block_names):
            return None
        block_name = block_names[stage][block]
        if rest.startswith("offset_layer."):
            group = block_name.partition(".blocks.")[0]
            return f"stages.{stage}.{group}.offset." + rest[13:].replace("0.", "norm.", 1).replace("1.", "proj.", 1)
        for old, new in _RENAMED.items():
            rest = rest.replace(f"atm.{old}.", f"atm.{new}.")
        return f"stages.{stage}.{block_name}.{rest}"
    if match := re.fullmatch(r"pos_blocks\.(\d+)\.proj\.(.+)", key):
        return f"stages.{match[1]}.pos_embed.conv.{match[2]}" if int(match[1]) < len(block_names) else None
    if match := re.fullmatch(r"norm_(\d)\.(.+)", key):
        return f"stage_norms.{match[1]}.{match[2]}"
    return re.sub(r"^head\.", "head.fc.", key)


def _check_variant(state_dict: dict[str, Tensor], model: "ATMNet") -> None:
    blocks: dict[int, set[int]] = {}
    for key in state_dict:
        if match := re.match(r"blocks\.(\d+)\.(\d+)\.", key):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    checkpoint_sizes = [
        (len(blocks.get(i, ())), len(state_dict.get(f"blocks.{i}.0.norm1.weight", ())))
        for i in range(len(model.stages))
    ]
    model_sizes = [(len(named), next(iter(named.values())).norm1.weight.numel()) for named in _blocks_by_name(model)]
    if checkpoint_sizes != model_sizes:
        raise ValueError(
            "checkpoint: got weights of another variant, whose stages have (blocks, channels) "
            f"{' '.join(map(str, checkpoint_sizes))}; expected those of the model, {' '.join(map(str, model_sizes))}"
        )


def _fit(state_dict: dict[str, Tensor], model: "ATMNet") -> dict[str, Tensor]:
    """Adapt ``state_dict`` to the optional parts and the stages that ``model`` has.

    Optional parts that ``state_dict`` lacks (a segmenter has no head) keep the model's values, with a warning.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in state_dict and key.startswith(_OPTIONAL)]
    if missing:
        _logger.warning("checkpoint has no %s: these keep their initial values", ", ".join(missing))
        state_dict = state_dict | {key: own[key] for key in missing}
    pruned = tuple(f"stages.{i}." for i in range(len(model.stages), 4))
    return {key: value for key, value in state_dict.items() if key in own or not key.startswith(_OPTIONAL + pruned)}


def filter_pretrained(state_dict: dict[str, Tensor], model: "ATMNet") -> dict[str, Tensor]:
    """timm's filter for ``pretrained=True``: timm then adapts head and stem by our names and loads the weights."""
    converted = convert(state_dict, model)
    return converted if converted is state_dict else _fit(converted, model)


def read_any_layout(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Load-state-dict pre-hook of ATMNet and of timm's feature wrapper around it: renames ``state_dict`` in place.

    timm calls no filter for ``checkpoint_path=``, so the authors' files are converted here.
    """
    wrapped = hasattr(module, "model")  # timm's FeatureGetterNet
    own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    model = cast("ATMNet", module.model if wrapped else module)
    if wrapped and any(key.startswith("model.") for key in own):
        return
    converted = convert(own, model)
    if converted is own and not wrapped:
        return
    for key in own:
        del state_dict[prefix + key]
    for key, value in _fit(converted, model).items():
        state_dict[prefix + ("model." if wrapped else "") + key] = value
