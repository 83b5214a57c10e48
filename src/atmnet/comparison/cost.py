"""What each model costs: parameters, multiply-accumulates, activations, and times that are measured in turns."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from atmnet.benchmark import compare
from atmnet.benchmark.products import PRODUCTS
from atmnet.comparison.plan import ComparedModel, Comparison, Job
from atmnet.data import Sample, Split, image_mode, reseed, to_device
from atmnet.engine import device_of
from atmnet.engine.evaluation import autocast
from atmnet.engine.setup import build_optimizer
from atmnet.tasks import Task, start_task
from atmnet.threads import cpu_threads
from atmnet_cli.errors import first_line

#: Measurements of each time.
_ROUNDS = 7
_LATENCY_BATCHES = (1, 8)

#: Errors of a model that needs more memory than there is. PyTorch's allocator for CPUs raises a RuntimeError.
OutOfMemory = (torch.OutOfMemoryError, MemoryError)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory."""
    return isinstance(error, OutOfMemory) or (
        isinstance(error, RuntimeError) and ("not enough memory" in str(error) or "can't allocate" in str(error))
    )


def measure_cost(comparison: Comparison, split: Split, show: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """The cost of each model by its label, on the size of images that it is trained and used with.

    Args:
        comparison: The comparison.
        split: The training split.
        show: Called with a line about what is measured.

    Returns:
        For each label ``parameters``, ``macs`` and ``activations`` of a forward pass for one image, and under ``times``
        ``train_seconds`` for a training step and ``latency_1`` and ``latency_8`` in seconds for one call; or
        ``failed`` with the reason if memory does not suffice.
    """
    device = device_of(comparison.options.device)
    costs: dict[str, dict[str, Any]] = {}
    calls: dict[str, dict[str, Callable[[], object]]] = {}
    with cpu_threads(comparison.options.threads):
        for model in comparison.models:
            show(f"measuring {model.label}")
            try:
                costs[model.label], calls[model.label] = _prepare(comparison, model, split, device)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                costs[model.label] = {"failed": f"not enough memory: {first_line(error)}"}
        for what in ("train_seconds", *(f"latency_{count}" for count in _LATENCY_BATCHES)):
            show(f"measuring {what.replace('_', ' ')} of all models in turns")
            times = compare({label: parts[what] for label, parts in calls.items()}, _ROUNDS, device=device)
            for label in calls:
                costs[label]["times"][what] = times.seconds(label).median
    return costs


def _prepare(
    comparison: Comparison, model: ComparedModel, split: Split, device: torch.device
) -> tuple[dict[str, Any], dict[str, Callable[[], object]]]:
    """The counts of a model, and what is called to measure its times, each called once."""
    options = comparison.train_options(Job(model, comparison.options.seed))
    reseed(options.seed)
    task = start_task(options, split)
    network: Any = task.network.model.to(device)
    optimizer = build_optimizer(options.optim, network)
    for group in optimizer.param_groups:
        group["lr"] = 0.0  # every step does the same work
    batch = _batch(task, split, options.batch_size // options.accumulate, training=True)
    images, targets = task.mix(*(to_device(part, device) for part in batch))

    def step() -> None:
        network.train()
        for _ in range(options.accumulate):
            with autocast(device, options.precision):
                loss = task.loss(network, images, targets, range(len(images)))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def infer(count: int) -> Callable[[], object]:
        inputs = [to_device(part, device) for part in _batch(task, split, count, training=False)]

        @torch.inference_mode()
        def run() -> object:
            network.eval()
            with autocast(device, options.precision):
                return task.outputs(network, *inputs)

        return run

    calls: dict[str, Callable[[], object]] = {f"latency_{count}": infer(count) for count in _LATENCY_BATCHES}
    calls["train_seconds"] = step
    for call in calls.values():
        call()
    counts = {"parameters": sum(p.numel() for p in network.parameters()), **_count(task, network, split, device)}
    return {**counts, "times": {}}, calls


def _batch(task: Task, split: Split, count: int, *, training: bool) -> list[Any]:
    """Images and targets of a batch of the split's first pictures, from the start again if there are fewer."""
    transform = task.train_transform() if training else task.eval_transform()
    mode = image_mode(task.network.config)
    samples = [Sample(*transform(*split.load(index % len(split), mode)), []) for index in range(count)]
    batch = (task.train_collate if training else task.eval_collate)(samples)
    return [batch.images, batch.targets]


def _count(task: Task, network: Any, split: Split, device: torch.device) -> dict[str, int]:
    """Multiply-accumulates and activations of a forward pass for one image."""
    images, targets = (to_device(part, device) for part in _batch(task, split, 1, training=False))
    network.eval()
    outputs, flops = _Outputs(), FlopCounterMode(display=False)
    with torch.no_grad(), flops, outputs:
        task.outputs(network, images, targets)
    return {"macs": flops.get_total_flops() // 2, "activations": outputs.count}


class _Outputs(TorchDispatchMode):
    """Counts the outputs of matrix products and convolutions, which are what is usually called activations."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in PRODUCTS:
            first = output if isinstance(output, Tensor) else output[0]
            self.count += first.numel()
        return output
