"""Feature maps: their sizes, formats and norms, and what must not change them."""

import pytest
import timm
import torch

from tests.models.build import build

SIZES = [(3, 3), (32, 32), (35, 34), (97, 130), (224, 224), (384, 384)]


def strides(n: int) -> list[int]:
    """Tokens along an axis of n pixels: the stem's floor((n - 3) / 4) + 1, then halves, rounded up."""
    sizes = [(n - 3) // 4 + 1]
    for _ in range(3):
        sizes.append(-(-sizes[-1] // 2))
    return sizes


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(size):
    model = timm.create_model("atmnet_nano", features_only=True, device="meta")
    maps = model(torch.empty(2, 3, *size, device="meta"))
    assert [tuple(y.shape) for y in maps] == [
        (2, c, h, w) for c, h, w in zip((32, 64, 96, 128), strides(size[0]), strides(size[1]), strict=True)
    ]
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    assert model.feature_info.channels() == [32, 64, 96, 128]


def test_published_sizes():
    assert strides(224) == [56, 28, 14, 7]
    assert strides(97) == [24, 12, 6, 3]
    assert strides(130) == [32, 16, 8, 4]


@pytest.mark.parametrize("indices", [(0,), (1, 3), (2,), (-1,)])
def test_features_only_are_the_stages_outputs(indices):
    model, image = build(), torch.randn(2, 3, 45, 60)
    maps = model.forward_intermediates(image, intermediates_only=True)
    features = timm.create_model("atmnet_nano", features_only=True, out_indices=indices).eval()
    features.load_state_dict(model.state_dict(), strict=False)
    for index, y in zip(indices, features(image), strict=True):
        torch.testing.assert_close(y, maps[index])


def test_nhwc_is_nchw_permuted():
    model, image = build(), torch.randn(1, 3, 45, 60)
    channels_first = model.forward_intermediates(image, output_fmt="NCHW", intermediates_only=True)
    channels_last = model.forward_intermediates(image, output_fmt="NHWC", intermediates_only=True)
    for first, last in zip(channels_first, channels_last, strict=True):
        assert first.shape[1] == last.shape[3]
        assert first.permute(0, 2, 3, 1).equal(last)
    with pytest.raises(ValueError, match=r"^output_fmt: got NLC, expected NCHW or NHWC"):
        model.forward_intermediates(image, output_fmt="NLC")


def test_final_tokens_and_logits_agree():
    model, image = build(), torch.randn(2, 3, 45, 60)
    tokens, maps = model.forward_intermediates(image, output_fmt="NHWC")
    assert tokens.equal(model.forward_features(image))
    assert model.norm(maps[-1]).equal(tokens)
    torch.testing.assert_close(model.forward_head(tokens), model(image))
    torch.testing.assert_close(model.head.fc(tokens.mean((1, 2))), model(image))


@pytest.mark.parametrize("in_chans", [1, 5])
def test_channels_of_the_image(in_chans):
    model = build(in_chans=in_chans)
    image = torch.randn(1, in_chans, 32, 32, requires_grad=True)
    model(image).square().sum().backward()
    assert image.grad.flatten(2).any(-1).all()  # every channel is looked at
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.randn(1, 3, 32, 32))


def test_images_of_a_batch_do_not_see_each_other():
    model, images = build().double(), torch.randn(3, 3, 40, 52, dtype=torch.float64)
    together = model.forward_intermediates(images, intermediates_only=True)
    for i in range(3):
        alone = model.forward_intermediates(images[i : i + 1], intermediates_only=True)
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i : i + 1], theirs)
    torch.testing.assert_close(model(images), torch.cat([model(image[None]) for image in images]))


def test_the_memory_format_of_the_image_does_not_matter():
    model, image = build().double(), torch.randn(2, 3, 40, 52, dtype=torch.float64)
    torch.testing.assert_close(model(image.contiguous(memory_format=torch.channels_last)), model(image))


def test_stage_norms():
    plain = build()
    model = timm.create_model("atmnet_nano", features_only=True, stage_norms=True).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(2, 3, 45, 60)
    raw = plain.forward_intermediates(image, intermediates_only=True)
    for i, (y, before) in enumerate(zip(model(image), raw, strict=True)):
        torch.testing.assert_close(y.mean(1), torch.zeros_like(y[:, 0]), atol=1e-4, rtol=0)
        torch.testing.assert_close(y.var(1, unbiased=False), torch.ones_like(y[:, 0]), atol=1e-2, rtol=0)
        assert not torch.allclose(y, before)
        norm = model.model.stage_norms[i]
        with torch.no_grad():
            norm.weight.fill_(2.0)
            norm.bias.fill_(1.0)
        torch.testing.assert_close(model(image)[i], 2 * y + 1)


def test_stage_norms_do_not_touch_classification():
    plain, model = build(), timm.create_model("atmnet_nano", stage_norms=True).eval()
    state = plain.state_dict()
    model.load_state_dict({**model.state_dict(), **state})
    image = torch.randn(1, 3, 32, 32)
    assert model(image).equal(plain(image))
