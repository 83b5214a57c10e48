"""Makes videos; needs PyAV."""

from pathlib import Path

import numpy as np


def write_video(path: Path, frames: int, size: int = 32) -> Path:
    """A video whose frame i has the grey level 2 * i, and one black column of blocks on the left."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            pixels = np.full((size, size, 3), 2 * number, np.uint8)
            pixels[:, :16] = 0
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path
