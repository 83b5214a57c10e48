"""Pages of the tutorials, which are notebooks kept as Python files in Jupytext's percent format."""

from pathlib import Path

import jupytext

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"


def pages() -> dict[str, str]:
    """Markdown of the tutorials, by their paths in the site."""
    made = {}
    for path in sorted(TUTORIALS.glob("*.py")):
        notebook = jupytext.read(path, fmt="py:percent")
        cells = [
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in notebook.cells
        ]
        made[f"tutorials/{path.stem}.md"] = "\n\n".join(cells) + "\n"
    return made
