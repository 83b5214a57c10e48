"""The smallest job of an extra, by the installed package alone: ``python tests/smallest_job.py [EXTRA]``.

``make try-dist`` runs it in an environment that has only the wheel with that extra.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image


def _atmnet(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "atmnet_cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _train(*arguments: str) -> None:
    """A step of training on four pictures."""
    for split in ("train", "val"):
        for name in ("black", "white"):
            folder = Path("pictures", split, name)
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), name).save(folder / "a.png")
    data = "--data.root pictures --data.workers 0 --data.img_size 32"
    run = "--model.name atmnet_nano --batch_size 2 --steps 1 --threads 1 --output run"
    _atmnet("train", *data.split(), *run.split(), *arguments)


def _predict() -> None:
    Image.new("RGB", (32, 32), "white").save("a.png")
    assert "a.png" in _atmnet("predict", "atmnet_nano.digits", "a.png")


def _bench() -> None:
    from matplotlib.figure import Figure

    Figure().savefig("empty.png")


def _compare() -> None:
    from atmnet.comparison.intervals import mean_interval

    assert mean_interval([1.0, 2.0, 3.0]).half_width is not None


def _completion() -> None:
    assert "train" in _atmnet("--print_completion", "shtab-bash")


def _demo() -> None:
    assert "450" in _atmnet("evaluate", "atmnet_nano.digits", "--data.source", "digits", "--data.workers", "0")


def _dense() -> None:
    _atmnet("make-scenes", "scenes", "--train", "2", "--val", "1")
    assert "objects" in _atmnet("check-data", "--data.source", "coco", "--data.root", "scenes")


def _explore() -> None:
    import gradio

    assert gradio.__version__
    assert "--port" in _atmnet("explore", "--help")


def _export() -> None:
    _atmnet("export", "atmnet_nano.digits", "--to", "onnx", "--img_size", "32", "--output", "digits.onnx")


def _executorch() -> None:
    fixed = ["--to", "executorch", "--dynamic", "false", "--output", "digits.pte"]
    _atmnet("export", "atmnet_nano.digits", *fixed)


def _hfds() -> None:
    from datasets import Dataset

    assert len(Dataset.from_dict({"label": [0, 1]})) == 2


def _tensorboard() -> None:
    _train()
    assert list(Path("run").rglob("events.out.tfevents.*"))


def _trackers() -> None:
    os.environ["WANDB_MODE"] = "offline"
    _train("--trackers", "wandb", "mlflow")
    assert Path("run", "trackers.json").is_file()


def _video() -> None:
    import av

    with av.open("a.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        packets = stream.encode(av.VideoFrame(32, 32, "yuv420p"))
        for packet in [*packets, *stream.encode()]:
            container.mux(packet)
    assert "a#000000.mp4" in _atmnet("predict", "atmnet_nano.digits", "a.mp4")


JOBS: dict[str, Callable[[], None]] = {
    "": _predict,
    "bench": _bench,
    "compare": _compare,
    "completion": _completion,
    "demo": _demo,
    "dense": _dense,
    "executorch": _executorch,
    "explore": _explore,
    "export": _export,
    "hfds": _hfds,
    "tensorboard": _tensorboard,
    "trackers": _trackers,
    "video": _video,
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        JOBS[sys.argv[1] if len(sys.argv) > 1 else ""]()
        os.chdir("/")
