"""[scenario, column] arrays of users into [column, lane] blocks of kernels, and back.

In tiles, so that memory is read and written in whole lines; the last tile of a row overlaps the one before it.
"""

from __future__ import annotations

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import LANES
from gridclear.powerflow.tiles import SIDE, number_at, tile_in, tile_out, tile_stream

#: Columns up to which the rows of the next block are asked for while those of this one are read, so that memory
#: delivers them while this one is solved. Of more columns they would be gone again from the second cache: there
#: only the next tile's are.
_FEW = 256


@inner
def gather(values, rows, block):
    """Copy rows of ``values`` into a block: values[rows[lane], column] → block[column, lane].

    Parameters
    ----------
    values : (row, column), C-contiguous
    rows : (LANES,) int
    block : (column or more, LANES), filled here
    """
    gather_at(values.ctypes.data, values.shape[1], rows, block)


@inner
def gather_at(address, columns, rows, block):
    """Like ``gather``, from an array that is known by its address: of many there is one kind only."""
    if columns < SIDE:
        for lane in range(LANES):
            for column in range(columns):
                block[column, lane] = number_at(address, rows[lane] * columns + column)
        return
    ahead = LANES if columns <= _FEW else SIDE
    for lane in range(0, LANES, SIDE):
        for column in range(0, columns - SIDE, SIDE):
            tile_in(address, columns, rows, lane, column, block, ahead)
        tile_in(address, columns, rows, lane, columns - SIDE, block, ahead)


@inner
def scatter(block, node, factor, rows, values):
    """Copy a block into rows of ``values``: block[node[column], lane] · factor[column] → values[rows[lane], column].

    Parameters
    ----------
    block : (node, LANES)
    node : (column,) int
        Row of the block for each column, those of the padding included.
    factor : (column or more,)
    rows : (LANES,) int
        Lanes with the same row must hold the same numbers.
    values : (row, column), filled here
        Rows of whole lines are written past the caches: ``drain`` before they are read.
    """
    columns = values.shape[1]
    if columns < SIDE:
        for lane in range(LANES):
            for column in range(columns):
                values[rows[lane], column] = block[node[column], lane] * factor[column]
        return
    if columns % SIDE == 0 and values.ctypes.data % 64 == 0:
        for lane in range(0, LANES, SIDE):
            for column in range(0, columns, SIDE):
                tile_stream(block, node, factor, lane, column, rows, values)
        return
    for lane in range(0, LANES, SIDE):
        for column in range(0, columns - SIDE, SIDE):
            tile_out(block, node, factor, lane, column, rows, values)
        tile_out(block, node, factor, lane, columns - SIDE, rows, values)
