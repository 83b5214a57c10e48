"""Tiny runs, and what of them must come out equal."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch

from atmnet.engine import load_checkpoint, read_metrics
from atmnet_cli.options import AugmentOptions, DataOptions, ModelOptions, OptimOptions, TrainOptions

#: Keyword arguments of an atmnet_nano that is as deep, and takes two thirds of its time.
NARROW: dict[str, Any] = {"dims": [8, 16, 24, 32]}

#: What depends on the clock.
_CLOCK = ("seconds", "images_per_second")

#: All that is random in training, each at a strength that shows.
RANDOM: dict[str, Any] = {
    "augment.auto_augment": "rand-m9-mstd0.5-inc1",
    "augment.erase": 0.5,
    "augment.mixup": 0.8,
    "augment.cutmix": 1.0,
    "augment.label_smoothing": 0.1,
    "model.drop_path": 0.2,
    "model.kwargs": {"drop_rate": 0.1},
    "accumulate": 2,
    "ema": 0.9,
}

#: One line of the log before the last step, and an evaluation only then.
RARE_LINES: dict[str, Any] = {"log_every": 7, "evaluate_every": 4}

#: Embedded scenes and small networks on them; all that is random is on.
DENSE: dict[str, Any] = {
    "data.source": "scenes",
    "data.kwargs": {"img_size": 64, "images": 24, "objects": [1, 4], "digit_sizes": [16, 40]},
    "model.channels": 32,
    "model.drop_path": 0.2,
    "dense.distort": True,
    "eval_batch_size": 4,
    "optim.clip_grad": 5.0,
    "ema": 0.9,
}
DETECTOR: dict[str, Any] = {
    **DENSE,
    "dense.img_sizes": [48, 64],
    "model.head": "mask_rcnn",
    "model.neck": "atmfpn",
    "model.head_kwargs": {
        "anchor_sizes": [8, 16, 24, 32, 48],
        "rpn_pre_nms_top_n_train": 200,
        "rpn_post_nms_top_n_train": 100,
        "rpn_post_nms_top_n_test": 50,
        "box_batch_size_per_image": 32,
        "box_detections_per_img": 10,
        "representation_size": 64,
        "mask_channels": 16,
    },
}
SEGMENTER: dict[str, Any] = {
    **DENSE,
    "dense.crop_size": 64,
    "model.channels": 64,
    "model.head": "upernet",
    "model.head_kwargs": {"norm": "group"},
}


def tiny(root: Path, output: Path, changes: dict[str, Any] | None = None) -> TrainOptions:
    """24 images of 3 classes in 4 epochs of 3 steps by a narrow model; ``changes`` by dotted name.

    Evaluations, checkpoints and lines of the log come at steps of their own, so that none hides another's mistakes.
    """
    changes = dict(changes or {})
    if "model.name" not in changes:
        changes["model.kwargs"] = {**NARROW, **changes.get("model.kwargs", {})}
    embedded = changes.get("data.source") in ("digits", "scenes")
    dense = changes.get("model.head", "classifier") != "classifier"
    options = TrainOptions(
        output=str(output),
        data=DataOptions(root="" if embedded else str(root), workers=0),
        model=ModelOptions(name="atmnet_nano"),
        augment=AugmentOptions() if dense else AugmentOptions(scale=(0.5, 1.0), hflip=0.0),
        optim=OptimOptions(lr=1e-3, warmup_epochs=1),
        epochs=4,
        batch_size=8,
        evaluate_every=2,
        checkpoint_every=4,
        log_every=5,
        device="cpu",
        threads=1,
    )
    for name, value in changes.items():
        *groups, leaf = name.split(".")
        target: Any = options
        for group in groups:
            target = getattr(target, group)
        assert hasattr(target, leaf), name
        setattr(target, leaf, value)
    return options


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without clocks."""
    return [{k: v for k, v in line.items() if k not in _CLOCK} for line in read_metrics(folder)]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder)]


def weights(folder: Path) -> dict[str, Any]:
    return safetensors.torch.load_file(folder / "last" / "model.safetensors")


def arguments(options: TrainOptions, folder: Path) -> list[str]:
    """Arguments of ``atmnet`` for training with ``options``, all of them in a recipe that is written to ``folder``."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(asdict(options)))  # JSON is YAML
    return ["train", "--config", str(recipe)]


def complete_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run, each seen to be whole."""
    checkpoints = sorted((folder / "checkpoints").glob("step-*"))
    for checkpoint in checkpoints:
        _, trainer = load_checkpoint(checkpoint)
        assert trainer["step"] == int(checkpoint.name.removeprefix("step-"))
        assert {"architecture", "head"} & json.loads((checkpoint / "config.json").read_text()).keys()
    return checkpoints


def litter(folder: Path) -> list[str]:
    """What an unfinished write could leave behind."""
    return [path.name for path in folder.rglob(".*") if path.name != ".lock"]


def assert_same_run(a: Path, b: Path) -> None:
    """The same last checkpoint, bit for bit, and the same metrics; clocks apart."""
    assert metrics(a) == metrics(b)
    assert (a / "last").readlink() == (b / "last").readlink()
    for name in ("model.safetensors", "trainer.safetensors", "config.json"):
        assert (a / "last" / name).read_bytes() == (b / "last" / name).read_bytes(), name
    plain = [_without_clocks(json.loads((run / "last" / "trainer.json").read_text())) for run in (a, b)]
    assert plain[0] == plain[1]


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict) and "dict" in value:
        return {k: _without_clocks(v) for k, v in value["dict"] if k not in ("seconds", "metrics_length")}
    return value
