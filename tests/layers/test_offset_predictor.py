"""Offsets: their layout, and float32 whatever the precision around."""

import pytest
import torch

from atmnet.layers import ATM, OffsetPredictor


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_shape(axes):
    predictor = OffsetPredictor(12, share=4, axes=axes)
    assert predictor(torch.randn(2, *(5, 4, 3)[:axes], 12)).shape == (2, *(5, 4, 3)[:axes], axes * 3)


@pytest.mark.parametrize("share", [3, 16])
def test_share_must_divide_the_channels(share):
    with pytest.raises(ValueError, match=rf"^share: got {share}, expected a divisor of dim=8"):
        OffsetPredictor(8, share)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast(dtype):
    predictor, x = OffsetPredictor(8), torch.randn(2, 3, 4, 8)
    expected = predictor(x)
    with torch.autocast("cpu", dtype=dtype):
        assert predictor(x).equal(expected)
        # What reaches it there is the half-precision output of other layers.
        half = predictor(x.to(dtype))
    assert half.dtype == torch.float32
    assert half.equal(predictor(x.to(dtype).float()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_in_a_half_precision_model(dtype):
    predictor, x = OffsetPredictor(8).to(dtype), torch.randn(2, 3, 4, 8).to(dtype)
    offset = predictor(x)
    assert offset.dtype == torch.float32
    assert offset.equal(predictor.float()(x.float()))  # the same rounded weights, nothing else rounded


def test_wide_tokens_stay_wide_in_a_half_precision_model():
    predictor, x = OffsetPredictor(8).bfloat16(), torch.randn(2, 3, 4, 8)
    assert predictor(x).equal(predictor.float()(x))


def test_float64_stays():
    assert OffsetPredictor(8).double()(torch.randn(1, 3, 4, 8).double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_atm_takes_wide_offsets_and_answers_in_its_own_dtype(dtype):
    layer, predictor, x = ATM(8).to(dtype), OffsetPredictor(8).to(dtype), torch.randn(2, 3, 4, 8).to(dtype)
    out = layer(x, predictor(x))
    assert out.dtype == dtype
    out.float().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == dtype for p in predictor.proj.parameters())


def test_gradients_reach_the_predictor_under_autocast():
    layer, predictor, x = ATM(8), OffsetPredictor(8), torch.randn(2, 3, 4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x, predictor(x)).float().square().sum().backward()
    assert predictor.proj.weight.grad.dtype == torch.float32
    assert predictor.proj.weight.grad.any()
