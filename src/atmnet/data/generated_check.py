"""Draw every picture of a generated data set, as :mod:`atmnet.data.check` reads those of files."""

from typing import Any

from atmnet.data.check import SplitCheck, add_picture
from atmnet.data.generated import GeneratedSplit


def check_generated(source: GeneratedSplit[Any]) -> SplitCheck:
    """Draw all pictures of a split, and count those that show each class."""
    check = SplitCheck(source)
    for index in range(len(source)):
        image, target = source.load(index, "RGB")
        add_picture(check, source.name(index), image, image)
        check.labels.update(source.labels(target))
    if unseen := [name for label, name in enumerate(source.classes) if check.labels[label] == 0]:
        check.notes["class without images"] += unseen
    return check
