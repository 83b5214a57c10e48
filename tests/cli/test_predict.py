"""`atmnet predict`: every picture gets a line, broken ones too."""

import csv
import io
import json
import re

import pytest
from PIL import Image

from atmnet.predictions.csv_table import CsvTable
from atmnet.predictions.video import Frame, frame_path
from atmnet.tasks import load_classifier
from tests.predictions.videos import write_video


@pytest.fixture
def pictures(root, tmp_path):
    """Pictures two folders deep, a broken one, and what is none."""
    folder = tmp_path / "pictures"
    for i, name in enumerate(("eight", "five", "two")):
        (folder / name).mkdir(parents=True)
        for path in sorted((root / "val" / name).iterdir())[: i + 1]:
            path.rename(folder / name / path.name)
    (folder / "five" / "broken.jpg").write_bytes(b"broken")
    (folder / "notes.txt").write_text("none")
    return folder


def test_table(atmnet, run, root):
    result = atmnet("predict", run, root / "val", "--device=cpu")
    assert result.status == 0
    assert result.err == ""
    lines = result.out.splitlines()
    assert len(lines) == 12
    for line, path in zip(lines, sorted((root / "val").rglob("*.png")), strict=True):
        start = str(path)[-59:] if len(str(path)) > 60 else str(path)
        assert start in line
        assert line.count(" % ") == 3
        shares = [float(word) for word in line.split("  ", 1)[1].replace("%", "").split() if word[0].isdigit()]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_json_lines(atmnet, run, pictures, batch_size):
    result = atmnet("predict", run, pictures, "--format=jsonl", "--top=2", f"--batch_size={batch_size}")
    assert result.status == 1
    assert result.err.startswith(f"atmnet: {pictures}/five/broken.jpg: ")
    assert len(result.err.splitlines()) == 1
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["image"] for line in lines] == [
        str(path) for path in sorted(pictures.rglob("*.*")) if path.suffix != ".txt"
    ]
    for line in lines:
        if line["image"].endswith("broken.jpg"):
            assert set(line) == {"image", "error"}
            continue
        first, second = line["predictions"]
        assert {first["class"], second["class"]} < {"eight", "five", "two"}
        assert 1 >= first["probability"] >= second["probability"] >= 0


def test_it_is_what_evaluation_says(atmnet, run, root):
    """The share of pictures whose first class is their folder's is the accuracy."""
    lines = atmnet("predict", run, root / "val", "--format=jsonl", "--top=1").out.splitlines()
    records = [json.loads(line) for line in lines]
    right = sum(record["predictions"][0]["class"] in record["image"].split("/") for record in records)
    top1 = json.loads(atmnet("evaluate", run, "--data.root", root, "--data.workers=0").out)["top1"]
    assert 100 * right / 12 == pytest.approx(top1)


@pytest.mark.parametrize("what", ["run", "best", "checkpoint", "name and run", "name and file"])
def test_ways_to_name_a_model(atmnet, run, root, what):
    checkpoint = (run / "best").resolve()
    model = {
        "run": [run],
        "best": [run / "best"],
        "checkpoint": [checkpoint],
        "name and run": ["atmnet_nano", "--weights", run],
        "name and file": ["atmnet_nano", "--weights", checkpoint / "model.safetensors"],
    }[what]
    arguments = [root / "val" / "two" / "two-1.png", "--format=jsonl"]
    record = json.loads(atmnet("predict", model[0], *arguments, *model[1:]).out)
    expected = json.loads(atmnet("predict", run, *arguments).out)
    probabilities = [[p["probability"] for p in one["predictions"]] for one in (record, expected)]
    assert probabilities[0] == pytest.approx(probabilities[1], rel=1e-6)
    named = ["0", "1", "2"] if what == "name and file" else load_classifier(str(run)).classes
    assert {p["class"] for p in record["predictions"]} == set(named)


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_sheet(atmnet, run, pictures, tmp_path, name):
    result = atmnet("predict", run, pictures, "--sheet", tmp_path / name)
    assert result.status == 1  # a picture is broken
    assert result.err.splitlines()[-1] == f"contact sheet of 6 pictures in {tmp_path / name}"
    with Image.open(tmp_path / name) as sheet:
        sheet.load()
        assert min(sheet.size) > 200


def test_sheet_that_is_no_picture(atmnet, run, root, tmp_path):
    told = "expected the name of a picture file"
    assert told in atmnet("predict", run, root / "val" / "two", "--sheet", tmp_path / "sheet.txt").error


def test_only_a_broken_picture(atmnet, run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    result = atmnet("predict", run, tmp_path / "a.png", "--sheet", tmp_path / "sheet.png")
    assert result.status == 1
    assert "unreadable" in result.out
    assert result.err.startswith(f"atmnet: {tmp_path}/a.png: ")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("form", ["pattern", "recursive", "stdin", "list"])
def test_images_are_named_in_several_ways(atmnet, run, root, tmp_path, monkeypatch, form):
    paths = sorted((root / "val" / "two").glob("*.png"))
    names = "\ufeff" * (form == "list") + "\r\n".join(map(str, paths)) + "\n\n"
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(names))
    argument = {
        "pattern": root / "val" / "two" / "*.png",
        "recursive": root / "**" / "val" / "two" / "*.png",
        "stdin": "-",
        "list": f"@{tmp_path / 'names.txt'}",
    }[form]
    lines = atmnet("predict", run, argument, "--format=jsonl").out.splitlines()
    assert [json.loads(line)["image"] for line in lines] == list(map(str, paths))


