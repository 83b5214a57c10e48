"""``atmnet explore``: what is refused before work is spent. tests/explore has the app itself."""

import socket

import pytest

from atmnet.explore.server import _listen, _url
from atmnet_cli.command import main, parse
from atmnet_cli.errors import UserError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--auth", "nobody"], "auth: expected USER:PASSWORD, or @FILE with a file that contains it"),
        (["--auth", "@/no/such"], "auth: @/no/such: cannot be read: [Errno 2] No such file or directory: '/no/such'"),
        (["--origins", '["example.org"]'], "origins: got 'example.org', expected a scheme, a host and perhaps a port"),
        (["--port", "-1"], "port: got -1, expected at least 0"),
        (["--beside_weights", "a"], "beside_weights: these are for the second model; name it by --beside"),
        (["no/such/run"], "model: unknown model or folder 'no/such/run'"),
    ],
)
def test_refusals(options, message, capsys):
    pytest.importorskip("gradio")
    assert main(["explore", "--open=false", *options]) == 2
    assert message in capsys.readouterr().err


def test_without_gradio(monkeypatch, capsys):
    monkeypatch.setattr("atmnet.explore.server.find_spec", lambda name: None)
    monkeypatch.setattr("atmnet_cli.errors.requires", lambda name: ["gradio<7,>=6.31; extra == 'explore'"])
    assert main(["explore"]) == 2
    expected = "explore: this needs Gradio, which is not installed: pip install 'gradio<7,>=6.31'"
    assert capsys.readouterr().err == f"atmnet: error: {expected}\n"


def test_the_model_may_be_left_out():
    assert parse(["explore"])[1].model == "atmnet_nano.digits"
    assert parse(["explore", "runs/demo", "--beside", "runs/other"])[1].model == "runs/demo"


def test_the_next_free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _listen("127.0.0.1", port) as listener:
            assert port < listener.getsockname()[1] < port + 100
            assert _url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(UserError, match=r"host, port: cannot listen at 192\.0\.2\.1:7860: "):
        _listen("192.0.2.1", 7860)
