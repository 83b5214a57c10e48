"""Whatever happens to the files of a run: it is resumed as it was, or one line says which file is damaged."""

import json
import shutil

import pytest
import torch

from atmnet.engine import load_checkpoint, read_metrics, read_options, train
from atmnet.engine.metrics import MetricsFile
from atmnet.engine.resume import Trained, load_state
from atmnet.engine.setup import build_optimizer
from atmnet.tasks import build_classifier
from atmnet_cli.errors import UserError
from atmnet_cli.options import ModelOptions, OptimOptions
from tests.engine.runs import NARROW, assert_same_run, tiny


@pytest.fixture
def run(trained, tmp_path):
    """A complete run with checkpoints of the steps 8 and 12."""
    shutil.copytree(trained({}), tmp_path / "run", symlinks=True)
    return tmp_path / "run"


def _refused(root, run, match):
    with pytest.raises(UserError, match=match) as caught:
        train(tiny(root, run))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not valid JSON"),
        ("[]", "expected an object"),
        ("5", "expected an object"),
        ('{"seed": "x"}', "seed: got 'x'"),
        ('{"data": []}', r"data: got \[\]"),
        ('{"data": {"workers": 1.5}}', r"data\.workers: got 1\.5"),
        ('{"optim": {"kwargs": 1}}', r"optim\.kwargs: got 1"),
        ('{"precision": "int4"}', "precision: got 'int4'"),
        ('{"augment": {"scale": [1]}}', r"augment\.scale"),
        ('{"data": {"colour": 1}}', r"data\.colour is not an option"),
        ("[" * 99_999, "nested too deeply"),
    ],
)
def test_options(tmp_path, content, told):
    (tmp_path / "options.json").write_text(content)
    with pytest.raises(UserError, match=rf"options\.json: .*{told}") as caught:
        read_options(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_without_options(root, run):
    (run / "options.json").unlink()
    _refused(root, run, r"options\.json: No such file")


def _set(run, change):
    """Change the trainer state of the newest checkpoint, as an earlier version without checksums would have it."""
    path = run / "checkpoints" / "step-00000012" / "trainer.json"
    pairs = dict(json.loads(path.read_text())["dict"])
    change(pairs)
    path.write_text(json.dumps({"dict": list(pairs.items())}))


@pytest.fixture(scope="module")
def network():
    """The model and optimiser of the run."""
    model = build_classifier(ModelOptions(name="atmnet_nano", kwargs=NARROW), ["eight", "five", "two"], None).model
    optimizer = build_optimizer(OptimOptions(), model)
    return Trained(model, None, optimizer, torch.amp.GradScaler("cpu", enabled=False))


def _damaged(run, network, match="", step=12):
    folder = run / "checkpoints" / f"step-{step:08d}"
    told = f"{folder.name}: damaged: .*{match}.*; remove it to resume from the previous checkpoint"
    with pytest.raises(UserError, match=told) as caught:
        load_state(folder, network)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"dict": 1}', '{"dict": []}', '{"dict": [], "a": 1}', "[" * 9999]
)
def test_trainer_state_of_another_form(network, run, content):
    (run / "checkpoints" / "step-00000012" / "trainer.json").write_text(content)
    _damaged(run, network)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "12"), ("step", 11), ("step", -1), ("step", True), ("evaluated", 13), ("best", 5),
        ("best", {"dict": [["step", 99], ["score", 1.0]]}), ("unreadable", [1]), ("log", {"dict": []}),
        ("log", {"dict": [["losses", [1]], ["steps", 1], ["seconds", 1], ["metrics_length", 1]]}),
        ("optimizer", {"dict": []}), ("optimizer", None), ("scaler", 3),
        ("optimizer", {"dict": [["state", {"dict": [[99, {"dict": []}]]}], ["param_groups", []]]}),
    ],
)  # fmt: skip
def test_trainer_state_with_other_values(network, run, key, value):
    _set(run, lambda pairs: pairs.update({key: value}))
    _damaged(run, network)


