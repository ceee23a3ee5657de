"""Vectors of scenarios as numba types, so that kernels read like scalar arithmetic and run like SIMD.

numba leaves the lane loop to LLVM, which must fear that arrays overlap and often falls back to scalars. A
value of these types is one LLVM vector: loads, arithmetic and stores are explicit, every lane does the same,
and there is no remainder loop. Three sizes, in double and in single precision: a block of LANES scenarios;
STRIP of them, as many as a processor's registers hold a few vectors of; and GROUP of them, for methods whose
working arrays are large. Only kernels use these names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable  # noqa: TC003  read by numba
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, overload, register_model

#: Scenarios side by side, a power of two: enough to hide latencies, few enough for a block to stay in cache.
LANES = 32
#: Scenarios side by side where the arrays of a whole block would not stay in cache; divides LANES.
GROUP = 8

#: The processor has 32 registers of 64 bytes, and estimates reciprocals and roots to 14 bits.
HAS_ESTIMATES = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]
#: Scenarios side by side in loops without chains from row to row, and how many strips a block has: of 32
#: registers of 64 bytes a vector of 16 takes two, of 16 of 32 bytes one of eight does. Where a loop holds a
#: dozen of vectors, more would go to memory and back.
STRIP = 2 * GROUP if HAS_ESTIMATES else GROUP
STRIPS = LANES // STRIP
#: Scenarios side by side in sweeps: these hold fewer vectors, and chains from row to row want more of them.
SWEPT = LANES if HAS_ESTIMATES else GROUP

#: numba's decorator, with a type for mypy.
typed: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic

_FLOAT = {64: ir.DoubleType(), 32: ir.FloatType()}
_NUMBER = {64: types.float64, 32: types.float32}


class LaneType(types.Type):  # type: ignore[misc] # numba has no types
    """numba's type of a vector of ``width`` floating-point numbers of ``bits`` bits."""

    def __init__(self, bits: int, width: int) -> None:
        self.bits, self.width = bits, width
        self.vector = ir.VectorType(_FLOAT[bits], width)
        super().__init__(name=f"Lane{bits}x{width}")


LANE, SINGLE, FEW = LaneType(64, LANES), LaneType(32, LANES), LaneType(64, GROUP)
PART = LaneType(64, STRIP)


@register_model(LaneType)
class _LaneModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:  # noqa: ANN401
        super().__init__(dmm, fe_type, fe_type.vector)


def contiguous(*arrays: Any) -> None:  # noqa: ANN401
    """Refuse, while a kernel is compiled, arrays that vectors cannot be read from by their place alone."""
    for array in arrays:
        if array.layout != "C":
            raise TypingError(f"{array} is not C-contiguous")


