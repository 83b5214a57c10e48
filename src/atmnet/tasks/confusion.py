"""Counts of true and predicted classes, exact over batches and processes.

Shapes: N samples, K classes, P different pairs that occur.
"""

import torch
import torch.distributed as dist
from torch import Tensor

#: Up to so many classes, a count for each pair takes at most 8 MB. With more, only pairs that occur are kept.
_DENSE_CLASSES = 1024
#: Samples that are collected before equal pairs among them are added up.
_PENDING = 2**20


class Confusion:
    """Counts pairs of a true and a predicted class; memory grows with the pairs that occur, not with K x K.

    Args:
        num_classes: Classes K.
        device: Device of the labels.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        self._dense: Tensor | None = None
        if num_classes <= _DENSE_CLASSES:
            self._dense = torch.zeros(num_classes**2, dtype=torch.int64, device=device)
        self._codes = self._counts = torch.zeros(0, dtype=torch.int64, device=device)
        self._pending: list[Tensor] = []

    def add(self, true: Tensor, predicted: Tensor) -> None:
        """Count samples: true and predicted classes, both (N,), int64, from 0 to K - 1."""
        codes = true * self.num_classes + predicted
        if self._dense is not None:
            self._dense += torch.bincount(codes, minlength=len(self._dense))
        else:
            self._pending.append(codes)
            if sum(map(len, self._pending)) >= _PENDING:
                self._add_up([self._counts, *map(torch.ones_like, self._pending)], [self._codes, *self._pending])
                self._pending = []

    def matrix(self) -> Tensor:
        """The confusion matrix (K, K) over all processes, sparse, with true classes as rows.

        Every process must call this, and only once.
        """
        if self._dense is not None:
            self._codes = self._dense.nonzero().flatten()
            self._counts = self._dense[self._codes]
        parts = [(self._codes.cpu(), self._counts.cpu())]
        parts += [(codes.cpu(), torch.ones_like(codes, device="cpu")) for codes in self._pending]
        if dist.is_initialized():
            of_processes: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(of_processes, parts)
            parts = [part for process in of_processes for part in process]
        self._add_up([counts for _, counts in parts], [codes for codes, _ in parts])
        k = self.num_classes
        return torch.sparse_coo_tensor(
            torch.stack([self._codes // k, self._codes % k]), self._counts, (k, k), check_invariants=True
        ).coalesce()

    def _add_up(self, counts: list[Tensor], codes: list[Tensor]) -> None:
        self._codes, places = torch.cat(codes).unique(return_inverse=True)
        self._counts = torch.zeros_like(self._codes).index_add_(0, places, torch.cat(counts))


def marginals(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts (K,) of each class: predicted correctly, true, and predicted, of a sparse confusion matrix (K, K)."""
    (true, predicted), counts = confusion.indices(), confusion.values()
    zeros = torch.zeros(len(confusion), dtype=counts.dtype)
    is_correct = true == predicted
    return (
        zeros.index_add(0, true[is_correct], counts[is_correct]),
        zeros.index_add(0, true, counts),
        zeros.index_add(0, predicted, counts),
    )
