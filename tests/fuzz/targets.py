"""What the damaged files are given to. Each target writes one and reads it by the functions that commands read it with.

A target takes a folder of sound files, which it leaves as they are, an empty folder, and a function that damages JSON.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

Damage = Callable[[Any], bytes]


def write_sound(root: Path) -> Path:
    """The sound files of all targets."""
    from atmnet.engine import save_checkpoint
    from atmnet.tasks import load_network
    from tests.data.tiny_dense import write_coco
    from tests.data.tiny_formats import write_cvat, write_labelme, write_labelstudio, write_voc, write_yolo
    from tests.data.tiny_tables import write_parts
    from tests.export.tiny_files import METADATA, write_tiny
    from tests.tasks.checkpoints import write_checkpoints

    (root / "checkpoints").mkdir()
    write_checkpoints(root / "checkpoints")
    (root / "files").mkdir()
    for kind in METADATA:
        write_tiny(root / "files" / f"{kind}.onnx", kind)
    write_coco(root / "coco")
    write_labelme(root / "labelme")
    write_labelstudio(root / "labelstudio")
    write_voc(root / "voc", "beside")
    write_yolo(root / "yolo")
    for name in ("cvat", "table"):
        (root / name).mkdir()
    write_cvat(root / "cvat", "tasks")
    write_parts(root / "table")
    network = load_network(str(root / "checkpoints" / "classifier"))
    state = {
        "step": 3, "epoch": 1, "best": {"score": 50.0, "step": 3}, "log": {"seconds": 1.5, "images": 24},
        "optimizer": {"state": {0: {"step": 3.0}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "scaler": {}, "metrics_length": 40,
    }  # fmt: skip
    save_checkpoint(root / "run", 3, network, network.model.state_dict(), state)
    from dataclasses import asdict

    from atmnet_cli.options import TrainOptions

    (root / "run" / "options.json").write_text(json.dumps(asdict(TrainOptions(output="run"))))
    lines = [{"kind": "train", "step": 1, "loss": 1.5}, {"kind": "evaluate", "step": 3, "top1": 50.0, "loss": 1.0}]
    (root / "run" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def configuration(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """config.json of a checkpoint of each kind."""
    from atmnet.tasks import load_network

    names = sorted(path.name for path in (sound / "checkpoints").iterdir())
    source = sound / "checkpoints" / names[seed % len(names)]
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    (folder / "config.json").write_bytes(damage(json.loads((source / "config.json").read_text())))
    load_network(str(folder))


def exported_file(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """The metadata of an ONNX file of each kind, which is then run on a picture."""
    from atmnet.predictions import predict
    from atmnet.tasks import make_task
    from atmnet.tasks.exported import load_exported
    from tests.export.tiny_files import METADATA, metadata, write_tiny

    kind = sorted(METADATA)[seed % len(METADATA)]
    texts = metadata(kind)
    names = sorted(texts)
    key = names[seed // 5 % len(names)]
    values: Any = texts | {key: damage(json.loads(texts[key])).decode("utf-8", "replace")}
    if seed % 5 == 0:  # all of them, damaged together
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(damage({key: json.loads(text) for key, text in texts.items()}))
            values = {str(key): json.dumps(item) for key, item in values.items()} if isinstance(values, dict) else {}
    values = {_encodable(key): _encodable(text) for key, text in values.items()}
    path, device = write_tiny(folder / "a.onnx", kind, values), torch.device("cpu")
    Image.fromarray(np.full((20, 30, 3), 99, np.uint8)).save(folder / "a.png")
    for prediction in predict(make_task(load_exported(str(path))), [folder / "a.png"], batch_size=1, device=device):
        assert prediction.image is not None


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def run_folder(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """A run: its options, its metrics, and the state of its training."""
    from atmnet.engine import load_checkpoint, read_metrics, read_options

    run = folder / "run"
    shutil.copytree(sound / "run", run, symlinks=True)
    checkpoint = run / "checkpoints" / "step-00000003"
    path = (run / "options.json", run / "metrics.jsonl", checkpoint / "trainer.json")[seed % 3]
    if path.name == "metrics.jsonl":
        first, second = path.read_text().splitlines()
        path.write_bytes(first.encode() + b"\n" + damage(json.loads(second)) + b"\n")
    else:
        path.write_bytes(damage(json.loads(path.read_text())))
    read_options(run)
    read_metrics(run)
    load_checkpoint(checkpoint)


def coco(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """Annotations in COCO's layout: every picture with its objects, and ``check-data``."""
    from atmnet.data.images import UnreadableImage
    from atmnet.data.sources import open_split
    from atmnet_cli.command import main
    from atmnet_cli.options import DataOptions

    root = folder / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "train").symlink_to(sound / "coco" / "train")
    path = root / "annotations" / "instances_train.json"
    path.write_bytes(damage(json.loads((sound / "coco" / "annotations" / path.name).read_text())))
    if seed % 4 == 0:
        assert main(["check-data", "--root", str(root), "--source", "coco", "--split", "train"]) in (0, 1, 2)
        return
    split = open_split(DataOptions(root=str(root), source="coco"), "train", "detection", masks=True)
    for index in range(len(split)):
        with contextlib.suppress(UnreadableImage):  # readers note it and go on
            split.load(index, "RGB")


