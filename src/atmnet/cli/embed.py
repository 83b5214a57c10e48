"""``atmnet embed``"""

from pathlib import Path

from atmnet.cli.checkpoint_note import note_checkpoint
from atmnet.predictions import Predictor, find_images
from atmnet.predictions.embedding import check_features_file, stack_features, write_features
from atmnet.tasks import load_task
from atmnet_cli.errors import check_minimums
from atmnet_cli.options import EmbedOptions
from atmnet_cli.printing import print_line


def run(options: EmbedOptions) -> int:
    """Write the features of all pictures. Returns 1 if a picture could not be read."""
    check_minimums(options, {"batch_size": 1})
    output = Path(options.output)
    check_features_file(output, options.tokens)
    notes: list[str] = []
    paths = find_images(options.images, notes)
    for note in notes:
        print_line(f"atmnet: {note}", error=True)
    predictor = Predictor(load_task(options.model, options.weights), options.device, options.batch_size)
    note_checkpoint(options.model)
    names, outputs, unreadable = [], [], 0
    for prediction in predictor.stream_features(paths, tokens=options.tokens):
        if prediction.error is None:
            names.append(str(prediction.path))
            outputs.append(prediction.output)
        else:
            unreadable += 1
            print_line(f"atmnet: {prediction.path}: {prediction.error}", error=True)
    features = stack_features(outputs)
    write_features(output, names, features)
    print_line(f"features {features.shape} of {len(names)} pictures in {output}")
    return 1 if unreadable else 0