def address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:  # noqa: ANN401
    """Pointer to entry ``index`` of a C-contiguous array, seen as a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _row(context: Any, builder: Any, sig: Any, args: Any, lane: LaneType) -> Any:  # noqa: ANN401
    first = builder.mul(args[1], ir.Constant(args[1].type, lane.width))
    return address(context, builder, sig.args[0], args[0], first, lane.vector)


def _loader(lane_of: Callable[[Any], LaneType], name: str, what: str) -> Callable[..., Any]:
    def function(typingctx: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001
        contiguous(array)
        lane = lane_of(array)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
            return builder.load(_row(context, builder, sig, args, lane), align=lane.bits // 8)

        return lane(array, types.intp), codegen

    function.__name__, function.__doc__ = name, what
    return typed(function)


#: Row ``index`` of a C-contiguous array whose last axis has LANES entries; no bounds check.
load = _loader(lambda array: LANE if array.dtype == types.float64 else SINGLE, "load", "LANES entries.")
#: Entries STRIP·index … of a C-contiguous float64 array; no bounds check.
load_part = _loader(lambda _: PART, "load_part", "STRIP entries.")
#: Entries GROUP·index … of a C-contiguous float64 array; no bounds check.
load_few = _loader(lambda _: FEW, "load_few", "GROUP entries.")


@typed
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
    """Write ``value`` where ``load``, ``load_part`` or ``load_few`` would read it; no bounds check."""
    contiguous(array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        builder.store(args[2], _row(context, builder, sig, args, sig.args[2]), align=sig.args[2].bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@typed
def load_like(typingctx: Any, array: Any, row: Any, part: Any, like: Any) -> Any:  # noqa: ANN401, ARG001
    """Read the ``part``-th of a row's parts that are as long as a vector ``like``; no bounds check."""
    contiguous(array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        return builder.load(_inside(context, builder, sig, args, like), align=like.bits // 8)

    return like(array, types.intp, types.intp, like), codegen


@typed
def store_like(typingctx: Any, array: Any, row: Any, part: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
    """Write ``value`` where ``load_like`` would read it; no bounds check."""
    contiguous(array)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        builder.store(args[3], _inside(context, builder, sig, args, value), align=value.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), codegen


def _inside(context: Any, builder: Any, sig: Any, args: Any, lane: LaneType) -> Any:  # noqa: ANN401
    row, part = (
        builder.mul(arg, ir.Constant(arg.type, step))
        for arg, step in zip(args[1:3], (LANES, lane.width), strict=True)
    )
    return address(context, builder, sig.args[0], args[0], builder.add(row, part), lane.vector)


@typed
def drain(typingctx: Any) -> Any:  # noqa: ANN401, ARG001
    """Let everything that went past the caches arrive before what follows."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


def _splat(lane: LaneType, name: str, what: str) -> Callable[..., Any]:
    def function(typingctx: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            nothing = ir.Constant(lane.vector, ir.Undefined)
            single = builder.insert_element(nothing, args[0], cgutils.int32_t(0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lane.width), [0] * lane.width)
            return builder.shuffle_vector(single, nothing, zeros)

        return lane(_NUMBER[lane.bits]), codegen

    function.__name__, function.__doc__ = name, what
    return typed(function)


#: The same number in every lane.
spread = _splat(LANE, "spread", "The same double in LANES lanes.")
spread_single = _splat(SINGLE, "spread_single", "The same single in LANES lanes.")
spread_few = _splat(FEW, "spread_few", "The same double in GROUP lanes.")
spread_part = _splat(PART, "spread_part", "The same double in STRIP lanes.")
#: The same double in SWEPT lanes.
spread_swept = spread if SWEPT == LANES else spread_part
#: A single number to one of a vector's lanes each; strips may be as wide as blocks or groups.
_SPREAD = {
    PART: spread_part,
    LaneType(32, STRIP): _splat(LaneType(32, STRIP), "spread_part_single", "The same single in STRIP lanes."),
    LANE: spread,
    SINGLE: spread_single,
    FEW: spread_few,
}


def _cast(bits: int, instruction: str, name: str, what: str) -> Callable[..., Any]:
    def function(typingctx: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
        target = LaneType(bits, value.width)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            return getattr(builder, instruction)(args[0], target.vector)

        return target(value), codegen

    function.__name__, function.__doc__ = name, what
    return typed(function)


widen = _cast(64, "fpext", "widen", "Single to double precision.")
narrow = _cast(32, "fptrunc", "narrow", "Double to single precision.")


def _binary(name: str) -> Callable[..., Any]:
    def function(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ANN401, ARG001
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            # a·b + c may round once, as everywhere in the kernels; NaN and infinity keep their meaning.
            return getattr(builder, name)(args[0], args[1], flags=("contract",))

        return a(a, b), codegen

    function.__name__ = f"_{name}"
    return typed(function)


_fadd, _fsub, _fmul, _fdiv = (_binary(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _overload(symbol: Callable[..., Any], vectors: Callable[..., Any]) -> None:
    # numba wants the typing function and what it returns to have equal signatures, annotations included.
    @overload(symbol)
    def operate(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if isinstance(a, LaneType) and a is b:
            return lambda a, b: vectors(a, b)  # noqa: PLW0108  numba wants a plain function
        if isinstance(a, LaneType) and isinstance(b, types.Float):
            spread_b = _SPREAD[a]
            return lambda a, b: vectors(a, spread_b(b))
        if isinstance(b, LaneType) and isinstance(a, types.Float):
            spread_a = _SPREAD[b]
            return lambda a, b: vectors(spread_a(a), b)
        return None


for _symbol, _function in (
    (operator.add, _fadd),
    (operator.sub, _fsub),
    (operator.mul, _fmul),
    (operator.truediv, _fdiv),
):
    _overload(_symbol, _function)


@typed
def reciprocal_root(typingctx: Any, a: Any) -> Any:  # noqa: ANN401, ARG001
    """1/√a per lane in single precision: the processor's estimate, if it has one, and a step of Newton.

    NaN where a is 0, infinite or not a number.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        ones = ir.Constant(a.vector, [1.0] * a.width)
        return builder.fdiv(ones, _root(builder, a, args[0], "arcp"), flags=("arcp", "contract"))

    return a(a), codegen


def _estimator(bits: int, instruction: str, name: str, what: str) -> Callable[..., Any]:
    """Make a function of an instruction of AVX-512 on 64 bytes."""
    width, mask = 512 // bits, ir.IntType(512 // bits)
    piece = ir.VectorType(_FLOAT[bits], width)
    kind = ir.FunctionType(piece, [piece, piece, mask])
    nothing, every = ir.Constant(piece, ir.Undefined), ir.Constant(mask, -1)

    def entries(first: int, count: int) -> Any:  # noqa: ANN401
        return ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(first, first + count)))

    def function(typingctx: Any, a: Any) -> Any:  # noqa: ANN401, ARG001
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            estimate = cgutils.get_or_insert_function(
                builder.module, kind, f"llvm.x86.avx512.{instruction}.512"
            )
            found = []
            for first in range(0, a.width, width):
                part = builder.shuffle_vector(args[0], args[0], entries(first, width))
                found.append(builder.call(estimate, [part, nothing, every]))
            while len(found) > 1:
                whole = entries(0, 2 * found[0].type.count)
                pairs = zip(found[::2], found[1::2], strict=True)
                found = [builder.shuffle_vector(low, high, whole) for low, high in pairs]
            return found[0]

        return a(a), codegen

    function.__name__, function.__doc__ = name, what
    return typed(function)


#: Estimates to 14 bits, only where ``HAS_ESTIMATES``: 1/√a in double precision, 1/a in single precision.
estimated_root = _estimator(64, "rsqrt14.pd", "estimated_root", "About 1/√a per lane.")
estimated_reciprocal = _estimator(32, "rcp14.ps", "estimated_reciprocal", "About 1/a per lane.")


@typed
def fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ANN401, ARG001
    """a·b + c per lane, rounded once where the processor can: where a sum of two products leaves a choice."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        kind = ir.FunctionType(a.vector, [a.vector] * 3)
        name = f"llvm.fmuladd.v{a.width}f{a.bits}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a, a, a), codegen


@typed
def larger(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ANN401, ARG001
    """Larger of two per lane; where one is NaN, the second."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

    return a(a, b), codegen


@typed
def where_above(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:  # noqa: ANN401, ARG001
    """``yes`` where a > b, else ``no`` (also where one is NaN)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return yes(a, b, yes, no), codegen


@typed
def root(typingctx: Any, a: Any) -> Any:  # noqa: ANN401, ARG001
    """Square root per lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return _root(builder, a, args[0])

    return a(a), codegen


def _root(builder: Any, lane: LaneType, value: Any, *flags: str) -> Any:  # noqa: ANN401
    kind = ir.FunctionType(lane.vector, [lane.vector])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{lane.width}f{lane.bits}")
    return builder.call(function, [value], fastmath=flags)


@typed
def rounded(typingctx: Any, a: Any) -> Any:  # noqa: ANN401, ARG001
    """Round a product before anything is added to it, as outside of kernels; there it may be fused."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()])
        fence = cgutils.get_or_insert_function(builder.module, kind, "llvm.arithmetic.fence.f64")
        return builder.call(fence, [args[0]])

    return types.float64(types.float64), codegen
