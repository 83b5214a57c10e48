"""ONNX: a plain graph of standard operators, for any batch and size of image or for one.

Shapes: B images, C colour channels, H x W pixels.
"""

import contextlib
import io
import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from atmnet.export.job import Outputs
from atmnet.export.plain.boxes import onnx_translations
from atmnet_cli.errors import UserError

OPSET = 20
INPUT = "image"


def write_onnx(
    model: nn.Module, path: Path, example: Tensor, *, dynamic: bool, metadata: dict[str, str], outputs: Outputs
) -> None:
    """Write ``model``, which takes images like ``example`` (B, C, H, W), to ``path``.

    Args:
        model: In plain operations: see :func:`atmnet.export.plain.rewrite.exportable`.
        path: File to write.
        example: An image batch; its shape holds for all, unless ``dynamic``.
        dynamic: Leave height and width open, and the batch, where that of the example is not 1.
        metadata: Written into the file.
        outputs: Names of the model's outputs, in order, with names for their open axes.

    Raises:
        UserError: Where onnx and onnxscript are missing, or the model cannot be exported.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it, and says so less clearly
    except ImportError as error:
        raise UserError(f"to: ONNX needs {error.name}: pip install 'atmnet[export]'") from error
    free = torch.export.Dim.DYNAMIC
    axes = {2: "height", 3: "width"} | ({0: "batch"} if len(example) > 1 else {}) if dynamic else {}
    shapes = (dict.fromkeys(axes, free),) if dynamic else None
    try:
        with torch.no_grad(), quiet():
            program: Any = torch.onnx.export(
                model, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False,
                input_names=[INPUT], output_names=list(outputs), custom_translation_table=onnx_translations(),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().splitlines()[0][:300]
        advice = "; for a model of one size, --dynamic=false" if dynamic else ""
        raise UserError(f"to: this model cannot be written as ONNX{advice}: {cause}") from error
    graph = program.model_proto
    _tidy(graph, axes, outputs)
    for key, value in metadata.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters tell on stdout and by warnings, none of which a user can act upon."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def _tidy(graph: Any, axes: Mapping[int, str], outputs: Outputs) -> None:
    """Names for the open sizes; small indices; nothing of where the exporter's code lay on disk."""
    if axes:
        for entry, names in zip([*graph.graph.input, *graph.graph.output], [axes, *outputs.values()], strict=True):
            for axis, name in names.items():
                entry.type.tensor_type.shape.dim[axis].dim_param = name
    # Shapes between in terms of the exporter's symbols: runtimes infer their own, quantisers stumble over these.
    del graph.graph.value_info[:]
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        for name in node.input:
            readers[name].append(node)
    for node in graph.graph.node:
        if node.op_type == "Cast" and _is_index(node.output[0], readers):
            node.attribute[0].i = 6  # TensorProto.INT32: half the bytes of torch's indices


def _is_index(name: str, readers: Mapping[str, list[Any]]) -> bool:
    """Whether a tensor says only where to gather, perhaps after it was repeated."""
    return bool(readers[name]) and all(
        node.input[0] != name
        if node.op_type == "GatherElements"
        else node.op_type in ("Expand", "Unsqueeze", "Reshape")
        and name not in node.input[1:]
        and _is_index(node.output[0], readers)
        for node in readers[name]
    )


def count_nodes(path: Path) -> int:
    """Operators in the graph."""
    import onnx

    return len(onnx.load(path, load_external_data=False).graph.node)
