"""SIMD vectors for numba, which has none: load, combine and store several channels of a share group at a time.

A vector has V lanes of float32 or float64, the dtype of the computation (``compute``). Arrays may be of ``dtype``
float64, float32, float16 or bfloat16; numba sees the latter two as uint16. Dtypes are given by name.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

# LLVM types of the elements of arrays. Numba has no bfloat16.
_ELEMENT = {
    "float64": ir.DoubleType(),
    "float32": ir.FloatType(),
    "float16": ir.HalfType(),
    "bfloat16": ir.IntType(16),
}
_NUMBA = {
    "float64": types.float64,
    "float32": types.float32,
    "float16": types.uint16,
    "bfloat16": types.uint16,
    "int64": types.int64,
}
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


class Vector(types.Type):
    """The numba type of a vector of ``lanes`` floating point numbers."""

    def __init__(self, lanes: int, scalar: types.Float) -> None:
        self.lanes = lanes
        self.scalar = scalar
        super().__init__(f"Vector({lanes} x {scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector) -> None:
        lane = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[vector.scalar]
        super().__init__(manager, vector, ir.VectorType(lane, vector.lanes))


def _broadcast(builder, scalar, vector):
    """A vector with the same scalar in every lane."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, first, lanes)


def _element_pointer(context, builder, array_type, array, index, dtype, lanes):
    """A pointer to the ``lanes`` elements from ``index`` on."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_ELEMENT[dtype], lanes).as_pointer())


def _integers(bits, count):
    return ir.VectorType(ir.IntType(bits), count)


def _extend(builder, value, dtype, vector):
    """The elements ``value`` of ``dtype`` as numbers of the LLVM type ``vector``, which is at least as wide."""
    if dtype == "bfloat16":  # the upper half of a float32
        count = value.type.count
        bits = builder.shl(builder.zext(value, _integers(32, count)), ir.Constant(_integers(32, count), [16] * count))
        value = builder.bitcast(bits, ir.VectorType(ir.FloatType(), count))
    return value if value.type == vector else builder.fpext(value, vector)


def _round(builder, value, dtype):
    """The vector ``value`` rounded to elements of ``dtype``."""
    count = value.type.count
    target = ir.VectorType(_ELEMENT[dtype], count)
    if value.type == target:
        return value
    if value.type.element == ir.DoubleType():
        value = builder.fptrunc(value, ir.VectorType(ir.FloatType(), count))
    if dtype == "float32":
        return value
    if dtype != "bfloat16":
        return builder.fptrunc(value, target)

    def constant(number):
        return ir.Constant(_integers(32, count), [number] * count)

    # Round to nearest, ties to even, on the bits; NaN stays NaN.
    bits = builder.bitcast(value, _integers(32, count))
    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, constant(0x7FFF))), constant(16))
    rounded = builder.select(builder.fcmp_unordered("uno", value, value), constant(0x7FC0), rounded)
    return builder.trunc(rounded, target)


@intrinsic(prefer_literal=True)
def _load(context, array, index, dtype, lanes, compute):
    vector = Vector(lanes.literal_value, getattr(types, compute.literal_value))

    def generate(context, builder, signature, args):
        pointer = _element_pointer(context, builder, array, args[0], args[1], dtype.literal_value, vector.lanes)
        value = builder.load(pointer, align=_BYTES[dtype.literal_value])
        return _extend(builder, value, dtype.literal_value, context.get_value_type(vector))

    return vector(array, index, dtype, lanes, compute), generate


@intrinsic(prefer_literal=True)
def _store(context, array, index, dtype, value):
    def generate(context, builder, signature, args):
        pointer = _element_pointer(context, builder, array, args[0], args[1], dtype.literal_value, value.lanes)
        builder.store(_round(builder, args[3], dtype.literal_value), pointer, align=_BYTES[dtype.literal_value])
        return context.get_dummy_value()

    return types.void(array, index, dtype, value), generate


@intrinsic
def _lanes(context, vector):
    def generate(context, builder, signature, args):
        return ir.Constant(ir.IntType(64), vector.lanes)

    return types.intp(vector), generate


@njit(inline="always")
def _check_bounds(array, index, lanes):
    """With NUMBA_BOUNDSCHECK=1 raise if the elements are not all inside the array; without it, compile to nothing."""
    array[np.uint64(index)]
    array[np.uint64(index + lanes - 1)]


@njit
def load(array, index, dtype, lanes, compute):
    """The ``lanes`` elements from ``index`` on of an array of ``dtype``, as a vector of ``compute``."""
    _check_bounds(array, index, lanes)
    return _load(array, index, dtype, lanes, compute)


@njit
def store(array, index, dtype, value):
    """Write a vector to an array of ``dtype``, from ``index`` on."""
    _check_bounds(array, index, _lanes(value))
    _store(array, index, dtype, value)


@intrinsic
def lane_sum(context, vector):
    """The sum of the lanes, added pairwise and always in the same order."""

    def generate(context, builder, signature, args):
        lanes = [builder.extract_element(args[0], ir.Constant(ir.IntType(32), i)) for i in range(vector.lanes)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(a, b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        return lanes[0]

    return vector.scalar(vector), generate


@intrinsic(prefer_literal=True)
def zeros(context, lanes, compute):
    """A vector of zeros."""
    vector = Vector(lanes.literal_value, getattr(types, compute.literal_value))

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(lanes, compute), generate


def _register_elementwise(operation, instruction: str) -> None:
    """Let ``operation`` on two vectors compile to an LLVM instruction."""

    @type_callable(operation)
    def infer_type(context):
        def typer(a, b):
            if isinstance(a, Vector) and a == b:
                return a
            return None

        return typer

    @lower_builtin(operation, Vector, Vector)
    def lower(context, builder, signature, args):
        return getattr(builder, instruction)(*args)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _register_elementwise(_operation, _instruction)


@type_callable(operator.mul)
def _infer_scaled(context):
    def typer(scalar, vector):
        if isinstance(vector, Vector) and scalar == vector.scalar:
            return vector
        return None

    return typer


@lower_builtin(operator.mul, types.Float, Vector)
def _lower_scaled(context, builder, signature, args):
    return builder.fmul(_broadcast(builder, args[0], args[1].type), args[1])


@intrinsic
def fetch_increment(context, counter):
    """Return the value of a counter in memory and add 1 to it, atomically: no two threads get the same value."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", args[0], ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate


