"""A detector's or segmenter's folder that was damaged says what does not fit."""

import json

import pytest
import safetensors.torch

from atmnet.tasks import load_network
from atmnet.tasks.dense import build_dense
from atmnet_cli.errors import UserError
from atmnet_cli.options import DenseOptions, ModelOptions


@pytest.fixture
def folder(tmp_path):
    network = build_dense(
        ModelOptions(name="atmnet_nano", head="semantic_fpn", channels=32), DenseOptions(crop_size=32), ["road", "sky"]
    )
    network.write_config(tmp_path / "config.json")
    safetensors.torch.save_file(network.model.state_dict(), tmp_path / "model.safetensors")
    assert load_network(str(tmp_path)).classes == ["road", "sky"]
    return tmp_path


def test_configuration(folder):
    record = json.loads((folder / "config.json").read_text())
    del record["dense"]
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"config.json: not the configuration of a detector or segmenter: 'dense'"):
        load_network(str(folder))


def test_weights(folder):
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UserError, match=r"model.safetensors: does not fit the network in config.json: "):
        load_network(str(folder))
