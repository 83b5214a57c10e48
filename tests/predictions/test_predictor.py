"""``atmnet.load``: one network, and pictures in every form that a program has."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

import atmnet
from atmnet.predictions import Predictor
from atmnet.tasks import Classifier, DenseNetwork, make_task
from atmnet_cli.command import main
from atmnet_cli.errors import UserError


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with six digits and a file that is no picture."""
    from atmnet.data.digits import DigitsReader

    folder = tmp_path_factory.mktemp("digits")
    reader = DigitsReader("val")
    for index in range(6):
        picture, label = reader[index]
        picture.convert("RGB").save(folder / f"{index}-{label}.png")
    return folder


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return atmnet.load("atmnet_nano.digits", device="cpu", batch_size=4)


def labels(answers: Any) -> list[str]:
    return [answer.record["predictions"][0]["class"] for answer in answers]


def test_a_picture_in_every_form_has_one_answer(predictor, digits):
    path = sorted(digits.glob("*.png"))[0]
    picture = Image.open(path)
    array, tensor = np.asarray(picture), pil_to_tensor(picture)
    expected = predictor(str(path))
    assert expected.record["predictions"][0]["class"] == path.stem[-1]
    for form in (path, picture, array, tensor, tensor.float() / 255):
        assert predictor(form).record == expected.record
    for batch in ([path, array], np.stack([array, array]), torch.stack([tensor, tensor]), (picture, tensor)):
        for answer in predictor(batch):  # processors sum batches of other sizes in another order
            assert labels([answer]) == labels([expected])
            probabilities = [[each["probability"] for each in one.record["predictions"]] for one in (answer, expected)]
            assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-6)
    assert str(expected) == expected.text
    assert expected._repr_png_()[:4] == b"\x89PNG"
    assert len(predictor(path, top=5).record["predictions"]) == 5


def test_a_folder_gives_the_answers_of_the_command_line(predictor, digits, capsys):
    answers = predictor(digits)
    assert labels(answers) == [path.stem[-1] for path in sorted(digits.glob("*.png"))]
    assert main(["predict", "atmnet_nano.digits", str(digits), "--format=jsonl", "--device=cpu", "--batch_size=4"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["predictions"] for line in lines] == [answer.record["predictions"] for answer in answers]


def test_an_unreadable_picture_is_an_error_of_a_call_and_a_note_of_a_stream(predictor, digits, tmp_path):
    (tmp_path / "a.png").write_bytes((digits / sorted(digits.glob("*.png"))[0].name).read_bytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"images: .*b\.png: not a picture"):
        predictor(tmp_path)
    first, second = predictor.stream(tmp_path)
    assert first.error is None
    assert "not a picture" in str(second.error)
    assert second.output is None
    with pytest.raises(UserError, match=r"images: nowhere: no such file"):
        predictor.stream("nowhere")


def test_features_are_those_of_timm(predictor, digits):
    paths = sorted(digits.glob("*.png"))
    features = predictor.embed(paths)
    assert features.shape == (6, 128)
    assert predictor.embed(digits, tokens=True).shape == (6, 1, 1, 128)
    assert predictor.embed(paths[0]).shape == (1, 128)
    model = predictor.task.network.model
    weight, bias = (p.detach().numpy() for p in (model.head.fc.weight, model.head.fc.bias))
    assert labels(predictor(paths)) == [str(k) for k in (features @ weight.T + bias).argmax(1)]


def test_looks_are_offsets_of_each_group(predictor, digits):
    looks = predictor.looks(sorted(digits.glob("*.png"))[0])
    assert len(looks) >= 4
    assert looks[0].width.shape[:3] == looks[0].height.shape[:3] == (1, 8, 8)


def test_what_a_network_does_not_give_is_said(predictor):
    with pytest.raises(UserError, match="threshold: classification does not take it"):
        predictor(np.zeros((32, 32, 3), np.uint8), threshold=0.5)
    import timm

    from atmnet.models.create import data_config

    other = timm.create_model("test_resnet", num_classes=2)
    resnet = Predictor(make_task(Classifier(other, ["a", "b"], data_config(other))), "cpu")
    with pytest.raises(UserError, match="looks: test_resnet samples no tokens"):
        resnet.looks(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.dense
@pytest.mark.parametrize(("head", "kind"), [("fcos", "detection"), ("semantic_fpn", "segmentation")])
def test_detectors_and_segmenters_answer_and_look(head, kind):
    from atmnet.tasks.dense import build_dense
    from atmnet_cli.options import DenseOptions, ModelOptions

    model = ModelOptions(name="atmnet_nano", head=head, channels=64)
    dense = DenseOptions(img_sizes=[64], max_img_size=64, crop_size=64)
    network: DenseNetwork = build_dense(model, dense, ["a", "b"], None)
    predictor = Predictor(make_task(network), "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    answer = predictor(picture)
    assert answer.size == (80, 64)
    assert ("objects" if kind == "detection" else "regions") in answer.record
    assert len(predictor.looks(picture)) >= 4
    with pytest.raises(UserError, match=f"embed: only classifiers give these, and this network is for {kind}"):
        predictor.embed(picture)
