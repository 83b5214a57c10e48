"""Eight-bit weights and products, by the quantisers of ONNX Runtime and OpenVINO.

Only matrix products and convolutions are quantised, since they take the time. Positions, norms and sums stay in floats.

Shapes: N batches of B images, C colour channels, H x W pixels.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from atmnet.export.onnx_file import INPUT, quiet
from atmnet_cli.errors import UserError, install
from atmnet_runtime import Array

if TYPE_CHECKING:
    import openvino

#: An operator of ONNX's or of OpenVINO's graph.
Node = TypeVar("Node")
_PRODUCTS = ["MatMul", "Gemm", "Conv"]


def quantise_dynamic(source: Path, target: Path) -> None:
    """Quantise the weights, and the inputs of matrix products by their range at each call.

    Convolutions compute in floats.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(
            source, target, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8,
            nodes_to_exclude=_positions(source),
        )  # fmt: skip
    _store_convolutions(target)
    _shorten_names(target)


def _positions(path: Path) -> list[str]:
    """Names of the products that predict offsets."""
    import onnx

    graph = onnx.load(path).graph
    makers = {name: node for node in graph.node for name in node.output}
    floors = [node for node in graph.node if node.op_type == "Floor"]
    products = _products_before(
        floors,
        lambda node: [makers[name] for name in node.input if name in makers],
        lambda node: node.op_type in _PRODUCTS,
        lambda node: str(node.output[0]),
    )
    return [node.name for node in products]


def _products_before(
    floors: list[Node],
    before: Callable[[Node], list[Node]],
    is_product: Callable[[Node], bool],
    key: Callable[[Node], str],
) -> list[Node]:
    """The nearest products before the operators that round positions down.

    They stay exact: an error of half a token costs more than the time that 8 bits save there.
    """
    products: list[Node] = []
    seen: set[str] = set()
    queue = list(floors)
    while queue:
        for node in before(queue.pop()):
            if key(node) not in seen:
                seen.add(key(node))
                (products if is_product(node) else queue).append(node)
    return products


def _store_convolutions(path: Path) -> None:
    """Store the weights of convolutions in 8 bits, with a scale for each output channel.

    A cast and a product make floats of them. Runtimes compute these once, when they open the file, since all inputs are
    constant; they would compute DequantizeLinear at each call.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for name in dict.fromkeys(node.input[1] for node in graph.node if node.op_type == "Conv"):
        if name not in weights:
            continue
        values = numpy_helper.to_array(weights[name])
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / 127
        scale[scale == 0] = 1
        codes = np.rint(values / scale).astype(np.int8)
        graph.initializer.remove(weights[name])
        graph.initializer.extend(
            [numpy_helper.from_array(codes, f"{name}_codes"), numpy_helper.from_array(scale, f"{name}_scale")]
        )
        nodes += [
            helper.make_node("Cast", [f"{name}_codes"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
        ]
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def quantise_static(source: Path, target: Path, batches: Array) -> None:
    """Quantise weights and activations, by the ranges of the activations for ``batches`` (N, B, C, H, W)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[Array] = iter(batches)

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    with quiet():
        quantize_static(
            source, target, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=_PRODUCTS, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=_positions(source),
            # The operators after a matrix product take floats, so to round its output would only cost time.
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )  # fmt: skip
    _shorten_names(target)


def _shorten_names(path: Path) -> None:
    """Replace the names of nodes and tensors by numbers: names are a tenth of the file of a small network."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    names = {value.name: value.name for value in [*graph.input, *graph.output]} | {"": ""}

    def short(name: str) -> str:
        return names.setdefault(name, f"{len(names):x}")

    for node in graph.node:
        node.ClearField("name")
        node.input[:], node.output[:] = map(short, node.input), map(short, node.output)
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    del graph.value_info[:]
    onnx.save(model, path)


def quantise_openvino(model: "openvino.Model", batches: Array) -> "openvino.Model":
    """An OpenVINO model with weights and activations of its matrix products in 8 bits.

    By default NNCF would round positions, too. Either matrix products or convolutions in 8 bits are accurate, but with
    both of them the outputs were wrong, so convolutions stay in floats.
    """
    try:
        import nncf
    except ImportError as error:
        raise UserError(f"precision: int8 in OpenVINO needs nncf: {install('export')}") from error
    data = nncf.Dataset(list(batches))
    kinds = {operator.get_type_name() for operator in model.get_ops()} - {"MatMul", "Parameter", "Constant", "Result"}
    ignored = nncf.IgnoredScope(types=sorted(kinds), names=_openvino_positions(model), validate=False)
    with quiet():
        return nncf.quantize(model, data, subset_size=len(batches), ignored_scope=ignored)


def _openvino_positions(model: "openvino.Model") -> list[str]:
    """Names of the products of an OpenVINO model that predict offsets."""
    products = _products_before(
        [operator for operator in model.get_ops() if operator.get_type_name() == "Floor"],
        lambda operator: [port.get_source_output().get_node() for port in operator.inputs()],
        lambda operator: operator.get_type_name() in ("MatMul", "Convolution"),
        lambda operator: str(operator.get_friendly_name()),
    )
    return [operator.get_friendly_name() for operator in products]