@intrinsic(prefer_literal=True)
def _to_pointer(context, address, dtype):
    target = types.CPointer(_NUMBA[dtype.literal_value])

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(target))

    return target(address, dtype), generate


@njit
def array(address, size, dtype):
    """The memory at an address as an array of ``size`` elements of ``dtype``."""
    return carray(_to_pointer(address, dtype), (size,))


@intrinsic(prefer_literal=True)
def _stack(context, count, dtype):
    target = types.CPointer(getattr(types, dtype.literal_value))

    def generate(context, builder, signature, args):
        element = context.get_value_type(target).pointee
        return cgutils.alloca_once(builder, element, size=ir.Constant(ir.IntType(64), count.literal_value))

    return target(count, dtype), generate


@intrinsic
def address(context, integers, index):
    """The address of the integer at an index."""

    def generate(context, builder, signature, args):
        return builder.ptrtoint(builder.gep(args[0], [args[1]]), ir.IntType(64))

    return types.int64(integers, types.int64), generate


@njit
def scratch(count, dtype):
    """An array on the stack of ``count`` (a compile-time constant) elements of the numba type ``dtype``."""
    return carray(_stack(count, dtype), (count,))


@intrinsic(prefer_literal=True)
def unpack(context, integers, count):
    """The integers at indices 1 to ``count``, as a tuple."""
    row = types.UniTuple(types.int64, count.literal_value)

    def generate(context, builder, signature, args):
        pointers = [builder.gep(args[0], [ir.Constant(ir.IntType(64), i + 1)]) for i in range(row.count)]
        return context.make_tuple(builder, row, [builder.load(pointer) for pointer in pointers])

    return row(integers, count), generate
