"""Where the network looks: what is drawn is what is sampled."""

import base64
import json
import re

import numpy as np
import pytest
import timm
import torch

from atmnet.models.looks import sampling_places
from atmnet.report.drawing import MARGIN
from atmnet.report.field import Field, fields
from atmnet.report.survey import close_up_radius, default_query, index_of_longest_arcs, reach
from tests.report.reports import Page, network, report, written


def _panels(page: Page) -> list[dict[str, str]]:
    return [attributes for tag, attributes in page.elements if attributes.get("class", "").startswith("scene")]


def _scene(page: Page, panel: dict[str, str]) -> str:
    start = page.text.index(
        f'data-example="{panel["data-example"]}" data-look="{panel["data-look"]}"',
        page.text.index('<div class="strips'),
    )
    return page.text[start : page.text.index("</svg>", start)]


@pytest.mark.parametrize("size", [(32, 32), (36, 68)])
def test_arrows_end_where_the_network_samples(tmp_path, size):
    given = report(size=size)
    page = written(tmp_path, size=size, model=given.model, examples=given.examples)
    outside = 0
    for index, shown in enumerate(given.examples):
        looks = sampling_places(given.model, given.preprocess(shown.image).unsqueeze(0))
        for k, look in enumerate(looks):
            panel = next(
                p for p in _panels(page)[1:] if (p.get("data-example"), p.get("data-look")) == (str(index), str(k))
            )
            _, h, w, groups = look.width.shape
            assert panel["viewbox"] == f"0 0 {w} {h}"
            if h == w == 1:
                continue
            row, column = int(panel["data-row"]), int(panel["data-column"])
            scene = _scene(page, panel)
            assert f'<path class="token" d="M{column} {row}h1v1h-1z"/>' in scene
            for axis, (offset, length) in enumerate([(look.width, w), (look.height, h)]):
                group = scene[scene.index(f'<g class="{"wh"[axis]}">') :]
                arcs = re.findall(
                    r'<path( class=out)? d="M([-\d.]+) ([-\d.]+)Q([-\d.]+) ([-\d.]+) ([-\d.]+) ([-\d.]+)"/>',
                    group[: group.index("</g>")],
                )
                assert len(arcs) == groups
                place = offset[0, row, column] + (column, row)[axis] + 0.5
                expected = place.clamp(-MARGIN * length, (1 + MARGIN) * length)
                numbers = torch.tensor([[float(v) for v in arc[1:]] for arc in arcs])
                torch.testing.assert_close(numbers[:, 4 + axis], expected, atol=6e-4, rtol=0)
                assert (numbers[:, :2] == torch.tensor([column + 0.5, row + 0.5])).all()
                assert (numbers[:, 5 - axis] == (row, column)[axis] + 0.5).all()
                hollow = [bool(arc[0]) for arc in arcs]
                assert hollow == ((place < 0) | (place > length)).tolist()
                outside += sum(hollow)
    assert outside > 0


def test_the_large_picture_repeats_a_small_one(tmp_path):
    page = written(tmp_path)
    large = _panels(page)[0]
    assert large["data-part"] == "large"
    start = page.text.index('data-part="large"')
    scene = page.text[page.text.index(">", start) + 1 : page.text.index("</svg>", start)]
    assert _scene(page, large).endswith(scene)


def test_a_single_token_is_told_so(tmp_path):
    page = written(tmp_path)
    assert "a single token" in page.said()
    last = [p for p in _panels(page) if p.get("data-look") == "3"]
    assert len(last) == 3
    assert all("alone" in p["class"] and '<g class="query"></g>' in _scene(page, p) for p in last)


def test_a_single_row_of_tokens(tmp_path):
    page = written(tmp_path, size=(3, 40))
    assert "Token in row 1 of 1" in page.said()


def _unpacked(packed: dict) -> np.ndarray:
    shape = packed["rows"], packed["columns"], 2, packed["n"]
    codes = np.frombuffer(base64.b64decode(packed["offsets"]), np.int8).reshape(shape).astype(np.float64)
    return np.where(codes == -128, np.nan, np.sign(codes) * (codes / 127) ** 2 * packed["scale"])


