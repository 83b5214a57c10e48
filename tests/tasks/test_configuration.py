"""config.json is data: it makes nothing be fetched, opened or allocated, and whatever is wrong in it is one line."""

import json
import re
import resource
import socket
import time
from pathlib import Path

import pytest
import torch

from atmnet.tasks import load_network
from atmnet.tasks.configuration import plain_arguments
from atmnet_cli.errors import UserError
from tests.network import counting_server
from tests.processes import atmnet
from tests.shared import made_once
from tests.tasks.checkpoints import changed, write_checkpoints


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "tiny-checkpoints", write_checkpoints)


@pytest.fixture
def server():
    with counting_server() as server:
        yield server


@pytest.fixture
def connections(monkeypatch):
    """Addresses that something tried to connect to."""
    tried: list[object] = []

    def connect(self, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


URL, FILE = "URL", "/etc/passwd"
#: Places where weights could be fetched from, as a checkpoint could name them.
PLACES = [
    {"pretrained": True},
    {"pretrained": True, "pretrained_cfg": {"url": URL}},
    {"pretrained": True, "pretrained_cfg": {"file": FILE}},
    {"pretrained": True, "pretrained_cfg": {"hf_hub_id": "somebody/weights", "source": "hf-hub"}},
    {"pretrained": True, "pretrained_cfg_overlay": {"url": URL, "hf_hub_id": None}},
    {"pretrained": 1, "pretrained_cfg": None, "pretrained_strict": False},
    {"checkpoint_path": URL},
    {"checkpoint_path": FILE, "cache_dir": "/tmp"},
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("network", ["semantic_fpn", "upernet", "fcos", "classifier"])
def test_places_of_weights_are_left_out(folders, tmp_path, server, connections, network, place):
    """As in a run that started from pretrained weights: it loads, with the weights of the checkpoint."""
    place = json.loads(json.dumps(place).replace(URL, server.url))
    key = "model_args" if network == "classifier" else "model.kwargs"
    loaded = load_network(str(changed(folders / network, tmp_path / "x", key, place)))
    expected = load_network(str(folders / network))
    assert all(value.equal(loaded.model.state_dict()[name]) for name, value in expected.model.state_dict().items())
    assert loaded.config == expected.config
    assert (server.requests, connections) == ([], [])


@pytest.mark.parametrize("key", ["url", "file", "hf_hub_id", "hf_hub_filename", "source", "custom_load", "state_dict"])
def test_places_in_timms_own_layout(folders, tmp_path, server, connections, key):
    folder = changed(folders / "classifier", tmp_path / "x", f"pretrained_cfg.{key}", server.url)
    assert load_network(str(folder)).model.pretrained_cfg.get(key) != server.url
    assert (server.requests, connections) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["predict", "MODEL", "PICTURE", "--device", "cpu"],
        ["evaluate", "MODEL", "--data.source", "scenes", "--device", "cpu"],
        ["export", "MODEL", "--output", "OUTPUT"],
    ],
    ids=lambda command: command[0],
)
def test_commands_fetch_nothing(folders, tmp_path, server, command):
    """An address among other arguments is refused; see above for those that timm reads."""
    folder = changed(folders / "semantic_fpn", tmp_path / "x", "model.kwargs", {"weights": server.url})
    words = {"MODEL": folder, "PICTURE": Path(__file__).parents[2] / "docs" / "images", "OUTPUT": tmp_path / "a.onnx"}
    done = atmnet(*(words.get(word, word) for word in command))
    assert done.returncode == 2
    assert re.fullmatch(r"atmnet: error: .*config\.json: model: kwargs: 'weights': got 'http.*\n", done.stderr)
    assert server.requests == []


def test_preprocessing_of_other_weights_is_kept(folders, tmp_path):
    overlay = {"pretrained": True, "pretrained_cfg_overlay": {"mean": [0.1, 0.2, 0.3], "url": "http://localhost"}}
    folder = changed(folders / "fcos", tmp_path / "x", "model.kwargs", overlay)
    assert load_network(str(folder)).config["mean"] == (0.1, 0.2, 0.3)


