"""Models whose every branch matters: a fresh one looks nowhere (offsets near 0) and says little (logits near 0)."""

from typing import Any

import timm

from tests import golden


def build(variant: str = "nano", **kwargs) -> Any:
    """``atmnet_{variant}`` in evaluation mode with the golden files' weights."""
    model = timm.create_model(f"atmnet_{variant}", **kwargs).eval()
    model.load_state_dict(golden.official_weights(model))
    return model
