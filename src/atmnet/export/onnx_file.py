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

from atmnet.export.job import Job
from atmnet.export.plain.boxes import onnx_translations
from atmnet.export.subject import Outputs
from atmnet_cli.errors import UserError, first_line, install

OPSET = 20
INPUT = "image"


def write_onnx(job: Job, path: Path, metadata: dict[str, str]) -> None:
    """Write a job as ONNX in float32 or float16.

    Args:
        job: What is written.
        path: File to write.
        metadata: Written into the file.

    Raises:
        UserError: If onnx or onnxscript is missing, or the model cannot be exported.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it, and its own message is less clear
    except ImportError as error:
        raise UserError(f"to: ONNX needs {error.name}: {install('export')}") from error
    example, dynamic, outputs = job.example(), job.settings.dynamic, job.subject.outputs
    axes = {2: "height", 3: "width"} | ({0: "batch"} if job.subject.batched else {}) if dynamic else {}
    shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),) if dynamic else None
    try:
        with torch.no_grad(), quiet():
            program: Any = torch.onnx.export(
                job.network(), (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False,
                input_names=[INPUT], output_names=list(outputs), custom_translation_table=onnx_translations(),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        advice = "; if the model is made for one size, try dynamic=false" if dynamic else ""
        cause = first_line(error.__cause__ or error)
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
    """Silence the messages that exporters print, log and warn of; a user cannot act on any of them."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def _tidy(graph: Any, axes: Mapping[int, str], outputs: Outputs) -> None:
    """Name the open sizes, make indices small, and remove the paths of the exporter's code."""
    if axes:
        for entry, names in zip([*graph.graph.input, *graph.graph.output], [axes, *outputs.values()], strict=True):
            for axis, name in names.items():
                entry.type.tensor_type.shape.dim[axis].dim_param = name
    # Intermediate shapes contain the exporter's symbols: runtimes infer their own, and quantisers fail on these.
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
    """Whether a tensor is used only as an index of gathers, maybe after it is repeated."""
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
