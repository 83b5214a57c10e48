"""Files of three classes in ONNX, made by hand in milliseconds, whose metadata tests can damage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

#: What ``atmnet export`` would write, by kind.
METADATA: dict[str, dict[str, Any]] = {
    "classification": {"interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"},
    "multilabel": {"interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"},
    "segmentation": {"shorter": 32, "longest": 128, "head": "semantic_fpn"},
    "detection": {"shorter": 32, "longest": 128, "head": "fcos", "raw": False, "category_ids": [1, 2, 3]},
}
_COMMON: dict[str, Any] = {
    "classes": ["a", "b", "c"], "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
    "pixels": "normalised",
}  # fmt: skip


def metadata(kind: str) -> dict[str, str]:
    """The metadata of a file, as strings of JSON."""
    return {key: json.dumps(value) for key, value in {"task": kind, **_COMMON, **METADATA[kind]}.items()}


def write_tiny(
    path: Path,
    kind: str = "classification",
    values: dict[str, str] | None = None,
    inputs: int = 1,
    shape: tuple[Any, ...] | None = ("N", 3, "H", "W"),
    dtype: int = TensorProto.FLOAT,
    external: str = "",
) -> Path:
    """A network whose logits are the colours of the picture, or their mean, or one object in the corner.

    Args:
        path: The file.
        kind: Kind of network.
        values: Metadata instead of those of the kind.
        inputs: Number of inputs.
        shape, dtype: Of the inputs.
        external: File with the data of a constant that is added.
    """
    entries = [helper.make_tensor_value_info(f"images{i or ''}", dtype, shape) for i in range(inputs)]
    first = entries[0].name if entries else ""
    nodes, names, constants = [], ["logits"], []
    if not entries:
        nodes = [helper.make_node("Constant", [], ["logits"], value_floats=[1.0])]
    elif kind in ("classification", "multilabel"):
        nodes = [
            helper.make_node("GlobalAveragePool", [first], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["sum"]),
        ]
        nodes.append(helper.make_node("Add", ["sum", "shift"], ["logits"]))
        constants = [helper.make_tensor("shift", TensorProto.FLOAT, [3], np.zeros(3, np.float32))]
    elif kind == "segmentation":
        nodes = [helper.make_node("Identity", [first], ["logits"])]
    else:
        names = ["boxes", "scores", "labels"]
        objects: dict[str, Any] = {
            "boxes": np.array([[1, 2, 9, 8]], np.float32),
            "scores": np.array([0.9], np.float32),
            "labels": np.array([1], np.int64),
        }
        constants = [onnx.numpy_helper.from_array(array, f"{name}0") for name, array in objects.items()]
        nodes = [helper.make_node("Identity", [f"{name}0"], [name]) for name in names]
    types: list[int] = [TensorProto.INT64 if name == "labels" else TensorProto.FLOAT for name in names]
    types = [dtype] if kind == "segmentation" else types
    if external:
        (constant,) = constants
        constant.ClearField("float_data")
        constant.data_location = TensorProto.EXTERNAL
        constant.external_data.add(key="location", value=external)
    outputs = [helper.make_tensor_value_info(name, type_, None) for name, type_ in zip(names, types, strict=True)]
    graph = helper.make_graph(nodes, "tiny", entries, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata(kind) if values is None else values)
    path.write_bytes(model.SerializeToString())
    return path
