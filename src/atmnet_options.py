"""What can be chosen: the options of every command, as dataclasses. Imports nothing heavy, so that help is instant."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal


class UserError(ValueError):
    """Something that the user can mend; its message is one line that says what, and how."""


def _default(option: Field[Any]) -> Any:
    return option.default if option.default_factory is MISSING else option.default_factory()


def refuse_unused(
    options: Any, taken_by: Mapping[str, Sequence[str]], chosen: str, what: str, prefix: str = ""
) -> None:
    """Refuse options that were set, though what was chosen does not take them.

    Args:
        options: Options of any kind.
        taken_by: Of each option that not all take, such as 'data.img_size', the choices that do.
        chosen: The choice that was made.
        what: What the user knows it as.
        prefix: What stands before the names on the command line.

    Raises:
        UserError: Naming the first such option that is not at its default.
    """
    for name in (name for name, takers in taken_by.items() if chosen not in takers):
        holder, _, leaf = name.rpartition(".")
        part = attrgetter(holder)(options) if holder else options
        default = next(_default(each) for each in fields(part) if each.name == leaf)
        if getattr(part, leaf) != default:
            raise UserError(f"{prefix}{name}: {what} does not take it; leave it at its default, {default!r}")


@dataclass
class DataOptions:
    """Where images come from and how they are read."""

    source: str = "folder"
    """Classification: 'folder' (one folder per class), 'tar', 'wds' (shards), 'digits' (embedded) or 'hfds/NAME';
    detection: 'coco'; segmentation: 'ade20k'; both: 'scenes' (embedded). See docs/data.md."""
    root: str = ""
    """Folder that holds the splits; cache folder for 'hfds/NAME'."""
    train: str = "train"
    """Training split: a sub-folder or tar file of root, a pattern of shards, or a split's name."""
    val: str = "val"
    """Validation split, likewise."""
    classes: str = ""
    """Text file with one class name per line. Default: the training split's."""
    img_size: int | None = None
    """Side of the square that images are resized to, in pixels. Default: the model's."""
    max_unreadable: float = 0.05
    """Share of training images that may be unreadable before training stops. Evaluation accepts none."""
    workers: int = 4
    """Loader processes for each training process, at most one a core; 0 reads in the training process itself."""
    ignore_zero: bool = True
    """'ade20k': label 0 is no class but ignored, and the others count from 1."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """'scenes': its arguments, e.g. {"side": 128, "images": 2000}."""


#: By task: one head for classification, detectors, segmenters.
Head = Literal[
    "classifier",
    "retinanet", "retinanet_v2", "fcos", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn",
    "semantic_fpn", "upernet",
]  # fmt: skip


@dataclass
class ModelOptions:
    """Which network, and which weights it starts from."""

    name: str = "atmnet_tiny"
    """Any model that timm knows; `atmnet models` lists ours."""
    head: Head = "classifier"
    """What stands on the backbone, which decides the task: a classifier, a detector or a segmenter."""
    neck: Literal["fpn", "atmfpn", "atmfpn_aligned"] = "fpn"
    """Feature pyramid of detectors and 'semantic_fpn'."""
    channels: int = 256
    """Channels of the neck; of the head of 'upernet'."""
    head_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the detector or segmenter; see docs/dense.md."""
    checkpoint: str = ""
    """Weights to start from: an official file, a timm file, or a folder of ours. Another number of classes gives a
    new head; detectors and segmenters take the backbone alone. Default: initialise."""
    drop_path: float = 0.0
    """Stochastic depth rate of the last block."""
    grad_checkpointing: bool = False
    """Recompute blocks in the backward pass: less memory, about a third more time."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the model, e.g. {"drop_rate": 0.1}."""