def test_embedded_offsets_are_those_of_the_model(tmp_path):
    given = report()
    page = written(tmp_path, model=given.model, examples=given.examples)
    data = json.loads("".join(data for tag, data in page.texts if tag == "script" and data.startswith("{")))
    for shown, packed in zip(given.examples, data["looks"][0]["examples"], strict=True):
        found = fields(given.model, given.preprocess(shown.image))
        for field, small in zip(found, packed["fields"], strict=True):
            assert (small["w"], small["h"], small["step"]) == (field.width, field.height, 1)
            far = max(field.width, field.height) + 1  # further places are drawn at the same spot outside
            np.testing.assert_allclose(_unpacked(small), field.drawn.clamp(-far, far), atol=small["scale"] / 100)


def test_large_fields_are_thinned():
    field = Field("Stage 1", "", torch.randn(2, 56, 57, 32) * 9)
    packed = field.packed()
    assert (field.step, packed["rows"], packed["columns"], packed["n"]) == (2, 28, 29, 8)
    assert len(str(packed["offsets"])) < 20_000
    exact = field.offsets[:, [1, 55]][:, :, [1, 56]][..., [0, 31]].permute(1, 2, 0, 3)
    kept = field.drawn[[0, 27]][:, [0, 28]][..., [0, 7]]
    assert (kept == exact).all()
    assert field.nearest_query(0.0, 0.0) == (0, 0)
    assert field.nearest_query(0.9999, 0.9999) == (27, 28)


def test_offsets_that_are_no_numbers():
    offsets = torch.randn(2, 4, 4, 3)
    offsets[0, 1, 1, 0] = torch.nan
    offsets[1, 1, 1, 1] = torch.inf
    field = Field("Stage 1", "", offsets)
    values = _unpacked(field.packed())
    assert np.isnan(values[1, 1, 0, 0])
    assert np.isnan(values).sum() == 1
    assert values[1, 1, 1, 1] == pytest.approx(5.0)
    assert close_up_radius(field) == 0


def test_a_network_that_diverged(tmp_path):
    model = network()
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    page = written(tmp_path, model=model)
    assert "–" in page.said()
    assert not re.search(r"\bnan\b", page.said())


def test_reach_counts_distance_and_outside():
    offsets = torch.zeros(2, 2, 3, 1)
    offsets[0, 0, 0] = -2.0  # to the left of the first column
    offsets[1, 0, 0] = 1.0  # to the second row
    offsets[0, 1, 2] = 0.4  # still inside the last column
    total = reach([offsets, torch.zeros(2, 2, 3, 1)])
    assert total.width == pytest.approx(2.4 / 12)
    assert total.height == pytest.approx(1 / 12)
    assert total.beyond == pytest.approx(1 / 24)
    assert total.outside == pytest.approx(1 / 24)


def test_points_first_at_ink_with_a_wide_reach():
    picture = torch.zeros(1, 32, 32)
    picture[0, 8:24:2, 8:24] = 1.0
    offsets = torch.zeros(2, 8, 8, 4)
    offsets[0, 3, 4] = 2.0
    offsets[0, 7, 7] = 9.0  # far, but nothing is there
    x, y = default_query(picture, Field("Stage 1", "", offsets))
    assert (int(x * 8), int(y * 8)) == (4, 3)


def test_shows_first_the_stage_with_the_longest_arcs():
    short, long, coarse = (Field("", "", torch.full((2, n, n, 1), o)) for n, o in ((8, 0.1), (4, 0.5), (2, 3.0)))
    assert index_of_longest_arcs([short, long, coarse]) == 1
    assert index_of_longest_arcs([coarse]) == 0


def test_stages_with_several_groups_name_their_blocks():
    model = timm.create_model("atmnet_nano", depths=(2, 2, 5, 2), num_classes=2).eval()
    found = fields(model, torch.randn(3, 32, 32))
    assert [(f.stage, f.blocks) for f in found] == [
        ("Stage 1", ""),
        ("Stage 2", ""),
        ("Stage 3", "blocks 1–2"),
        ("Stage 3", "blocks 3–5"),
        ("Stage 4", ""),
    ]
