"""Classifiers as files.

Shapes: B images, C colour channels, H x W pixels, K classes.
"""

from PIL import Image

from atmnet.export.settings import ExportSettings
from atmnet.export.subject import Subject, unchanged
from atmnet.export.verify import Comparison, farthest, same_classes, same_sets
from atmnet.models.create import data_config
from atmnet.tasks import Network
from atmnet_cli.errors import UserError
from atmnet_runtime import Array, preprocess

_COMPARISONS = {
    "classification": Comparison(farthest, same_classes, "class on {share} of {count} pictures"),
    "multilabel": Comparison(farthest, same_sets, "set of labels on {share} of {count} pictures"),
}


def describe_classifier(network: Network, settings: ExportSettings) -> Subject:
    """What is exported of a classifier: images (B, C, H, W) -> ``logits`` (B, K)."""
    config = data_config(network.model, settings.img_size) if settings.img_size else network.config

    def prepare(image: Image.Image, fixed: bool) -> Array:
        return preprocess(image, {**config, "pixels": settings.pixels})

    def check(outputs: list[Array]) -> None:
        if len(outputs) != 1 or outputs[0].ndim != 2:
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise UserError(f"model: expected a classifier with one output (B, K), got {shapes}")
        if len(network.classes) != outputs[0].shape[1]:
            raise UserError(
                f"classes: got {len(network.classes)} names, the model has {outputs[0].shape[1]} outputs; "
                "give one name for each"
            )

    outputs = {"logits": {0: "batch"}}
    return Subject(config, unchanged, unchanged, outputs, _COMPARISONS[network.kind], (2, 96, 128), prepare, check)