@dataclass
class AugmentOptions:
    """Random changes to training images, all by timm."""

    scale: tuple[float, float] = (0.08, 1.0)
    """Area of the random crop, as shares of the image."""
    ratio: tuple[float, float] = (0.75, 1.3333333333333333)
    """Aspect ratio of the random crop."""
    hflip: float = 0.5
    """Probability of a horizontal flip."""
    vflip: float = 0.0
    """Probability of a vertical flip."""
    color_jitter: float = 0.4
    """Strength of colour jitter; ignored where auto_augment is set, as in timm."""
    auto_augment: str | None = None
    """RandAugment or AutoAugment policy in timm's notation, e.g. 'rand-m9-mstd0.5-inc1'."""
    interpolation: str = "random"
    """Resampling of the random crop: 'bilinear', 'bicubic' or 'random' between the two."""
    erase: float = 0.0
    """Probability of random erasing."""
    erase_mode: Literal["const", "rand", "pixel"] = "pixel"
    """What erased rectangles are filled with."""
    mixup: float = 0.0
    """Mixup's alpha; 0 for none."""
    cutmix: float = 0.0
    """CutMix's alpha; 0 for none."""
    mix_prob: float = 1.0
    """Probability of Mixup or CutMix for a batch."""
    switch_prob: float = 0.5
    """Probability of CutMix rather than Mixup, where both are on."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    repeats: int = 1
    """Repeated augmentation: times that an image enters a batch, each time augmented anew."""


@dataclass
class DenseOptions:
    """Sizes of images in detection and segmentation, and random changes to those of training."""

    sides: list[int] = field(default_factory=lambda: [800])
    """Detection: shorter sides that training images are resized to, drawn for each; the last serves evaluation."""
    longest: int = 1333
    """Detection: what the longer side may not exceed."""
    crop: int = 512
    """Segmentation: side of the square crop in training, and shorter side in evaluation."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Segmentation: shorter side before the crop, as multiples of it."""
    max_class_share: float = 0.75
    """Segmentation: a crop with more than this share of one class is drawn again."""
    hflip: float = 0.5
    """Probability of a horizontal flip."""
    distort: bool = False
    """Photometric distortion: brightness, contrast, saturation and hue."""
    class_weights: list[float] | None = None
    """Segmentation: weight of each class in the cross-entropy, in the order of the classes; none weighs all alike."""


@dataclass
class OptimOptions:
    """Optimiser and learning-rate schedule, by timm."""

    opt: str = "adamw"
    """Name in timm's optimiser registry."""
    lr: float = 5e-4
    """Peak learning rate for the whole batch (never scaled behind your back)."""
    weight_decay: float = 0.05
    """Weight decay of matrices and kernels; none on 1-D parameters and position encodings."""
    layer_decay: float | None = None
    """Factor by which the learning rate falls from layer group to layer group, from the head down."""
    clip_grad: float | None = None
    """Largest norm of the gradient."""
    sched: str = "cosine"
    """Name of timm's schedule, updated every step."""
    sched_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the schedule, e.g. {"decay_milestones": [8, 11]}, in epochs."""
    warmup_epochs: int = 5
    """Epochs of linear warm-up."""
    warmup_steps: int | None = None
    """Steps of linear warm-up, in place of epochs."""
    warmup_lr: float = 1e-6
    """Learning rate at the first step of the warm-up."""
    min_lr: float = 1e-5
    """Learning rate at the end."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the optimiser, e.g. {"betas": [0.9, 0.98]}."""


