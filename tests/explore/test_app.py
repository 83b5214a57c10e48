"""The app in a real browser, with the network cut off."""

import json
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("gradio")

from tests.browser import chromium, watched
from tests.explore.explorers import EVIL, picture
from tests.explore.served import served
from tests.explore.uploads import UPLOADS

pytestmark = pytest.mark.slow

#: What Gradio's own script warns of whenever a file is uploaded.
_GRADIO = ("Method not implemented.",)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with served(tmp_path_factory.mktemp("app") / "tmp", "--beside", "atmnet_nano.digits") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def _open(browser, app, **options):
    page, problems = watched(browser, (app.url, "data:", "blob:"), ignore=_GRADIO, **options)
    page.goto(app.url)
    frame = page.frame_locator("#result iframe")
    frame.locator("[data-part=large]").first.wait_for(timeout=30_000)
    return page, frame, problems


def _upload(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def test_a_picture_of_ones_own(app, browser, tmp_path):
    picture(120, 90).save(tmp_path / "mine.png")
    page, frame, problems = _open(browser, app, viewport={"width": 1400, "height": 1000})
    assert frame.locator("[data-viewer]").count() == 2
    page.get_by_role("button", name="Remove").first.click()
    _upload(page, tmp_path / "mine.png")
    frame.locator(".who", has_text="mine.png").first.wait_for(timeout=30_000)
    assert "mine.png" in app.files()

    with page.expect_download() as download:
        page.get_by_role("link", name="Save this page").click()
    download.value.save_as(tmp_path / "page.html")
    saved, saved_problems = watched(browser, ("file:", "data:"))
    saved.goto((tmp_path / "page.html").as_uri())
    assert saved.locator("[data-part=large]").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the numbers").click()
    download.value.save_as(tmp_path / "numbers.json")
    records = json.loads((tmp_path / "numbers.json").read_text())
    assert [record["model"] for record in records] == ["A: atmnet_nano", "B: atmnet_nano"]
    assert [record["picture"]["name"] for record in records] == ["mine.png"] * 2

    frame.locator("[data-layer=origin]").first.click()
    assert "half of its content" in frame.locator("[data-part=readout]").first.inner_text()
    for kind in ("png", "svg"):
        with page.expect_download() as download:
            frame.locator(f"[data-save={kind}]").first.click()
        assert download.value.suggested_filename.endswith(f"mine.png.{kind}")

    page.get_by_label("B: atmnet_nano").click()
    page.wait_for_timeout(1500)
    assert frame.locator("[data-viewer]").count() == 1
    assert problems == saved_problems == []

    page.close()
    deadline = time.monotonic() + 60
    while "mine.png" in app.files() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "mine.png" not in app.files(), "nothing is kept of a visitor who left"


def test_size_and_a_second_picture(app, browser, tmp_path):
    picture(seed=3).save(tmp_path / "second.png")
    page, frame, problems = _open(browser, app, viewport={"width": 1400, "height": 1000})
    number = page.locator("input[type=number]").first
    number.fill("96")
    number.press("Enter")
    frame.locator(".who", has_text="at 96 pixels").first.wait_for(timeout=30_000)
    page.get_by_role("button", name="A second picture").click()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "second.png")
    frame.locator(".who", has_text="second.png").first.wait_for(timeout=30_000)
    assert frame.locator("[data-viewer]").count() == 4
    assert not problems
    page.close()


def test_bad_pictures_and_evil_names(app, browser, tmp_path):
    page, frame, problems = _open(browser, app)
    for name in ("truncated.png", "bomb.png", "drawing.svg"):
        content, error = UPLOADS[name]
        path = tmp_path / name
        path.write_bytes(content)
        page.get_by_role("button", name="Remove").first.click()
        _upload(page, path)
        page.get_by_text(error).first.wait_for(timeout=30_000)
    name = EVIL.replace("/", "_") + ".png"
    picture().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.get_by_role("button", name="Remove").first.click()
    _upload(page, tmp_path / name)
    frame.locator(".who", has_text="pixels").filter(has_text="script").first.wait_for(timeout=30_000)
    assert frame.locator("script").count() == 2
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_widths_and_colours(app, browser, width, scheme):
    page, _, problems = _open(
        browser, app, viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=width < 400
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inner = next(frame for frame in page.frames if "/explored/" in frame.url)
    widths = inner.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    height = inner.evaluate("document.documentElement.offsetHeight")
    page.wait_for_function(
        "(height) => Math.abs(parseInt(document.querySelector('#result iframe').style.height) - height) < 2", arg=height
    )
    ink = inner.evaluate("getComputedStyle(document.body).color")
    assert (ink == "rgb(233, 232, 228)") == (scheme == "dark")
    assert not problems
    page.close()


def test_by_keyboard(app, browser):
    page, frame, problems = _open(browser, app, viewport={"width": 1280, "height": 900})
    page.get_by_role("link", name="Save this page").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if frame.locator("[data-part=large]:focus").count():
            break
    before = frame.locator("[data-part=readout]").first.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert frame.locator("[data-part=readout]").first.inner_text() != before
    assert not problems
    page.close()


def _status(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_no_file_of_the_server_can_be_read(app):
    (app.folder / "secret.txt").write_text("secret")  # in the server's current folder
    (app.folder / ".secret").write_text("secret")
    for path in (
        "/etc/passwd",
        f"{app.folder}/secret.txt",
        f"{app.folder}/.secret",
        "secret.txt",
        "/proc/self/environ",
    ):
        for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/explored/"):
            status, content = _status(app.url + prefix + urllib.request.quote(path))
            assert status >= 400, prefix + path
            assert content != b"secret"
            assert b"root:" not in content
        call = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, None, 224, []], "fn_index": 1}
        call["session_hash"] = "visitor"
        status, content = _status(
            f"{app.url}/gradio_api/queue/join", json.dumps(call).encode(), **{"Content-Type": "application/json"}
        )
        assert (status, b"expected a picture that was uploaded here" in content) == (403, True)
    assert not any("passwd" in name for name in app.files())


def test_foreign_origins(app):
    for path in ("/", "/config", "/api/look", "/gradio_api/upload", "/gradio_api/queue/join"):
        assert _status(app.url + path, Origin="https://evil.example")[0] == 403
        assert _status(app.url + path, Host="evil.example")[0] == 403


def test_a_password(browser, tmp_path):
    with served(tmp_path / "tmp", "--auth", "me:secret") as app:
        for path in ("/", "/api/look", "/config", "/gradio_api/file=/etc/passwd"):
            assert _status(app.url + path)[0] == 401
        page = browser.new_page(http_credentials={"username": "me", "password": "secret"})
        page.goto(app.url)
        page.frame_locator("#result iframe").locator("[data-part=large]").wait_for(timeout=30_000)
        page.close()
