"""Scores after two epochs on 20, 100 and 1,000 images, from random weights: ``python -m benchmarks.small_data``.

Every run is ``atmnet train --config RECIPE --epochs 2`` with a small model, small images and one thread. Its raw
weights and their moving average are evaluated on the same held-out images. Chance is the score of the best answer that
does not look at the image. If the script is killed, calling it again resumes the runs.
"""

import argparse
import importlib.util
import json
import multiprocessing
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atmnet.benchmark import versions
from atmnet.data.digits import DigitsReader
from atmnet.engine import device_of, load_checkpoint
from atmnet.engine.distributed import process_group
from atmnet.engine.evaluation import evaluate_model, evaluation_loader
from atmnet.files import write_json
from atmnet.tasks import load_task
from atmnet_cli import command
from atmnet_cli.options import DataOptions
from benchmarks.markdown import grid
from benchmarks.script import RESULTS

SIZES = (20, 100, 1000)
#: Photographs of scikit-image, one for each class; training crops come from their left halves, others from the right.
PHOTOGRAPHS = ("brick", "chelsea", "coffee", "grass", "gravel")
HELD_OUT = 400
_SCENES = {"img_size": 64, "objects": [1, 2], "digit_sizes": [32, 50], "contrast": [90, 170]}
_HEAD = {
    "anchor_sizes": [12, 18, 26, 36, 48], "representation_size": 128, "box_batch_size_per_image": 64,
    "rpn_pre_nms_top_n_train": 300, "rpn_post_nms_top_n_train": 150, "rpn_pre_nms_top_n_test": 300,
    "rpn_post_nms_top_n_test": 100,
}  # fmt: skip
#: Data -> recipe, options, name of the score, and the score of chance in percent. The mosaics' chance is one class
#: everywhere, which has an IoU of a fifth, and the others zero; a detector's is no box at all.
RUNS: dict[str, tuple[str, list[str], str, float]] = {
    "digits": ("finetune", ["--data.img_size=32"], "top-1", 10.0),
    "crops": ("finetune", ["--data.img_size=32"], "top-1", 100 / len(PHOTOGRAPHS)),
    "mosaics": (
        "own_segmentation",
        ["--dense.crop_size=64", "--model.channels=64", "--data.ignore_zero=false"],
        "mIoU",
        100 / len(PHOTOGRAPHS) ** 2,
    ),
    "scenes": (
        "own_detection",
        [
            "--dense.img_sizes=[64]",
            "--model.channels=64",
            "--data.source=scenes",
            f"--model.head_kwargs={json.dumps(_HEAD)}",
        ],
        "box AP",
        0.0,
    ),
}


def write_digits(root: Path, images: int, held_out: int) -> None:
    """Folders of scikit-learn's handwritten digits, as many of each class."""
    for split, count in (("train", images), ("val", held_out)):
        reader, numbers = DigitsReader(split), dict.fromkeys(range(10), 0)
        for index in range(len(reader)):
            picture, label = reader[index]
            if numbers[label] < count // 10:
                _save(picture, root / split / str(label) / f"{numbers[label]:03d}.png")
                numbers[label] += 1


