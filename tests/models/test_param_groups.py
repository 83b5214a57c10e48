"""Weight decay and layer-wise learning rates, as timm's optimiser factory makes them of the model."""

import pytest
import timm
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from torch import nn


@pytest.fixture(scope="module")
def model():
    return timm.create_model("atmnet_xtiny")


def by_name(model: nn.Module, groups: list[dict], key: str) -> dict[str, float]:
    names = {id(p): name for name, p in model.named_parameters()}
    values = {names[id(p)]: group[key] for group in groups for p in group["params"]}
    assert values.keys() == set(names.values())
    return values


@pytest.mark.parametrize("layer_decay", [None, 0.7])
def test_weight_decay(model, layer_decay):
    optimiser = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=layer_decay)
    decay = by_name(model, optimiser.param_groups, "weight_decay")
    for name, parameter in model.named_parameters():
        free = parameter.ndim <= 1 or ".pos_embed." in name
        assert decay[name] == (0 if free else 0.05), name


def test_the_position_encodings_are_all_that_is_named(model):
    named = model.no_weight_decay()
    assert named == {f"stages.{i}.pos_embed.conv.{kind}" for i in range(4) for kind in ("weight", "bias")}
    free = by_name(model, param_groups_weight_decay(model, 0.05, no_weight_decay_list=named), "weight_decay")
    assert {n for n, p in model.named_parameters() if free[n] == 0 and p.ndim > 1} == {
        f"stages.{i}.pos_embed.conv.weight" for i in range(4)
    }


def test_layer_decay(model):
    optimiser = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.7)
    scale = by_name(model, optimiser.param_groups, "lr_scale")

    # In the order of the forward pass: every block, and what comes before a stage's first one, is a step of its own.
    steps = ["patch_embed"]
    for i, stage in enumerate(model.stages):
        steps.append(f"stages.{i}.downsample" if i else f"stages.{i}.pos_embed")
        steps += [f"stages.{i}.groups.{g}.blocks.{k}" for g, group in enumerate(stage.groups) for k in (0, 1)]
    steps.append("head")
    found = []
    for step in steps:
        (value,) = {value for name, value in scale.items() if name.startswith(step + ".")}
        found.append(value)
    assert found == pytest.approx([0.7 ** (len(steps) - 1 - i) for i in range(len(steps))])

    # What belongs to a step goes with it.
    for i in range(4):
        assert scale[f"stages.{i}.pos_embed.conv.weight"] == found[[0, 3, 6, 11][i] + 1]
        assert scale[f"stages.{i}.groups.0.offset.proj.weight"] == scale[f"stages.{i}.groups.0.blocks.0.norm1.weight"]
    assert scale["stages.2.groups.1.offset.norm.weight"] == scale["stages.2.groups.1.blocks.0.mlp.fc1.weight"]
    assert scale["norm.weight"] == found[-2]
