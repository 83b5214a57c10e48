"""Vectors of channels for numba: what numba lacks to load, combine and store the channels of a share group at once.

A vector has V lanes of float32 or float64 (the type that is computed in); arrays may hold float64, float32, float16 or
bfloat16, the latter two as uint16.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

# What memory holds. Numba knows no bfloat16.
_STORED = {
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
    """The numba type of V lanes of a floating point type."""

    def __init__(self, lanes: int, scalar: types.Float) -> None:
        self.lanes = lanes
        self.scalar = scalar
        super().__init__(f"Vector({lanes} x {scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector) -> None:
        lane = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[vector.scalar]
        super().__init__(manager, vector, ir.VectorType(lane, vector.lanes))


def _spread(builder, scalar, vector):
    """The same scalar in every lane."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, first, lanes)


def _place(context, builder, kind, array, index, stored, lanes):
    """Pointer to ``lanes`` elements from ``index`` on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_STORED[stored], lanes).as_pointer())


def _bits(kind, count):
    return ir.VectorType(ir.IntType(kind), count)


def _widened(builder, value, stored, wide):
    if stored == "bfloat16":  # the upper half of a float32
        count = value.type.count
        bits = builder.shl(builder.zext(value, _bits(32, count)), ir.Constant(_bits(32, count), [16] * count))
        value = builder.bitcast(bits, ir.VectorType(ir.FloatType(), count))
    return value if value.type == wide else builder.fpext(value, wide)


def _narrowed(builder, value, stored):
    count = value.type.count
    target = ir.VectorType(_STORED[stored], count)
    if value.type == target:
        return value
    if value.type.element == ir.DoubleType():
        value = builder.fptrunc(value, ir.VectorType(ir.FloatType(), count))
    if stored == "float32":
        return value
    if stored != "bfloat16":
        return builder.fptrunc(value, target)

    def constant(number):
        return ir.Constant(_bits(32, count), [number] * count)

    # Round to nearest, ties to even, on the bits; NaN stays NaN.
    bits = builder.bitcast(value, _bits(32, count))
    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, constant(0x7FFF))), constant(16))
    rounded = builder.select(builder.fcmp_unordered("uno", value, value), constant(0x7FC0), rounded)
    return builder.trunc(rounded, target)


@intrinsic(prefer_literal=True)
def _load(context, array, index, stored, lanes, wide):
    vector = Vector(lanes.literal_value, getattr(types, wide.literal_value))

    def generate(context, builder, signature, args):
        place = _place(context, builder, array, args[0], args[1], stored.literal_value, vector.lanes)
        value = builder.load(place, align=_BYTES[stored.literal_value])
        return _widened(builder, value, stored.literal_value, context.get_value_type(vector))

    return vector(array, index, stored, lanes, wide), generate


@intrinsic(prefer_literal=True)
def _store(context, array, index, stored, value):
    def generate(context, builder, signature, args):
        place = _place(context, builder, array, args[0], args[1], stored.literal_value, value.lanes)
        builder.store(_narrowed(builder, args[3], stored.literal_value), place, align=_BYTES[stored.literal_value])
        return context.get_dummy_value()

    return types.void(array, index, stored, value), generate


@intrinsic
def _lanes(context, vector):
    def generate(context, builder, signature, args):
        return ir.Constant(ir.IntType(64), vector.lanes)

    return types.intp(vector), generate


@njit(inline="always")
def _check(array, index, lanes):
    """Raise if NUMBA_BOUNDSCHECK=1 asks for it and the elements are not within the array; otherwise compiled away."""
    array[np.uint64(index)]
    array[np.uint64(index + lanes - 1)]


@njit
def load(array, index, stored, lanes, wide):
    """``lanes`` elements from ``index`` on, which are of type ``stored`` (a name), computed with as ``wide``."""
    _check(array, index, lanes)
    return _load(array, index, stored, lanes, wide)


@njit
def store(array, index, stored, value):
    """Write a vector as elements of type ``stored`` (a name) from ``index`` on."""
    _check(array, index, _lanes(value))
    _store(array, index, stored, value)


@intrinsic
def total(context, vector):
    """Sum of the lanes, pairwise: always in the same order."""

    def generate(context, builder, signature, args):
        lanes = [builder.extract_element(args[0], ir.Constant(ir.IntType(32), i)) for i in range(vector.lanes)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(a, b) for a, b in zip(lanes[:half], lanes[half:], strict=True)]
        return lanes[0]

    return vector.scalar(vector), generate


@intrinsic(prefer_literal=True)
def zeros(context, lanes, wide):
    """A vector of zeros."""
    vector = Vector(lanes.literal_value, getattr(types, wide.literal_value))

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(lanes, wide), generate


def _elementwise(operation, instruction: str) -> None:
    @type_callable(operation)
    def typed(context):
        def typer(a, b):
            if isinstance(a, Vector) and a == b:
                return a
            return None

        return typer

    @lower_builtin(operation, Vector, Vector)
    def lower(context, builder, signature, args):
        return getattr(builder, instruction)(*args)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _elementwise(_operation, _instruction)


@type_callable(operator.mul)
def _type_scaled(context):
    def typer(scalar, vector):
        if isinstance(vector, Vector) and scalar == vector.scalar:
            return vector
        return None

    return typer


@lower_builtin(operator.mul, types.Float, Vector)
def _scaled(context, builder, signature, args):
    return builder.fmul(_spread(builder, args[0], args[1].type), args[1])


@intrinsic
def ticket(context, counter):
    """Take the next number from a counter in memory: each caller, on whichever thread, gets another one."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", args[0], ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate


@intrinsic(prefer_literal=True)
def _pointer(context, address, kind):
    target = types.CPointer(_NUMBA[kind.literal_value])

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(target))

    return target(address, kind), generate


@njit
def array(address, size, stored):
    """The memory at an address as an array of ``size`` elements of type ``stored`` (a name)."""
    return carray(_pointer(address, stored), (size,))


@intrinsic(prefer_literal=True)
def _stack(context, count, kind):
    target = types.CPointer(getattr(types, kind.literal_value))

    def generate(context, builder, signature, args):
        element = context.get_value_type(target).pointee
        return cgutils.alloca_once(builder, element, size=ir.Constant(ir.IntType(64), count.literal_value))

    return target(count, kind), generate


@intrinsic
def address(context, integers, index):
    """Where in memory the integer at an index lies."""

    def generate(context, builder, signature, args):
        return builder.ptrtoint(builder.gep(args[0], [args[1]]), ir.IntType(64))

    return types.int64(integers, types.int64), generate


@njit
def scratch(count, kind):
    """An array on the stack of ``count`` (a constant) elements of the numba type ``kind`` (a name)."""
    return carray(_stack(count, kind), (count,))


@intrinsic(prefer_literal=True)
def unpack(context, integers, count):
    """The integers at 1 .. count in memory, as a tuple."""
    row = types.UniTuple(types.int64, count.literal_value)

    def generate(context, builder, signature, args):
        places = [builder.gep(args[0], [ir.Constant(ir.IntType(64), i + 1)]) for i in range(row.count)]
        return context.make_tuple(builder, row, [builder.load(place) for place in places])

    return row(integers, count), generate
