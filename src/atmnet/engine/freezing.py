"""Keep a part of the backbone as it is: its weights, and what its norms have counted, do not change."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from atmnet.tasks import Network
from atmnet.tasks.pyramid import BODY
from atmnet_cli.errors import UserError


def freeze(network: Network, stages: int | str) -> list[nn.Module]:
    """Exclude parameters from training.

    Args:
        network: The network.
        stages: Number of stages, with the stem; 0 for nothing; 'backbone' for everything but the head.

    Returns:
        The largest modules of which all parameters are frozen. They are to be in evaluation mode while the others are
        trained; see :func:`hold`.

    Raises:
        UserError: If the model does not say which parameters belong to which stage, or has fewer stages.
    """
    if stages == 0:
        return []
    model = network.model
    is_dense = any(name.startswith(BODY) for name, _ in model.named_parameters())
    body: Any = model.get_submodule(BODY.rstrip(".")) if is_dense else model
    names = _names_to_freeze(body, stages, network.name)
    for name, parameter in body.named_parameters():
        if name in names:
            parameter.requires_grad_(False)
    return _whole_modules(model)


def hold(frozen: list[nn.Module]) -> None:
    """Put frozen modules into evaluation mode."""
    for module in frozen:
        module.eval()


def _names_to_freeze(body: Any, stages: int | str, name: str) -> set[str]:
    if not hasattr(body, "group_matcher") or not hasattr(body, "get_classifier"):
        raise UserError(
            f"model.freeze: {name} does not say which of its parameters belong to which stage; leave it out"
        )
    classifier = body.get_classifier()
    head = {id(parameter) for parameter in classifier.parameters()} if isinstance(classifier, nn.Module) else set()
    trunk = {key for key, parameter in body.named_parameters() if id(parameter) not in head}
    if stages == "backbone":
        return trunk
    groups: dict[str, int] = group_parameters(body, body.group_matcher(coarse=True), reverse=True)
    of_head = [group for key, group in groups.items() if key not in trunk] or [max(groups.values()) + 1]
    last = max(group for group in groups.values() if group < min(of_head))
    if not isinstance(stages, int) or not 0 < stages <= last:
        raise UserError(f"model.freeze: got {stages!r}, expected 0 to {last}, the stages of {name}, or 'backbone'")
    return {key for key in trunk if groups[key] <= stages}


def _whole_modules(model: nn.Module) -> list[nn.Module]:
    frozen: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        parameters = list(module.parameters())
        if module not in inside and parameters and not any(parameter.requires_grad for parameter in parameters):
            frozen.append(module)
            inside.update(module.modules())
    return frozen
