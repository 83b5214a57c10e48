"""Options of all commands except training."""

from dataclasses import dataclass, field
from typing import Any, Literal

from atmnet_cli.options.data import DataOptions


@dataclass
class WindowOptions:
    """Segmentation: sliding windows, and averages over scales."""

    window: int | None = None
    """Side of the sliding windows, in pixels. Default: the whole image in one forward pass."""
    stride: int | None = None
    """Distance between sliding windows, in pixels. Default: two thirds of a window."""
    scales: tuple[float, ...] | None = None
    """Sizes of the image to average over, relative to its own, e.g. [0.75, 1, 1.25]. Default: [1]."""


@dataclass
class EvaluationData:
    """The data to evaluate on; options default to those of the training run.

    With another source, or with a root for a run on embedded data, they default to those of ``atmnet train``.
    """

    source: str | None = None
    """Kind of data: 'folder', 'table', 'tar', 'wds', 'digits', 'hfds/NAME', 'coco', 'yolo', 'voc', 'ade20k' or
    'scenes'; 'auto' recognises it by the files in root."""
    root: str | None = None
    """Folder that contains the splits; for 'hfds/NAME', the cache folder."""
    val: str | None = None
    """Name of the split to evaluate on."""
    classes: str | None = None
    """Text file with one class name per line."""
    label_separator: str | None = None
    """'table': characters between the labels of an image."""
    img_size: int | None = None
    """Classification: side of the square that images are resized to, in pixels."""
    workers: int | None = None
    """Loader processes of each process, at most one per core; 0 reads images in the process itself."""
    ignore_zero: bool | None = None
    """'ade20k': ignore pixels of label 0, and count classes from label 1."""
    crowd: Literal["regions", "objects"] | None = None
    """'coco': what `iscrowd: 1` means: 'regions' that are not evaluated, or nothing: all annotations are 'objects'."""
    kwargs: dict[str, Any] | None = None
    """'scenes': its arguments, e.g. {"img_size": 128}."""


@dataclass
class EvaluateOptions:
    """Evaluate a model, and write a report."""

    model: str
    """Run or checkpoint folder, or the name of a model together with weights."""
    weights: str = ""
    """File or folder of the weights, if model is the name of a model."""
    data: EvaluationData = field(default_factory=EvaluationData)
    batch_size: int = 256
    """Images per forward pass in each process."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision to compute in; 'bf16' and 'fp16' use automatic mixed precision."""
    threads: int | None = None
    """Number of CPU threads. Default: PyTorch's choice."""
    output: str = ""
    """Folder for tables in CSV and JSON: scores of each class, the confusion matrix, and each image's answer."""
    report: str = ""
    """HTML file to write: learning curve, results of each class, the worst mistakes, and where the network looks."""
    calibrate: bool = False
    """Classification: first fit the temperature that makes probabilities fit the data best, and record it in the
    checkpoint; all commands then use it."""
    flip: bool = False
    """Test-time mirroring: merge the answers for the image and the mirrored image; takes twice as long."""
    windows: WindowOptions = field(default_factory=WindowOptions)


