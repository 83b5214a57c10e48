"""The table of data sources. To add one, write a reader in a file of its own and add a line here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atmnet.data.ade20k import open_ade20k
from atmnet.data.check import SplitCheck, check_split
from atmnet.data.coco import ReadAnnotations, open_coco
from atmnet.data.cvat import read_cvat
from atmnet.data.dataset import Split
from atmnet.data.dense_check import check_ade20k, check_coco
from atmnet.data.generated import GeneratedSplit, accepts
from atmnet.data.generated_check import check_generated
from atmnet.data.labelled import open_labelled
from atmnet.data.labelme import read_labelme
from atmnet.data.labelstudio import read_labelstudio
from atmnet.data.own import OWN
from atmnet.data.own_split import read_coco_or_part
from atmnet.data.pairs import PairClassification, PairSegmentation
from atmnet.data.pathfinder import Pathfinder
from atmnet.data.recognition import (
    looks_like_ade20k,
    looks_like_coco,
    looks_like_cvat,
    looks_like_folder,
    looks_like_labelme,
    looks_like_labelstudio,
    looks_like_shards,
    looks_like_table,
    looks_like_tar,
    looks_like_voc,
    looks_like_yolo,
)
from atmnet.data.scenes import SceneClassification, SceneDetection, SceneSegmentation
from atmnet.data.table import check_table, open_table
from atmnet.data.voc import read_voc
from atmnet.data.yolo import read_yolo
from atmnet_cli.errors import UserError, refuse_options
from atmnet_cli.options import DataOptions, Kind

#: Limit of the values in ``data.range``.
_FARTHEST = 1e30


@dataclass(frozen=True)
class DataSource:
    """The facts of a data source.

    Attributes:
        kinds: The kinds of task that the source has targets for.
        open: (options, split, kind, class names or None, whether to load masks) -> the split.
        options: Of those options in :class:`~atmnet_cli.options.DataOptions` that only some sources take, the ones that
            this source takes.
        check: (options, split, class names or None) -> the errors and notes of a split.
        counts: What ``atmnet check-data`` counts for each class.
        recognise: options -> why a folder looks like such data, in words, or ""; None if no folder does.
    """

    kinds: tuple[Kind, ...]
    open: Callable[[DataOptions, str, Kind, list[str] | None, bool], Split]
    options: tuple[str, ...] = ("root", "classes", "range")
    check: Callable[[DataOptions, str, list[str] | None], SplitCheck] = check_split
    counts: str = "images per class"
    recognise: Callable[[DataOptions], str] | None = None


#: Options of the sources that divide data without splits.
_DIVISION = ("val_share", "split_seed", "split_file")
_LABELLED = DataSource(
    ("classification",), lambda data, split, kind, classes, masks: open_labelled(data, split, classes)
)


def _annotated(
    read: ReadAnnotations, recognise: Callable[[DataOptions], str], more: tuple[str, ...] = ()
) -> DataSource:
    """A source of boxes and masks whose annotations ``read`` reads."""
    return DataSource(
        ("detection",),
        lambda data, split, kind, classes, masks: open_coco(data, split, classes, masks, read),
        options=("root", "classes", "range", "crowd", "used_classes", *more),
        check=lambda data, split, classes: check_coco(data, split, classes, read),
        counts="objects per class",
        recognise=recognise,
    )


def _generated(splits: dict[Kind, type[GeneratedSplit[Any]]]) -> DataSource:
    """A source of generated pictures: kind of task -> its splits, whose arguments are in ``data.kwargs``."""

    def open_kind(
        options: DataOptions, split: str, kind: Kind, classes: list[str] | None, masks: bool
    ) -> GeneratedSplit[Any]:
        source = splits[kind](split, **options.kwargs)
        if classes is not None and classes != source.classes:
            raise UserError(
                f"data.source: {source.source!r} has the classes {' '.join(source.classes)}; the network has "
                + " ".join(classes)
            )
        return source

    def check(options: DataOptions, split: str, classes: list[str] | None) -> SplitCheck:
        """The pictures of the first kind of task that takes the arguments."""
        kinds = [kind for kind, generated in splits.items() if accepts(generated.options_type, options.kwargs)]
        return check_generated(open_kind(options, split, (kinds or list(splits))[0], None, True))

    return DataSource(tuple(splits), open_kind, options=("kwargs",), check=check, counts="images that show a class")


#: Name in ``data.source`` -> data source. 'wds' and 'hfds' may be followed by a slash and a path or name.
SOURCES = {
    "folder": replace(_LABELLED, recognise=looks_like_folder, options=("root", "classes", "range", *_DIVISION)),
    "table": DataSource(
        ("classification", "multilabel"),
        lambda data, split, kind, classes, masks: open_table(data, split, kind, classes),
        options=("root", "classes", "range", "label_separator", *_DIVISION),
        check=check_table,
        recognise=looks_like_table,
    ),
    "tar": replace(_LABELLED, recognise=looks_like_tar),
    "wds": replace(_LABELLED, recognise=looks_like_shards),
    "hfds": _LABELLED,
    "digits": replace(_LABELLED, options=("classes",)),
    "pathfinder": _generated({"classification": Pathfinder}),
    "coco": _annotated(read_coco_or_part, looks_like_coco, _DIVISION),
    "yolo": _annotated(read_yolo, looks_like_yolo, _DIVISION),
    "voc": _annotated(read_voc, looks_like_voc, _DIVISION),
    "labelme": _annotated(read_labelme, looks_like_labelme, _DIVISION),
    "cvat": _annotated(read_cvat, looks_like_cvat, _DIVISION),
    "labelstudio": _annotated(read_labelstudio, looks_like_labelstudio, _DIVISION),
    "ade20k": DataSource(
        ("segmentation",),
        lambda data, split, kind, classes, masks: open_ade20k(data, split, classes),
        options=("root", "classes", "range", "ignore_zero"),
        check=check_ade20k,
        counts="images that show a class",
        recognise=looks_like_ade20k,
    ),
    "pairs": _generated({"classification": PairClassification, "segmentation": PairSegmentation}),
    "scenes": _generated(
        {
            "detection": SceneDetection,
            "segmentation": SceneSegmentation,
            "classification": SceneClassification,
        }
    ),
}


def choose_source(options: DataOptions, kind: Kind | None = None) -> tuple[DataOptions, str]:
    """The options with the source that ``data.root`` looks like in place of 'auto', and a line that says why.

    Args:
        options: Where the data set is. A source other than 'auto' is kept, and the line is empty.
        kind: The kind of task that needs the data; None for any.

    Raises:
        UserError: If the folder looks like data of no source, or of several.
    """
    if options.source != "auto":
        return options, ""
    root = Path(options.root)
    if not options.root:
        raise UserError("data.root: expected the folder that holds the splits; none given")
    if root.is_file():
        raise UserError(f"data.root: {root} is a file; expected a folder: unpack an archive first, e.g. `unzip -d DIR`")
    if not root.is_dir():
        raise UserError(f"data.root: {root}: no such folder")
    possible = {
        name: source.recognise
        for name, source in SOURCES.items()
        if source.recognise and (kind is None or kind in source.kinds)
    }
    reasons = {name: reason for name, recognise in possible.items() if (reason := recognise(options))}
    if len(reasons) > 1:
        fits = "; ".join(f"{name} ({reason})" for name, reason in reasons.items())
        raise UserError(f"data.source: {root} may be one of several: {fits}; choose one with --data.source")
    if not reasons and kind in (None, "classification"):
        return replace(options, source="folder"), ""  # whose errors say what is missing
    if not reasons:
        raise UserError(
            f"data.source: {root} does not look like one of {', '.join(possible)}; choose with --data.source, and see "
            "docs/formats.md and data.train"
        )
    ((name, reason),) = reasons.items()
    return replace(options, source=name), f"data.source: {name}, {reason}"


def find_source(options: DataOptions, kind: Kind | None = None) -> DataSource:
    """The data source that ``options.source`` names.

    Args:
        options: Where the data set is.
        kind: The kind of task that needs the data; None for any.

    Raises:
        UserError: For an unknown source, a source without targets of that kind, or an option that the source does not
            take.
    """
    options, _ = choose_source(options, kind)
    name = options.source.partition("/")[0]
    if name == OWN:
        raise UserError(
            "data.source: the run was trained on a data set that a Python program passed; run that program to resume "
            "it, or pass --data.source and --data.root of other data"
        )
    names = [key for key, source in SOURCES.items() if kind is None or kind in source.kinds]
    if name not in names:
        purpose = f" for {kind}" if kind else ""
        raise UserError(f"data.source: got {options.source!r}, expected one of {', '.join(names)}{purpose}")
    limited = {option for source in SOURCES.values() for option in source.options}
    refused = sorted(limited - set(SOURCES[name].options))
    refuse_options(options, refused, f"data.source {options.source!r}", prefix="data.")
    if options.range is not None and not -_FARTHEST <= options.range[0] < options.range[1] <= _FARTHEST:
        raise UserError(f"data.range: got {options.range}, expected two finite numbers, the lower one first")
    return SOURCES[name]


def read_as(options: DataOptions, value_range: tuple[float, float] | None, kind: Kind | None = None) -> DataOptions:
    """The options, with the range of values that a network takes if the source takes one; see ``data.range``."""
    takes = "range" in find_source(options, kind).options
    return replace(options, range=value_range) if takes else options


def open_split(
    options: DataOptions, split: str, kind: Kind, classes: list[str] | None = None, masks: bool = True
) -> Split:
    """Open a split of a data set.

    Args:
        options: Where the data set is.
        split: The value of ``options.train`` or ``options.val``.
        kind: The kind of task that needs the data.
        classes: Class names of the training split, in its order. Default: those of this split.
        masks: Detection: whether to load masks besides boxes.

    Raises:
        UserError: If there is no such split, the source has no targets for ``kind``, or the classes are not among
            ``classes``.
    """
    options, _ = choose_source(options, kind)
    return find_source(options, kind).open(options, split, kind, classes, masks)
