"""Pages of the tutorials, which are notebooks kept as Python files in Jupytext's percent format."""

from pathlib import Path

import jupytext

_NOTE = """!!! tip
    This page is a notebook: `jupytext --to ipynb docs/tutorials/{}` makes the file to open in Jupyter. It takes less
    than two minutes on two cores, and needs no download.
"""
TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"


def pages() -> dict[str, str]:
    """Markdown of the tutorials, by their paths in the site."""
    made = {}
    for path in sorted(TUTORIALS.glob("*.py")):
        notebook = jupytext.read(path, fmt="py:percent")
        cells = [
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in notebook.cells
        ]
        title, _, text = "\n\n".join(cells).partition("\n")
        made[f"tutorials/{path.stem}.md"] = f"{title}\n\n{_NOTE.format(path.name)}\n{text}\n"
    return made
