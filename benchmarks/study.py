"""The study of docs/evidence.md: families of backbones and ablations, compared alike: ``python -m benchmarks.study``.

Each part is one ``atmnet compare``, whose numbers go to benchmarks/results/study/PART.json. Parts that have this file
are passed over, so that the same command continues a study that was interrupted. Generated pictures are written to
files once, because drawing them takes longer than training on them.
"""

import argparse
import contextlib
import io
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atmnet.benchmark import versions
from atmnet.comparison.plan import ComparedModel
from atmnet.conversion import convert
from atmnet.engine import device_of
from atmnet.files import to_json, write_json
from atmnet.records import Record
from atmnet_cli import command
from atmnet_cli.options import ConvertOptions, DataOptions
from atmnet_cli.own_modules import VARIABLE
from benchmarks.ablations import ABLATIONS
from benchmarks.families import FAMILIES, SIZED
from benchmarks.script import RESULTS

MODULES = ("benchmarks.families", "benchmarks.ablations")


@dataclass(frozen=True)
class Pictures:
    """Generated pictures: the name of their folder, their data source, and its arguments."""

    name: str
    source: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One comparison of the study.

    Attributes:
        models: As in a recipe of ``atmnet compare``.
        options: Other options of the recipe.
        data: Generated pictures; None if the options name the data.
        seeds: Runs of each model.
        lrs: Learning rates that are tried for each model.
        sizes: Sides at which the trained models are evaluated as well.
    """

    models: list[Any]
    options: dict[str, Any]
    data: Pictures | None = None
    seeds: int = 3
    lrs: Sequence[float] = (2e-3, 6e-3)
    sizes: Sequence[int] = ()


def families(img_size: int, names: Sequence[str] = tuple(FAMILIES)) -> list[Any]:
    """atmnet_nano and families of benchmarks.families, for images of this side."""
    others = [
        {"name": f"family_{name}", "label": name, "kwargs": {"img_size": img_size} if name in SIZED else {}}
        for name in names
    ]
    return [_nano(), *others]


def ablations(names: Sequence[str]) -> list[Any]:
    """atmnet_nano, unless the names are of deeper models, and these variations of it."""
    changed = [_nano(f"ablation_{name}", name.replace("_", " ")) for name in names]
    return changed if names[0].startswith("interval") else [_nano(), *changed]


def _nano(name: str = "atmnet_nano", label: str = "atmnet") -> dict[str, Any]:
    # Else evaluation crops the border away, and with it a part of the question.
    return {"name": name, "label": label, "kwargs": {"pretrained_cfg_overlay": {"crop_pct": 1.0}}}


def _reach(img_size: int, epochs: int, hflip: float, vflip: float) -> dict[str, Any]:
    """A recipe for pictures that must be seen as a whole."""
    return {
        "data": {"img_size": img_size, "workers": 0},
        "augment": {"scale": [1, 1], "ratio": [1, 1], "hflip": hflip, "vflip": vflip, "color_jitter": 0.0},
        "optim": {"opt": "muon", "warmup_epochs": 1},
        "epochs": epochs,
        "batch_size": 64,
    }


_DIGITS = {
    "data": {"source": "digits", "workers": 0, "img_size": 32},
    "augment": {
        "scale": [0.65, 1.0],
        "ratio": [0.8, 1.25],
        "hflip": 0.0,
        "color_jitter": 0.0,
        "interpolation": "bicubic",
    },
    "optim": {"opt": "muon", "warmup_epochs": 1},
    "epochs": 8,
    "batch_size": 64,
}
_PATH_32 = Pictures(
    "pathfinder_32", "pathfinder", {"img_size": 32, "dashes": 3, "distractors": 0, "images": [20000, 2000]}
)
_PATH_64 = Pictures(
    "pathfinder_64", "pathfinder", {"img_size": 64, "dashes": 6, "distractors": 0, "images": [40000, 2000]}
)
#: A part of many long runs is divided, so that its halves fit into a night.
_FIRST = ("resnet", "convnext", "swin", "mambaout")
_OTHERS = tuple(name for name in FAMILIES if name not in _FIRST)
#: With a stem of two 3x3 convolutions, as MambaOut has it, in place of 7x7 pixels of stride 4 or patches of 4x4.
_STEMS = [
    _nano(),
    _nano("ablation_fine_stem", "atmnet, fine stem"),
    {"name": "family_convnext", "label": "convnext"},
    {"name": "family_convnext", "label": "convnext, fine stem", "kwargs": {"stem_type": "overlap_tiered"}},
]
_HARDER_32 = Pictures(
    "pathfinder_32_harder", "pathfinder", {"img_size": 32, "dashes": 4, "distractors": 1, "images": [20000, 2000]}
)
_FINE = [_STEMS[1], _STEMS[3], *families(32, ("resnet", "mambaout"))[1:]]
_SIMPLE = [name for name in ABLATIONS if not name.startswith(("share", "interval", "fine"))]
_SHARES = [name for name in ABLATIONS if name.startswith("share")]
_INTERVALS = [name for name in ABLATIONS if name.startswith("interval")]


def _pairs(distance: float) -> Pictures:
    arguments = {"img_size": 64, "distance": distance, "digit_classes": 2, "distractors": 0, "images": [40000, 2000]}
    return Pictures(f"pairs_{round(100 * distance)}", "pairs", arguments)


PARTS: dict[str, Part] = {
    "digits": Part(families(32), _DIGITS, sizes=(48, 64)),
    "pathfinder_32": Part(families(32, _FIRST), _reach(32, 4, 0.5, 0.5), _PATH_32),
    "stems_pathfinder_32": Part(_STEMS, _reach(32, 4, 0.5, 0.5), _PATH_32, lrs=(6e-3,)),
    "fine_pathfinder_32": Part(_FINE, _reach(32, 4, 0.5, 0.5), _HARDER_32, lrs=(6e-3,)),
    "pathfinder_32_more": Part(families(32, _OTHERS), _reach(32, 4, 0.5, 0.5), _PATH_32),
    "ablation_pathfinder_32": Part(ablations(_SIMPLE), _reach(32, 4, 0.5, 0.5), _PATH_32, lrs=(4e-3,)),
    "ablation_digits": Part(ablations([*_SIMPLE, *_SHARES]), _DIGITS, lrs=(4e-3,)),
    "shares_pathfinder_32": Part(ablations(_SHARES), _reach(32, 4, 0.5, 0.5), _PATH_32, lrs=(4e-3,)),
    "intervals_pathfinder_32": Part(ablations(_INTERVALS), _reach(32, 4, 0.5, 0.5), _PATH_32, lrs=(4e-3,)),
    "pathfinder_64": Part(families(64), _reach(64, 8, 0.5, 0.5), _PATH_64, sizes=(96, 128)),
    **{
        f"pairs_{round(100 * distance)}": Part(
            families(64),
            _reach(64, 8, 0.0, 0.0),
            _pairs(distance),
        )
        for distance in (0.3, 0.5, 0.7)
    },
}


def run(name: str, folder: Path, output: Path, jobs: int) -> None:
    """Do or resume one part, and write its record."""
    part, started = PARTS[name], time.time()
    options: dict[str, Any] = {**part.options, "models": part.models, "seeds": part.seeds, "lrs": list(part.lrs)}
    options |= {"threads": 1, "jobs": jobs}
    if part.data is not None:
        root = folder / "data" / part.data.name
        if not root.exists():
            data = DataOptions(part.data.source, kwargs=part.data.arguments)
            convert(ConvertOptions(to="folder", output=str(root), data=data))
        options["data"] = {**options["data"], "source": "folder", "root": str(root)}
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / f"{name}.yaml"
    recipe.write_text(to_json(options), encoding="utf-8")
    if command.main(["compare", "--config", str(recipe), "--output", str(folder / name)]) != 0:
        raise RuntimeError(f"{name}: some runs failed; see {folder / name}")
    results = Record.read(folder / name / "compare.json").value
    for model in results["models"]:
        runs = folder / name / "runs" / ComparedModel(model["label"], model["name"]).folder
        model["scores_at"] = {
            str(size): [score_at(runs / f"seed-{each['seed']}", size) for each in model["scores"]]
            for size in part.sizes
        }
    hours = (time.time() - started) / 3600
    write_json(output / f"{name}.json", {"machine": versions(device_of("cpu")), "hours": hours, **results})


def score_at(run: Path, size: int) -> float | None:
    """The top-1 accuracy of a run's last checkpoint on pictures of another side; None if its model takes only one."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = command.main(["evaluate", str(run / "last"), f"--data.img_size={size}", "--threads=1"])
    return None if status else float(json.loads(output.getvalue().splitlines()[-1])["top1"])


def main() -> None:
    """Do the parts that have no record yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="parts to do; default: all, in this order")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time; default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/study"), help="folder of the runs; default: %(default)s"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "study", help="where to write the records")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"parts: got {', '.join(sorted(unknown))}, expected some of {', '.join(PARTS)}")
    os.environ[VARIABLE] = ",".join(MODULES)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.parts:
        if not (options.output / f"{name}.json").is_file():
            run(name, options.folder, options.output, options.jobs)


if __name__ == "__main__":
    main()
