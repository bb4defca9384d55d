"""Compiled: pieces of a file."""

from snapdb.types import PixelArray

def read_rows(descriptor: int, begin: int, stride: int, length: int, out: PixelArray) -> int:
    """Read pieces of a file that lie equally far apart.

    Parameters
    ----------
    descriptor : int
        Of the file, which may be read from any place.
    begin : int
        Byte at which the first piece begins.
    stride : int
        Bytes from one piece to the next.
    length : int
        Bytes of a piece.
    out : array
        What is read into, in one piece: as many pieces as have room.

    Returns
    -------
    int
        Bytes that were read: fewer than there is room for where the file ends.

    Raises
    ------
    OSError
        If the disk fails.
    ValueError
        If the room is not that of whole pieces.
    """
