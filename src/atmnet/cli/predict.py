"""``atmnet predict``"""

from contextlib import nullcontext, suppress
from pathlib import Path

from PIL import Image

from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet.data import dark_note
from atmnet.files import replacing, to_json
from atmnet.predictions import Answer, Predictor, Results, contact_sheet, find_images
from atmnet.predictions.csv_table import CsvTable
from atmnet.predictions.kinds import KINDS, LIMITED_OPTIONS, min_score
from atmnet.predictions.video import check_video_reader, frame_path, is_camera, is_video, with_frames
from atmnet.tasks import load_task
from atmnet_cli.errors import UserError, check_minimums, refuse_options
from atmnet_cli.options import PredictOptions
from atmnet_cli.output_paths import check_output_file, check_output_folder
from atmnet_cli.printing import print_line, printable

#: Maximum length of a path in the table, in characters.
_PATH_WIDTH = 60


def run(options: PredictOptions) -> int:
    """Print the prediction for each picture. Returns 1 if a picture could not be read."""
    check_minimums(options, {"top": 1, "threshold": 0, "batch_size": 1, "every": 1, "frames": 1})
    if options.output:
        check_output_folder(Path(options.output), "output")
    sheet_format = _picture_format(options.sheet)
    notes: list[str] = []
    paths = find_images(options.images, notes)
    for note in notes:
        print_line(f"atmnet: {note}", error=True)
    if any(is_video(str(path)) for path in paths):
        check_video_reader()
    elif (options.every, options.frames) != (1, None):
        raise UserError(
            "every, frames: only videos and cameras take these, and none of the images is one; leave them out"
        )
    task = load_task(options.model, options.weights, options.windows, flip=options.flip)
    note_checkpoint(options.model)
    network = task.network
    kind = KINDS[network.kind]
    refuse_options(options, [name for name in LIMITED_OPTIONS if name not in kind.options], network.kind)
    is_live = any(is_camera(str(path)) for path in paths)
    predictor = Predictor(task, options.device, 1 if is_live else options.batch_size)
    results = None
    if options.output:
        results = Results(Path(options.output), network.classes, network.category_ids, min_score(options))
    unreadable, tiles, dark = 0, [], False
    table = CsvTable()
    shown = (frame_path(path, 0) if is_video(str(path)) else path for path in paths)
    width = min(max(len(printable(str(path))) for path in shown), _PATH_WIDTH)
    with suppress(KeyboardInterrupt) if is_live else nullcontext():  # a camera ends by Ctrl-C
        for prediction in predictor.stream(with_frames(paths, options.every, options.frames)):
            if prediction.image is None:
                unreadable += 1
                print_line(f"atmnet: {prediction.path}: {prediction.error}", error=True)
                record, text = {"error": prediction.error}, "unreadable"
            else:
                answer = predictor.answer(prediction, options)
                record, text = answer.record, answer.text
                if not dark and (darkness := dark_note(str(prediction.path), prediction.image)):
                    dark = True
                    print_line(f"atmnet: {darkness}", error=True)
                if options.sheet:
                    tiles.append(_tile(answer, prediction.path.name, kind.tile))
                if results is not None and kind.is_drawn:
                    results.add(prediction.path, prediction.output, answer)
            lines = list(table.lines(str(prediction.path), record))
            if results is not None:
                results.lines += lines
            if options.format == "jsonl":
                print_line(to_json({"image": str(prediction.path), **record}, ensure_ascii=False))
            elif options.format == "csv":
                for line in lines:
                    print_line(line)
            else:
                path = printable(str(prediction.path))
                path = path if len(path) <= width else "…" + path[1 - width :]
                print_line(f"{path:{width}}  {text}")
    rest = list(table.rest())
    if options.format == "csv":
        for line in rest:
            print_line(line)
    if results is not None:
        results.lines += rest
        results.close()
        print_line(f"results in {options.output}", error=True)
    if tiles:
        Path(options.sheet).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(options.sheet)) as beside:
            contact_sheet(tiles, tile=kind.tile).save(beside, sheet_format)
        print_line(f"contact sheet of {len(tiles)} pictures in {options.sheet}", error=True)
    return 1 if unreadable else 0


def _tile(answer: Answer, name: str, side: int) -> tuple[Image.Image, list[str]]:
    """A picture for the contact sheet, drawn in its size there, and its caption."""
    return answer.draw(side), [*answer.captions, name]


def _picture_format(path: str) -> str | None:
    """Pillow's name of the format that a path's ending stands for; None without a path."""
    if not path:
        return None
    suffix = Path(path).suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise UserError(f"sheet: {path}: expected the name of a picture file, ending in .png or .jpg")
    check_output_file(Path(path), "sheet", [suffix])
    return Image.registered_extensions()[suffix]
