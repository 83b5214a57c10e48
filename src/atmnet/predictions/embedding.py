"""Features of pictures, for search and clustering.

Shapes: N pictures, C channels, h x w tokens of the last stage.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atmnet.files import replacing
from atmnet.tasks import ClassificationTask, Classifier
from atmnet_cli.errors import UserError
from atmnet_cli.output_paths import check_output_file

#: Endings of the files that :func:`write_features` writes.
ENDINGS = (".npz", ".parquet")


class EmbeddingTask(ClassificationTask):
    """A classification task whose outputs are the features that the classifier's last layer takes.

    Args:
        network: The classifier; any timm model.
        tokens: Whether to return the features of each token before pooling, rather than the pooled ones.
    """

    def __init__(self, network: Classifier, tokens: bool = False) -> None:
        super().__init__(network)
        self._tokens = tokens

    def outputs(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """(B, C); for tokens (B, h, w, C) of an ATMNet, else as the model's ``forward_features`` returns them."""
        network: Any = model
        features = network.forward_features(images)
        return (features if self._tokens else network.forward_head(features, pre_logits=True)).float()


def stack_features(outputs: list[Tensor]) -> NDArray[np.float32]:
    """The features of N pictures as one array (N, ...).

    Raises:
        UserError: If there are none.
    """
    if not outputs:
        raise UserError("images: none of them could be read; no features to write")
    return torch.stack([output.cpu() for output in outputs]).numpy()


def check_features_file(path: Path, tokens: bool) -> None:
    """Refuse a file that :func:`write_features` cannot write, before any work is done.

    Raises:
        UserError: For another ending, if it cannot be written, for tokens in Parquet, and if pyarrow is missing.
    """
    check_output_file(path, "output", ENDINGS)
    if path.suffix == ".parquet":
        if tokens:
            raise UserError("tokens: Parquet has one row for each picture; write tokens to a .npz file")
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise UserError(f"output: {path}: Parquet needs pyarrow: pip install pyarrow") from error


def write_features(path: Path, names: list[str], features: NDArray[np.float32]) -> None:
    """Write features and the names of their pictures.

    Args:
        path: A .npz file with the arrays ``names`` (N,) and ``features`` (N, ...), or a .parquet file with a row
            ``name``, ``features`` for each picture.
        names: N names.
        features: (N, ...).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, names=np.array(names), features=features)
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            column = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
            pq.write_table(pa.table({"name": names, "features": column}), file)
