"""The user's own conversion of flux."""

from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.types import Header, PixelArray


def convert_windows(function: Any, batch: PixelArray, header: Header, where: str) -> PixelArray:
    """Convert windows one by one with a function of the user's.

    Parameters
    ----------
    function : callable
        Of the pixels of one window and the image's header; gives pixels of the same shape.
    batch : array, shape (m, n, n)
        The windows.
    header : astropy.io.fits.Header
        Of their image.
    where : str
        What errors call the image.

    Returns
    -------
    array, shape (m, n, n)
        float32.

    Raises
    ------
    UsageError
        If the function fails, or gives another shape.
    """
    made = np.empty(batch.shape, np.float32)
    for out, window in zip(made, batch, strict=True):
        try:
            out[...] = np.broadcast_to(function(window, header), window.shape)
        except Exception as err:  # the function is the user's: whatever it raises is told by row
            msg = f"{where}: user_flux_conversion_function failed: {err!r}"
            raise UsageError(msg, path=where) from err
    return made
