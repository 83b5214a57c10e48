"""Tools of PyTorch and timm, each as a check of one model: it returns if the tool does what it says, and raises if not.

Checks take a :class:`Subject` and compare what the tool makes of the model with the model itself.
"""

import contextlib
import copy
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import timm
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from benchmarks.subject import Subject, linears, same, train_step


def hooks(subject: Subject) -> None:
    model, called = subject.model(), set()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    same(subject.model(), model, subject.images(), 1e-4)
    left = [n for n, module in model.named_modules() if n not in called and not isinstance(module, nn.ModuleList)]
    if left:
        raise AssertionError(f"{len(left)} modules are not called, the first {left[0]}")


def quantize_dynamic(subject: Subject) -> None:
    model = subject.model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    same(model, quantized, subject.images(), 0.3)
    with torch.no_grad():
        if quantized(subject.images()).equal(model(subject.images())):
            raise AssertionError("the quantised weights are not used")


def weight_norm(subject: Subject) -> None:
    model = subject.model()
    adapted = copy.deepcopy(model)
    for name in linears(model):
        parametrizations.weight_norm(adapted.get_submodule(name))
    same(model, adapted, subject.images(), 1e-4)
    train_step(adapted, {n: p for n, p in adapted.named_parameters() if "parametrizations" in n}, subject.images())


def pruning(subject: Subject) -> None:
    model = subject.model()
    pruned = copy.deepcopy(model)
    for name in linears(model):
        prune.l1_unstructured(pruned.get_submodule(name), "weight", 0.3)
    masked = copy.deepcopy(model)
    for name in linears(model):
        linear: Any = masked.get_submodule(name)
        linear.weight.data.mul_(pruned.get_submodule(name).weight_mask)
    same(masked, pruned, subject.images(), 1e-5)


def compiled(subject: Subject) -> None:
    torch._dynamo.reset()
    model = subject.model()
    same(model, torch.compile(model, backend="eager", fullgraph=True), subject.images(), 1e-4)


def exported(subject: Subject) -> None:
    model, x = subject.model(), subject.images()
    same(model, torch.export.export(model, (x,)).module(), x, 1e-4)


def scripted(subject: Subject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        same(subject.model(), torch.jit.script(subject.model()), subject.images(), 1e-5)


def traced(subject: Subject) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(subject.model(), subject.images())
    same(subject.model(), traced, subject.images(), 1e-5)


def onnx_of_torchscript(subject: Subject) -> None:
    import onnx
    import onnxruntime

    file, model, x = io.BytesIO(), subject.model(), subject.images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), file, dynamo=False, opset_version=17)  # type: ignore[arg-type]
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    same(model, lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), x, 1e-4)


def symbolic_trace(subject: Subject) -> None:
    model = subject.model()
    same(model, torch.fx.symbolic_trace(model), subject.images())


def per_sample_gradients(subject: Subject) -> None:
    model, x = subject.model().double(), subject.images(2).double()
    parameters = {n: p.detach() for n, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], image: Tensor) -> Tensor:
        return torch.func.functional_call(model, parameters, (image[None],)).square().sum()

    name, parameter = next(iter(model.named_parameters()))
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)[name]
    for image, gradient in zip(x, gradients, strict=True):
        (expected,) = torch.autograd.grad(model(image[None]).square().sum(), parameter)
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def distributed(subject: Subject) -> None:
    with _one_process(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wrapped = nn.parallel.DistributedDataParallel(subject.model())
        for _ in range(2):
            train_step(wrapped, dict(wrapped.named_parameters()), subject.images(2))
    strides = [str(w.message) for w in caught if "strides" in str(w.message)]
    if strides:
        raise AssertionError(strides[0].splitlines()[0])


def grad_checkpointing(subject: Subject) -> None:
    gradients = []
    for enable in (False, True):
        model = subject.model()
        model.set_grad_checkpointing(enable)  # type: ignore[operator]
        model(subject.images()).square().mean().backward()
        gradients.append(next(model.parameters()).grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def averaged(subject: Subject) -> None:
    model = subject.model()
    average = torch.optim.swa_utils.AveragedModel(model)
    average.update_parameters(model)
    same(model, average, subject.images())


def features(subject: Subject) -> None:
    maps = timm.create_model(subject.name, features_only=True, **subject.kwargs)
    if len(maps(subject.images())) != 4:
        raise AssertionError("not four maps")


#: Name in the table -> (distribution whose version is stated, check).
TOOLS: dict[str, tuple[str, Callable[[Subject], None]]] = {
    "forward hooks on every module": ("torch", hooks),
    "`quantize_dynamic`": ("torch", quantize_dynamic),
    "`weight_norm` (parametrisation)": ("torch", weight_norm),
    "pruning": ("torch", pruning),
    "`torch.fx.symbolic_trace`": ("torch", symbolic_trace),
    "`torch.func`: `vmap` of `grad`": ("torch", per_sample_gradients),
    "DistributedDataParallel, no warning": ("torch", distributed),
    "`AveragedModel`": ("torch", averaged),
    "gradient checkpointing": ("timm", grad_checkpointing),
    "`features_only`": ("timm", features),
    "`torch.compile`, whole graph": ("torch", compiled),
    "`torch.export`": ("torch", exported),
    "`torch.jit.script`": ("torch", scripted),
    "`torch.jit.trace`": ("torch", traced),
    "`torch.onnx.export(dynamo=False)`": ("torch", onnx_of_torchscript),
}
