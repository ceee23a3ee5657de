"""[scenario, column] arrays of users into [column, lane] blocks of kernels, and back.

In tiles, so that memory is read and written in whole lines; the last tile of a row overlaps the one before it.
"""

from __future__ import annotations

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import LANES
from gridclear.powerflow.tiles import SIDE, ask, number_at, tile_in, tile_out, tile_stream

#: Columns up to which the next block's rows are asked for while this one is solved. Of more they would be gone
#: again from the second cache before they are read.
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
    for lane in range(0, LANES, SIDE):
        for column in range(0, columns - SIDE, SIDE):
            tile_in(address, columns, rows, lane, column, block)
        tile_in(address, columns, rows, lane, columns - SIDE, block)


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


@inner
def look_ahead(sources, row, ahead):
    """Note what the block of scenarios from ``row`` on will read: mostly they follow one another.

    Parameters
    ----------
    sources : Sources
    row : int
        -1 if there is no such block.
    ahead : (2, source) int, filled here
        Addresses, and how many lines of memory.
    """
    for source in range(len(sources.part)):
        width = sources.width[source]
        ahead[1, source] = LANES * width // SIDE if row >= 0 and width <= _FEW else 0
        if row >= 0:
            ahead[0, source] = sources.address[source] + 8 * width * sources.row[source, row]


@inner
def ask_for(ahead, step, steps):
    """Ask for what is noted in ``ahead``, a share of it at each of so many steps.

    Memory that brings a few lines between the rows of a loop keeps nothing waiting; a burst of them would.
    """
    for source in range(ahead.shape[1]):
        for line in range(step, ahead[1, source], steps):
            ask(ahead[0, source], line)
