"""`atmnet embed`: features with names, which are what the classifier's last layer takes."""

import numpy as np
import pytest
import torch

from atmnet.tasks import load_classifier
from tests.data.tiny import write_digits


@pytest.mark.parametrize("batch_size", [1, 5])
def test_features_are_what_the_last_layer_takes(atmnet, run, root, tmp_path, batch_size):
    result = atmnet("embed", run, root / "val", f"--output={tmp_path / 'a.npz'}", f"--batch_size={batch_size}")
    assert result.status == 0
    saved = np.load(tmp_path / "a.npz")
    assert list(saved["names"]) == [str(path) for path in sorted((root / "val").rglob("*.png"))]
    assert saved["features"].dtype == np.float32
    head = load_classifier(str(run)).model.head.fc
    predicted = head(torch.from_numpy(saved["features"])).argmax(1).tolist()
    lines = atmnet("predict", run, root / "val", "--format=jsonl", "--top=1").out.splitlines()
    classes = load_classifier(str(run)).classes
    assert [f'"class": "{classes[label]}"' in line for label, line in zip(predicted, lines, strict=True)] == [True] * 12


def test_tokens_have_a_place(atmnet, run, root, tmp_path):
    assert atmnet("embed", run, root / "val", f"--output={tmp_path / 'a.npz'}", "--tokens=true").status == 0
    features = np.load(tmp_path / "a.npz")["features"]
    assert features.ndim == 4
    assert len(features) == 12


def test_parquet(atmnet, run, root, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for ending in ("npz", "parquet"):
        assert atmnet("embed", run, root / "val", f"--output={tmp_path / 'a'}.{ending}").status == 0
    table = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    saved = np.load(tmp_path / "a.npz")
    assert table["name"] == list(saved["names"])
    assert np.array_equal(np.array(table["features"], np.float32), saved["features"])


def test_an_unreadable_picture_is_named_and_left_out(atmnet, run, root, tmp_path):
    broken = next((root / "val").rglob("*.png"))
    broken.write_bytes(b"broken")
    result = atmnet("embed", run, root / "val", f"--output={tmp_path / 'a.npz'}")
    assert result.status == 1
    assert str(broken) in result.err
    assert len(np.load(tmp_path / "a.npz")["features"]) == 11


def test_refusals_come_before_work(atmnet, run, root, tmp_path):
    for arguments, message in {
        ("--output=a.csv",): "output: got a.csv, expected the name of a file that ends in .npz or .parquet",
        ("--output=a.parquet", "--tokens=true"): "tokens: Parquet has one row for each picture",
    }.items():
        assert message in atmnet("embed", run, root / "val", *arguments).error
    folder = tmp_path / "all broken"
    write_digits(folder)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    output = tmp_path / "none.npz"
    assert "none of them could be read" in atmnet("embed", run, folder, f"--output={output}").last_error
    assert not output.exists()
