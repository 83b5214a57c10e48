"""Thousands of damaged files: each is read, or is refused in one line.

No traceback, no more than 5 s and 2 GB, no connection, no program started, and no file touched elsewhere. To see a case
again: ``python -m tests.fuzz.test_fuzz TARGET SEED``.
"""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.fuzz.mutate import mutated
from tests.fuzz.runner import work
from tests.fuzz.targets import TARGETS, write_sound
from tests.processes import start
from tests.shared import made_once

#: Seeds for each target, and seeds in a process.
MANY, PART = 2500, 500
#: Seeds for each target in the fast test.
FEW = 20


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "fuzz", write_sound)


def _failures(targets: list[str], first: int, count: int, sound: Path, folder: Path, seconds: float) -> list[str]:
    folder.mkdir()
    process = start(work, targets, first, count, sound, folder)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    path = folder / "failures.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    failures = [f"{line['target']} {line['seed']}: {line['problem']}" for line in lines]
    if not (folder / "done").exists():
        failures.append(f"{(folder / 'now').read_text()}: the process ended with {process.exitcode}")
    return failures


def test_some(sound, tmp_path):
    assert _failures(list(TARGETS), 0, FEW, sound, tmp_path / "work", 300) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, FEW + MANY, PART))
@pytest.mark.parametrize("target", TARGETS)
def test_many(target, first, sound, tmp_path):
    failures = _failures([target], first, PART, sound, tmp_path / "work", 800)
    assert failures == [], "\n\n".join(failures[:5])


def test_the_same_seed_gives_the_same_damage():
    value = {"a": [1, 2, {"b": "c"}], "d": None}
    texts = [mutated(value, seed, "u", "f") for seed in range(200)]
    assert texts == [mutated(value, seed, "u", "f") for seed in range(200)]
    assert len(set(texts)) > 150


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "sound").mkdir()
        (root / "case").mkdir()
        target, seed = sys.argv[1], int(sys.argv[2])

        def damage(value: object) -> bytes:
            text = mutated(value, seed, "http://127.0.0.1:9/weights.pth", str(root / "secret"))
            print(text[:1000])
            return text

        TARGETS[target](write_sound(root / "sound"), root / "case", damage, seed)
