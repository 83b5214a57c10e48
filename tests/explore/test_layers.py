"""The page's script finds the same readers and origins as the package. Needs node."""

import json
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from atmnet.explore.exploration import Exploration
from atmnet.explore.page import explored_page
from atmnet.explore.reads import heat
from atmnet.explore.trace import trace
from tests.explore.explorers import explorer, picture
from tests.report.reports import Page

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

_NODE = """
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.document = { getElementById: () => ({ textContent: given.data }) };
const [layers, looks] = eval(given.script + "; [layers, looks]");
const fields = looks[0].examples[0].fields;
console.log(JSON.stringify(given.tokens.map(([look, row, column]) => {
  const { amounts } = layers.readers(fields, look, row, column);
  const { amount, links } = layers.origin(fields, look, row, column);
  return { amounts: amounts.map((each) => [...each]), amount: [...amount], links };
})));
"""


def _in_node(exploration: Exploration, tokens: list[tuple[int, int, int]]) -> list[dict]:
    page = Page(explored_page([exploration]))
    data = next(data for tag, data in page.texts if tag == "script" and data.startswith("{"))
    scripts = (files("atmnet.report").joinpath(name).read_text("utf-8") for name in ("viewer.js", "layers.js"))
    given = {"data": data, "script": "".join(scripts), "tokens": tokens}
    done = subprocess.run(
        ["node", "-e", _NODE], input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def test_readers_and_origins():
    explore = explorer(reach=12.0)
    for name, parameter in explore.network.model.named_parameters():
        if ".fusion." in name:
            parameter.data.normal_()
        elif ".atm.proj." in name:
            parameter.data *= 30  # so that the residual connection is not nearly all
    exploration = explore(picture(70, 90), size=60)  # grids of odd sizes: 15, 8, 4, 2
    tokens = [(0, 3, 5), (1, 7, 7), (2, 1, 2), (3, 0, 1)]
    for (look, row, column), drawn in zip(tokens, _in_node(exploration, tokens), strict=True):
        field = exploration.fields[look]
        total = heat(field.offsets, field.weights, row, column)
        np.testing.assert_allclose(np.sum(drawn["amounts"], 0), total.flatten(), atol=1e-6)
        assert total.sum() > 0
        expected = trace(exploration._blocks(look), row, column)
        np.testing.assert_allclose(drawn["amount"], expected.origin.flatten(), atol=1e-6)
        links = sorted(link.amount for link in expected.links if link.amount > 0.0025)
        found = sorted(link["amount"] for link in drawn["links"] if link["amount"] > 0.0025)
        np.testing.assert_allclose(found, links, atol=1e-6)
    assert links
