"""How close the models are to the authors' own code: ``python -m benchmarks.parity``.

Weights and inputs are generated (tests/golden.py); outputs of the authors' code are in tests/golden/. Prints a
Markdown table and writes benchmarks/results/parity.json. Errors are |ours - theirs| / |theirs|, norms over the whole
tensor.
"""

from pathlib import Path

import torch

from atmnet.benchmark import versions
from atmnet.files import write_json
from tests import golden

RESULT = Path(__file__).parent / "results" / "parity.json"


def main() -> None:
    """Measure the errors, print them, and write the record."""
    torch.set_num_threads(1)
    rows = {
        path.stem: {
            str(dtype).removeprefix("torch."): golden.errors(path, dtype) for dtype in (torch.float64, torch.float32)
        }
        for path in sorted(golden.FOLDER.glob("*.npz"))
    }
    print("| against the authors' code | logits, float64 | logits, float32 | gradients, float64 | gradients, float32 |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        cells = [f"{row[d][k]:.0e}" if k in row[d] else "" for k in ("logits", "gradients") for d in row]
        print(f"| {name.removesuffix('_grad').replace('_', ' at ')} | {' | '.join(cells)} |")
    write_json(RESULT, {**versions(), "errors": rows})


if __name__ == "__main__":
    main()
