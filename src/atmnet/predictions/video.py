"""Frames of videos and cameras, one after the other, by PyAV (the extra ``video``)."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from atmnet_cli.errors import UserError, first_line, install

#: Endings of files that are opened as videos.
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
#: FFmpeg's names of these files' formats. Others, such as playlists, can name further files and addresses.
_FORMATS = "avi,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo"
#: FFmpeg's name of the system's cameras, and what stands for the camera of a number.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
#: A name on the command line that stands for a camera.
_CAMERA = re.compile(r"camera:(.+)")


class Frame(NamedTuple):
    """A frame of a video, or the error that reading on gave.

    ``path`` is the video's with the frame's number, from 0: frame 17 of clip.mp4 is ``clip#000017.mp4``.
    """

    path: Path
    picture: Image.Image | str


def is_camera(name: str) -> bool:
    """Whether a name stands for a camera, such as 'camera:0'."""
    return _CAMERA.fullmatch(name) is not None


def is_video(name: str) -> bool:
    """Whether a name stands for a video or a camera."""
    return is_camera(name) or name.lower().endswith(VIDEOS)


def frame_path(video: Path, number: int) -> Path:
    """The name of a frame; see :class:`Frame`."""
    return video.with_name(f"{video.stem}#{number:06d}{video.suffix}")


def with_frames(images: Iterable[Any], every: int = 1, limit: int | None = None) -> Iterator[Any]:
    """The images, with the frames of videos and cameras in their place; only a frame at a time is in memory.

    Args:
        images: Files, names of cameras, and whatever else, which stays as it is.
        every: Only frames 0, ``every``, 2 * ``every``, ... are used.
        limit: Maximum number of frames to use of each video; by default all, and those of a camera without end.

    Raises:
        UserError: If PyAV is not installed and there is a video.
    """
    for image in images:
        if isinstance(image, str | Path) and is_video(str(image)):
            yield from _frames(Path(image), every, limit)
        else:
            yield image


def check_video_reader() -> None:
    """Raise a UserError if PyAV is not installed."""
    _pyav()


def _frames(path: Path, every: int, limit: int | None) -> Iterator[Frame]:
    av = _pyav()
    used = 0
    try:
        with _open(av, str(path)) as container:
            if not container.streams.video:
                yield Frame(path, "it contains no video")
                return
            for number, frame in enumerate(container.decode(video=0)):
                if number % every:
                    continue
                yield Frame(frame_path(path, number), _picture(frame))
                used += 1
                if used == limit:
                    return
    except (OSError, ValueError, av.error.FFmpegError) as error:
        yield Frame(path, f"the video cannot be read{' further' if used else ''}: {first_line(error)}")


def _open(av: Any, name: str) -> Any:
    camera = _CAMERA.fullmatch(name)
    if camera is None:
        return av.open(name, options={"protocol_whitelist": "file", "format_whitelist": _FORMATS})
    system = _CAMERAS.get(sys.platform)
    if system is None:
        raise OSError(f"cameras are not supported on {sys.platform}")
    return av.open(system[1].format(camera[1]), format=system[0])


def _picture(frame: Any) -> Image.Image:
    """The frame as it is to be seen: phones record how the camera was held."""
    picture: Image.Image = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 else picture


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError(f"images: videos and cameras need the package av: {install('video')}") from error
    return av
