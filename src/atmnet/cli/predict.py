"""``atmnet predict``"""

import sys
from pathlib import Path

from PIL import Image

from atmnet.engine import device_of
from atmnet.files import replacing, to_json
from atmnet.predictions import Answer, Results, contact_sheet, find_images, predict
from atmnet.predictions.kinds import KINDS, LIMITED_OPTIONS
from atmnet.tasks import load_task
from atmnet_cli.errors import UserError, check_minimums, refuse_options
from atmnet_cli.options import PredictOptions

#: Longest side of a thumbnail on the contact sheet, in pixels, so that thousands of photographs fit into memory.
_THUMBNAIL = 640
#: Maximum length of a path in the table, in characters.
_PATH_WIDTH = 60


def run(options: PredictOptions) -> int:
    """Print the prediction for each picture. Returns 1 if a picture could not be read."""
    check_minimums(options, {"top": 1, "threshold": 0, "batch_size": 1})
    sheet_format = _picture_format(options.sheet)
    paths = find_images(options.images)
    task = load_task(options.model, options.weights, options.windows)
    network = task.network
    kind = KINDS[network.kind]
    refuse_options(options, [name for name in LIMITED_OPTIONS if name not in kind.options], network.kind)
    device = device_of(options.device)
    results = Results(Path(options.output), network.classes, network.category_ids) if options.output else None
    unreadable, tiles = 0, []
    width = min(max(len(str(path)) for path in paths), _PATH_WIDTH)
    for prediction in predict(task, paths, batch_size=options.batch_size, device=device):
        if prediction.image is None:
            unreadable += 1
            print(f"atmnet: {prediction.path}: {prediction.error}", file=sys.stderr)
            record, text = {"error": prediction.error}, "unreadable"
        else:
            answer = kind.answer(prediction.image, prediction.output, network.classes, options)
            record, text = answer.record, answer.text
            if options.sheet:
                tiles.append(_tile(answer, prediction.path.name))
            if results is not None:
                results.add(prediction.path, prediction.output, answer)
        if options.format == "jsonl":
            print(to_json({"image": str(prediction.path), **record}, ensure_ascii=False), flush=True)
        else:
            path = str(prediction.path)
            path = path if len(path) <= width else "…" + path[1 - width :]
            print(f"{path:{width}}  {text}", flush=True)
    if results is not None:
        results.close()
        print(f"pictures and results in {options.output}", file=sys.stderr)
    if tiles:
        with replacing(Path(options.sheet)) as beside:
            contact_sheet(tiles).save(beside, sheet_format)
        print(f"contact sheet of {len(tiles)} pictures in {options.sheet}", file=sys.stderr)
    return 1 if unreadable else 0


def _tile(answer: Answer, name: str) -> tuple[Image.Image, list[str]]:
    thumbnail = answer.draw().copy()
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return thumbnail, [*answer.captions, name]


def _picture_format(path: str) -> str | None:
    """Pillow's name of the format that a path's ending stands for; None without a path."""
    if not path:
        return None
    suffix = Path(path).suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise UserError(f"sheet: {path}: expected the name of a picture file, ending in .png or .jpg")
    return Image.registered_extensions()[suffix]
