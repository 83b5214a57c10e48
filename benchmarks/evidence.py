"""The tables of docs/evidence.md, from the records of benchmarks.study."""

from typing import Any

from benchmarks.markdown import grid, place


def table(record: dict[str, Any]) -> str:
    """A row for each model: score, paired difference, learning rate, cost beside the first, and other image sizes."""
    first, models = record["models"][0], record["models"]
    sizes = list(first.get("scores_at", {}))
    head = ["model", "score", "difference", "lr", "parameters", "MACs", "time of a step", *(f"at {s}" for s in sizes)]
    rows = []
    for model in models:
        difference = model.get("difference")
        rows.append(
            [
                model["label"],
                _interval(model["mean"], model["half_width"]) if model["scores"] else "failed",
                _interval(difference["mean"], difference["half_width"], "+") if difference else "",
                f"{model['lr']:g}" if model["lr"] else "",
                _ratio(model["parameters"], first["parameters"]),
                _ratio(model["macs"], first["macs"]),
                _ratio(*(record["times"][each["label"]].get("train_seconds") for each in (model, first))),
                *(_mean(model["scores_at"][size]) for size in sizes),
            ]
        )
    seeds = len(record["seeds"])
    note = (
        f"*{record['score']} in percent, mean over {seeds} seeds ± half of its 95 % interval; difference over pairs of "
        f"seeds. {_first_cost(first)} {record['hours']:.1f} hours; {place(record)}.*"
    )
    return "\n\n".join([grid(head, rows), f"**{record['conclusion']}**", note])


def _first_cost(first: dict[str, Any]) -> str:
    parameters, macs = first["parameters"] / 1e6, first["macs"] / 1e6
    return f"Cost beside {first['label']}'s {parameters:.2f} M parameters and {macs:.1f} M MACs."


def _interval(mean: float, half_width: float | None, sign: str = "") -> str:
    return f"{mean:{sign}.1f}" + ("" if half_width is None else f" ± {half_width:.1f}")


def _ratio(own: float | None, first: float | None) -> str:
    return f"{own / first:.2f}x" if own and first else ""


def _mean(scores: list[float | None]) -> str:
    values = [score for score in scores if score is not None]
    return f"{sum(values) / len(values):.1f}" if values else "–"
