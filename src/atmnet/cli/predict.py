"""``atmnet predict``"""

import json
import sys
from pathlib import Path

from PIL import Image

from atmnet.engine import Prediction, device_of, find_images, predict
from atmnet.report import contact_sheet
from atmnet.tasks import load_classifier
from atmnet_options import PredictOptions, UserError


def run(options: PredictOptions) -> int:
    """Print what each picture shows; 1 where a picture could not be read."""
    if options.top < 1 or options.batch_size < 1:
        raise UserError(f"top, batch_size: got {options.top}, {options.batch_size}, expected at least 1")
    paths = find_images(options.images)
    classifier = load_classifier(options.model, options.weights)
    device = device_of(options.device)
    failed, tiles = 0, []
    width = min(max(len(str(path)) for path in paths), 60)
    for prediction in predict(classifier, paths, top=options.top, batch_size=options.batch_size, device=device):
        failed += prediction.error is not None
        if prediction.error is not None:
            print(f"atmnet: {prediction.path}: {prediction.error}", file=sys.stderr)
        elif options.sheet:
            tiles.append(_tile(prediction))
        print(_json(prediction) if options.format == "jsonl" else _row(prediction, width), flush=True)
    if tiles:
        _save(contact_sheet(tiles), Path(options.sheet))
        print(f"contact sheet of {len(tiles)} pictures in {options.sheet}", file=sys.stderr)
    return 1 if failed else 0


def _row(prediction: Prediction, width: int) -> str:
    path = str(prediction.path)
    path = path if len(path) <= width else "…" + path[1 - width :]
    if prediction.error is not None:
        return f"{path:{width}}  unreadable"
    return f"{path:{width}}  " + "  ".join(f"{100 * p:5.1f} % {name}" for name, p in prediction.ranking)


def _json(prediction: Prediction) -> str:
    record: dict[str, object] = {"image": str(prediction.path)}
    if prediction.error is not None:
        record["error"] = prediction.error
    else:
        record["predictions"] = [{"class": name, "probability": p} for name, p in prediction.ranking]
    return json.dumps(record, ensure_ascii=False)


def _tile(prediction: Prediction) -> tuple[Image.Image, list[str]]:
    assert prediction.image is not None
    name, probability = prediction.ranking[0]
    thumbnail = prediction.image.copy()
    thumbnail.thumbnail((640, 640))  # so that thousands of photographs fit into memory
    return thumbnail, [name, f"{100 * probability:.1f} %", prediction.path.name]


def _save(sheet: Image.Image, path: Path) -> None:
    try:
        sheet.save(path)
    except ValueError as error:
        raise UserError(f"sheet: {path}: expected a picture's ending such as .png or .jpg") from error