@dataclass
class TrainOptions:
    """Train a classifier, detector or segmenter, or go on with a run that was stopped: run the same command again."""

    output: str
    """Folder of the run: options, metrics and checkpoints."""
    data: DataOptions = field(default_factory=DataOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    dense: DenseOptions = field(default_factory=DenseOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    epochs: int = 300
    """Passes over the training split."""
    steps: int | None = None
    """Steps of the run, in place of epochs."""
    batch_size: int = 1024
    """Images in a step, over all processes and accumulated parts together."""
    eval_batch_size: int = 256
    """Images in a forward pass of an evaluation, per process."""
    accumulate: int = 1
    """Parts into which each process cuts its share of a step, to save memory."""
    amp: Literal["none", "bf16", "fp16"] = "none"
    """Automatic mixed precision."""
    channels_last: bool = False
    """Lay images out channels last in memory; often faster on GPUs."""
    compile: bool = False
    """Compile the model by torch.compile."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, then evaluated and saved; 0 for none."""
    seed: int = 0
    """All randomness is a function of this and of counters."""
    device: str = "auto"
    """'auto' (CUDA where there is one, else CPU), 'cpu', 'cuda', 'cuda:1', 'mps', ..."""
    threads: int | None = None
    """CPU threads of each training process. Default: PyTorch's choice."""
    evaluate_every: int = 1
    """Epochs between evaluations; the last epoch is always followed by one."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one comes before each evaluation and after Ctrl-C, too."""
    keep: int = 2
    """Latest checkpoints to keep, besides the best."""
    log_every: int = 50
    """Steps between lines of metrics.jsonl."""


@dataclass
class WindowOptions:
    """How a segmenter sees an image: whole or by windows, at several sizes and mirrored."""

    window: int | None = None
    """Side of sliding windows, in pixels. Default: the whole image at once."""
    stride: int | None = None
    """Distance of sliding windows. Default: two thirds of a window."""
    scales: tuple[float, ...] = (1.0,)
    """Sizes of the image to average over, as multiples."""
    flip: bool = False
    """Average over the mirrored image, too."""


@dataclass
class EvaluateOptions:
    """Evaluate a model. Of a classifier also confusions, and a report with where it looks."""

    model: str
    """Run or checkpoint folder; or the name of a model, with weights."""
    weights: str = ""
    """Weights file, where model is the name of one."""
    data: DataOptions | None = None
    """What is not named, or named as its default, is as the run was trained with; of another source, all is default."""
    batch_size: int = 256
    """Images in a forward pass, per process."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', ..."""
    amp: Literal["none", "bf16", "fp16"] = "none"
    """Automatic mixed precision."""
    threads: int | None = None
    """CPU threads. Default: PyTorch's choice."""
    report: str = ""
    """Classification: HTML file to write: learning curve, confusions, worst mistakes, where the network looks."""
    windows: WindowOptions = field(default_factory=WindowOptions)


@dataclass
class MakeScenesOptions:
    """Write the embedded digit scenes as files, in COCO and ADE20K layout."""

    directory: str
    """Folder to write to; new or empty."""
    train: int = 2000
    """Training scenes."""
    val: int = 300
    """Validation scenes, of held-out digits and photographs."""
    side: int = 128
    """Side of a scene, in pixels."""
    objects: tuple[int, int] = (1, 8)
    """Fewest and most digits."""
    sizes: tuple[int, int] | None = None
    """Least and greatest length of a digit, in pixels. Default: 10 to 56, in small scenes to 7/16 of the side."""
    contrast: tuple[int, int] = (50, 130)
    """Least and greatest distance of a digit's luminance from the ground's, of 255."""
    seed: int = 0
    """Another seed, other scenes."""


@dataclass
class PredictOptions:
    """Classify, detect or segment: a table or JSON lines, and pictures."""

    model: str
    """Run or checkpoint folder; a file that `atmnet export` wrote; or the name of a model, with weights."""
    images: list[str]
    """Images and folders of images."""
    weights: str = ""
    """Weights file, where model is a name."""
    top: int = 3
    """Classes to print for each image."""
    format: Literal["table", "jsonl"] = "table"
    """How to print: for people or for programs."""
    sheet: str = ""
    """Picture file to write: every image with its prediction."""
    output: str = ""
    """Detection and segmentation: folder to write pictures and results to (COCO JSON, PNG label maps)."""
    threshold: float = 0.5
    """Detection: least score to show; the COCO JSON has all."""
    windows: WindowOptions = field(default_factory=WindowOptions)
    batch_size: int = 32
    """Images in a forward pass."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', ..."""


@dataclass
class ModelsOptions:
    """List the models with their published and measured facts."""

    size: int = 224
    """Side of the image that multiply-accumulates are counted for, in pixels."""


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
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
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
