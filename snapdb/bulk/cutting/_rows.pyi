"""Compiled: boxes of a plane that lies in a file row by row."""

from snapdb.types import IntArray, PixelArray

def read_boxes(descriptor: int, begin: int, stride: int, boxes: IntArray, out: PixelArray) -> int:
    """Read boxes, in the order of the rows.

    Parameters
    ----------
    descriptor : int
        Of the file, which may be read from any place.
    begin : int
        Byte at which the first row begins.
    stride : int
        Bytes of a row, of which one follows the other.
    boxes : array of int64, shape (n, 6)
        Left, bottom, right and top of each box in the rows, the lowest first; where its first byte goes,
        and how far on the next row of it. All but bottom and top are bytes.
    out : array of uint8
        What is read into, in one piece.

    Returns
    -------
    int
        Bytes that were read: fewer than the boxes have where the file ends.

    Raises
    ------
    OSError
        If the disk fails.
    ValueError
        If a box does not lie in the rows and in the room, or they are not in the order of rows.
    """