def test_names_that_lead_nowhere_are_refused(atmnet, run, tmp_path, monkeypatch):
    (tmp_path / "odd [1].png").write_bytes(b"no picture")
    assert "odd [1].png: " in atmnet("predict", run, tmp_path / "odd [1].png").err  # a file of this name is no pattern
    for argument, message in {
        str(tmp_path / "*.jpg"): r"images: .*\*\.jpg: no file matches this pattern",
        "@nowhere.txt": r"images: @nowhere.txt: the list of images cannot be read",
    }.items():
        assert re.search(message, atmnet("predict", run, argument).error)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "images: no images" in atmnet("predict", run, "-").error


def test_csv_reads_back(atmnet, run, pictures):
    """A row for each class of each picture, and one for the broken picture, which comes first here."""
    records = [json.loads(line) for line in atmnet("predict", run, pictures, "--format=jsonl").out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(atmnet("predict", run, pictures, "--format=csv").out)))
    assert list(rows[0]) == ["image", "class", "probability", "error"]
    expected = [
        {"image": record["image"], "class": each["class"], "probability": str(each["probability"]), "error": ""}
        for record in records
        for each in record.get("predictions", [])
    ]
    assert [row for row in rows if not row["error"]] == expected
    assert [row["image"] for row in rows if row["error"]] == [r["image"] for r in records if "error" in r]


def test_csv_of_objects_and_of_nothing():
    table = CsvTable()
    assert list(table.lines("a,b.png", {"objects": []})) == []
    assert list(table.lines("c.png", {"objects": [{"class": "x", "score": 0.5, "box": [1, 2, 3, 4]}]})) == [
        "image,class,score,x0,y0,x1,y1,error", '"a,b.png",,,,,,,', "c.png,x,0.5,1,2,3,4,",
    ]  # fmt: skip
    assert list(table.rest()) == []
    empty = CsvTable()
    list(empty.lines("a.png", {"error": "broken"}))
    assert list(empty.rest()) == ["image,error", "a.png,broken"]


def test_output_of_a_classifier_is_what_csv_prints(atmnet, run, pictures, tmp_path):
    output = tmp_path / "out"
    result = atmnet("predict", run, pictures, "--format=csv", "--output", output)
    assert result.status == 1  # one is broken
    assert [path.name for path in output.iterdir()] == ["predictions.csv"]
    assert (output / "predictions.csv").read_text() == result.out
    assert result.err.splitlines()[-1] == f"results in {output}"


def test_mirrored_images_count(atmnet, run, root, tmp_path):
    """An image and its mirror image have the same probabilities with --flip, and others without."""
    path = sorted((root / "val").rglob("*.png"))[0]
    with Image.open(path) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")

    def probabilities(*arguments):
        lines = atmnet("predict", run, path, tmp_path / "mirrored.png", "--format=jsonl", *arguments).out.splitlines()
        return [{p["class"]: p["probability"] for p in json.loads(line)["predictions"]} for line in lines]

    one, other = probabilities()
    assert one != other
    assert len({tuple(sorted(each.items())) for each in probabilities("--flip=true")}) == 1


def test_mirroring_is_not_for_calibration(atmnet, run):
    assert "leave flip out" in atmnet("evaluate", run, "--flip=true", "--calibrate=true").error


def test_a_video(atmnet, run, tmp_path):
    pytest.importorskip("av")
    video = write_video(tmp_path / "clip.mp4", 12)
    result = atmnet(
        "predict", run, video, "--every=4", "--format=jsonl", "--batch_size=2", "--output", tmp_path / "out"
    )
    assert result.status == 0
    images = [json.loads(line)["image"] for line in result.out.splitlines()]
    assert images == [str(tmp_path / f"clip#{number:06d}.mp4") for number in (0, 4, 8)]
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 1 + 3 * 3
    video.write_bytes(b"broken")
    result = atmnet("predict", run, video)
    assert result.status == 1
    assert "the video cannot be read: " in result.err


def test_a_camera_that_is_stopped_leaves_its_tables(atmnet, run, tmp_path, monkeypatch):
    def frames(path, every, limit):
        yield Frame(frame_path(path, 0), Image.new("RGB", (32, 32)))
        raise KeyboardInterrupt

    monkeypatch.setattr("atmnet.predictions.video._frames", frames)
    monkeypatch.setattr("atmnet.cli.predict.check_video_reader", lambda: None)
    assert atmnet("predict", run, "camera:0", "--top=1", "--output", tmp_path / "out").status == 0
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 2


def test_frames_of_pictures_are_refused(atmnet, run, root):
    assert "only videos and cameras take these" in atmnet("predict", run, root / "val", "--every=2").error
