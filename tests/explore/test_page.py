"""The page of explorations, as the app, notebooks and saved files show it."""

import html
import json
import re

import atmnet
from atmnet.explore import show
from atmnet.explore.page import explored_page
from tests.explore.explorers import EVIL, explorer, picture
from tests.report.reports import Page


def _page(text: str) -> Page:
    page = Page(text)
    assert not page.open
    return page


def _data(page: Page) -> dict:
    return json.loads("".join(data for tag, data in page.texts if tag == "script" and data.startswith("{")))


def test_names_are_escaped_and_nothing_is_loaded():
    page = _page(explored_page([explorer([EVIL, "b"])(picture(), f"{EVIL}.png")]))
    assert page.text.count("</script>") == 2
    assert page.said().count(EVIL) >= 3
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")) or tag == "a"


def test_two_models_and_a_network_that_only_answers():
    import timm

    from atmnet.explore import Explorer
    from atmnet.models.create import data_config
    from atmnet.predictions import Predictor
    from atmnet.tasks import Classifier, make_task

    other = timm.create_model("test_convnext", num_classes=2).eval()
    answers = Explorer(Predictor(make_task(Classifier(other, ["a", "b"], data_config(other))), "cpu"))
    explore = explorer()
    shown = [answers(picture(), "p"), explore(picture(), "p"), explore(picture(seed=1), "q")]
    page = _page(explored_page(shown))
    assert "This network shows only its answer" in page.said()
    numbers = [attributes["data-viewer"] for _, attributes in page.elements if "data-viewer" in attributes]
    assert numbers == ["0", "1"]
    assert [look["picture"] for look in _data(page)["looks"]] == ["p", "q"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_large_grids_keep_every_token_and_the_page_says_what_is_left_out():
    exploration = explorer()(picture(), size=1024)
    first = exploration.fields[0]
    assert first.drawn.shape == (256, 256, 2, 1)
    page = explored_page([exploration])
    assert "the page has only some of the share groups" in page
    assert len(page) < 20_000_000


def test_show_is_a_frame_that_reaches_nothing(tmp_path):
    shown = atmnet.explore.show(explorer().predictor, [picture(), picture(seed=1)])
    text = shown._repr_html_()
    assert re.match(r'<iframe [^>]*sandbox="allow-scripts allow-downloads"', text)
    (_, attributes), *rest = Page(text).elements
    assert not rest
    assert [look["picture"] for look in _data(_page(attributes["srcdoc"]))["looks"]] == ["picture 1", "picture 2"]
    assert html.unescape(text).count("data-viewer=") == 2
    shown.save(tmp_path / "a" / "page.html")
    assert _page((tmp_path / "a" / "page.html").read_text("utf-8")).said().count("Where atmnet_nano looks") == 2


def test_show_reads_a_file(tmp_path):
    picture().save(tmp_path / "a.png")
    (exploration,) = show("atmnet_nano.digits", tmp_path / "a.png", device="cpu").explorations
    assert (exploration.name, exploration.size, exploration.kind) == ("a.png", 32, "classification")
