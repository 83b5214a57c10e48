"""``atmnet models``"""

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from atmnet.layers import ATM
from atmnet_cli.errors import check_minimums
from atmnet_cli.options import ModelsOptions
from atmnet_cli.printing import print_lines

#: Top-1 accuracy on ImageNet-1K at 224 pixels in percent, from the paper.
_PUBLISHED = {"xtiny": 79.7, "tiny": 82.0, "small": 83.1, "base": 83.5, "large": 83.8}


def run(options: ModelsOptions) -> int:
    """Print a table of the models; parameters and multiply-accumulates are counted in the models themselves."""
    check_minimums(options, {"img_size": 32})
    print_lines(
        f"{'model':14} {'parameters':>12} {f'GMACs at {options.img_size}':>13}  published top-1 (ImageNet-1K, 224)"
    )
    rows = []
    for name in timm.list_models("atmnet_*"):
        with torch.device("meta"):
            model = timm.create_model(name).eval()
            image = torch.empty(1, 3, options.img_size, options.img_size)
        for module in model.modules():
            if isinstance(module, ATM):
                module.fold = False  # the published counts are of the plain form
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image)
        parameters = sum(p.numel() for p in model.parameters())
        top1 = _PUBLISHED.get(name.removeprefix("atmnet_"))
        published = f"{top1} %" if top1 else "none: for small pictures and tests"
        rows.append((parameters, f"{name:14} {parameters:12,} {counter.get_total_flops() / 2e9:13.3f}  {published}"))
    print_lines("\n".join(row for _, row in sorted(rows)))
    print_lines("\nCreate one by timm.create_model(NAME); `atmnet weights list` says which weights there are.")
    return 0
