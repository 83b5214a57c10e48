"""What the network said of an example, as HTML."""

from html import escape

from atmnet.report.content import Example, percent


def caption(example: Example, classes: list[str]) -> str:
    """The class, what was predicted and how surely, and the file's name."""
    sure = percent(example.confidence)
    said = escape(classes[example.predicted])
    if example.target is None:
        verdict = f"<b>{said}</b> <span>predicted, {sure}</span>"
    elif example.wrong:
        true = escape(classes[example.target])
        verdict = f'<b>{true}</b> <span>taken for <em class="wrong">{said}</em>, {sure}</span>'
    else:
        verdict = f"<b>{said}</b> <span>recognised, {sure}</span>"
    return f'{verdict} <span class="file">{escape(example.name)}</span>'
