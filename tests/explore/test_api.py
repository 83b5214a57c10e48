"""The routes for programs: the same numbers as the package's, and a clear message for everything else."""

import json

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from starlette.testclient import TestClient

from atmnet.explore.api import add_routes
from atmnet.explore.service import Service
from atmnet.files import to_json
from tests.explore.explorers import EVIL, explorer, picture
from tests.explore.uploads import UPLOADS, encoded


@pytest.fixture(scope="module")
def service() -> Service:
    return Service({"A": explorer(), "B": explorer(["x", EVIL], side=32)})


@pytest.fixture(scope="module")
def client(service) -> TestClient:
    app = FastAPI()
    add_routes(app, service)
    return TestClient(app)


def test_look_has_the_numbers_of_the_package(service, client):
    image = picture()
    for name, query in (("A", ""), ("B", "&model=B&size=64&every_token=true&traced=1")):
        answer = client.post(f"/api/look?x=0.25&y=0.5&name=a.png{query}", content=encoded(image))
        assert answer.status_code == 200
        exploration = service.explorers[name](image, "a.png", 64 if query else None)
        expected = exploration.record(0.25, 0.5, traced=1 if query else None, every_token=bool(query))
        assert answer.json() == json.loads(to_json(expected))


@pytest.mark.parametrize("name", UPLOADS)
def test_uploads(client, name):
    content, error = UPLOADS[name]
    answer = client.post("/api/look", content=content, params={"name": name})
    if error is None:
        assert answer.status_code == 200
        assert answer.json()["looks"]
    else:
        assert answer.status_code == 400
        assert error in answer.json()["error"]
        assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("x=2", "x: got 2.0, expected a fraction"),
        ("y=nan", "y: got nan, expected a fraction"),
        ("x=left", "x: got 'left', input should be a valid number"),
        ("size=5000", "size: got 5000, expected 32 to 1024 pixels"),
        ("size=-1", "size: got -1, expected 32 to 1024 pixels"),
        ("model=/etc/passwd", "model: got /etc/passwd, expected one of A, B"),
        ("traced=17", "traced: got 17, expected the index of a group of blocks"),
    ],
)
def test_arguments(client, query, error):
    answer = client.post(f"/api/look?{query}", content=encoded(picture()))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)


def test_a_form_and_a_file_of_21_megabytes(client):
    assert client.post("/api/look", files={"a": b"x"}).status_code == 415
    assert client.post("/api/look", content=bytes(21 * 2**20)).status_code == 413


def test_results_are_kept_for_their_visitor_only(service, client):
    explorations = service.explore([_upload()], ["A", "B"])
    token = service.keep("visitor", explorations)
    assert len(token) >= 32
    frame = client.get(f"/explored/{token}/frame")
    assert "sandbox allow-scripts" in frame.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in frame.headers["Content-Security-Policy"]
    page = client.get(f"/explored/{token}/page.html")
    assert "attachment" in page.headers["Content-Disposition"]
    assert "<header>" in page.text
    assert page.text.count("</script>") == 2
    numbers = client.get(f"/explored/{token}/numbers.json")
    expected = [exploration.record(every_token=True) for exploration in explorations]
    assert numbers.json() == json.loads(to_json(expected))
    assert client.get(f"/explored/{token}/other").status_code == 404

    other = service.keep("visitor", explorations)  # the latest one replaces it
    assert client.get(f"/explored/{token}/frame").status_code == 404
    service.forget("someone else")
    assert client.get(f"/explored/{other}/frame").status_code == 200
    service.forget("visitor")
    assert client.get(f"/explored/{other}/frame").status_code == 404


def test_few_results_are_kept(service):
    explorations = service.explore([_upload()], ["B"])
    tokens = [service.keep(f"visitor {n}", explorations) for n in range(40)]
    assert service.kept(tokens[0]) is None
    assert service.kept(tokens[-1]) is explorations


def _upload():
    from atmnet.explore.service import Upload

    return Upload(encoded(picture()), f"{EVIL}.png")
