"""Detected objects as labels in YOLO's format; see also :mod:`atmnet.data.yolo`."""

from torch import Tensor


def yolo_labels(output: dict[str, Tensor], size: tuple[int, int], min_score: float) -> str:
    """The objects of an image as lines ``CLASS x y w h SCORE``, for a text file of its own.

    x, y are the centre of the box and w, h its size, as shares of the image's width and height. YOLO's annotations are
    the first five columns.

    Args:
        output: boxes (N, 4) as x0 y0 x1 y1, labels (N,) from 0 and scores (N,); see ``DetectionTask.outputs``.
        size: Width and height of the image in pixels.
        min_score: Minimum score of an object.

    Examples:
        >>> from torch import tensor
        >>> output = {"boxes": tensor([[10.0, 0, 30, 50]]), "labels": tensor([2]), "scores": tensor([0.75])}
        >>> yolo_labels(output, (100, 50), 0.5)
        '2 0.2 0.5 0.2 1 0.75\\n'
    """
    width, height = size
    boxes, labels, scores = (output[name].cpu().double().tolist() for name in ("boxes", "labels", "scores"))
    lines = []
    for (x0, y0, x1, y1), label, score in zip(boxes, labels, scores, strict=True):
        if score >= min_score:
            box = ((x0 + x1) / (2 * width), (y0 + y1) / (2 * height), (x1 - x0) / width, (y1 - y0) / height)
            lines.append(" ".join([f"{label:.0f}", *(f"{value:.8g}" for value in (*box, score))]) + "\n")
    return "".join(lines)
