"""How to train."""

from dataclasses import dataclass, field
from typing import Any, Literal

from atmnet_cli.options.data import DataOptions
from atmnet_cli.options.model import ModelOptions


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

    img_sizes: list[int] = field(default_factory=lambda: [800])
    """Detection: shorter sides that training images are resized to, one drawn for each image; the last is the shorter
    side in evaluation."""
    max_img_size: int = 1333
    """Detection: upper limit of the longer side."""
    crop_size: int = 512
    """Segmentation: side of the square crop in training, and shorter side in evaluation."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Segmentation: range of the shorter side before the crop, as multiples of the crop's."""
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
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """'bf16' and 'fp16' compute by automatic mixed precision."""
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