BIG = 10**9
REFUSED = [
    ("classifier", "architecture", [5, None, [], {}, "", "x" * 10**6, "hf-hub:a/b", "local-dir:/tmp", "../x"]),
    ("classifier", "architecture", ["test_vit", "atmnet_nano", "resnet_x", "resnet50", "vit_giant_patch14_224"]),
    ("classifier", "label_names", ["ab", ["cat"], ["a", 2], [None, None], {"0": "a"}, ["a", "b", "c"]]),
    ("classifier", "num_classes", [BIG, -1, 0, 3, 1.5, "2", [2]]),
    ("classifier", "pretrained_cfg", [[], 5, "x"]),
    ("classifier", "pretrained_cfg.mean", ["abc", [None] * 3, [1e300] * 3, {}]),
    ("classifier", "pretrained_cfg.std", [[0, 0, 0], [-1, 1, 1], 0, [1e-30] * 3]),
    ("classifier", "pretrained_cfg.input_size", [[3, 0, 0], [3, BIG, BIG], [3, 32], [3, 32, 32.5], 32, ["3", 32, 32]]),
    ("classifier", "pretrained_cfg.crop_pct", [-1, 1e-9, 1e9, "all", [1]]),
    ("classifier", "pretrained_cfg.interpolation", ["x", 5, ["bicubic"]]),
    ("classifier", "pretrained_cfg.crop_mode", ["x", 5]),
    ("classifier", "pretrained_cfg.first_conv", [5]),
    ("classifier", "model_args", [[], "x", {"num_classes": 10**6}, {"unknown": 1}, {"features_only": True}]),
    ("atmnet", "architecture", ["test_resnet"]),
    ("atmnet", "model_args", [{"depths": [10**6] * 4}, {"depths": [2, 2, 10**6, 2]}, {"dims": [10**6] * 4}]),
    ("atmnet", "model_args", [{"dims": [BIG] * 4}, {"depths": 5}, {"dims": "abcd"}, {"in_chans": 10**6}]),
    ("atmnet", "model_args", [{"a": [[[[[[1]]]]]]}, {"dims": [1] * 10**5}, {"drop_rate": "a/b"}, {"drop_rate": 7}]),
    ("semantic_fpn", "model", [None, 5, {}, {"name": "test_resnet", "run": 1}]),
    ("semantic_fpn", "model.name", [5, "hf-hub:a/b", "resnet50", "test_vit", "/tmp"]),
    ("semantic_fpn", "model.head", [5, "nothing", "fcos", "classifier", "upernet"]),
    ("semantic_fpn", "model.neck", [5, "nothing", "atmfpn"]),
    ("semantic_fpn", "model.channels", [0, 60_000, BIG, "16", 17]),
    ("semantic_fpn", "model.head_kwargs", [5, {"channels": 10**6}, {"dropout": "a"}, {"unknown": 1}, {"dropout": 7}]),
    ("semantic_fpn", "model.drop_path", [-1, 2, "a"]),
    ("semantic_fpn", "dense", [None, [], {"run": 1}]),
    ("semantic_fpn", "dense.crop_size", [0, -5, BIG, "a", 32.5]),
    ("semantic_fpn", "label_names", [None, [], ["a"], ["a"] * 10**5, "ab"]),
    ("semantic_fpn", "category_ids", [[1], [1, "a"], [1, 2.5], 5]),
    ("upernet", "model.head_kwargs", [{"pool_scales": [10**6]}, {"pool_scales": 5}, {"norm": "x"}]),
    ("fcos", "model.head_kwargs", [{"anchor_sizes": "abcde"}, {"anchor_sizes": [1, "x", 3, 4, 5]}]),
    ("fcos", "model.head_kwargs", [{"topk_candidates": "a"}, {"detections_per_img": -5}, {"score_thresh": None}]),
    ("fcos", "dense.img_sizes", [[], [0], [BIG], 5, ["a"]]),
]  # fmt: skip


@pytest.mark.parametrize(("network", "path", "values"), REFUSED, ids=[f"{case[0]}-{case[1]}" for case in REFUSED])
def test_refused(folders, tmp_path, network, path, values):
    """In one line, soon, and before memory is allocated."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, value in enumerate(values):
        folder = changed(folders / network, tmp_path / str(number), path, value)
        start = time.process_time()
        with pytest.raises(UserError) as caught:
            load_network(str(folder))
        assert time.process_time() - start < 5, value
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < memory + 2**20, value  # KB
        message = str(caught.value)
        assert str(folder) in message
        assert "\n" not in message
        assert len(message) < 700, value


@pytest.mark.parametrize("content", ["", "{", "[]", "5", "[" * 10**5, '{"architecture": NaN}', '{"head": 1e999}'])
def test_no_object(folders, tmp_path, content):
    folder = changed(folders / "classifier", tmp_path / "x", "a", 1)
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: ") as caught:
        load_network(str(folder))
    assert "\n" not in str(caught.value)


def test_other_values_that_are_plain_stay():
    arguments = {"a": [[1, 2], [3.5]], "b": "avg", "c": None, "d": True, "e": {"scale": [1]}, "f": "swish-1.0_x+"}
    assert plain_arguments(arguments, "x") == arguments


def test_a_large_network_that_fits_its_weights(folders, tmp_path):
    """The limit follows from the weights, not from a size that seems large."""
    import safetensors.torch

    folder = changed(folders / "classifier", tmp_path / "x", "num_classes", 100_000)
    config = json.loads((folder / "config.json").read_text())
    del config["label_names"]
    config["model_args"] = {"num_classes": 100_000}
    (folder / "config.json").write_text(json.dumps(config))
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["fc.weight"] = torch.zeros(100_000, weights["fc.weight"].shape[1])
    weights["fc.bias"] = torch.zeros(100_000)
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    assert len(load_network(str(folder)).classes) == 100_000
