"""Where the values of rows with lists lie: a walk over the lengths, compiled, as each row says where the next begins.

Importing this module imports numba.
"""

# numba types this function itself: mypy does not see its arguments.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from weft.compiled import kernel


@kernel
def walk(data, big, at, rows, widths, limits, sizes, starts, counts):
    """Find the values of rows that begin at a place of `data`; stop at the first row that is damaged.

    Args:
        data: uint8 of a binary file, or float64, the numbers of a text.
        big: whether the highest byte of a length comes first.
        widths, limits: int64 [properties], places that the length of a list takes, and the largest one; widths are 0 of
            what is no list.
        sizes: int64 [properties], places of one value.
        starts, counts: int64 [properties, rows], filled: where the values of a row begin, and how many they are.

    Returns:
        The rows that are whole, and the place after them.
    """
    place = at
    for row in range(rows):
        begin = place
        for k in range(len(sizes)):
            number = 1
            width = widths[k]
            if width > 0:
                if place + width > len(data) or not 0 <= data[place] <= limits[k]:
                    return row, begin
                number = 0
                for i in range(width):
                    number = (number << 8) | int(data[place + (i if big else width - 1 - i)])
                # Above the limit are those below 0 of a type with a sign.
                if number > limits[k] or (width == 1 and number != data[place]):
                    return row, begin
                place += width
            starts[k, row] = place
            counts[k, row] = number
            place += number * sizes[k]
        if place > len(data):
            return row, begin
    return rows, place
