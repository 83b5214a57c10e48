"""How close the models are to the authors' own code: ``python -m benchmarks.parity``.

Weights and inputs are procedural (tests/golden.py); outputs of the authors' code are in tests/golden/. Prints a
Markdown table and writes benchmarks/results/parity.json. Errors are |ours - theirs| / |theirs|, norms over the whole
tensor.
"""

import json
from pathlib import Path

import numpy as np
import timm
import torch

import atmnet
from benchmarks.machine import versions
from tests import golden

RESULT = Path(__file__).parent / "results" / "parity.json"


def errors(path: Path, dtype: torch.dtype) -> dict[str, float]:
    """Relative error of the logits and, where the file has gradients, of their projections."""
    theirs = np.load(path)
    variant, size = path.stem.split("_")[:2]
    model = timm.create_model(f"atmnet_{variant}").eval()
    model.load_state_dict(golden.official_weights(model))
    model.to(dtype)
    logits = model(golden.image(len(theirs["logits"]), *map(int, size.split("x"))).to(dtype))
    found = {"logits": golden.relative_error(logits.detach(), theirs["logits"])}
    if "grad_dot" in theirs:
        t = torch.from_numpy(golden.uniform(2 * 10**6, logits.numel())).to(dtype).view_as(logits)
        (logits * t).sum().backward()
        ours, parameters = golden.our_names(model), dict(model.named_parameters())
        grads = [golden.gradient(parameters[ours[str(name)]]) for name in theirs["grad_names"]]
        dots = [g @ torch.from_numpy(golden.uniform(3 * 10**6 + i, g.numel())) for i, g in enumerate(grads)]
        found["gradients"] = golden.relative_error(torch.stack(dots), theirs["grad_dot"])
    return found


def main() -> None:
    """Measure, print, and record."""
    torch.set_num_threads(1)
    rows = {
        path.stem: {str(dtype).removeprefix("torch."): errors(path, dtype) for dtype in (torch.float64, torch.float32)}
        for path in sorted(golden.FOLDER.glob("*.npz"))
    }
    print("| against the authors' code | logits, float64 | logits, float32 | gradients, float64 | gradients, float32 |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        cells = [f"{row[d][k]:.0e}" if k in row[d] else "" for k in ("logits", "gradients") for d in row]
        print(f"| {name.removesuffix('_grad').replace('_', ' at ')} | {' | '.join(cells)} |")
    RESULT.write_text(json.dumps({"atmnet": atmnet.__version__, **versions(), "errors": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
