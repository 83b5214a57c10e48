"""``atmnet compare``"""

from typing import Any

from atmnet.comparison import collect, open_comparison, run_jobs, write_results
from atmnet.comparison.intervals import mean_interval
from atmnet.data import image_mode
from atmnet.report.comparison import write_comparison
from atmnet.tasks import start_task
from atmnet_cli.options import CompareOptions
from atmnet_cli.printing import print_line


def run(options: CompareOptions) -> int:
    """Run what is not done yet, write the results, and print them as a table. Returns 1 if a run failed."""
    mean_interval([0.0, 1.0])  # which needs SciPy, before work is spent
    comparison = open_comparison(options)
    split = comparison.check()
    results = collect(comparison, run_jobs(comparison, split))
    write_results(results, comparison.folder)
    first = comparison.train_options(comparison.jobs()[-1])
    task = start_task(first, split)
    val = task.open(first.data, first.data.val)
    write_comparison(results, comparison, val, image_mode(task.network.config), comparison.folder / "compare.html")
    for line in [*_table(results), *results["warnings"], results["conclusion"]]:
        print_line(line)
    print_line(f"page in {comparison.folder / 'compare.html'}", error=True)
    return 1 if any(model["failures"] for model in results["models"]) else 0


def _table(results: dict[str, Any]) -> list[str]:
    rows = [["", f"{results['score']} %", "difference", "lr", "M params", "G MACs", "images/s in training", "ms for 1"]]
    for model in results["models"]:
        times = results["times"][model["label"]]
        rows.append(
            [
                model["label"],
                _with_interval(model["mean"], model["half_width"]) if model["scores"] else "failed",
                _with_interval(**{k: v for k, v in (model.get("difference") or {}).items() if k != "seeds"}, sign="+"),
                f"{model['lr']:g}" if model["lr"] else "",
                f"{model['parameters'] / 1e6:.2f}" if model["parameters"] else "",
                f"{model['macs'] / 1e9:.3f}" if model["macs"] else "",
                f"{results['batch_size'] / times['train_seconds']:.0f}" if times else "",
                f"{1e3 * times['latency_1']:.1f}" if times else "",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([f"{name:{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))])
        for name, *cells in rows
    ]


def _with_interval(mean: float | None = None, half_width: float | None = None, sign: str = "") -> str:
    if mean is None:
        return ""
    return f"{mean:{sign}.2f}" + ("" if half_width is None else f" ± {half_width:.2f}")
