"""``atmnet predict``"""

import json
import sys
from pathlib import Path

from PIL import Image

from atmnet.engine import device_of
from atmnet.predictions import (
    Answer,
    Prediction,
    Results,
    contact_sheet,
    find_images,
    objects,
    predict,
    ranking,
    regions,
)
from atmnet.tasks import DenseNetwork, Task, kind_of, load_task
from atmnet_cli.errors import UserError, refuse_unused
from atmnet_cli.options import PredictOptions

#: Options that only some kinds of task take, and these.
_TAKEN_BY = {"top": ("classification",), "threshold": ("detection",)}


def run(options: PredictOptions) -> int:
    """Print what each picture shows; 1 where a picture could not be read."""
    if options.top < 1 or options.batch_size < 1:
        raise UserError(f"top, batch_size: got {options.top}, {options.batch_size}, expected at least 1")
    paths = find_images(options.images)
    task = load_task(options.model, options.weights, options.windows)
    kind = _kind(task)
    refuse_unused(options, _TAKEN_BY, kind, kind)
    device = device_of(options.device)
    results = _results(options, task)
    failed, tiles = 0, []
    width = min(max(len(str(path)) for path in paths), 60)
    for prediction in predict(task, paths, batch_size=options.batch_size, device=device):
        if prediction.image is None:
            failed += 1
            print(f"atmnet: {prediction.path}: {prediction.error}", file=sys.stderr)
            record, text = {"error": prediction.error}, "unreadable"
        else:
            answer = _answer(options, task, prediction)
            record, text = answer.record, answer.text
            if options.sheet:
                tiles.append(_tile(answer, prediction.path.name))
            if results is not None:
                results.add(prediction.path, prediction.output, answer)
        if options.format == "jsonl":
            print(json.dumps({"image": str(prediction.path), **record}, ensure_ascii=False), flush=True)
        else:
            path = str(prediction.path)
            path = path if len(path) <= width else "…" + path[1 - width :]
            print(f"{path:{width}}  {text}", flush=True)
    if results is not None:
        results.close()
        print(f"pictures and results in {options.output}", file=sys.stderr)
    if tiles:
        _save(contact_sheet(tiles), Path(options.sheet))
        print(f"contact sheet of {len(tiles)} pictures in {options.sheet}", file=sys.stderr)
    return 1 if failed else 0


def _kind(task: Task) -> str:
    network = task.network
    return kind_of(network.options.head) if isinstance(network, DenseNetwork) else "classification"


def _answer(options: PredictOptions, task: Task, prediction: Prediction) -> Answer:
    assert prediction.image is not None
    kind, classes = _kind(task), task.network.classes
    if kind == "classification":
        return ranking(prediction.image, prediction.output, classes, options.top)
    if kind == "detection":
        return objects(prediction.image, prediction.output, classes, options.threshold)
    return regions(prediction.image, prediction.output, classes)


def _results(options: PredictOptions, task: Task) -> Results | None:
    if not options.output:
        return None
    network = task.network
    if not isinstance(network, DenseNetwork):
        raise UserError("output: of detectors and segmenters; for a classifier, use --format jsonl or --sheet")
    return Results(Path(options.output), network.classes, network.category_ids)


def _tile(answer: Answer, name: str) -> tuple[Image.Image, list[str]]:
    thumbnail = answer.draw().copy()
    thumbnail.thumbnail((640, 640))  # so that thousands of photographs fit into memory
    return thumbnail, [*answer.captions, name]


def _save(sheet: Image.Image, path: Path) -> None:
    try:
        sheet.save(path)
    except ValueError as error:
        raise UserError(f"sheet: {path}: expected a picture's ending such as .png or .jpg") from error