def test_a_learning_rate_that_is_no_number(network, run):
    def change(pairs):
        groups = dict(pairs["optimizer"]["dict"])["param_groups"]
        next(pair for pair in groups[0]["dict"] if pair[0] == "lr")[1] = "fast"

    _set(run, change)
    _damaged(run, network, "another lr")


@pytest.mark.parametrize("name", ["trainer.safetensors", "model.safetensors", "trainer.json"])
def test_one_changed_bit_is_seen(network, run, name):
    path = run / "checkpoints" / "step-00000012" / name
    content = bytearray(path.read_bytes())
    if name == "trainer.json":
        content = content.replace(b'["evaluated", 12]', b'["evaluated", 11]')
    else:
        content[-5] ^= 1
    path.write_bytes(content)
    _damaged(run, network, f"{name} has changed since it was written")
    path.unlink()
    _damaged(run, network)


def test_the_state_of_another_model(network, run):
    model = torch.nn.Linear(2, 3)
    other = Trained(model, None, torch.optim.SGD(model.parameters()), network.scaler)
    _damaged(run, other, "not the state of this model and optimiser: ")


def test_a_checkpoint_of_an_earlier_version(root, trained, run):
    """Without checksums, and with lists for tuples."""
    shutil.rmtree(run / "checkpoints" / "step-00000012")
    path = run / "checkpoints" / "step-00000008" / "trainer.json"
    state = json.loads(path.read_text())
    del state["checksums"]
    text = json.dumps(state).replace('{"tuple": [0.9, 0.999]}', "[0.9, 0.999]")
    assert text.count("[0.9, 0.999]") == 2
    path.write_text(text)
    train(tiny(root, run))
    assert_same_run(trained({}), run)


def test_names_of_numbers_that_earlier_versions_wrote(run):
    _set(run, lambda pairs: pairs.update(best={"dict": [["step", 12], ["score", float("-inf")]]}))
    assert load_checkpoint(run / "checkpoints" / "step-00000012")[1]["best"] == {"step": 12, "score": float("-inf")}


LINES = b"".join(b'{"kind": "train", "step": %d, "loss": 1.0}\n' % step for step in (2, 4, 6))


@pytest.mark.parametrize(
    ("content", "steps", "is_told"),
    [
        (LINES, [2, 4, 6], False),
        (LINES + b'{"kind": "train", "step": 8', [2, 4, 6], False),  # a line of a process that was killed
        (LINES[: len(LINES) // 2], [2], True),
        (LINES[:-1], [2, 4, 6], True),
        (b"\xff\x00" + LINES, [4, 6], True),
        (LINES + b'{"kind": "train", "step": 7}\n', [2, 4, 6], False),
        (LINES.replace(b', "loss": 1.0', b"") + b'{"kind": "train", "step": 7}\n', [2, 4, 6], True),
        (b"", [], True),
        (None, [], True),
    ],
)
def test_metrics_that_were_changed_never_go_on_in_mid_line(tmp_path, content, steps, is_told):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_bytes(content)
    file = MetricsFile(tmp_path, len(LINES), 6)
    file.write(kind="train", step=8, loss=2.0)
    file.close()
    assert ("not as it was at step 6; kept" in file.note) == is_told
    assert [line["step"] for line in read_metrics(tmp_path)] == [*steps, 8]


def test_metrics_that_are_none(run):
    for text, told in (
        ("{}", "kind is missing"),
        ('{"kind": "train", "step": 1, "loss": []}', "loss: expected"),
        ("{", "JSON"),
    ):
        (run / "metrics.jsonl").write_text(text)
        with pytest.raises(UserError, match=rf"metrics\.jsonl: line 1: .*{told}"):
            read_metrics(run)
    (run / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "grad_norm": Infinity}\n')  # by an earlier version
    assert read_metrics(run) == [{"kind": "train", "step": 1, "grad_norm": None}]
