"""Options that cannot be: one line with the name, and the nearest one where it is unknown."""

import re

import pytest

from atmnet_cli.command import recipes_of


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--optim.ir=1", r"unknown option 'optim.ir'; do you mean 'optim.lr'\?"),
        ("--batchsize=8", r"unknown option 'batchsize'; do you mean 'batch_size'\?"),
        ("--lr=1", r"unknown option 'lr'; do you mean 'optim.lr'\?"),
        ("--model.nmae=x", r"unknown option 'model.nmae'; do you mean 'model.name'\?"),
        ("--batch-sizes=8", r"unknown option 'batch-sizes'; do you mean 'batch_size'\?"),
        ("--batch=8", r"unknown option 'batch'; do you mean 'batch_size'\?"),
        ("--epochs=many", r"epochs: got 'many', expected a whole number"),
        ("--epochs=1.5", r"epochs: got '1.5', expected a whole number"),
        (
            "--dense.crop_size=64",
            r"dense.crop_size: model.head 'classifier' does not take it; leave it at its default, 512",
        ),
        ("--model.head_kwargs.norm=group", r"model.head_kwargs: model.head 'classifier' does not take it"),
        (
            "--data.kwargs.img_size=96",
            r"data.kwargs: data.source 'folder' does not take it; leave it at its default, {}",
        ),
        ("--precision=fp8", r"precision: got 'fp8', expected one of fp32, bf16, fp16"),
        ("--augment.scale=[1]", r"augment.scale: got '\[1\]', expected 2 values"),
        ("--model.name=atmnet_tny", r"unknown model .*'atmnet_tny'; do you mean atmnet_tiny"),
        ("--model.weights=nowhere.pth", r"nowhere.pth: no such file"),
        ("--device=gpu", r"device: 'gpu' cannot be used here"),
        ("--device=cuda:77", r"device: 'cuda:77' cannot be used here"),
        ("--batch_size=1000", r"batch_size: got 1000, more than the 24 training images"),
        ("--model.kwargs.foo=1", r"model.kwargs: .*foo"),
        ("--config=digit", r"config: digit: no such file or recipe; do you mean digits\?"),
        ("--config=/", r"config: /: no such file or recipe"),
    ],
)
def test_on_the_command_line(atmnet, quick, tmp_path, argument, told):
    assert re.search(told, atmnet(*quick, argument).error)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name != ".lock"]


def test_odd_share_with_mixup(atmnet, quick):
    told = "batch_size: Mixup and CutMix need an even share for each process and part; got 6 / 2 = 3"
    assert atmnet(*quick, "--batch_size=6", "--accumulate=2", "--augment.mixup=0.8").error == told


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("optim: {learning_rate: 1}", r"unknown option 'optim.learning_rate'"),
        ("optimm: {lr: 1}", r"unknown option 'optimm.lr'; do you mean 'optim.lr'\?"),
        ("data: {workerz: 1}", r"unknown option 'data.workerz'; do you mean 'data.workers'\?"),
        ("epochs: many", r"epochs.*many"),
        ("epochs: [", r"parsing config: .* line 2"),
        ("- a list", r""),
        ("\x00", r""),
    ],
)
def test_in_a_recipe(atmnet, quick, tmp_path, recipe, told):
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert re.search(told, atmnet(*quick, "--config", tmp_path / "recipe.yaml").error)


def test_the_command_line_goes_before_the_recipe(atmnet, quick, tmp_path):
    (tmp_path / "recipe.yaml").write_text("epochs: 3\nseed: 4\n")
    quick.remove("--epochs=2")
    command, *rest = quick
    result = atmnet(command, "--config", tmp_path / "recipe.yaml", *rest, "--epochs=2")
    assert result.status == 0
    options = (tmp_path / "run" / "options.json").read_text()
    assert '"epochs": 2' in options
    assert '"seed": 4' in options


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate", "nowhere"], r"model: unknown model or folder 'nowhere'"),
        (
            ["evaluate", "atmnet_tiny"],
            r"weights: atmnet_tiny is only the name of a model; pass the file .* or open https",
        ),
        (["evaluate", "atmnet_nano"], r"data.root: the model has no record of its data"),
        (["evaluate", "{run}", "--batch_size=0"], r"batch_size: got 0, expected at least 1"),
        (["evaluate", "{run}", "--data.img_size=-1"], r"data.img_size: .*-1"),
        (["evaluate", "{run}", "--weightz=x"], r"unknown option 'weightz'; do you mean 'weights'\?"),
        (["evaluate", "{run}/checkpoints"], r"checkpoints: contains no checkpoint"),
        (["predict", "{run}"], r"images"),
        (["predict", "{run}", "nowhere.jpg"], r"images: nowhere.jpg: no such file or folder"),
        (["predict", "{run}", "{run}"], r"images: no images .* in "),
        (["predict", "{run}", "{root}", "--top=0"], r"top: got 0, expected at least 1"),
        (["models", "--img_size=8"], r"img_size: got 8, expected at least 32"),
        (["check-data"], r"data.root: expected the folder that holds the splits; none given"),
        (["train", "--output=x"], r"data.root: expected the folder that holds the splits; none given"),
        (["train"], r"output"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_commands(atmnet, run, root, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert re.search(told, atmnet(*(argument.format(run=run, root=root) for argument in arguments)).error)


def test_checkpoint_of_another_model(atmnet, quick, run):
    told = atmnet(*quick, "--model.name=atmnet_xtiny", "--model.weights", run).error
    assert "model.safetensors: not weights of atmnet_xtiny: " in told or f"{run}: not weights of atmnet_xtiny: " in told


def test_recipes_are_named_where_none_is_near(atmnet, quick):
    told = atmnet(*quick, "--config=zzz").error
    assert all(name in told for name in recipes_of("train"))
