"""``atmnet check-data``"""

from atmnet.data import SplitCheck, check_split, same_images
from atmnet.data.dense_check import check_ade20k, check_coco
from atmnet_cli.errors import UserError
from atmnet_cli.options import CheckDataOptions

_CHECKS = {"coco": check_coco, "ade20k": check_ade20k}
#: What labels are counted by.
_COUNTED = {"coco": "objects per class", "ade20k": "images that show a class"}


def run(options: CheckDataOptions) -> int:
    """Print what each split holds and what is wrong with it; 1 where there are errors."""
    data = options.data
    if data.source == "scenes":
        raise UserError(
            "data.source: 'scenes' are made, not read; `atmnet make-scenes` writes files that can be checked"
        )
    check = _CHECKS.get(data.source, check_split)
    counted = _COUNTED.get(data.source, "images per class")
    train = check(data, data.train)
    _print(data.train, train, options.show, counted)
    val = check(data, data.val, train.source.classes)
    if seen := same_images(train, val):
        val.notes["same pixels as a training image"] += seen
    _print(data.val, val, options.show, counted)
    errors = sum(len(names) for check in (train, val) for names in check.errors.values())
    print(f"{errors} errors" if errors else "no errors")
    return 1 if errors else 0


def _print(split: str, check: SplitCheck, show: int, counted: str) -> None:
    print(f"{split}: {len(check.source)} images, {len(check.source.classes)} classes")
    if check.sizes:
        sides = sorted(min(size) for size in check.sizes)
        print(f"  shorter side {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}")
    if counts := sorted(check.labels.values()):
        print(f"  {counted} {counts[0]} to {counts[-1]}, median {counts[len(counts) // 2]}")
    for sort, problems in (("error", check.errors), ("note", check.notes)):
        for kind, names in sorted(problems.items()):
            print(f"  {sort}: {kind}: {len(names)}")
            for name in names[:show]:
                print(f"    {name}")
            if len(names) > show:
                print(f"    ... and {len(names) - show} more")
