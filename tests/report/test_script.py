"""The script draws what the page shows without it. Needs node."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest
import torch
from torch import nn

from tests.report.reports import Page, network, written

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

# As much of a browser as the scripts need to draw one panel anew.
_BROWSER = """
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const element = (more) => ({
  dataset: {}, listeners: {}, attributes: {}, innerHTML: "", textContent: "", hidden: false,
  classList: { add() {}, toggle() {} },
  addEventListener(name, listener) { this.listeners[name] = listener; },
  setAttribute(name, value) { this.attributes[name] = value; },
  getBoundingClientRect: () => ({ left: 0, top: 0, width: 1, height: 1 }),
  querySelectorAll: () => [],
  ...more,
});
const query = element();
const parts = {
  large: element({ dataset: { ...given.panel, row: -1 }, querySelector: () => query }),
  close: element({ firstElementChild: element() }),
};
const root = element({
  dataset: { viewer: "0" },
  querySelector: (selector) => (parts[/data-part=(\\w+)/.exec(selector)[1]] ??= element()),
});
globalThis.window = { get parent() { return this; } };
globalThis.document = {
  documentElement: element(),
  getElementById: () => element({ textContent: given.data }),
  querySelectorAll: (selector) => (selector === "[data-viewer]" ? [root] : []),
};
eval(given.script);
parts.large.listeners.pointermove({ clientX: given.x, clientY: given.y });
const shown = (name) => parts[name].innerHTML;
console.log(JSON.stringify({
  query: query.innerHTML, across: shown("across"), down: shown("down"), readout: parts.readout.textContent,
  row: parts.large.dataset.row, column: parts.large.dataset.column,
}));
"""


def _between(text: str, start: str, end: str) -> str:
    begin = text.index(start) + len(start)
    return text[begin : text.index(end, begin)]


def _close(drawn: str, expected: str, tolerance: float) -> None:
    """The same path data but for what 8 bits an offset lose."""
    number = r"-?\d*\.?\d+"
    assert re.sub(number, "0", drawn) == re.sub(number, "0", expected)
    np.testing.assert_allclose(
        [float(v) for v in re.findall(number, drawn)], [float(v) for v in re.findall(number, expected)], atol=tolerance
    )


def _looks_everywhere() -> nn.Module:
    """A network with the same offsets at every token: none so near a border that 8 bits could move it across."""
    model = network()
    for name, parameter in model.named_parameters():
        if ".offset.proj" in name:
            steps = torch.arange(len(parameter)) % 13 - 5.9
            parameter.data[:] = steps if parameter.ndim == 1 else 0.0
    return model


@pytest.mark.parametrize("size", [(32, 32), (36, 68), (140, 136)])
def test_script_and_page_draw_alike(tmp_path, size):
    page: Page = written(tmp_path, size=size, model=_looks_everywhere())
    panel = next(attributes for _, attributes in page.elements if attributes.get("data-part") == "large")
    data = next(data for tag, data in page.texts if tag == "script" and data.startswith("{"))
    first = json.loads(data)["looks"][0]["examples"][0]
    given = {
        "data": data,
        "script": "".join(
            files("atmnet.report").joinpath(name).read_text("utf-8") for name in ("viewer.js", "report.js")
        ),
        "panel": {"example": "0", "look": panel["data-look"]},
        "x": first["at"][0],
        "y": first["at"][1],
    }
    run = subprocess.run(
        ["node", "-e", _BROWSER], input=json.dumps(given), capture_output=True, text=True, check=True, timeout=60
    )
    drawn = json.loads(run.stdout)
    assert (drawn["row"], drawn["column"]) == (int(panel["data-row"]), int(panel["data-column"]))
    large = page.text[page.text.index('data-part="large"') :]
    tolerance = first["fields"][int(panel["data-look"])]["scale"] / 100
    _close(drawn["query"], _between(large, '<g class="query">', "</g></svg>"), tolerance)
    _close(drawn["across"], _between(large[large.index('data-part="across"') :], ">", "</svg>"), 0.05)
    _close(drawn["down"], _between(large[large.index('data-part="down"') :], ">", "</svg>"), 0.05)
    assert "class=out" in drawn["query"]
    assert drawn["readout"] == _between(large, 'aria-live="polite">', "</p>")
