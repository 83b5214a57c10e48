"""``atmnet check-data``"""

from atmnet.data import SplitCheck, same_images
from atmnet.data.sources import choose_source, find_source
from atmnet_cli.errors import refuse_options
from atmnet_cli.options import CheckDataOptions
from atmnet_cli.printing import print_line


def run(options: CheckDataOptions) -> int:
    """Print the contents and problems of each split. Returns 1 if there are errors."""
    data, line = choose_source(options.data)
    if line:
        print_line(line)
    source = find_source(data)
    refuse_options(data, ["img_size", "max_unreadable", "workers"], "check-data", prefix="data.")
    train = source.check(data, data.train, None)
    _print(data.train, train, options.show, source.counts)
    val = source.check(data, data.val, train.source.classes)
    if seen := same_images(train, val):
        val.notes["same pixels as a training image"] += seen
    _print(data.val, val, options.show, source.counts)
    errors = sum(len(names) for check in (train, val) for names in check.errors.values())
    print_line(f"{errors} errors" if errors else "no errors")
    return 1 if errors else 0


def _print(split: str, check: SplitCheck, show: int, count_label: str) -> None:
    print_line(f"{split}: {len(check.source)} images, {len(check.source.classes)} classes")
    if check.sizes:
        sides = sorted(min(size) for size in check.sizes)
        print_line(f"  shorter side {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}")
    for line in check.depths.lines:
        print_line(f"  {line}")
    if counts := sorted(check.labels.values()):
        print_line(f"  {count_label} {counts[0]} to {counts[-1]}, median {counts[len(counts) // 2]}")
    for severity, problems in (("error", check.errors), ("note", check.notes)):
        for kind, names in sorted(problems.items()):
            print_line(f"  {severity}: {kind}: {len(names)}")
            for name in names[:show]:
                print_line(f"    {name}")
            if len(names) > show:
                print_line(f"    ... and {len(names) - show} more")
