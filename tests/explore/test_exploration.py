"""The numbers are those of the network itself."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atmnet.explore import Explorer
from atmnet.files import to_json
from atmnet.layers import ATM, Block
from atmnet.models import sampling_places
from atmnet.predictions import Predictor
from atmnet.tasks import make_task
from atmnet.tasks.dense import build_dense
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions
from tests.explore.explorers import explorer, picture


def test_offsets_equal_sampling_places():
    explore = explorer()
    image = picture()
    record = explore(image).record(0.3, 0.7, every_token=True)
    x, _ = explore.predictor.task.eval_transform()(image, 0)
    looks = sampling_places(explore.network.model, x[None])
    assert [look["name"] for look in record["looks"]] == [look.name for look in looks]
    for found, look in zip(record["looks"], looks, strict=True):
        row, column = int(0.7 * found["rows"]), int(0.3 * found["columns"])
        assert found["token"] == {"row": row, "column": column}
        for axis, expected in (("width", look.width), ("height", look.height)):
            assert torch.equal(torch.tensor(found[axis]), expected[0, row, column])
        offsets = np.frombuffer(base64.b64decode(found["offsets"]["float32"]), "<f4")
        expected = torch.stack([look.width[0], look.height[0]])
        assert torch.equal(torch.from_numpy(offsets.copy()).view(found["offsets"]["shape"]), expected)


def test_fusion_weights_equal_those_of_a_hook():
    explore = explorer()
    model = explore.network.model
    for name, parameter in model.named_parameters():
        if ".fusion." in name:
            parameter.data.normal_()  # the initial weights are thirds
    hooked, kept = [], []
    for module in model.modules():
        if isinstance(module, ATM):
            module.fusion.register_forward_hook(
                lambda atm, _, logits: hooked.append(logits.view(-1, 3).softmax(1))  # channels x branches
            )
        elif isinstance(module, Block):
            module.norm1.register_forward_hook(lambda _, args, __: kept.append(args[0].norm(dim=-1)))
            module.atm.register_forward_hook(
                lambda _, __, mixed: kept.append((kept[-1] / (kept.pop() + mixed.norm(dim=-1))).mean().item())
            )
    shares = [each for look in explore(picture()).record()["looks"] for each in look["fusion"]]
    assert len(shares) == len(hooked) == sum(isinstance(module, Block) for module in model.modules())
    for share, weights in zip(shares, hooked, strict=True):
        groups = len(share["by_group"]["width"])
        expected = weights.view(groups, -1, 3).mean(1)
        for branch, name in enumerate(("width", "height", "token")):
            torch.testing.assert_close(torch.tensor(share["by_group"][name]), expected[:, branch])
            assert share[name] == pytest.approx(weights[:, branch].mean().item(), rel=1e-5)
        assert share["width"] + share["height"] + share["token"] == pytest.approx(1)
        assert max(share["by_group"]["width"]) > 0.5
    assert [share["kept"] for share in shares] == pytest.approx(kept, rel=1e-5)


def test_the_answer_is_that_of_predict():
    explore = explorer(["a", "b", "c", "d", "e", "f"])
    image = picture()
    assert explore(image).record()["answer"] == explore.predictor(image, top=5).record


def test_the_record_is_json_and_of_the_picture():
    exploration = explorer()(picture(), "a.png")
    record = json.loads(to_json(exploration.record()))
    assert record["picture"] == {"name": "a.png", "width": 80, "height": 60}
    assert record["input"] == {"size": 64, "width": 64, "height": 64}
    assert exploration.seen is not None
    origin = record["origin"]
    assert origin["look"] == record["looks"][-1]["name"]
    assert sum(map(sum, origin["shares"])) + origin["outside"] == pytest.approx(1)
    for x in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="expected a fraction"):
            exploration.record(x)
    with pytest.raises(UserError, match="traced: got 9, expected the index of a group of blocks"):
        exploration.record(traced=9)


def test_another_size_leaves_the_network_as_it_is():
    explore = explorer()
    image = picture(300, 300)
    before = explore(image).record()
    large = explore(image, size=224)
    assert large.fields[0].width == 56
    assert explore(image).record() == before


@pytest.mark.parametrize("head", ["faster_rcnn", "semantic_fpn"])
@pytest.mark.parametrize("neck", ["fpn", "atmfpn"])
def test_dense_networks_at_two_sizes(head, neck):
    options = ModelOptions(name="atmnet_nano", head=head, neck=neck, channels=32)
    small = {"anchor_sizes": [8, 16, 24, 32, 48], "representation_size": 16}
    options.head_kwargs = {"channels": 32} if head == "semantic_fpn" else small
    network = build_dense(options, DenseOptions(img_sizes=[64], max_img_size=96, crop_size=64), ["cup", "spoon"])
    network.model.eval()
    explore = Explorer(Predictor(make_task(network), "cpu"))
    image = picture(120, 80)
    first, large = explore(image), explore(image, size=224)
    assert first.answer.record == explore.predictor(image).record
    assert first.fields[0].stage == "Stage 1"
    wide = 88 if head == "faster_rcnn" else 84  # detectors pad 336 pixels to 352
    assert (first.fields[0].width, large.fields[0].width) == (24, wide)
    assert large.record()["origin"]["look"].endswith("stages.3.groups.0.offset")
    assert first.seen is not None
    assert first.seen.size == (96, 64)
    names = [(field.stage, field.blocks) for field in first.fields[4:]]
    assert names == ([] if neck == "fpn" else [("Neck", str(level)) for level in range(1, 5)])


def test_a_network_without_our_layers_only_answers():
    import timm

    from atmnet.models.create import data_config
    from atmnet.tasks import Classifier

    model = timm.create_model("test_convnext", num_classes=2).eval()
    exploration = Explorer(Predictor(make_task(Classifier(model, ["a", "b"], data_config(model))), "cpu"))(picture())
    record = exploration.record()
    assert exploration.seen is None
    assert (record["looks"], record["origin"]) == ([], None)
    assert record["answer"]["predictions"]


def test_a_broken_picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"a\.png: not a picture"):
        explorer()(path, "a.png")


def test_an_exported_file_of_one_size():
    explore = explorer()
    classifier = explore.network
    classifier.exported = True
    classifier.model.file = SimpleNamespace(path=Path("runs/a.onnx"), shape=[1, 3, 64, 64])
    of_file = Explorer(explore.predictor)
    assert of_file(picture()).model == "a.onnx"
    with pytest.raises(UserError, match="size: got 96, and this exported file takes only 64"):
        of_file(picture(), size=96)
    classifier.model.file.shape = [None, 3, None, None]
    assert Explorer(explore.predictor)(picture(), size=96).size == 96
