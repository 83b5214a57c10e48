"""`atmnet models` and `atmnet check-data`."""

import pytest

from tests.data.tiny import pack

#: Parameters and GMACs at 224; the paper's, to its digits.
PUBLISHED = {
    "xtiny": (15.3, 2.2),
    "tiny": (27.2, 4.0),
    "small": (38.6, 6.9),
    "base": (52.2, 10.1),
    "large": (76.2, 12.3),
}


def test_models(atmnet):
    result = atmnet("models")
    assert (result.status, result.err) == (0, "")
    rows = {line.split()[0]: line.split() for line in result.out.splitlines() if line.startswith("atmnet_")}
    assert list(rows) == [f"atmnet_{variant}" for variant in ("nano", *PUBLISHED)]
    for variant, (millions, giga) in PUBLISHED.items():
        row = rows[f"atmnet_{variant}"]
        assert int(row[1].replace(",", "")) / 1e6 == pytest.approx(millions, abs=0.1)
        assert float(row[2]) == pytest.approx(giga, abs=0.1)


def test_nothing_wrong(atmnet, root):
    result = atmnet("check-data", "--data.root", root)
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == [
        "data.source: folder, from train: 3 class folders",
        "train: 24 images, 3 classes",
        "  shorter side 32 to 32 pixels, median 32",
        "  images per class 8 to 8, median 8",
        "val: 12 images, 3 classes",
        "  shorter side 32 to 32 pixels, median 32",
        "  images per class 4 to 4, median 4",
        "no errors",
    ]


def test_errors_are_counted_and_some_named(atmnet, root):
    for number in range(3):
        (root / "val" / "two" / f"two-{number}.png").write_bytes(b"broken")
    result = atmnet("check-data", "--data.root", root, "--show=2")
    assert (result.status, result.err) == (1, "")
    lines = result.out.splitlines()
    at = lines.index("  error: unreadable: 3")
    assert lines[at + 1].startswith("    two/two-0.png (")
    assert lines[at + 3] == "    ... and 1 more"
    assert lines[-1] == "3 errors"


def test_held_out_images_that_were_trained_on_are_a_note(atmnet, root):
    (root / "val" / "two" / "new.png").write_bytes((root / "train" / "two" / "two-5.png").read_bytes())
    result = atmnet("check-data", "--data.root", root)
    assert result.status == 0
    assert "  note: same pixels as a training image: 1\n    two/new.png" in result.out


@pytest.mark.filterwarnings("ignore:unclosed file .*.tar:ResourceWarning")  # timm's
@pytest.mark.parametrize("source", ["digits", "tar"])
def test_other_sources(atmnet, root, source):
    arguments = []
    if source == "tar":
        for split in ("train", "val"):
            pack(root / split, root / f"{split}.tar")
        arguments = ["--data.root", root, "--data.train=train.tar", "--data.val=val.tar"]
    result = atmnet("check-data", f"--data.source={source}", *arguments)
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[-1] == "no errors"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["pathfinder"], ["train: 6 images, 2 classes", "  images that show a class 3 to 3, median 3"]),
        (["scenes", "--data.kwargs.label=sum"], ["val: 4 images, 10 classes", "  shorter side 128 to 128 pixels"]),
        (["scenes", "--data.kwargs.img_size=64"], ["val: 4 images, 10 classes", "  shorter side 64 to 64 pixels"]),
    ],
)
def test_generated_sources(atmnet, arguments, lines):
    result = atmnet("check-data", "--data.kwargs.images=[6,4]", "--data.source", *arguments)
    assert (result.status, result.err) == (0, "")
    assert all(line in result.out for line in [*lines, "no errors"])
