"""Libraries around PyTorch, each as a check of one model, as in benchmarks/tools.py."""

import copy
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.subject import CLASSES, Subject, linears, same, train_step


def feature_extractor(subject: Subject) -> None:
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    model, x = subject.model(), subject.images()
    names = get_graph_node_names(model)[1]
    node = [name for name in names if name.startswith(("stages.1", "layers.1"))][-1]
    extract = create_feature_extractor(model, [node])
    if not extract(x)[node].isfinite().all():
        raise AssertionError(f"{node} is not finite")


def openvino(subject: Subject) -> None:
    import openvino as ov

    model, x = subject.model(), subject.images()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = ov.Core().compile_model(
            ov.convert_model(model, example_input=x), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
    same(model, lambda x: torch.from_numpy(converted(x.numpy())[0]), x, 1e-3)


def _adapter(subject: Subject, dtype: torch.dtype, **kwargs: Any) -> None:
    import peft

    model, x = subject.model().to(dtype), subject.images().to(dtype)
    config = peft.LoraConfig(target_modules=linears(model), init_lora_weights=False, r=4, **kwargs)
    adapted = peft.get_peft_model(copy.deepcopy(model), config)
    train_step(adapted, {n: p for n, p in adapted.named_parameters() if "lora_" in n}, x)
    merged = copy.deepcopy(adapted).merge_and_unload()
    same(adapted, merged, x, 0.1 if dtype == torch.bfloat16 else 1e-3)


lora = partial(_adapter, dtype=torch.float32)
lora_bfloat16 = partial(_adapter, dtype=torch.bfloat16)
dora = partial(_adapter, dtype=torch.float32, use_dora=True)


def _torchao(subject: Subject, config: str) -> None:
    from torchao import quantization

    model = subject.model()
    quantized = copy.deepcopy(model)
    quantization.quantize_(quantized, getattr(quantization, config)())
    same(model, quantized, subject.images(), 0.3)
    left = [n for n in linears(quantized) if type(quantized.get_submodule(n).weight.data) is Tensor]
    if left:
        raise AssertionError(f"{len(left)} weights are not quantised, the first {left[0]}")


torchao_weights = partial(_torchao, config="Int8WeightOnlyConfig")
torchao_dynamic = partial(_torchao, config="Int8DynamicActivationInt8WeightConfig")


def transformers_pipeline(subject: Subject) -> None:
    import transformers
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        _write_run(subject.model(), Path(folder))
        classify = transformers.pipeline("image-classification", model=folder)
        if len(classify(Image.new("RGB", (50, 40)), top_k=CLASSES)) != CLASSES:
            raise AssertionError("not all classes")


def _write_run(model: nn.Module, folder: Path) -> None:
    import safetensors.torch

    from atmnet.models.create import data_config
    from atmnet.tasks import Classifier

    Classifier(model, [f"class {k}" for k in range(CLASSES)], data_config(model, None)).write_config(
        folder / "config.json"
    )
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors", {"format": "pt"})


def accelerated(subject: Subject) -> None:
    import accelerate

    accelerator = accelerate.Accelerator(cpu=True)
    model = subject.model()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 1e-3))
    accelerator.backward(model(subject.images()).square().mean())
    optimizer.step()


def _smp(subject: Subject, architecture: str) -> None:
    import segmentation_models_pytorch as smp

    net = getattr(smp, architecture)(f"tu-{subject.name}", encoder_weights=None, classes=CLASSES)
    shape = (2, 3, 224, 224)  # swin_tiny's own size, and large enough for the pyramid of PAN
    # Only the encoder's: decoders have biases before norms, whose gradient is zero whatever the backbone.
    train_step(net, dict(net.encoder.named_parameters()), torch.randn(shape))


smp_unet = partial(_smp, architecture="Unet")
smp_deeplab = partial(_smp, architecture="DeepLabV3Plus")
smp_pan = partial(_smp, architecture="PAN")


#: Name in the table -> (distribution whose version is stated, check).
TOOLS: dict[str, tuple[str, Callable[[Subject], None]]] = {
    "`create_feature_extractor`": ("torchvision", feature_extractor),
    "LoRA": ("peft", lora),
    "LoRA in bfloat16": ("peft", lora_bfloat16),
    "DoRA": ("peft", dora),
    "`Int8WeightOnlyConfig`": ("torchao", torchao_weights),
    "`Int8DynamicActivationInt8WeightConfig`": ("torchao", torchao_dynamic),
    "`Accelerator`": ("accelerate", accelerated),
    "`pipeline(model=FOLDER)`": ("transformers", transformers_pipeline),
    "Unet": ("segmentation_models_pytorch", smp_unet),
    "DeepLabV3Plus": ("segmentation_models_pytorch", smp_deeplab),
    "PAN": ("segmentation_models_pytorch", smp_pan),
    "`convert_model`": ("openvino", openvino),
}
