"""Write digit scenes as files, in a folder that has both COCO's and ADE20K's layout.

images/{train,val}/000000.png               both
annotations/instances_{train,val}.json      COCO
annotations/{train,val}/000000.png          ADE20K: class k is k + 1
classes.txt                                 ADE20K
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from atmnet.data.scene import label_map
from atmnet.data.scenes import SceneDetection, SceneSegmentation
from atmnet.files import to_json, whole_folder
from atmnet_cli.errors import UserError, install
from atmnet_cli.options import MakeScenesOptions


def write_scenes(options: MakeScenesOptions) -> None:
    """Write both splits. The folder appears once everything is written; otherwise nothing is left.

    Raises:
        UserError: If the folder is not empty or cannot be written, or an option is out of range.
    """
    scene_kwargs: dict[str, Any] = {
        "img_size": options.img_size, "objects": options.objects, "contrast": options.contrast, "seed": options.seed,
        **({"digit_sizes": options.digit_sizes} if options.digit_sizes else {}),
    }  # fmt: skip
    with whole_folder(Path(options.directory), "directory") as partial:
        for split, images in (("train", options.train), ("val", options.val)):
            _write_split(partial, SceneDetection(split, images=images, **scene_kwargs))
        names = SceneSegmentation("train", img_size=options.img_size).classes
        (partial / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _write_split(folder: Path, source: SceneDetection) -> None:
    images, maps = (folder / kind / source.split for kind in ("images", "annotations"))
    images.mkdir(parents=True)
    maps.mkdir(parents=True)
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    for index in range(len(source)):
        name, scene = source.name(index), source.scene(index)
        scene.image.save(images / name)
        Image.fromarray(label_map(scene) + 1).save(maps / name)
        content["images"].append(
            {"id": source.image_id(index), "file_name": name, "width": scene.image.width, "height": scene.image.height}
        )
        for label, mask in zip(scene.labels.tolist(), scene.masks, strict=True):
            runs = _run_lengths(mask)
            content["annotations"].append({
                "id": len(content["annotations"]) + 1, "image_id": source.image_id(index),
                "category_id": source.category_ids[label], "iscrowd": 0, **runs,
            })  # fmt: skip
    categories = [{"id": n, "name": name} for n, name in zip(source.category_ids, source.classes, strict=True)]
    text = to_json({"info": {"description": "digit scenes of atmnet"}, **content, "categories": categories})
    (folder / "annotations" / f"instances_{source.split}.json").write_text(text, encoding="utf-8")


def _run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The mask as compressed run lengths, its area and its box, in COCO's format."""
    try:
        from faster_coco_eval.core import mask as coco
    except ImportError as error:
        raise UserError(f"make-scenes needs faster-coco-eval: {install('dense')}") from error
    runs = coco.encode(np.asfortranarray(mask, np.uint8))
    return {
        "segmentation": {"size": list(runs["size"]), "counts": runs["counts"].decode()},
        "area": float(coco.area(runs)),
        "bbox": coco.toBbox(runs).tolist(),
    }
