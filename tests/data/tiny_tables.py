"""One tiny data set as tables of labels, in the layouts of common tools.

Picture N of 20 shows 'cat' if N is even and 'dog' if N is at least 10, so that some have both labels and some none.
"""

from pathlib import Path

from tests.data.tiny_dense import write_picture

COUNT = 20
CLASSES = ["cat", "dog"]


def labels_of(number: int) -> list[str]:
    return [name for name, has in zip(CLASSES, (number % 2 == 0, number >= 10), strict=True) if has]


def write_pictures(folder: Path, ending: str = ".png") -> None:
    for number in range(COUNT):
        write_picture(folder / f"p{number}{ending}", (8, 8), seed=number)


def write_table(path: Path, lines: list[str], **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", **{"encoding": "utf-8", **options})
    return path


def write_labels(root: Path) -> Path:
    """One table for all pictures, without splits."""
    write_pictures(root / "images")
    lines = [f"images\\p{n}.png,{'|'.join(labels_of(n))}" for n in range(COUNT)]
    write_table(root / "labels.csv", ["file,label", *lines], encoding="utf-8-sig")
    return root


def write_parts(root: Path) -> Path:
    """One table with a column of splits, separated by semicolons as spreadsheets do in Europe."""
    write_pictures(root)
    lines = [f"p{n}.png;{'valid' if n % 5 == 0 else 'Train'};{'|'.join(labels_of(n))};7" for n in range(COUNT)]
    write_table(root / "labels.csv", ["Image;Split;Labels;Width", *lines])
    return root


def write_roboflow(root: Path) -> Path:
    """A column of 0 and 1 for each class, in a table beside the pictures of each split."""
    for split in ("train", "valid"):
        write_pictures(root / split)
        rows = [f"p{n}.png, {int('cat' in labels_of(n))}, {int('dog' in labels_of(n))}" for n in range(COUNT)]
        write_table(root / split / "_classes.csv", ["filename, cat, dog", *rows])
    return root


def write_competition(root: Path) -> Path:
    """train.csv with ids in place of file names, and the pictures in a folder."""
    write_pictures(root / "train_images", ".jpg")
    rows = [f'p{n},"{"; ".join(labels_of(n))}"' for n in range(COUNT)]
    write_table(root / "train.csv", ["image_id,tags", *rows])
    return root


def write_metadata(root: Path) -> Path:
    """Hugging Face's imagefolder: metadata.csv beside the pictures of each split; a line for each label."""
    for split in ("train", "validation"):
        write_pictures(root / split)
        rows = [f"p{n}.png,{name}" for n in range(COUNT) for name in labels_of(n) or [""]]
        write_table(root / split / "metadata.csv", ["file_name,label", *rows])
    return root


#: Name of a layout -> what writes it, and the file that is recognised.
TABLES = {
    "labels": (write_labels, "labels.csv, the labels of all images"),
    "splits": (write_parts, "labels.csv, the labels of all images"),
    "roboflow": (write_roboflow, "train/_classes.csv"),
    "competition": (write_competition, "train.csv, the labels of all images"),
    "imagefolder": (write_metadata, "train/metadata.csv"),
}
