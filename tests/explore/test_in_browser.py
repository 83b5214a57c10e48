"""The page of explorations in a real browser."""

import re
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from atmnet.explore.page import explored_page
from tests.browser import chromium, watched
from tests.explore.explorers import EVIL, explorer, picture


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    image = picture(200, 200)
    shown = [explorer([EVIL, "b"])(image, "a.png"), explorer(side=96)(image, "a.png")]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(explored_page(shown), "utf-8")
    return path


def _open(browser, page_file, **options):
    page, problems = watched(browser, ("file:", "data:"), **options)
    page.goto(page_file.as_uri())
    return page, problems


def test_pointing_choosing_and_keys(browser, page_file):
    page, problems = _open(browser, page_file, viewport={"width": 1280, "height": 900})
    first, second = (page.locator(f"[data-viewer='{n}']") for n in range(2))
    large, readout = first.locator("[data-part=large]"), first.locator("[data-part=readout]")
    first.locator(".stages button").nth(0).click()
    large.scroll_into_view_if_needed()
    box = large.evaluate("(element) => element.getBoundingClientRect().toJSON()")
    page.mouse.click(box["x"] + 0.53 * box["width"], box["y"] + 0.28 * box["height"])
    assert readout.inner_text().startswith("Token in row 5 of 16, column 9 of 16:")
    other = second.locator("[data-part=large]")
    rows = int(other.get_attribute("viewBox").split()[3])
    assert int(other.get_attribute("data-row")) == int(0.28 * rows), "the other model's token follows"
    large.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert readout.inner_text().startswith("Token in row 6 of 16, column 10 of 16:")
    for name, pattern in (
        ("Read by", r"\d+ tokens read it"),
        ("Came from", r"half of its content came from \d+ of 256"),
    ):
        button = first.get_by_role("button", name=name)
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == "true"
        assert re.search(pattern, readout.inner_text())
        assert large.locator(".heat").count() > 0
    assert first.locator(".fusion:visible").count() == 1
    assert page.locator("script").count() == 2, "none came from a name"
    assert not problems


def test_a_click_answers_within_a_tenth_of_a_second(browser, tmp_path):
    """For atmnet_tiny at 224 pixels, in every layer."""
    import timm

    from atmnet.explore import Explorer
    from atmnet.models.create import data_config
    from atmnet.predictions import Predictor
    from atmnet.tasks import Classifier, make_task

    model = timm.create_model("atmnet_tiny", num_classes=2).eval()
    explore = Explorer(Predictor(make_task(Classifier(model, ["a", "b"], data_config(model))), "cpu"))
    path = tmp_path / "page.html"
    path.write_text(explored_page([explore(picture(224, 224))]), "utf-8")
    page, problems = _open(browser, path, viewport={"width": 1280, "height": 900})
    for layer in ("reads", "readers", "origin"):
        page.locator(f"[data-layer={layer}]").click()
        times = page.evaluate(
            """() => {
              const large = document.querySelector("[data-part=large]"), box = large.getBoundingClientRect();
              return [...Array(9).keys()].map((k) => {
                const before = performance.now();
                const at = { clientX: box.left + box.width * (k + 0.5) / 9, clientY: box.top + box.height / 2 };
                large.dispatchEvent(new PointerEvent("pointerdown", at));
                return performance.now() - before;
              });
            }"""
        )
        assert sorted(times)[len(times) // 2] < 100, layer
    assert not problems


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_widths_and_colours(browser, page_file, width, scheme):
    page, problems = _open(browser, page_file, viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 20, 23)") == (scheme == "dark")
    for name in ("Reads", "Read by", "Came from", "Save as PNG", "Save as SVG"):
        assert page.get_by_role("button", name=name, exact=True).count() == 2
    assert page.get_by_role("img", name="Picture with a token").count() == 2
    assert not problems


def test_what_is_seen_is_saved(browser, page_file, tmp_path):
    page, problems = _open(browser, page_file, viewport={"width": 1280, "height": 900})
    page.locator("[data-layer=readers]").first.click()
    saved = {}
    for kind in ("png", "svg"):
        with page.expect_download() as download:
            page.locator(f"[data-save={kind}]").first.click()
        assert download.value.suggested_filename == f"atmnet_nano-a.png.{kind}"
        saved[kind] = tmp_path / f"saved.{kind}"
        download.value.save_as(saved[kind])
    image = Image.open(saved["png"]).convert("RGB")
    assert min(image.size) > 500
    assert len(image.getcolors(2**24)) > 100
    root = ET.parse(saved["svg"]).getroot()
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("image") == 1
    assert "use" not in names
    alone = browser.new_page()  # the file shows the same without the page
    alone.goto(saved["svg"].as_uri())
    fills = alone.evaluate("[...document.querySelectorAll('path')].map((each) => getComputedStyle(each).fill)")
    assert "rgb(255, 166, 77)" in fills
    assert not problems


def test_a_notebook_shows_the_page_in_a_frame(browser, tmp_path):
    from atmnet.explore import show

    shown = show(explorer().predictor, picture())
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>a</title>{shown._repr_html_()}", "utf-8")
    page, problems = _open(browser, path)
    frame = page.frame_locator("iframe")
    frame.locator("[data-layer=origin]").click()
    assert "half of its content" in frame.locator("[data-part=readout]").inner_text()
    with page.expect_download() as download:
        frame.locator("[data-save=svg]").click()
    assert download.value.suggested_filename == "atmnet_nano-picture.svg"
    assert not problems
