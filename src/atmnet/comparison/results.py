"""What a comparison has found: scores with intervals, differences, cost, and what may be concluded."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atmnet.comparison.intervals import Interval, mean_interval, paired_interval
from atmnet.comparison.plan import ComparedModel, Comparison, Job
from atmnet.engine import read_metrics
from atmnet.files import replacing, write_json
from atmnet.tasks import find_head

_LEVEL = 0.95
#: Models whose parameters or multiply-accumulates differ by more than this from the first one's are named.
_ALIKE = 0.1
#: What the score of a kind is called, and its name in metrics.jsonl.
SCORES = {
    "classification": ("top-1 accuracy", "top1"),
    "multilabel": ("mAP", "map"),
    "detection": ("AP", "ap"),
    "segmentation": ("mIoU", "miou"),
}


def collect(comparison: Comparison, costs: dict[str, Any]) -> dict[str, Any]:
    """The content of compare.json.

    Args:
        comparison: A comparison whose jobs are all done.
        costs: The content of cost.json.

    Returns:
        ``models``: for each, its cost, learning rate, scores by seed, mean and interval, and difference to the first;
        ``conclusion`` and ``warnings``, sentences; and ``times``, the only numbers that differ when all is repeated.
    """
    first = comparison.models[0]
    models = [_model(comparison, model, costs["models"][model.label]) for model in comparison.models]
    for model in models[1:]:
        model["difference"] = _difference(model, models[0], _LEVEL)
    kind = find_head(comparison.options.model.head).kind
    return {
        "score": SCORES[kind][0],
        "kind": kind,
        "budget": comparison.options.budget,
        "batch_size": comparison.options.batch_size,
        "seeds": [comparison.options.seed + number for number in range(comparison.options.seeds)],
        "level": _LEVEL,
        "conclusion": _conclusion(models, first.label),
        "warnings": _warnings(models),
        "models": models,
        "times": {label: cost.get("times", {}) for label, cost in costs["models"].items()},
    }


def write_results(results: dict[str, Any], folder: Path) -> None:
    """Write compare.json, and compare.csv with a row for each model."""
    write_json(folder / "compare.json", results)
    rows = []
    for model in results["models"]:
        difference = model.get("difference") or {}
        times = results["times"][model["label"]]
        rows.append(
            {
                **{key: model[key] for key in ("label", "name", "lr", "parameters", "macs", "activations")},
                "seeds": len(model["scores"]),
                "mean": model["mean"],
                "half_width": model["half_width"],
                "difference": difference.get("mean"),
                "difference_half_width": difference.get("half_width"),
                **times,
                "failures": "; ".join(model["failures"]),
            }
        )
    with replacing(folder / "compare.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)


def _model(comparison: Comparison, model: ComparedModel, cost: dict[str, Any]) -> dict[str, Any]:
    options = comparison.options
    jobs = [Job(model, options.seed + number) for number in range(options.seeds)]
    results = {job.seed: comparison.result(job) or {} for job in jobs}
    scores = {seed: result["score"] for seed, result in results.items() if "score" in result}
    failures = sorted({result["failed"] for result in results.values() if "failed" in result})
    if "failed" in cost and cost["failed"] not in failures:
        failures.append(f"not measured: {cost['failed']}")
    interval = mean_interval(list(scores.values()), _LEVEL) if scores else Interval(float("nan"), None)
    tried = {
        f"{lr:g}": (comparison.result(Job(model, options.seed, lr)) or {}).get("score")
        for lr in comparison.lrs
        if len(comparison.lrs) > 1
    }
    return {
        "label": model.label,
        "name": model.name,
        "kwargs": model.kwargs,
        "weights": model.weights,
        **{key: cost.get(key) for key in ("parameters", "macs", "activations")},
        "lr": comparison.lr_of(model)[0],
        "held_out_scores": tried,
        "scores": [{"seed": seed, "score": score} for seed, score in scores.items()],
        "mean": interval.mean,
        "half_width": interval.half_width,
        "failures": failures,
        "reach": next((result["reach"] for result in results.values() if result.get("reach")), []),
        "classes": _class_scores(list(results.values())),
        "curves": [
            _curve(comparison.folder / job.name, SCORES[find_head(options.model.head).kind][1])
            for job in jobs
            if "score" in results[job.seed]
        ],
    }


def _curve(run: Path, key: str) -> list[list[float]]:
    """[epoch, score] of each evaluation of a run."""
    names = (f"mask_{key}", f"box_{key}", key)
    return [
        [line["epoch"], next(line[name] for name in names if name in line)]
        for line in read_metrics(run)
        if line["kind"] == "evaluate" and any(name in line for name in names)
    ]


def _class_scores(results: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """The mean over seeds of the score of each class: recall, AP or IoU."""
    values: dict[str, list[float]] = {}
    for result in results:
        for row in result.get("classes", []):
            key = next(key for key in ("mask_ap", "box_ap", "ap", "iou", "recall") if key in row)
            values.setdefault(row["class"], []).extend([row[key]] if row[key] is not None else [])
    return {name: sum(parts) / len(parts) if parts else None for name, parts in values.items()}


def _difference(model: dict[str, Any], first: dict[str, Any], level: float) -> dict[str, Any] | None:
    """The mean difference to the first model over the seeds that both have, and its interval."""
    own, others = ({each["seed"]: each["score"] for each in each_model["scores"]} for each_model in (model, first))
    shared = [seed for seed in own if seed in others]
    if not shared:
        return None
    interval = paired_interval([own[seed] for seed in shared], [others[seed] for seed in shared], level)
    return {"seeds": len(shared), "mean": interval.mean, "half_width": interval.half_width}


def _conclusion(models: Sequence[dict[str, Any]], first: str) -> str:
    """One sentence that says no more than the intervals allow, at a level for all differences together."""
    others = [model for model in models[1:] if model["scores"]]
    if not others or not models[0]["scores"]:
        return "There is nothing to compare: too few models could be trained."
    seeds = len(models[0]["scores"])
    if seeds < 2:
        return "One seed cannot show differences; use three or more."
    level = 1 - (1 - _LEVEL) / len(others)
    better: list[str] = []
    worse: list[str] = []
    alike: list[str] = []
    for model in others:
        difference = _difference(model, models[0], level)
        interval = Interval(difference["mean"], difference["half_width"]) if difference else Interval(0.0, None)
        text = f"{model['label']} by {abs(interval.mean):.1f} ± {interval.half_width or 0:.1f} points"
        if not interval.excludes_zero:
            alike.append(model["label"])
        else:
            (better if interval.mean > 0 else worse).append(text)
    parts = []
    if worse:
        parts.append(f"{first} is better than {_listed(worse)}")
    if better:
        parts.append(f"{first} is worse than {_listed(better)}")
    if alike:
        parts.append(f"there is no difference between {first} and {_listed(alike, 'or')} that {seeds} seeds can show")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if alike == [model["label"] for model in others] else f"{sentence}."


def _listed(texts: Sequence[str], word: str = "and") -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def _warnings(models: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences about models that are not alike in cost, and about runs that failed."""
    first, warnings = models[0], []
    for model in models[1:]:
        for key, name in (("parameters", "parameters"), ("macs", "multiply-accumulates")):
            if model[key] and first[key] and abs(model[key] / first[key] - 1) > _ALIKE:
                warnings.append(
                    f"{model['label']} has {model[key] / first[key]:.2f} times the {name} of {first['label']}."
                )
    warnings += [f"{model['label']}: {reason}." for model in models for reason in model["failures"]]
    return warnings
