"""The state of a training that a checkpoint holds, put back: the same bits in the same types."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from atmnet.engine.checkpoint import checkpoint_name, damaged, load_checkpoint
from atmnet.records import Record
from atmnet_cli.errors import UserError


class Trained(NamedTuple):
    """What training changes, apart from counters.

    Attributes:
        model: The model.
        ema: Its moving average, if there is one.
        optimizer: The optimiser.
        scaler: The scale of the loss.
    """

    model: nn.Module
    ema: ModelEmaV3 | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate and deploy."""
        return (self.model if self.ema is None else self.ema.module).state_dict()

    def state(self) -> dict[str, Any]:
        """Everything else."""
        state = {"scaler": self.scaler.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.ema is not None:
            state["model"] = self.model.state_dict()
        return state

    def restore(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Put back what :meth:`weights` and :meth:`state` returned.

        Raises:
            UserError: If they are not those of this model and optimiser.
        """
        try:
            self.model.load_state_dict(state.get("model", weights))
            if self.ema is not None:
                self.ema.module.load_state_dict(weights)
            restore_optimizer(self.optimizer, state["optimizer"])
            self.scaler.load_state_dict(dict(state["scaler"]))
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise UserError(f"not the state of this model and optimiser: {_reason(error)}") from error


class Counters(NamedTuple):
    """Numbers of a run that a checkpoint holds; see :class:`atmnet.engine.trainer.Trainer`."""

    step: int
    evaluated: int
    best: dict[str, float]
    unreadable: list[str]
    log: dict[str, Any]
    patience: Record


def load_state(folder: Path, trained: Trained) -> Counters:
    """Put back the training of a checkpoint; returns its counters.

    Raises:
        UserError: If the checkpoint is damaged, or of another model.
    """
    weights, state = load_checkpoint(folder)
    try:
        counters = read_counters(state, "trainer.json")
        if folder.name != checkpoint_name(counters.step):
            raise UserError(f"trainer.json: it is of step {counters.step}")
        trained.restore(weights, state)
    except UserError as error:
        raise damaged(folder, error) from error
    return counters


def read_counters(state: dict[str, Any], where: str) -> Counters:
    """The counters in the trainer state of a checkpoint; ``where`` names it in errors.

    Raises:
        UserError: If one is missing or of another type.
    """
    record = Record(state, where)
    step = record.integer("step", 1)
    best = record.record("best")
    if best.value:
        best.integer("step", 1, step)
        best.number("score", -float("inf"), float("inf"), default=float("nan"))
    log = record.record("log")
    log.integer("steps")
    log.integer("metrics_length")
    log.number("seconds")
    losses = log.value.get("losses")
    if not isinstance(losses, list) or not losses or not all(isinstance(x, Tensor) and x.ndim == 0 for x in losses):
        raise UserError(f"{where}: log: losses: expected a number for each process")
    patience = record.record("patience", default={})
    return Counters(
        step, record.integer("evaluated", 0, step), best.value, record.texts("unreadable"), log.value, patience
    )


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state dict as it was saved.

    PyTorch converts the moments to the parameters' dtype as it loads them; here they keep theirs. Each moment gets the
    memory format of its parameter, which fused optimisers require.

    Raises:
        ValueError: If it is the state dict of another optimiser.
    """
    expected, groups = optimizer.state_dict()["param_groups"], [dict(group) for group in state["param_groups"]]
    for before, after in zip(expected, groups, strict=True):
        for key, value in before.items():
            if key not in after or not _is_alike(value, after[key]):
                raise ValueError(f"its optimiser has another {key}")
            if isinstance(value, tuple) and isinstance(after[key], list):  # as earlier versions saved it
                after[key] = tuple(after[key])
    optimizer.load_state_dict({**state, "param_groups": groups})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    loaded: Any = getattr(optimizer, "_base_optimizer", optimizer).state  # timm's Lookahead wraps an optimiser
    for number, saved in state["state"].items():
        parameter = parameters[number]
        for key, value in saved.items():
            loaded[parameter][key] = _as_saved(loaded[parameter][key], value, parameter)


def _as_saved(loaded: Any, saved: Any, parameter: Tensor) -> Any:
    """``loaded`` in the dtype of ``saved``, and in the memory format of ``parameter`` if it has its shape."""
    if isinstance(saved, Tensor):
        if saved.shape == parameter.shape:
            return torch.empty_like(parameter, dtype=saved.dtype, device=loaded.device).copy_(saved)
        return saved.to(loaded.device, copy=True)
    if isinstance(saved, list | tuple):
        return type(saved)(_as_saved(*pair, parameter) for pair in zip(loaded, saved, strict=True))
    if isinstance(saved, dict):
        return {key: _as_saved(loaded[key], value, parameter) for key, value in saved.items()}
    return loaded


def _is_alike(expected: object, value: object) -> bool:
    """Whether an optimiser that expects ``expected`` can take ``value``: numbers differ, and lists were tuples once."""
    kinds: tuple[tuple[type, ...], ...] = ((bool,), (int, float, Tensor), (list, tuple), (str,), (torch.dtype,))
    if expected is None or value is None:
        return True
    return any(isinstance(expected, kind) and isinstance(value, kind) for kind in kinds) or type(expected) is type(
        value
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:300]}"