@dataclass
class PredictOptions:
    """Classify, detect or segment images; print a table or JSON lines, and draw pictures."""

    model: str
    """Run or checkpoint folder, a file that `atmnet export` wrote, or the name of a model together with weights."""
    images: list[str]
    """Image and video files, folders of images, patterns; 'camera:0'; '-' for names on standard input, '@FILE' for
    those in a file."""
    weights: str = ""
    """File or folder of the weights, if model is the name of a model."""
    top: int | None = None
    """Classification: number of classes to print for each image. Default: 3."""
    format: Literal["table", "jsonl", "csv"] = "table"
    """Output format: 'table' for people; for programs 'jsonl', one JSON object per line, or 'csv', one row per class,
    object or region."""
    sheet: str = ""
    """Picture file to write that shows every image with its prediction."""
    output: str = ""
    """Folder to write results to: predictions.csv; for detection and segmentation also pictures, COCO JSON and YOLO
    labels, PNG label maps."""
    every: int = 1
    """Videos and cameras: use only every Nth frame."""
    frames: int | None = None
    """Videos and cameras: maximum number of frames to use of each. Default: all; a camera is stopped by Ctrl-C."""
    threshold: float | None = None
    """Detection: minimum score of objects to show and for YOLO labels; the COCO JSON has all objects. Multilabel:
    minimum probability of a class. Default: 0.5."""
    flip: bool = False
    """Test-time mirroring: merge the answers for the image and the mirrored image; takes twice as long."""
    windows: WindowOptions = field(default_factory=WindowOptions)
    batch_size: int = 32
    """Images per forward pass."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""


@dataclass
class ExportOptions:
    """Export a trained network to a file for other runtimes, and compare this file with the model."""

    model: str
    """Run or checkpoint folder, or the name of a model together with weights."""
    to: Literal["onnx", "openvino", "torch", "aoti", "executorch", "coreml"] = "onnx"
    """Format: ONNX, OpenVINO IR, a torch.export program, machine code by AOTInductor, or an ExecuTorch program. Core ML
    is refused, since such a file cannot be checked here."""
    output: str = ""
    """File to write. Default: the architecture's name with the format's suffix, in the current folder."""
    weights: str = ""
    """File or folder of the weights, if model is the name of a model."""
    dynamic: bool = True
    """Export with dynamic batch, height and width; only for ONNX and OpenVINO."""
    batch_size: int = 1
    """Images per call, if the batch is not dynamic."""
    img_size: int | None = None
    """Side of the square images, in pixels. Default: that of the model."""
    pixels: Literal["normalised", "unit", "uint8"] = "normalised"
    """Pixels that the file takes: floats normalised by mean and std, floats in 0..1, or bytes."""
    raw: bool = False
    """Detection, RetinaNet and FCOS: return the heads' outputs and anchors, for any batch, instead of objects."""
    precision: Literal["fp32", "fp16", "int8", "int8-dynamic"] = "fp32"
    """Precision of weights and matrix products; 'int8' needs --calibration."""
    calibration: str = ""
    """For 'int8': folder of pictures to calibrate on, similar to those that the model will be used on."""
    images: str = ""
    """Folder of pictures to compare on. Default: --calibration, else pictures of scikit-image or scikit-learn."""
    tolerance: float | None = None
    """Largest difference between file and model to accept. For fp32: the largest difference divided by the largest
    logit (or 1); default 5e-6. Else: the relative difference of norms; default 0.01 for fp16 and 0.15 for int8, the
    latter only on pictures."""
    threads: int | None = None
    """Number of CPU threads for the comparison. Default: PyTorch's choice."""


@dataclass
class BenchmarkOptions:
    """Compare the speed and memory of models on this machine."""

    models: list[str] = field(default_factory=lambda: ["atmnet_tiny", "swin_tiny_patch4_window7_224", "convnext_tiny"])
    """Names of timm models; times are compared with those of the first."""
    img_size: int = 224
    """Side of the square images, in pixels."""
    batch_size: int = 8
    """Images per call."""
    train: bool = False
    """Measure a training step (forward, backward, AdamW) instead of inference."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision to compute in; inference casts the model, training uses autocast."""
    compile: bool = False
    """Compile the models with torch.compile."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""
    threads: int | None = None
    """Number of CPU threads. Default: PyTorch's choice."""
    rounds: int = 15
    """Number of measurements of each model, in turns with the other models."""
    output: str = ""
    """JSON file to write, with all measurements, the machine and the versions."""


@dataclass
class CheckDataOptions:
    """Read every image of a data set, and list its problems."""

    data: DataOptions = field(default_factory=DataOptions)
    show: int = 10
    """Maximum number of problems of each kind to list; all are counted."""


@dataclass
class ConvertOptions:
    """Write a data set in another format."""

    to: Literal["coco", "yolo", "voc", "labelme", "cvat", "labelstudio", "folder", "table"]
    """Format: of boxes and masks 'coco', 'yolo', 'voc', 'labelme', 'cvat', 'labelstudio'; of labels of whole images
    'folder' (one folder per class) and 'table' (labels.csv)."""
    output: str
    """Folder to write to; it must be new or empty."""
    data: DataOptions = field(default_factory=DataOptions)
    images: Literal["copy", "link", "none"] = "copy"
    """How pictures come into the folder: as copies; as hard links, which take no space and need the same disk; or not
    at all, so that only annotations are written."""


