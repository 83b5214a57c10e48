"""What the other commands can be told."""

from dataclasses import dataclass, field
from typing import Any, Literal

from atmnet_cli.options.data import DataOptions


@dataclass
class WindowOptions:
    """Segmentation: how the network sees an image, whole or by windows, at several sizes and mirrored."""

    window: int | None = None
    """Side of sliding windows, in pixels. Default: the whole image at once."""
    stride: int | None = None
    """Distance of sliding windows. Default: two thirds of a window."""
    scales: tuple[float, ...] | None = None
    """Sizes of the image to average over, as multiples. Default: its own size."""
    flip: bool | None = None
    """Average over the mirrored image, too. Default: false."""


@dataclass
class EvaluationData:
    """The data to evaluate on. An option that is left out is as the run was trained with; with another source or, for a
    run on embedded data, another root, it has the default of training."""

    source: str | None = None
    """As in training: 'folder', 'tar', 'wds', 'digits', 'hfds/NAME', 'coco', 'ade20k' or 'scenes'."""
    root: str | None = None
    """Folder that holds the splits; cache folder for 'hfds/NAME'."""
    val: str | None = None
    """The split to evaluate on."""
    classes: str | None = None
    """Text file with one class name per line."""
    img_size: int | None = None
    """Classification: side of the square that images are resized to, in pixels."""
    workers: int | None = None
    """Loader processes for each process, at most one a core; 0 reads in the process itself."""
    ignore_zero: bool | None = None
    """'ade20k': label 0 is no class but ignored, and the others count from 1."""
    kwargs: dict[str, Any] | None = None
    """'scenes': its arguments."""


@dataclass
class EvaluateOptions:
    """Evaluate a model. Of a classifier also confusions, and a report with where it looks."""

    model: str
    """Run or checkpoint folder; or the name of a model, with weights."""
    weights: str = ""
    """Weights file, where model is the name of one."""
    data: EvaluationData = field(default_factory=EvaluationData)
    batch_size: int = 256
    """Images in a forward pass, per process."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """'bf16' and 'fp16' compute by automatic mixed precision."""
    threads: int | None = None
    """CPU threads. Default: PyTorch's choice."""
    report: str = ""
    """Classification: HTML file to write: learning curve, confusions, worst mistakes, where the network looks."""
    windows: WindowOptions = field(default_factory=WindowOptions)


@dataclass
class PredictOptions:
    """Classify, detect or segment: a table or JSON lines, and pictures."""

    model: str
    """Run or checkpoint folder; a file that `atmnet export` wrote; or the name of a model, with weights."""
    images: list[str]
    """Images and folders of images."""
    weights: str = ""
    """Weights file, where model is a name."""
    top: int | None = None
    """Classification: classes to print for each image. Default: 3."""
    format: Literal["table", "jsonl"] = "table"
    """How to print: for people or for programs."""
    sheet: str = ""
    """Picture file to write: every image with its prediction."""
    output: str = ""
    """Detection and segmentation: folder to write pictures and results to (COCO JSON, PNG label maps)."""
    threshold: float | None = None
    """Detection: lowest score to show; the COCO JSON has all objects. Default: 0.5."""
    windows: WindowOptions = field(default_factory=WindowOptions)
    batch_size: int = 32
    """Images in a forward pass."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', ..."""


@dataclass
class ExportOptions:
    """Write a trained network as a file for other runtimes, and hold that file to the model."""

    model: str
    """Run or checkpoint folder; or the name of a model, with weights."""
    to: Literal["onnx", "openvino", "torch", "aoti", "executorch", "coreml"] = "onnx"
    """Format: ONNX, OpenVINO IR, a torch.export program, machine code by AOTInductor, or an ExecuTorch program. Core ML
    is refused: it cannot be checked here."""
    output: str = ""
    """File to write. Default: the architecture's name with the format's ending, in the current folder."""
    weights: str = ""
    """Weights file, where model is a name."""
    dynamic: bool = True
    """Leave batch, height and width open; ONNX and OpenVINO can."""
    batch_size: int = 1
    """Images in a call, where that is not open."""
    img_size: int | None = None
    """Side of the square images, in pixels. Default: the model's."""
    pixels: Literal["normalised", "unit", "uint8"] = "normalised"
    """What the file takes: floats already normalised by mean and std, floats in 0..1, or bytes."""
    raw: bool = False
    """Detection: what the heads say and anchors, for any batch, in place of objects; RetinaNet and FCOS."""
    precision: Literal["fp32", "fp16", "int8", "int8-dynamic"] = "fp32"
    """Of weights and products; 'int8' needs pictures to calibrate on."""
    calibration: str = ""
    """Folder of pictures like those that the model is for, for 'int8'."""
    images: str = ""
    """Folder of pictures to compare on. Default: those to calibrate on, else scikit-image's or scikit-learn's."""
    tolerance: float | None = None
    """Largest difference from the model to let pass: of fp32 the largest over the largest logit (or 1), by default
    5e-6; else of norms, 0.01 for fp16 and, on pictures alone, 0.15 for int8."""
    threads: int | None = None
    """CPU threads of the comparison. Default: PyTorch's choice."""


@dataclass
class BenchmarkOptions:
    """Compare the speed and memory of models on this machine."""

    models: list[str] = field(default_factory=lambda: ["atmnet_tiny", "swin_tiny_patch4_window7_224", "convnext_tiny"])
    """Names of timm models; ratios are to the first."""
    img_size: int = 224
    """Side of the square images, in pixels."""
    batch_size: int = 8
    """Images in a call."""
    train: bool = False
    """Measure a training step (forward, backward, AdamW) rather than inference."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What to compute in: inference casts the model, training uses autocast."""
    compile: bool = False
    """Compile the models by torch.compile."""
    device: str = "auto"
    """'auto' (CUDA where there is one, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""
    threads: int | None = None
    """CPU threads. Default: PyTorch's choice."""
    rounds: int = 15
    """Times that each model is measured, in turns with the others."""
    output: str = ""
    """JSON file to write: all figures, machine and versions."""


@dataclass
class CheckDataOptions:
    """Read every image of a data set and say what is wrong with it."""

    data: DataOptions = field(default_factory=DataOptions)
    show: int = 10
    """Problems of each kind to name; all are counted."""


@dataclass
class MakeScenesOptions:
    """Write the embedded digit scenes as files, in COCO and ADE20K layout."""

    directory: str
    """Folder to write to; new or empty."""
    train: int = 2000
    """Training scenes."""
    val: int = 300
    """Validation scenes, of held-out digits and photographs."""
    img_size: int = 128
    """Side of a scene, in pixels."""
    objects: tuple[int, int] = (1, 8)
    """Fewest and most digits."""
    digit_sizes: tuple[int, int] | None = None
    """Least and greatest length of a digit, in pixels. Default: 10 to 56, in small scenes to 7/16 of the side."""
    contrast: tuple[int, int] = (50, 130)
    """Least and greatest distance of a digit's luminance from the ground's, of 255."""
    seed: int = 0
    """Another seed, other scenes."""


@dataclass
class ModelsOptions:
    """List the models with their published and measured facts."""

    img_size: int = 224
    """Side of the image that multiply-accumulates are counted for, in pixels."""
