"""Compiled: pixels between black and white."""

from snapdb.bulk.shape.weights import Floats

def write_share(rows: Floats, limits: Floats, greatest: float) -> None:
    """Turn pixels into their place between black and white, in place.

    Parameters
    ----------
    rows : array of float32, shape (n, pixels)
        In one piece.
    limits : array of float32, shape (n, 2)
        What is subtracted from each row, and what it is divided by then; in one piece.
    greatest : float
        What lies beyond 0 or this becomes the nearer of them; negative where nothing does.

    Raises
    ------
    ValueError
        If there are not as many limits as rows.
    """