def annotation_formats(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """LabelMe's and Label Studio's annotations: every picture with its objects."""
    from atmnet.data.images import UnreadableImage
    from atmnet.data.sources import open_split
    from atmnet_cli.options import DataOptions

    source, name = (("labelme", "a 1.json"), ("labelstudio", "tasks.json"))[seed % 2]
    shutil.copytree(sound / source / "train", folder / source / "train")
    path = folder / source / "train" / name
    path.write_bytes(damage(json.loads(path.read_text(encoding="utf-8-sig"))))
    split = open_split(DataOptions(root=str(folder / source), source=source), "train", "detection", masks=True)
    for index in range(len(split)):
        with contextlib.suppress(UnreadableImage):  # readers note it and go on
            split.load(index, "RGB")


#: Source -> a file of its training split, and the folder of the sound files.
_TEXTS = {
    "voc": ("voc/train/a 1.xml", "voc"),
    "cvat": ("cvat/train/annotations.xml", "cvat"),
    "yolo": ("yolo/data.yaml", "yolo"),
    "table": ("table/labels.csv", "table"),
}


def text_formats(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """The XML of VOC and CVAT, the YAML and labels of YOLO, and tables: every picture with what it shows."""
    from atmnet.data.images import UnreadableImage
    from atmnet.data.sources import open_split
    from atmnet_cli.options import DataOptions
    from tests.fuzz.mutate import damaged_text

    source = sorted(_TEXTS)[seed % len(_TEXTS)]
    name, kept = _TEXTS[source]
    shutil.copytree(sound / kept, folder / kept)
    path = folder / name
    if source == "yolo" and seed // 4 % 2:
        path = folder / "yolo/train/labels/a 1.txt"
    text = path.read_text(encoding="utf-8-sig")
    path.write_bytes(damaged_text(text, seed, "http://127.0.0.1:9/x", str(folder.parent / "secret")))
    kind: Any = "multilabel" if source == "table" else "detection"
    split = open_split(DataOptions(root=str(folder / kept), source=source), "train", kind, masks=True)
    for index in range(len(split)):
        with contextlib.suppress(UnreadableImage):  # readers note it and go on
            split.load(index, "RGB")


def conversion(sound: Path, folder: Path, damage: Damage, seed: int) -> None:
    """Damaged annotations converted into every format: the whole output, or nothing; no file elsewhere."""
    from atmnet.conversion import convert
    from atmnet_cli.options import ConvertOptions, DataOptions

    source, name = (
        ("coco", "annotations/instances_train.json"),
        ("labelme", "train/a 1.json"),
        ("labelstudio", "train/tasks.json"),
    )[seed % 3]
    targets: tuple[Any, ...] = ("coco", "yolo", "voc", "labelme", "cvat", "labelstudio")
    root = folder / "in"
    shutil.copytree(sound / source, root)
    path = root / name
    path.write_bytes(damage(json.loads(path.read_text(encoding="utf-8-sig"))))
    data = DataOptions(root=str(root), source=source, val="train")
    try:
        convert(ConvertOptions(targets[seed // 3 % 6], str(folder / "out"), data))
        assert any((folder / "out").iterdir())
    finally:
        assert {each.name for each in folder.iterdir()} <= {"in", "out"}


TARGETS: dict[str, Callable[[Path, Path, Damage, int], None]] = {
    "configuration": configuration,
    "exported_file": exported_file,
    "run_folder": run_folder,
    "coco": coco,
    "annotation_formats": annotation_formats,
    "text_formats": text_formats,
    "conversion": conversion,
}
