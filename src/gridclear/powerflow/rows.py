"""Loops over the rows of small dense tables: no array is made and no reference counted in any of them."""

from __future__ import annotations

from gridclear.powerflow.jit import inner


@inner
def eliminate(table, reduced, m, row, column):
    """Solve a row for the variable of a column, and put what comes out in its place everywhere."""
    n, inverse = len(reduced), 1.0 / table[row, column]
    for other in range(n):
        table[row, other] *= -inverse
    table[row, column] = inverse
    for place in range(m):
        factor = table[place, column]
        if place != row and factor != 0.0:
            table[place, column] = 0.0
            for other in range(n):
                table[place, other] += factor * table[row, other]
    factor = reduced[column]
    if factor != 0.0:
        reduced[column] = 0.0
        add_row(reduced, factor, table, row)


@inner
def add_row(target, factor, table, row):
    """Add a multiple of a row of a table."""
    for column in range(len(target)):
        target[column] += factor * table[row, column]


@inner
def times(matrix, count, x, value):
    """Products of the first rows of a matrix with x, a row at a time by eight sums at once.

    One sum alone would wait for every addition.
    """
    n = len(x)
    whole = n - n % 8
    for row in range(count):
        a, b, c, d, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for place in range(0, whole, 8):
            a += matrix[row, place] * x[place]
            b += matrix[row, place + 1] * x[place + 1]
            c += matrix[row, place + 2] * x[place + 2]
            d += matrix[row, place + 3] * x[place + 3]
            e += matrix[row, place + 4] * x[place + 4]
            f += matrix[row, place + 5] * x[place + 5]
            g += matrix[row, place + 6] * x[place + 6]
            h += matrix[row, place + 7] * x[place + 7]
        for place in range(whole, n):
            a += matrix[row, place] * x[place]
        value[row] = ((a + b) + (c + d)) + ((e + f) + (g + h))


@inner
def dot(one, other):
    """Inner product."""
    total = 0.0
    for place in range(len(one)):
        total += one[place] * other[place]
    return total
