"""A trained network that takes pictures and gives answers.

Shapes: N pictures, C channels, h x w tokens of the last stage.
"""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atmnet.data import Sample, UnreadableImage, image_mode, to_device
from atmnet.data.own import to_picture
from atmnet.engine import device_of
from atmnet.models.looks import Look, record_looks
from atmnet.predictions.answers import Answer
from atmnet.predictions.embedding import EmbeddingTask, stack_features
from atmnet.predictions.kinds import KINDS, LIMITED_OPTIONS
from atmnet.predictions.prediction import Prediction, find_images, predict
from atmnet.predictions.video import is_video, with_frames
from atmnet.tasks import Classifier, Network, Task
from atmnet_cli.errors import UserError, refuse_options
from atmnet_cli.options import PredictOptions


class Predictor:
    """A trained network that takes pictures and gives answers.

    A picture is a path, a picture of Pillow, an array (H, W, 3) of uint8, or a tensor (C, H, W) of uint8 or of floats
    from 0 to 1.

    Args:
        task: The network with its preprocessing.
        device: As for ``atmnet predict``.
        batch_size: Images per forward pass.

    Attributes:
        task: The network with its preprocessing.
        classes: Names of the classes.
        kind: 'classification', 'multilabel', 'detection' or 'segmentation'.

    Examples:
        >>> predictor = atmnet.load("runs/mine")  # doctest: +SKIP
        >>> predictor("a.jpg").text  # doctest: +SKIP
        ' 97.1 % cat    2.2 % dog'
        >>> predictor("a.jpg").record["predictions"][0]  # doctest: +SKIP
        {'class': 'cat', 'probability': 0.971}
    """

    def __init__(self, task: Task, device: str = "auto", batch_size: int = 32) -> None:
        self.task, self.batch_size = task, batch_size
        self.classes, self.kind = task.network.classes, task.network.kind
        self._device = device_of(device)

    def with_task(self, task: Task) -> "Predictor":
        """A predictor of another task on the same device."""
        other = copy.copy(self)
        other.task = task
        return other

    def __call__(self, images: Any, *, top: int | None = None, threshold: float | None = None) -> Any:
        """The answer for a picture, or a list of answers for a folder, a video, a list or a batch of pictures.

        Args:
            images: A picture, a folder, a video, a list, an array (N, H, W, 3) or a tensor (N, C, H, W).
            top: Classification: number of classes in an answer. Default: 3.
            threshold: Detection: minimum score of an object; multilabel: minimum probability of a label. Default: 0.5.

        Raises:
            UserError: If a picture cannot be read, or an option is for another kind of network. :meth:`stream` goes on
                after an unreadable picture.
        """
        is_one = not _are_many(images)
        options = self._options(top, threshold)
        answers = []
        for prediction in self.stream([images] if is_one else images):
            if prediction.image is None:
                raise UserError(f"images: {prediction.path}: {prediction.error}")
            answers.append(self.answer(prediction, options))
        return answers[0] if is_one else answers

    def stream(self, images: Any) -> Iterator[Prediction]:
        """A prediction for each picture of a folder, video, camera or iterable, in order, in bounded memory.

        That of an unreadable picture has an error, and neither image nor output.
        """
        return predict(self.task, _pictures(images), batch_size=self.batch_size, device=self._device)

    def answer(self, prediction: Prediction, options: PredictOptions) -> Answer:
        """The answer of a prediction that has an image, with the options ``top`` and ``threshold``."""
        assert prediction.image is not None
        return KINDS[self.kind].answer(prediction.image, prediction.output, self.classes, options)

    def stream_features(self, images: Any, *, tokens: bool = False) -> Iterator[Prediction]:
        """As :meth:`stream`, with features as outputs: (C,), or (h, w, C) for tokens; see :meth:`embed`."""
        network = self._checkpoint("embed")
        if not isinstance(network, Classifier):
            raise UserError(f"embed: only classifiers give these, and this network is for {network.kind}")
        task = EmbeddingTask(network, tokens)
        return predict(task, _pictures(images), batch_size=self.batch_size, device=self._device)

    def embed(self, images: Any, *, tokens: bool = False) -> NDArray[np.float32]:
        """The features that the classifier's last layer takes: (N, C), or those of each token, (N, h, w, C).

        Args:
            images: As for a call; one picture counts as a list of one.
            tokens: Whether to return the features of each token before pooling.

        Raises:
            UserError: If a picture cannot be read, or the network is not a classifier's checkpoint.
        """
        outputs = []
        for prediction in self.stream_features(images if _are_many(images) else [images], tokens=tokens):
            if prediction.error is not None:
                raise UserError(f"images: {prediction.path}: {prediction.error}")
            outputs.append(prediction.output)
        return stack_features(outputs)

    @torch.inference_mode()
    def looks(self, image: Any) -> list[Look]:
        """Where the network samples what it mixes into each token of a picture; see :class:`~atmnet.models.Look`.

        Raises:
            UserError: If the picture cannot be read, or the network is not an ATMNet's checkpoint.
        """
        network = self._checkpoint("looks")
        try:
            picture = to_picture(image, image_mode(network.config), network.range)
        except UnreadableImage as error:
            raise UserError(f"images: {error}") from error
        sample = Sample(*self.task.eval_transform()(picture, self.task.empty_target(picture)), [])
        model = network.model.to(self._device).eval()
        batch = self.task.eval_collate([sample])
        images, targets = to_device(batch.images, self._device), to_device(batch.targets, self._device)
        looks = record_looks(model, lambda: self.task.outputs(model, images, targets))
        if not looks:
            raise UserError(f"looks: {network.name} samples no tokens; only ATMNet backbones do")
        return looks

    def _options(self, top: int | None, threshold: float | None) -> PredictOptions:
        options = PredictOptions(model="", images=[], top=top, threshold=threshold)
        taken = KINDS[self.kind].options
        refuse_options(options, [name for name in LIMITED_OPTIONS if name not in taken], self.kind)
        return options

    def _checkpoint(self, what: str) -> Network:
        """The network, if it is a checkpoint."""
        network = self.task.network
        if network.exported:
            raise UserError(f"{what}: an exported file does not give these; load the checkpoint")
        return network


def _pictures(images: Any) -> Iterable[Any]:
    return with_frames(find_images([str(images)]) if isinstance(images, str | Path) else images)


def _are_many(images: Any) -> bool:
    """Whether this is a list, a batch, a folder or a video rather than one picture."""
    if isinstance(images, str | Path):
        return Path(images).is_dir() or is_video(str(images))
    return isinstance(images, list | tuple) or (isinstance(images, Tensor | np.ndarray) and images.ndim == 4)
