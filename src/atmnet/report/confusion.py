"""The section with the confusion matrix or, for many classes, with its largest errors. K classes."""

from html import escape

from torch import Tensor

from atmnet.report.content import percent

_MAX_MATRIX_CLASSES = 40
_MAX_ROWS = 20


#: The counts that are not 0, by true and predicted class.
Counts = dict[tuple[int, int], int]


def count_pairs(confusion: Tensor) -> Counts:
    """The counts of a confusion matrix (K, K), sparse or dense, whose rows are the true classes."""
    sparse = confusion.to_sparse().coalesce()
    true, predicted = sparse.indices().tolist()
    return {pair: n for pair, n in zip(zip(true, predicted, strict=True), sparse.values().tolist(), strict=True) if n}


def confusion_section(
    counts: Counts, classes: list[str], noun: str = "images", others: tuple[str, str] | None = None
) -> str:
    """HTML of the section for the counts; empty if there are none.

    Args:
        counts: The counts.
        classes: Names of the K classes.
        noun: What is counted. The matrix shows shares of the row in percent if these are pixels, else counts.
        others: Names of the row K of what belongs to no class, and of the column K of what no class was found for.
    """
    if not counts:
        return ""
    total = sum(n for (true, _), n in counts.items() if true < len(classes))
    correct = sum(n for (true, predicted), n in counts.items() if true == predicted)
    rows, columns = ([*classes, name] for name in others) if others else (classes, classes)
    if len(classes) <= _MAX_MATRIX_CLASSES:
        body = _matrix(counts, rows, columns, noun)
    else:
        body = _error_tables(counts, rows, columns, noun)
    lead = f"{correct:,} of {total:,} {noun} were recognised ({percent(correct / max(total, 1), 1)})."
    return (
        f'<section id="confusion"><h2>Confused classes</h2><p class="lead">{lead} '
        f"{_most_frequent_error(counts, rows, columns)}</p>{body}</section>"
    )


def _errors(counts: Counts) -> list[tuple[int, int, int]]:
    """(count, true class, predicted class) of each kind of error, the most frequent first."""
    errors = [(n, i, j) for (i, j), n in counts.items() if i != j]
    return sorted(errors, key=lambda error: (-error[0], error[1:]))


def _totals(counts: Counts) -> dict[int, int]:
    """The number of images of each true class that occurs."""
    totals: dict[int, int] = {}
    for (true, _), n in counts.items():
        totals[true] = totals.get(true, 0) + n
    return totals


def _most_frequent_error(counts: Counts, rows: list[str], columns: list[str]) -> str:
    errors = _errors(counts)
    if not errors:
        return "There was no error."
    n, i, j = errors[0]
    if n == 1:
        return "No error happened twice."
    verb = "" if rows[j] != columns[j] else "taken for "  # "cup missed", but "cup taken for bowl"
    return f"The most frequent error, {n:,} times: <b>{escape(rows[i])}</b> {verb}<b>{escape(columns[j])}</b>."


def _matrix(counts: Counts, true_names: list[str], predicted_names: list[str], noun: str) -> str:
    names, answers = ([escape(name) for name in each] for each in (true_names, predicted_names))
    longest = max(map(len, predicted_names))
    slanted = " slanted" if longest > (14 if len(names) <= 5 else 3) else ""
    head = "".join(f'<th scope="col"><span>{name}</span></th>' for name in answers)
    rows = []
    totals = _totals(counts)
    for i in range(len(names)):
        total = totals.get(i, 0)
        cells = []
        for j in range(len(names)):
            n = counts.get((i, j), 0)
            kind = "right" if i == j and names[i] == answers[j] else "wrong"
            if n == 0:
                cells.append(f'<td class="{kind}"></td>' if kind == "right" else "<td></td>")
                continue
            share = n / total
            text = f"{n}" if noun != "pixels" else _whole_percent(share)
            # The square root makes rare errors visible: one in fifty should be seen.
            cells.append(
                f'<td class="{kind}{" strong" if share > 0.45 else ""}" style="--v:{100 * share**0.5:.0f}%" '
                f'title="true {names[i]}, predicted {answers[j]}: {n} of {total}">{text}</td>'
            )
        has_recall = total and names[i] == answers[i]
        recall = percent(counts.get((i, i), 0) / total) if has_recall else "–"
        rows.append(f'<tr><th scope="row">{names[i]}</th>{"".join(cells)}<td class="recall">{recall}</td></tr>')
    unit = "" if noun != "pixels" else ", which is given in percent"
    return (
        '<p class="key">Rows are true classes, columns predicted ones. <i class="right"></i> right '
        f'<i class="wrong"></i> wrong; stronger for a larger share of the row{unit}</p>'
        '<div class="scroll" tabindex="0">'
        f'<table class="matrix{slanted}{" many" if len(names) > 16 else ""}"><thead><tr>'
        f'<th class="corner"><span>true \\ predicted</span></th>{head}<th class="recall">recall</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _error_tables(counts: Counts, rows: list[str], columns: list[str], noun: str) -> str:
    """Two tables: the most frequent errors, and the classes with the lowest recall."""
    totals = _totals(counts)
    errors = "".join(
        f'<tr><td class="n">{n:,}</td><td>{escape(rows[i])}</td><td>{escape(columns[j])}</td>'
        f"<td>{_bar(n / totals[i], 'wrong')}</td></tr>"
        for n, i, j in _errors(counts)[:_MAX_ROWS]
    )
    recalls = sorted((counts.get((i, i), 0) / total, i, total) for i, total in totals.items() if rows[i] == columns[i])
    worst = "".join(
        f'<tr><td>{escape(rows[i])}</td><td class="n">{total:,}</td><td>{_bar(share, "right")}</td></tr>'
        for share, i, total in recalls[:_MAX_ROWS]
    )
    return (
        '<div class="tables"><div class="scroll" tabindex="0"><table class="worst">'
        "<caption>The most frequent errors</caption>"
        "<thead><tr><th>times</th><th>true</th><th>predicted</th><th>share of the class</th></tr></thead>"
        f"<tbody>{errors}</tbody></table></div>"
        '<div class="scroll" tabindex="0"><table class="worst">'
        "<caption>The classes recognised least</caption><thead><tr><th>class</th>"
        f"<th>{noun}</th><th>recall</th></tr>"
        f"</thead><tbody>{worst}</tbody></table></div></div>"
    )


def _whole_percent(share: float) -> str:
    """Percent without the sign; what rounds to 0 is "·"."""
    return f"{100 * share:.0f}" if share >= 0.005 else "·"


def _bar(share: float, kind: str) -> str:
    return f'<span class="bar {kind}" style="--v:{100 * share:.0f}%"><i></i>{percent(share)}</span>'
