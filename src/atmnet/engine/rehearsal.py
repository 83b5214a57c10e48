"""Saving and resuming, tried before the first step: what cannot be saved is refused before work is spent on it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atmnet.data import reseed
from atmnet.engine.checkpoint import rehearse_checkpoint
from atmnet.engine.resume import Trained, restore_optimizer
from atmnet.engine.setup import build_optimizer
from atmnet.engine.state import UnsavableState, pack, unpack
from atmnet.tasks import Network
from atmnet_cli.errors import UserError, first_line
from atmnet_cli.options import OptimOptions


def rehearse_optimizer(options: OptimOptions, device: torch.device) -> None:
    """Take two steps of a tiny network, save and restore the optimiser's state after the first, and compare.

    This seeds the global generators of random numbers.

    Raises:
        UserError: If the optimiser cannot be built, needs more than gradients, cannot be saved, or does not go on with
            the same bits.
    """
    reseed(0)
    models = [_stand_in().to(device) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    plain = OptimOptions(**{**vars(options), "layer_decay": None})  # which is a matter of the model's layers
    optimizers = [build_optimizer(plain, model) for model in models]
    try:
        _step(models[0], optimizers[0], 1)
        models[1].load_state_dict(models[0].state_dict())
    except Exception as error:
        raise UserError(
            f"optim.opt: {options.opt!r} cannot take a step from gradients alone ({first_line(error)}); choose another"
        ) from error
    try:
        tensors: dict[str, Tensor] = {}
        state = pack(optimizers[0].state_dict(), "", tensors)
        restore_optimizer(optimizers[1], unpack(state, {name: value.clone() for name, value in tensors.items()}))
        _step(models[0], optimizers[0], 2)
        _step(models[1], optimizers[1], 2)
        if not all(map(torch.equal, models[0].parameters(), models[1].parameters())):
            raise UserError("it would not go on with the same bits")
    except Exception as error:
        raise UserError(
            f"optim.opt: a run with {options.opt!r} could not be resumed: {first_line(error)}; choose another"
        ) from error


def rehearse_save(run: Path, network: Network, trained: Trained, counters: dict[str, Any]) -> None:
    """Write a checkpoint, resume from it, and remove it. Training is as if this had not been.

    Raises:
        UserError: If the network or the folder cannot do so.
    """
    name = network.name
    try:
        before = trained.weights()
        weights, state = rehearse_checkpoint(run, network, before, trained.state() | counters)
        for key, value in before.items():
            if not torch.equal(_bits(value), _bits(weights[key])):
                raise UserError(f"{key} changes as it is saved")
        trained.restore(weights, state)
    except OSError as error:
        raise UserError(f"output: {run}: no checkpoint can be written there: {error.strerror or error}") from error
    except (UserError, UnsavableState, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"model.name: a run of {name!r} could not be saved and resumed: {first_line(error)}; choose another model"
        ) from error


def check_state(optimizer: torch.optim.Optimizer) -> None:
    """Refuse an optimiser whose state, now that it has taken a step, cannot be saved.

    Raises:
        UserError: Names the part that cannot.
    """
    try:
        pack(optimizer.state_dict(), "", {})
    except UnsavableState as error:
        raise UserError(f"optim.opt: its state cannot be saved: {error}; choose another") from error


def _stand_in() -> nn.Module:
    """A network with parameters of one, two and four dimensions."""
    return nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.Linear(16, 5), nn.LayerNorm(5))


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    """The step of this number, from gradients and random numbers that depend only on it."""
    reseed(number)
    for i, parameter in enumerate(model.parameters()):
        parameter.grad = torch.sin(torch.arange(parameter.numel(), device=parameter.device) + number + i).view_as(
            parameter
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _bits(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
