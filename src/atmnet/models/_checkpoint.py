"""Read any layout of checkpoint: the authors' classification and segmentation ones, and our own.

The authors' classifier names its blocks ``blocks.{stage}.{block}``; their segmenters put ``backbone.`` before that,
have ``norm_{stage}`` in place of norm and head, and a decoder of their own beside it.
"""

import logging
import re
from typing import Any

from torch import Tensor

OFFICIAL_WEIGHTS = "https://github.com/microsoft/ActiveMLP"

_logger = logging.getLogger(__name__)

#: Parts that a checkpoint of another purpose lacks or has too many; all else must match.
_OPTIONAL = ("norm.", "head.", "stage_norms.")
_RENAMED = {"atm_c": "identity", "atm_w": "along.0", "atm_h": "along.1"}


def convert(state_dict: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """The same weights under the names of ``model`` (an ATMNet); our own layout passes unchanged.

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
    homes = [
        [f"groups.{g}.blocks.{k}" for g, group in enumerate(stage.groups) for k in range(len(group.blocks))]
        for stage in model.stages
    ]
    converted = {}
    for key, value in state_dict.items():
        new = _rename(key, homes)
        if new is not None:
            converted[new] = value.flatten(1) if re.search(r"\.along\.\d+\.weight$", new) else value
    return converted


def _rename(key: str, homes: list[list[str]]) -> str | None:
    """Our name of an official parameter, None where the (pruned) model has no such stage."""
    if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", key):
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        if rest.startswith("downsample."):
            return f"stages.{stage + 1}.{rest}" if stage + 1 < len(homes) else None
        if stage >= len(homes):
            return None
        home = homes[stage][block]
        if rest.startswith("offset_layer."):
            group = home.partition(".blocks.")[0]
            return f"stages.{stage}.{group}.offset." + rest[13:].replace("0.", "norm.", 1).replace("1.", "proj.", 1)
        for old, new in _RENAMED.items():
            rest = rest.replace(f"atm.{old}.", f"atm.{new}.")
        return f"stages.{stage}.{home}.{rest}"
    if match := re.fullmatch(r"pos_blocks\.(\d+)\.proj\.(.+)", key):
        return f"stages.{match[1]}.pos_embed.conv.{match[2]}" if int(match[1]) < len(homes) else None
    if match := re.fullmatch(r"norm_(\d)\.(.+)", key):
        return f"stage_norms.{match[1]}.{match[2]}"
    return re.sub(r"^head\.", "head.fc.", key)


def _check_variant(state_dict: dict[str, Tensor], model: Any) -> None:
    found: dict[int, set[int]] = {}
    for key in state_dict:
        if match := re.match(r"blocks\.(\d+)\.(\d+)\.", key):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    theirs = [
        (len(found.get(i, ())), len(state_dict.get(f"blocks.{i}.0.norm1.weight", ()))) for i in range(len(model.stages))
    ]
    ours = [
        (sum(len(group.blocks) for group in stage.groups), stage.groups[0].blocks[0].norm1.weight.numel())
        for stage in model.stages
    ]
    if theirs != ours:
        raise ValueError(
            "checkpoint: it is of another variant: its stages have (blocks, channels) "
            f"{' '.join(map(str, theirs))}, the model's {' '.join(map(str, ours))}"
        )


def _fit(state_dict: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """``state_dict`` with the optional parts that ``model`` has, no other, and with no pruned stage.

    What it lacks of these (a segmenter has no head) keeps its values in ``model``, with a warning.
    """
    own = model.state_dict()
    absent = [key for key in own if key not in state_dict and key.startswith(_OPTIONAL)]
    if absent:
        _logger.warning("checkpoint has no %s: initial values stay", ", ".join(absent))
        state_dict = state_dict | {key: own[key] for key in absent}
    pruned = tuple(f"stages.{i}." for i in range(len(model.stages), 4))
    return {key: value for key, value in state_dict.items() if key in own or not key.startswith(_OPTIONAL + pruned)}


def filter_pretrained(state_dict: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """timm's filter on the ``pretrained=True`` path, which adapts head and stem by our names before it loads."""
    converted = convert(state_dict, model)
    return converted if converted is state_dict else _fit(converted, model)


def read_any_layout(module: Any, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Load-state-dict pre-hook of ATMNet and of timm's feature wrapper around it: renames ``state_dict`` in place.

    timm's ``checkpoint_path=`` calls no filter, so this is where the authors' files are understood on that path.
    """
    wrapped = hasattr(module, "model")  # timm's FeatureGetterNet
    given = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    model = module.model if wrapped else module
    if wrapped and any(key.startswith("model.") for key in given):
        return
    converted = convert(given, model)
    if converted is given and not wrapped:
        return
    for key in given:
        del state_dict[prefix + key]
    for key, value in _fit(converted, model).items():
        state_dict[prefix + ("model." if wrapped else "") + key] = value
