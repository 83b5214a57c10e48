"""Models that a user's own modules register with timm."""

import sys

import pytest

from atmnet.models.create import create_model
from atmnet_cli import command
from atmnet_cli.own_modules import VARIABLE

MODULE = """
from timm.models import register_model
from timm.models.resnet import test_resnet


@register_model
def users_own_net(pretrained=False, **kwargs):
    return test_resnet(pretrained, **kwargs)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "users_own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "users_own"
    sys.modules.pop("users_own", None)


def _benchmark():
    return command.main(["benchmark", "--models", "users_own_net", "--img_size=32", "--rounds=2", "--batch_size=1"])


def test_commands_know_models_of_own_modules(module, monkeypatch, capsys):
    assert _benchmark() == 2
    assert "unknown model 'users_own_net'" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, f" {module}, ")
    assert _benchmark() == 0
    assert "users_own_net" in capsys.readouterr().out
    # Not the name of the model that the function returns, as which a checkpoint would be loaded.
    assert create_model("users_own_net").pretrained_cfg["architecture"] == "users_own_net"
    assert create_model("test_resnet").pretrained_cfg["architecture"] == "test_resnet"


def test_modules_that_cannot_be_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "json,nowhere_at_all")
    assert _benchmark() == 2
    assert (
        "ATMNET_MODULES: nowhere_at_all: No module named 'nowhere_at_all'; expected names of" in capsys.readouterr().err
    )
    (tmp_path / "broken_module.py").write_text("1 / 0")
    monkeypatch.setenv(VARIABLE, "broken_module")
    assert _benchmark() == 2
    assert "ATMNET_MODULES: broken_module: division by zero" in capsys.readouterr().err
