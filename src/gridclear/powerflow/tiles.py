"""Eight scenarios by eight columns, transposed in registers by three rounds of shuffles: for ``gather``."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from gridclear.powerflow.simd import address, contiguous, typed

#: Scenarios and columns of a tile.
SIDE = 8
_VECTOR = ir.VectorType(ir.DoubleType(), SIDE)
#: Which entries of two vectors make the new pair, in each round.
_ROUNDS = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:  # noqa: ANN401
    mask = ir.VectorType(ir.IntType(32), SIDE)
    for distance, low, high in _ROUNDS:
        turned = list(rows)
        for i in range(SIDE):
            if not i & distance:
                pair = rows[i], rows[i + distance]
                turned[i] = builder.shuffle_vector(*pair, ir.Constant(mask, low))
                turned[i + distance] = builder.shuffle_vector(*pair, ir.Constant(mask, high))
        rows = turned
    return rows


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:  # noqa: ANN401
    """Pointer to eight columns of a row of a C-contiguous 2-D array."""
    width = builder.extract_value(context.make_array(kind)(context, builder, array).shape, 1)
    return address(context, builder, kind, array, builder.add(builder.mul(row, width), column), _VECTOR)


def _prefetch(builder: Any, pointer: Any) -> None:  # noqa: ANN401
    """Ask for a line of memory, into the second cache; never a fault, wherever it points."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_read, keep, data = (ir.Constant(number, value) for value in (0, 2, 1))
    builder.call(function, [builder.bitcast(pointer, byte), to_read, keep, data])


def _entry(context: Any, builder: Any, kind: Any, array: Any, first: Any, step: int) -> Any:  # noqa: ANN401
    """Entry ``first + step`` of a contiguous array of numbers."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.load(builder.gep(data, [builder.add(first, ir.Constant(first.type, step))]))


def _spread(builder: Any, value: Any) -> Any:  # noqa: ANN401
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    single = builder.insert_element(nothing, value, cgutils.int32_t(0))
    return builder.shuffle_vector(
        single, nothing, ir.Constant(ir.VectorType(ir.IntType(32), SIDE), [0] * SIDE)
    )


def _at(builder: Any, address_: Any, entry: Any, vector: Any) -> Any:  # noqa: ANN401
    """Pointer to an entry of an array of doubles at an address."""
    first = builder.add(address_, builder.mul(entry, ir.Constant(entry.type, 8)))
    return builder.inttoptr(first, vector.as_pointer())


@typed
def number_at(typingctx: Any, address_: Any, entry: Any) -> Any:  # noqa: ANN401, ARG001
    """Entry of an array of doubles at an address."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.load(_at(builder, args[0], args[1], ir.DoubleType()))

    return types.float64(types.intp, types.intp), codegen


@typed
def ask(typingctx: Any, address_: Any, line: Any) -> Any:  # noqa: ANN401, ARG001
    """Ask for the ``line``-th line of memory from an address."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401, ARG001
        entry = builder.mul(args[1], ir.Constant(args[1].type, SIDE))
        _prefetch(builder, _at(builder, args[0], entry, _VECTOR))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@typed
def tile_in(
    typingctx: Any,  # noqa: ANN401, ARG001
    address_: Any,  # noqa: ANN401, ARG001
    width: Any,  # noqa: ANN401, ARG001
    rows: Any,  # noqa: ANN401
    lane: Any,  # noqa: ANN401, ARG001
    column: Any,  # noqa: ANN401, ARG001
    block: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """(rows[lane + j], column + i) of a C-contiguous array at an address → block[column + i, lane + j].

    The same columns of the next eight rows are asked for.
    """
    contiguous(rows, block)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        kinds = sig.args
        tile = []
        for j in range(SIDE):
            row = _entry(context, builder, kinds[2], args[2], args[3], j)
            entry = builder.add(builder.mul(row, args[1]), args[4])
            tile.append(builder.load(_at(builder, args[0], entry, _VECTOR), align=8))
            # Scenarios mostly follow one another.
            step = builder.mul(args[1], ir.Constant(args[1].type, SIDE))
            _prefetch(builder, _at(builder, args[0], builder.add(entry, step), _VECTOR))
        for i, vector in enumerate(_transposed(builder, tile)):
            row = builder.add(args[4], ir.Constant(args[4].type, i))
            builder.store(vector, _place(context, builder, kinds[5], args[5], row, args[3]), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, rows, types.intp, types.intp, block), codegen


def _writer(name: str, what: str, *, past_caches: bool) -> Any:  # noqa: ANN401
    def function(
        typingctx: Any,  # noqa: ANN401, ARG001
        block: Any,  # noqa: ANN401
        node: Any,  # noqa: ANN401
        factor: Any,  # noqa: ANN401
        lane: Any,  # noqa: ANN401, ARG001
        column: Any,  # noqa: ANN401, ARG001
        rows: Any,  # noqa: ANN401
        values: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        contiguous(block, node, factor, rows, values)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
            block_kind, node_kind, factor_kind, _, _, rows_kind, values_kind = sig.args
            block, node, factor, lane, column, rows, values = args
            tile = []
            for i in range(SIDE):
                row = _entry(context, builder, node_kind, node, column, i)
                vector = builder.load(_place(context, builder, block_kind, block, row, lane), align=8)
                times = _spread(builder, _entry(context, builder, factor_kind, factor, column, i))
                tile.append(builder.fmul(vector, times))
            for j, vector in enumerate(_transposed(builder, tile)):
                row = _entry(context, builder, rows_kind, rows, lane, j)
                place = _place(context, builder, values_kind, values, row, column)
                written = builder.store(vector, place, align=64 if past_caches else 8)
                if past_caches:
                    one = ir.Constant(ir.IntType(32), 1)
                    written.set_metadata("nontemporal", builder.module.add_metadata([one]))
            return context.get_dummy_value()

        return types.void(block, node, factor, types.intp, types.intp, rows, values), codegen

    function.__name__, function.__doc__ = name, what
    return typed(function)


#: block[node[column + i], lane + j] · factor[column + i] → values[rows[lane + j], column + i].
tile_out = _writer("tile_out", "Eight columns of eight scenarios.", past_caches=False)
#: The same past the caches, for what is not read again soon; every row must begin at a multiple of 64 bytes.
tile_stream = _writer("tile_stream", "Eight columns of eight scenarios.", past_caches=True)
