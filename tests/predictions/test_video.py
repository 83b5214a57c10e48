"""Frames of videos, as `atmnet predict` and a predictor take them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atmnet.predictions import find_images
from atmnet.predictions.video import Frame, _picture, frame_path, is_video, with_frames
from atmnet_cli.errors import UserError
from tests.predictions.videos import write_video

av = pytest.importorskip("av")


def _level(frame: Frame) -> float:
    assert isinstance(frame.picture, Image.Image)
    return float(np.asarray(frame.picture.convert("L"))[:, 20:].mean())


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
def test_every_frame_in_order(tmp_path, ending):
    video = write_video(tmp_path / f"clip{ending}", 100)
    frames = list(with_frames([video]))
    assert [frame.path for frame in frames] == [tmp_path / f"clip#{i:06d}{ending}" for i in range(100)]
    assert [_level(frame) for frame in frames] == pytest.approx([2 * i for i in range(100)], abs=4)


def test_some_frames_among_other_images(tmp_path):
    video = write_video(tmp_path / "clip.mp4", 20)
    picture = Image.new("RGB", (4, 4))
    first, *frames, last = with_frames(["a.jpg", video, picture], every=5, limit=3)
    assert (first, last) == ("a.jpg", picture)
    assert [frame.path.name for frame in frames] == ["clip#000000.mp4", "clip#000005.mp4", "clip#000010.mp4"]


def test_frames_are_decoded_when_they_are_asked_for(tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr("atmnet.predictions.video._picture", lambda frame: decoded.append(frame.pts))
    frames = with_frames([write_video(tmp_path / "clip.mp4", 30)])
    for count in range(1, 5):
        next(frames)
        assert len(decoded) == count


def test_a_video_that_was_cut_short(tmp_path):
    video = write_video(tmp_path / "clip.mkv", 60, size=64)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    frames = list(with_frames([video]))
    assert len(frames) > 1
    assert all(isinstance(frame.picture, Image.Image) for frame in frames[:-1])


@pytest.mark.parametrize("content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"])
def test_what_is_no_video(tmp_path, content):
    """FFmpeg would open a playlist under any name, and whatever it lists."""
    (tmp_path / "clip.mp4").write_bytes(content)
    (frame,) = with_frames([tmp_path / "clip.mp4"])
    assert frame.path == tmp_path / "clip.mp4"
    assert isinstance(frame.picture, str)
    assert frame.picture.startswith("the video cannot be read: ")


def test_a_list_of_further_files_is_not_followed(tmp_path):
    write_video(tmp_path / "other.mp4", 3)
    (tmp_path / "clip.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'other.mp4'}\n")
    (frame,) = with_frames([tmp_path / "clip.mp4"])
    assert isinstance(frame.picture, str)


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        for packet in [*stream.encode(silence), *stream.encode()]:
            container.mux(packet)
    (frame,) = with_frames([tmp_path / "clip.mp4"])
    assert frame.picture == "it contains no video"


def test_a_frame_is_turned_as_the_camera_was_held():
    """FFmpeg gives the angle counterclockwise."""
    image = Image.new("L", (4, 2))
    image.putpixel((0, 0), 255)
    turned = _picture(SimpleNamespace(to_image=lambda: image, rotation=-90))
    assert turned.size == (2, 4)
    assert turned.getpixel((1, 0)) == 255


def test_a_camera_is_opened_by_the_system(monkeypatch):
    opened = []

    class Camera:
        streams = SimpleNamespace(video=[0])
        decode = staticmethod(lambda video: [SimpleNamespace(to_image=lambda: "picture", rotation=0)] * 3)
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda *_: None  # noqa: E731

    monkeypatch.setattr(av, "open", lambda name, **options: opened.append((name, options)) or Camera())
    monkeypatch.setattr(sys, "platform", "linux")
    (path,) = find_images(["camera:0"])
    assert [frame.picture for frame in with_frames([path], limit=2)] == ["picture"] * 2
    assert opened == [("/dev/video0", {"format": "v4l2"})]


def test_without_the_camera_there_is_a_line():
    (frame,) = with_frames([Path("camera:99")])
    assert isinstance(frame.picture, str)


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="videos and cameras need the package av: "):
        list(with_frames([tmp_path / "clip.mp4"]))


@pytest.mark.parametrize(
    ("name", "expected"), [("a.MP4", True), ("camera:0", True), ("a.jpg", False), ("camera", False), ("a.gif", False)]
)
def test_names_of_videos(name, expected):
    assert is_video(name) == expected


def test_names_of_frames():
    assert frame_path(Path("x/clip.mp4"), 17) == Path("x/clip#000017.mp4")
