"""Keeps the images of an evaluation with the most errors, in bounded memory."""

import heapq

import torch.distributed as dist


class Worst:
    """The ``keep`` images with the most errors among those that were added; images without errors are not kept.

    Args:
        keep: Maximum number of images.
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self._heap: list[
            tuple[float, int]
        ] = []  # (errors, -index): of equal ones, the image with the lower index stays

    def add(self, index: int, errors: float) -> None:
        """Add image ``index`` of the data set; ``errors`` is any measure, 0 for an image without errors."""
        if errors > 0 and self.keep > 0:
            heapq.heappush(self._heap, (errors, -index))
            if len(self._heap) > self.keep:
                heapq.heappop(self._heap)

    def indices(self) -> list[int]:
        """Indices of the images over all processes, the worst first. Every process must call this."""
        entries = self._heap
        if dist.is_initialized():
            parts: list[list[tuple[float, int]]] = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(parts, self._heap)
            entries = [entry for part in parts for entry in part]
        return [-number for _, number in sorted(entries, reverse=True)[: self.keep]]