@dataclass
class MakeScenesOptions:
    """Write the embedded digit scenes to files, in the layouts of COCO and ADE20K."""

    directory: str
    """Folder to write to; it must be new or empty."""
    train: int = 2000
    """Number of training scenes."""
    val: int = 300
    """Number of validation scenes, made of held-out digits and photographs."""
    img_size: int = 128
    """Side of a scene, in pixels."""
    objects: tuple[int, int] = (1, 8)
    """Minimum and maximum number of digits per scene."""
    digit_sizes: tuple[int, int] | None = None
    """Minimum and maximum length of a digit, in pixels. Default: 10 to 56, or to 7/16 of the side in small scenes."""
    contrast: tuple[int, int] = (50, 130)
    """Minimum and maximum difference between a digit's luminance and that of its background, in 0..255."""
    seed: int = 0
    """Seed of the scenes."""


@dataclass
class EnvOptions:
    """Print versions, the device, the backend and why it was chosen, threads and caches, for reports of faults."""

    device: str = "auto"
    """Device to say the backend for: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', 'mps', ..."""


@dataclass
class ModelsOptions:
    """List the models with their size, multiply-accumulates and published accuracy."""

    img_size: int = 224
    """Side of the square image to count multiply-accumulates for, in pixels."""


@dataclass
class WeightsOptions:
    """Import files of pretrained weights, so that they load by name; list what is here, export or push it."""

    action: Literal["import", "list", "export", "push"]
    """'import FILE ...': recognise files of weights and store them. 'list': what is on this machine.
    'export NAME FOLDER': copy weights in timm's hub layout. 'push OWNER [NAME ...]': upload them to the hub."""
    arguments: list[str] = field(default_factory=list)
    """What the action takes."""
    tag: str = ""
    """'import': the part of the name after the dot, such as in1k_384. Default: what the file says of itself."""
    private: bool = True
    """'push': whether repositories that are created are private."""


@dataclass
class EmbedOptions:
    """Write a classifier's features of pictures to a file, for search and clustering."""

    model: str
    """Run or checkpoint folder, or the name of a model, with weights or pretrained."""
    images: list[str]
    """Image files, folders of images, and patterns; '-' for names on standard input, '@FILE' for those in a file."""
    output: str
    """File to write: .npz with the arrays names and features, or .parquet with a row for each picture (pyarrow)."""
    weights: str = ""
    """File or folder of the weights, if model is the name of a model."""
    tokens: bool = False
    """Write the features of each token of the last stage rather than their mean; only to .npz."""
    batch_size: int = 32
    """Images per forward pass."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""


@dataclass
class ExploreOptions:
    """Show in the browser where a network looks, in your own pictures."""

    model: str = "atmnet_nano.digits"
    """Run or checkpoint folder, exported file, or the name of weights or of a model together with weights."""
    weights: str = ""
    """File or folder of the weights, if model is the name of a model."""
    beside: str = ""
    """A second model, shown beside the first on the same picture."""
    beside_weights: str = ""
    """File or folder of the second model's weights, if it is the name of a model."""
    host: str = "127.0.0.1"
    """Address to listen at; the default is reached only from this machine, '0.0.0.0' from others."""
    port: int = 7860
    """Port to listen at, or the next one that is free; 0 for any."""
    open: bool = True
    """Open a browser, where there is one."""
    auth: str = ""
    """'USER:PASSWORD' that visitors need, or '@FILE' for a file that contains it; use it behind HTTPS."""
    origins: list[str] = field(default_factory=list)
    """Origins whose pages may send requests, too, e.g. ["https://example.org"]."""
    device: str = "auto"
    """Device: 'auto' (CUDA if available, else CPU), 'cpu', 'cuda', 'cuda:1', ..."""
