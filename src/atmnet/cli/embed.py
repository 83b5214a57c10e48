"""``atmnet embed``"""

from pathlib import Path
from typing import cast

from atmnet.engine import device_of
from atmnet.predictions import find_images, predict
from atmnet.predictions.embedding import EmbeddingTask, check_features_file, stack_features, write_features
from atmnet.tasks import Classifier
from atmnet.tasks.start import load_network
from atmnet_cli.errors import UserError, check_minimums
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
    network = load_network(options.model, options.weights)
    if network.kind != "classification" or network.exported:
        what = "an exported file" if network.exported else f"for {network.kind}"
        raise UserError(f"model: {options.model} is {what}; features are those of a classifier's checkpoint")
    task = EmbeddingTask(cast(Classifier, network), options.tokens)
    names, outputs, unreadable = [], [], 0
    for prediction in predict(task, paths, batch_size=options.batch_size, device=device_of(options.device)):
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
