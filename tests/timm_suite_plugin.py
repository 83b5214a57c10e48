"""pytest plugin that narrows timm's own tests/test_models.py to the models named in $ATMNET_SUITE_MODELS.

timm parametrises its tests by ``model_name`` over its registry, which holds ours once atmnet is imported. This drops
every other name, and gives ours to the tests that timm writes for a few of its models though their contract is general.
"""

import os

import pytest

import atmnet  # noqa: F401

MODELS = os.environ.get("ATMNET_SUITE_MODELS", "").split(",")

#: Tests whose list of models is by hand (or by file of timm), yet state what any pyramid should meet.
BY_HAND = {
    "test_feature_getter_stage_ends_torchscript",
    "test_features_only_feature_cls_class",
    "test_features_only_grad_checkpointing_backward",
    "test_model_forward_intermediates",
    "test_model_forward_intermediates_features",
    "test_prune_intermediate_layers_contract",
    "test_prune_intermediate_layers_params_used",
    "test_reset_classifier_keeps_pool",
}


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = metafunc.definition.own_markers
    for i, mark in enumerate(marks):
        if mark.name == "parametrize" and mark.args[0] == "model_name":
            listed = MODELS if metafunc.definition.name in BY_HAND else mark.args[1]
            marks[i] = pytest.mark.parametrize("model_name", [name for name in listed if _ours(name)]).mark


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and _ours(item.callspec.params.get("model_name"))
    ]


def _ours(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in MODELS
