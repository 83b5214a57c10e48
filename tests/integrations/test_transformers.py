"""transformers' own classifiers, segmenters and detectors on our backbones."""

from typing import Any

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from tests.models.build import build

transformers = pytest.importorskip("transformers")

IMAGES, CLASSES = (2, 3, 64, 96), 5
#: What keeps the networks around the backbone small.
SMALL_TRANSFORMER = {"encoder_layers": 1, "decoder_layers": 2, "num_labels": CLASSES}


def backbone_config(*stages: int) -> Any:
    return transformers.TimmBackboneConfig(backbone="atmnet_nano", out_indices=list(stages))


def upernet() -> nn.Module:
    config = transformers.UperNetConfig(
        backbone_config=backbone_config(0, 1, 2, 3),
        hidden_size=32,
        num_labels=CLASSES,
        auxiliary_channels=16,
        auxiliary_in_channels=96,
    )
    return transformers.UperNetForSemanticSegmentation(config)


def mask2former() -> nn.Module:
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone_config(0, 1, 2, 3),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=64,
        dim_feedforward=64,
        num_attention_heads=4,
        num_queries=6,
        train_num_points=64,
        **SMALL_TRANSFORMER,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def rt_detr() -> nn.Module:
    config = transformers.RTDetrConfig(
        backbone_config=backbone_config(1, 2, 3),
        encoder_in_channels=[64, 96, 128],
        encoder_hidden_dim=32,
        decoder_in_channels=[32] * 3,
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=10,
        num_denoising=4,
        **SMALL_TRANSFORMER,
    )
    return transformers.RTDetrForObjectDetection(config)


def label_maps() -> dict[str, Any]:
    return {"labels": torch.randint(0, CLASSES, (2, 64, 96))}


def masks() -> dict[str, Any]:
    return {
        "mask_labels": [torch.randint(0, 2, (2, 64, 96)).float() for _ in range(2)],
        "class_labels": [torch.tensor([0, 3])] * 2,
    }


def boxes() -> dict[str, Any]:
    box = {"class_labels": torch.tensor([1, 2]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.2]])}
    return {"labels": [box, box]}


#: Network, its targets, and its outputs' names with their shapes.
DENSE = {
    "upernet": (upernet, label_maps, {"logits": (2, CLASSES, 64, 96)}),
    "mask2former": (
        mask2former,
        masks,
        {"class_queries_logits": (2, 6, CLASSES + 1), "masks_queries_logits": (2, 6, 16, 24)},
    ),
    "rt_detr": (rt_detr, boxes, {"pred_boxes": (2, None, 4), "logits": (2, None, CLASSES)}),
}


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_network_trains_on_our_backbone(name):
    make, targets, shapes = DENSE[name]
    model = make().train()
    output = model(torch.randn(IMAGES), **targets())
    for key, expected in shapes.items():
        shape = getattr(output, key).shape
        assert len(shape) == len(expected)
        assert all(b in (None, a) for a, b in zip(shape, expected, strict=True)), f"{key}: {tuple(shape)}"

    output.loss.backward()
    parts = {key: p for key, p in model.named_parameters() if "._backbone." in key}
    assert sum(p.numel() for p in parts.values()) > 0.95 * sum(
        p.numel() for p in timm.create_model("atmnet_nano", num_classes=0).parameters()
    )
    for key, parameter in parts.items():
        assert parameter.grad is not None, f"{key} has no gradient"
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), f"{key}: all of its gradient is 0"


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_network_comes_back_from_its_folder(name, tmp_path):
    make, _, shapes = DENSE[name]
    model = make().eval()
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    weights, loaded = model.state_dict(), again.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(loaded[key].equal(value) for key, value in weights.items())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before, after = model(image), again(image)
    # Not the same bits: transformers maps weights from the file, and MKL sums in another order for another alignment.
    for key in shapes:
        torch.testing.assert_close(after[key], before[key], rtol=1e-5, atol=1e-6)


def test_the_backbone_gives_our_maps():
    backbone = transformers.AutoBackbone.from_config(backbone_config(1, 3)).eval()
    ours = timm.create_model("atmnet_nano", features_only=True, out_indices=(1, 3)).eval()
    ours.load_state_dict(backbone._backbone.state_dict())
    image = torch.randn(1, 3, 65, 43)
    with torch.no_grad():
        maps = backbone(image).feature_maps
        assert [tuple(y.shape) for y in maps] == [(1, 64, 8, 6), (1, 128, 2, 2)]
        assert all(a.equal(b) for a, b in zip(maps, ours(image), strict=True))
    assert backbone.channels == [64, 128]


def test_a_backbone_of_ours_takes_the_place_of_theirs():
    """How norms of the stages and trained weights come in: their configuration passes neither on."""
    model = upernet().eval()
    ours = timm.create_model("atmnet_nano", features_only=True, stage_norms=True)
    ours.load_state_dict(build().state_dict())  # a classifier's weights
    model.backbone._backbone = ours
    maps = model.backbone(torch.randn(1, 3, 64, 64)).feature_maps
    assert all(y.mean(1).abs().max() < 1e-4 for y in maps), "the stages' norms are not applied"
    assert model(torch.randn(IMAGES)).logits.shape == (2, CLASSES, 64, 96)


def wrapped(model: nn.Module) -> Any:
    config = transformers.TimmWrapperConfig(architecture="atmnet_nano", num_labels=10)
    wrapper = transformers.TimmWrapperForImageClassification(config).eval()
    wrapper.load_state_dict(model.state_dict())
    return wrapper


def test_the_wrapped_classifier_is_ours():
    model, image = build(), torch.randn(2, 3, 40, 32)
    wrapper = wrapped(model)
    with torch.no_grad():
        assert wrapper(image).logits.equal(model(image))
        hidden = wrapper(image, output_hidden_states=True).hidden_states
    assert [tuple(y.shape[1:]) for y in hidden] == [(32, 10, 8), (64, 5, 4), (96, 3, 2), (128, 2, 1)]

    enable = getattr(wrapper, "activation_checkpointing_enable", None) or wrapper.gradient_checkpointing_enable
    enable()  # since 5.23 by its new name
    assert wrapper.timm_model.stages[0].groups[0].grad_checkpointing
    wrapper.train()(image, labels=torch.tensor([1, 2])).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in wrapper.parameters())


@pytest.mark.parametrize("loader", ["TimmWrapperForImageClassification", "AutoModelForImageClassification"])
def test_the_wrapped_classifier_comes_back_from_its_folder(loader, tmp_path):
    model, image = build(), torch.randn(2, 3, 32, 32)
    wrapped(model).save_pretrained(tmp_path)
    again = getattr(transformers, loader).from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert again(image).logits.equal(model(image))


def test_a_folder_of_timm_is_a_wrapped_classifier(tmp_path):
    """So are the checkpoints of a training run: they have the same layout."""
    model, image = build(), torch.randn(2, 3, 32, 32)
    timm.models.save_for_hf(model, tmp_path, model_config={"label_names": list("abcdefghij")})
    # transformers 5.23 gives timm the number of classes twice where timm 1.0.31 wrote it among the arguments.
    again = transformers.AutoModelForImageClassification.from_pretrained(tmp_path, model_args={}).eval()
    assert again.config.id2label == dict(enumerate("abcdefghij"))
    with torch.no_grad():
        assert again(image).logits.equal(model(image))
    pixels = transformers.AutoImageProcessor.from_pretrained(tmp_path)(Image.new("RGB", (50, 40)), return_tensors="pt")
    assert pixels["pixel_values"].shape == (1, 3, 32, 32)
