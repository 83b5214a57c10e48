"""What the app's gate refuses, before the app sees it."""

import base64
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from atmnet.explore.gate import Gate

LOCAL = "http://127.0.0.1:7860"
FOREIGN = "https://evil.example"


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def _client(uploads: Path, **options) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", _echo, methods=["GET", "POST", "OPTIONS"])])
    options = {"loopback": True, "max_bytes": 2**20, "uploads": uploads, **options}
    return TestClient(Gate(app, **options), base_url=LOCAL)


def test_paths_that_no_browser_needs(tmp_path):
    client = _client(tmp_path)
    assert client.get("/").status_code == 200
    assert client.get("/assets/index.js").status_code == 200
    for path in (
        "/gradio_api/proxy=http://a.example", "/monitoring", "/gradio_api/openapi.json", "/gradio_api/runs", "/login",
        "/docs", "/custom_component/x/y", "/gradio_api/dev/reload", "/gradio_api/vibe-edit/", "/static/%2e%2e/x",
        "/gradio_api/file=../x", "/assets/..%2f..%2fx",
    ):  # fmt: skip
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "path: there is nothing here"}), path


def test_pages_of_others_are_refused_unless_allowed(tmp_path):
    client = _client(tmp_path)
    for method in (client.get, client.post, client.options):
        for origin in (FOREIGN, "null", "http://127.0.0.1:7861", "http://localhost:7860"):
            assert method("/api/look", headers={"Origin": origin}).status_code == 403
        assert method("/api/look", headers={"Origin": LOCAL}).status_code == 200
    assert FOREIGN in client.get("/", headers={"Origin": FOREIGN}).json()["error"]
    allowed = _client(tmp_path, origins=[FOREIGN], auth="me:secret")
    assert allowed.options("/api/look", headers={"Origin": FOREIGN}).status_code == 200
    assert allowed.post("/api/look", headers={"Origin": FOREIGN}).status_code == 401


def test_other_names_for_this_machine(tmp_path):
    """A page of others whose name was made to point here cannot read answers."""
    for host, status in (("evil.example:7860", 403), ("localhost:7860", 200), ("[::1]:7860", 200), ("", 403)):
        assert _client(tmp_path).get("/", headers={"Host": host}).status_code == status
        assert _client(tmp_path, loopback=False).get("/", headers={"Host": host}).status_code == 200


def test_a_password(tmp_path):
    client = _client(tmp_path, auth="me:pässword:1")
    answer = client.get("/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    for header, status in (
        ("Basic " + base64.b64encode("me:pässword:1".encode()).decode(), 200),
        ("Basic " + base64.b64encode(b"me:wrong").decode(), 401),
        ("Bearer me", 401),
        ("Basic é", 401),
        ("Basic", 401),
    ):
        assert client.get("/", headers={"Authorization": header.encode()}).status_code == status
    for path in ("/api/look", "/gradio_api/upload", "/explored/x/page.html", "/config"):
        assert client.get(path).status_code == 401


def test_requests_that_are_too_large(tmp_path):
    client = _client(tmp_path)
    assert client.post("/api/look", content=bytes(2**20)).text == str(2**20)

    def parts():  # without a length
        for _ in range(30):
            yield bytes(2**17)

    for content in (bytes(2**21), parts()):
        answer = client.post("/api/look", content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, client_error := answer.json()["error"])
        assert client_error == "the request is too large; a picture has at most 1 MB"


def test_calls_name_only_uploaded_files(tmp_path):
    client = _client(tmp_path / "uploads")
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "link.png").symlink_to("/etc/passwd")
    inside = str(tmp_path / "uploads" / "ab" / "a.png")
    call = {"data": [{"path": inside, "meta": {}}, None, 224, ["A"]]}
    assert client.post("/gradio_api/queue/join", json=call).status_code == 200
    for path in (
        "/etc/passwd", "../../etc/passwd", "a.png", f"{inside}/../../../b.png", "http://a.example/x.png", 3, ["x"],
        str(tmp_path / "uploads" / "link.png"), "\0", str(tmp_path / "uploads2" / "a.png"),
    ):  # fmt: skip
        for data in ({"path": path}, [[{"deep": {"path": path}}]]):
            answer = client.post("/gradio_api/queue/join", json={"data": [data]})
            assert answer.status_code == 403, path
            assert "expected a picture that was uploaded here" in answer.json()["error"]
    assert client.post("/gradio_api/call/f", content=b"[" * 100_000).status_code == 400
    assert client.post("/gradio_api/call/f", content=bytes(2**20 + 1)).status_code == 413


def test_answers_allow_nothing_from_elsewhere(tmp_path):
    policy = _client(tmp_path).get("/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_no_more_pictures_than_there_is_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr("atmnet.explore.gate._MAX_STORED", 1000)
    client = _client(tmp_path)
    assert client.post("/gradio_api/upload", content=b"a").status_code == 200
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.png").write_bytes(bytes(1001))
    answer = client.post("/gradio_api/upload", content=b"a")
    assert (answer.status_code, "try again later" in answer.json()["error"]) == (507, True)
    assert client.get("/gradio_api/upload_progress").status_code == 200
