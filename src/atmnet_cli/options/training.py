"""Options of training."""

from dataclasses import dataclass, field
from typing import Any, Literal

from atmnet_cli.options.data import DataOptions
from atmnet_cli.options.model import ModelOptions


@dataclass
class AugmentOptions:
    """Random changes to the training images of classifiers, by timm."""

    scale: tuple[float, float] = (0.08, 1.0)
    """Minimum and maximum area of the random crop, as a share of the image."""
    ratio: tuple[float, float] = (0.75, 1.3333333333333333)
    """Minimum and maximum aspect ratio of the random crop."""
    hflip: float = 0.5
    """Probability of a horizontal flip of an image."""
    vflip: float = 0.0
    """Probability of a vertical flip of an image."""
    color_jitter: float = 0.4
    """Strength of colour jitter; ignored if auto_augment is set, as in timm."""
    auto_augment: str | None = None
    """RandAugment or AutoAugment policy in timm's notation, e.g. 'rand-m9-mstd0.5-inc1'."""
    interpolation: str = "random"
    """Interpolation of the random crop: 'bilinear', 'bicubic', or 'random' for a random choice of the two."""
    erase: float = 0.0
    """Probability of erasing a random rectangle of an image."""
    erase_mode: Literal["const", "rand", "pixel"] = "pixel"
    """Fill of erased rectangles: zeros, one random colour, or random pixels."""
    mixup: float = 0.0
    """Alpha of Mixup; 0 switches Mixup off."""
    cutmix: float = 0.0
    """Alpha of CutMix; 0 switches CutMix off."""
    mix_prob: float = 1.0
    """Probability that a batch is mixed by Mixup or CutMix."""
    switch_prob: float = 0.5
    """Probability of CutMix rather than Mixup for a mixed batch, if both are on."""
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes."""
    repeats: int = 1
    """For every head: number of times that an image is in a batch, each time with another augmentation."""


@dataclass
class DenseOptions:
    """Detection and segmentation: image sizes, and random changes to training images."""

    img_sizes: list[int] = field(default_factory=lambda: [800])
    """Detection: shorter sides in pixels, of which one is drawn for each training image; the last is the shorter side
    in evaluation."""
    max_img_size: int = 1333
    """Detection: upper limit of the longer side, in pixels."""
    crop_size: int = 512
    """Segmentation: side of the square crop in training and shorter side in evaluation, in pixels."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Segmentation: minimum and maximum of the shorter side before the crop, relative to the crop's side."""
    max_class_share: float = 0.75
    """Segmentation: a crop is drawn again if more than this share of it is one class."""
    hflip: float = 0.5
    """Probability of a horizontal flip of an image."""
    distort: bool = False
    """Change brightness, contrast, saturation and hue at random."""
    class_weights: list[float] | None = None
    """Segmentation: weight of each class in the cross-entropy, in the order of the classes. Default: equal weights."""


@dataclass
class OptimOptions:
    """Optimiser and learning-rate schedule, by timm."""

    opt: str = "adamw"
    """Name of the optimiser in timm's registry."""
    lr: float = 5e-4
    """Peak learning rate. It is used as it is, never scaled with the batch size."""
    weight_decay: float = 0.05
    """Weight decay of matrices and kernels; 1-D parameters and position encodings have none."""
    layer_decay: float | None = None
    """Classification: factor between learning rates of successive layer groups, from the head down. Default: equal."""
    clip_grad: float | None = None
    """Maximum norm of the gradient, to which larger ones are clipped. Default: no clipping."""
    sched: str = "cosine"
    """Name of the learning-rate schedule in timm; the rate is updated every step."""
    sched_kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the schedule, e.g. {"decay_milestones": [8, 11]}, in epochs."""
    warmup_epochs: int = 5
    """Epochs of linear warm-up; half of the run if it is not longer than this."""
    warmup_steps: int | None = None
    """Steps of linear warm-up, instead of warmup_epochs."""
    warmup_lr: float = 1e-6
    """Learning rate at the first step of the warm-up."""
    min_lr: float = 1e-5
    """Learning rate at the end of the schedule."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the optimiser, e.g. {"betas": [0.9, 0.98]}."""


@dataclass
class TrainOptions:
    """Train a classifier, detector or segmenter; the same command resumes a run that was stopped."""

    output: str
    """Folder of the run, for options, metrics and checkpoints."""
    data: DataOptions = field(default_factory=DataOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    dense: DenseOptions = field(default_factory=DenseOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    epochs: int = 300
    """Number of epochs: passes over the training split, but see min_epoch_steps."""
    steps: int | None = None
    """Number of steps of the run, instead of epochs."""
    min_epoch_steps: int = 1
    """Minimum number of steps of an epoch. If the training split has fewer batches, an epoch passes over it several
    times."""
    sampling: Literal["all", "balanced"] = "all"
    """Classification: images of an epoch: 'all', or 'balanced', from each class equally many, so that images of rare
    classes come several times and those of frequent ones not all."""
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    """Classification: weights of classes in the loss: 'balanced', by the inverse of their frequency, or a weight for
    each, {"cat": 2, "dog": 1}. Default: equal weights."""
    batch_size: int = 1024
    """Images per step, over all processes and accumulated parts together."""
    auto_batch: bool = False
    """Use the largest batch that fits into memory, measured before the first step, instead of batch_size; see
    docs/training.md."""
    eval_batch_size: int = 256
    """Images per forward pass of an evaluation, in each process."""
    accumulate: int = 1
    """Number of parts into which each process divides its share of a batch, to save memory."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision to compute in; 'bf16' and 'fp16' use automatic mixed precision."""
    channels_last: bool = False
    """Store images channels last in memory, which is often faster on GPUs."""
    compile: bool = False
    """Compile the model with torch.compile."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is evaluated and saved; 0 for none."""
    allow_data_change: bool = False
    """Resume a run although its images or annotations have changed. Other classes are refused nevertheless."""
    ema_warmup: bool = True
    """Let the moving average reach back over few steps at first: 3 after 40 steps, 25 after 300, 130 after 1,000.
    Without, that of a short run consists mostly of the initial weights."""
    seed: int = 0
    """Seed of all random numbers; the same seed gives the same run."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', 'mps', ..."""
    threads: int | None = None
    """Number of CPU threads of each training process. Default: PyTorch's choice."""
    evaluate_every: int = 1
    """Number of epochs between evaluations; there is always one after the last epoch."""
    patience: int | None = None
    """Number of evaluations in a row without a better score after which training stops early. Default: never."""
    min_delta: float = 0.0
    """By how much a score must be higher to count as better, for patience."""
    checkpoint_every: int = 500
    """Number of steps between checkpoints; there is also one before each evaluation and after Ctrl-C."""
    keep: int = 2
    """Number of latest checkpoints to keep, besides the best."""
    trackers: list[Literal["wandb", "mlflow"]] = field(default_factory=list)
    """Experiment trackers that get the metrics, besides TensorBoard's files; see docs/tracking.md."""
    log_every: int | None = None
    """Number of steps between lines of metrics.jsonl. Default: 50, or fewer so that a short run writes 20 lines."""