def write_crops(root: Path, images: int, held_out: int) -> None:
    """Folders of crops of 64x64 pixels from photographs, one class for each."""
    for split, count in (("train", images), ("val", held_out)):
        for name, crops in zip(PHOTOGRAPHS, _crops(split, 64), strict=True):
            for number in range(count // len(PHOTOGRAPHS)):
                _save(next(crops), root / split / name / f"{number:03d}.png")


def write_mosaics(root: Path, images: int, held_out: int) -> None:
    """Pictures of 64x64 pixels that four crops make up, with label maps, in ADE20K's layout."""
    for split, count in (("train", images), ("val", held_out)):
        crops, random = list(_crops(split, 32)), np.random.default_rng(1)
        for number in range(count):
            picture, labels = Image.new("RGB", (64, 64)), Image.new("L", (64, 64))
            for corner in ((0, 0), (0, 32), (32, 0), (32, 32)):
                label = int(random.integers(len(PHOTOGRAPHS)))
                picture.paste(next(crops[label]), corner)
                labels.paste(label, (*corner, corner[0] + 32, corner[1] + 32))
            _save(picture, root / "images" / split / f"{number:04d}.png")
            _save(labels, root / "annotations" / split / f"{number:04d}.png")
    (root / "classes.txt").write_text("\n".join(PHOTOGRAPHS), encoding="utf-8")


def _crops(split: str, side: int) -> list[Iterator[Image.Image]]:
    """For each photograph, random crops of its left half ('train') or right half."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"

    def crops(name: str) -> Iterator[Image.Image]:
        with Image.open(folder / f"{name}.png") as image:
            photograph = image.convert("RGB")
        width, height = photograph.size
        left, right = (0, width // 2) if split == "train" else (width // 2, width)
        random = np.random.default_rng(0)
        while True:
            x, y = int(random.integers(left, right - side + 1)), int(random.integers(height - side + 1))
            yield photograph.crop((x, y, x + side, y + side))

    return [crops(name) for name in PHOTOGRAPHS]


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


_WRITERS = {"digits": write_digits, "crops": write_crops, "mosaics": write_mosaics}


def train(run: dict[str, Any], folder: Path, held_out: int = HELD_OUT) -> dict[str, Any]:
    """Do or resume a run, and return the scores of its raw and averaged weights, in percent."""
    data, images, seed = run["data"], run["images"], run["seed"]
    recipe, options, _, chance = RUNS[data]
    root, output = folder / "data" / f"{data}-{images}", folder / f"{data}-{images}-{seed}"
    if data == "scenes":
        source = DataOptions(source="scenes", kwargs={**_SCENES, "images": [images, held_out // 4]})
        options = [*options, f"--data.kwargs={json.dumps(source.kwargs)}"]
    else:
        if not root.exists():
            _WRITERS[data](root, images, held_out)
        mosaics = data == "mosaics"
        source = DataOptions(source="ade20k" if mosaics else "folder", root=str(root), ignore_zero=not mosaics)
        options = [*options, f"--data.root={root}"]
    arguments = [
        "train", "--config", recipe, "--model.name=atmnet_nano", "--epochs=2", "--evaluate_every=2", "--data.workers=0",
        "--eval_batch_size=50", "--device=cpu", "--threads=1", f"--seed={seed}", "--output", str(output), *options,
    ]  # fmt: skip
    if command.main(arguments) != 0:
        raise RuntimeError(f"atmnet {' '.join(arguments)} failed")
    average, trainer = load_checkpoint(output / "last")
    raw, averaged = (_score(output, source, weights) for weights in (trainer["model"], average))
    return {**run, "recipe": recipe, "steps": trainer["step"], "chance": chance, "raw": raw, "ema": averaged}


def _score(output: Path, source: DataOptions, weights: dict[str, Any]) -> float:
    task = load_task(str(output))
    task.network.model.load_state_dict(weights)
    with process_group("cpu") as group:
        split = task.open(source, "val")
        loader = evaluation_loader(task, split, 50, 0, group)
        result = evaluate_model(task, task.network.model, loader, group, precision="fp32", channels_last=False)
    return result.score


def table(record: dict[str, Any]) -> str:
    """A row for each data set and number of images; means and ranges over seeds."""
    rows = []
    keys = dict.fromkeys((result["data"], result["images"]) for result in record["results"])
    for data, images in keys:
        results = [result for result in record["results"] if (result["data"], result["images"]) == (data, images)]
        scores = [_spread([result[key] for result in results]) for key in ("raw", "ema")]
        first = results[0]
        rows.append(
            [
                f"`{first['recipe']}`, {data}",
                f"{images:,}",
                str(first["steps"]),
                RUNS[data][2],
                f"{first['chance']:.1f}",
                *scores,
            ]
        )
    machine = record["machine"]
    seeds = len({result["seed"] for result in record["results"]})
    note = (
        f"*`atmnet_nano` from random weights, two epochs; percent on held-out images, mean and range over {seeds} "
        f"seeds; torch {machine['torch']}, timm {machine['timm']}.*"
    )
    head = ["recipe, data", "images", "steps", "score", "chance", "raw weights", "moving average"]
    return "\n\n".join([grid(head, rows), note])


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Do all runs, and write the record after each."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_data", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel runs; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each kind; default: %(default)s")
    parser.add_argument("--data", nargs="*", default=list(RUNS), help="data to train on; default: all")
    parser.add_argument("--images", nargs="*", type=int, default=SIZES, help="numbers of images; default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/small_data"), help="folder of the runs; default: %(default)s"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "small_data.json", help="where to write the record")
    arguments = parser.parse_args()
    runs = [
        {"data": data, "images": images, "seed": seed}
        for data in arguments.data
        for images in arguments.images
        for seed in range(arguments.seeds)
    ]
    results: dict[int, dict[str, Any]] = {}
    with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(train, run, arguments.folder): i for i, run in enumerate(runs)}
        for future in as_completed(waiting):
            results[waiting[future]] = future.result()
            record = {"machine": versions(device_of("cpu")), "results": [results[i] for i in sorted(results)]}
            write_json(arguments.output, record)
    print(table(record))


if __name__ == "__main__":
    main()
