"""A vector of LANES doubles as a numba type, so that kernels read like scalar arithmetic and run like SIMD.

numba leaves the lane loop to LLVM, which must fear that arrays overlap and often falls back to scalars. A
``Lane`` value is one LLVM vector: loads, arithmetic and stores are explicit, every lane does the same, and
there is no remainder loop. Only kernels use these names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable  # noqa: TC003  read by numba
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

#: Scenarios side by side, a power of two: enough to hide latencies, few enough for a block to stay in cache.
LANES = 32

#: numba's decorator, with a type for mypy.
_typed: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class LaneType(types.Type):  # type: ignore[misc] # numba has no types
    """numba's type of a vector of LANES doubles."""

    def __init__(self) -> None:
        super().__init__(name=f"Lane{LANES}")


LANE = LaneType()


@register_model(LaneType)
class _LaneModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:  # noqa: ANN401
        super().__init__(dmm, fe_type, _VECTOR)


def _row_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:  # noqa: ANN401
    """Pointer to row ``index`` of a C-contiguous (…, LANES) array, seen as one vector."""
    struct = context.make_array(array_type)(context, builder, array)
    offset = builder.mul(index, ir.Constant(index.type, LANES))
    return builder.bitcast(builder.gep(struct.data, [offset]), _VECTOR.as_pointer())


@_typed
def load(typingctx: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001
    """Row ``index`` of a C-contiguous float64 array whose last axis has LANES entries; no bounds check."""
    signature = LANE(array, types.intp)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        pointer = _row_pointer(context, builder, sig.args[0], args[0], args[1])
        return builder.load(pointer, align=8)

    return signature, codegen


@_typed
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
    """Write ``value`` to row ``index`` of a C-contiguous float64 array; no bounds check."""
    signature = types.void(array, types.intp, LANE)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        pointer = _row_pointer(context, builder, sig.args[0], args[0], args[1])
        builder.store(args[2], pointer, align=8)
        return context.get_dummy_value()

    return signature, codegen


@_typed
def spread(typingctx: Any, value: Any) -> Any:  # noqa: ANN401, ARG001
    """Put the same number in every lane."""
    signature = LANE(types.float64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), args[0], cgutils.int32_t(0))
        return builder.shuffle_vector(
            single,
            ir.Constant(_VECTOR, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES),
        )

    return signature, codegen


def _binary(name: str) -> Callable[..., Any]:
    def function(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ANN401, ARG001
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            # a·b + c may round once, as everywhere in the kernels; NaN and infinity keep their meaning.
            return getattr(builder, name)(args[0], args[1], flags=("contract",))

        return LANE(LANE, LANE), codegen

    function.__name__ = f"_{name}"
    return _typed(function)


_fadd, _fsub, _fmul, _fdiv = (_binary(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _overload(symbol: Callable[..., Any], vectors: Callable[..., Any]) -> None:
    # numba wants the typing function and what it returns to have equal signatures, annotations included.
    @overload(symbol)
    def typed(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if a is LANE and b is LANE:
            return lambda a, b: vectors(a, b)  # noqa: PLW0108  numba wants a plain function
        if a is LANE and isinstance(b, types.Float):
            return lambda a, b: vectors(a, spread(b))
        if b is LANE and isinstance(a, types.Float):
            return lambda a, b: vectors(spread(a), b)
        return None


for _symbol, _function in (
    (operator.add, _fadd),
    (operator.sub, _fsub),
    (operator.mul, _fmul),
    (operator.truediv, _fdiv),
):
    _overload(_symbol, _function)


def _compare(predicate: str, name: str) -> Callable[..., Any]:
    def function(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ANN401, ARG001
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
            return builder.select(builder.fcmp_ordered(predicate, args[0], args[1]), args[0], args[1])

        return LANE(LANE, LANE), codegen

    function.__name__ = name
    return _typed(function)


#: Larger, smaller of two per lane; where one is NaN, the second.
larger = _compare(">", "larger")


@_typed
def where_above(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:  # noqa: ANN401, ARG001
    """``yes`` where a > b, else ``no`` (also where one is NaN)."""
    signature = LANE(LANE, LANE, LANE, LANE)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return signature, codegen


@_typed
def root(typingctx: Any, a: Any) -> Any:  # noqa: ANN401, ARG001
    """Square root per lane."""
    signature = LANE(LANE)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{LANES}f64"
        )
        return builder.call(function, [args[0]])

    return signature, codegen
