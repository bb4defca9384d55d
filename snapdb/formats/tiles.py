"""Boxes of tile-compressed planes, decoded by astropy; only the tiles that a box touches."""

import io
import warnings
from typing import Any

import numpy as np

from snapdb.errors import CorruptFileError
from snapdb.model.layout import PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray


def open_tiles(source: str | bytes, name: str) -> Any:
    """Open a file so that its compressed HDUs can be cut.

    Parameters
    ----------
    source : str or bytes
        Path, or the unwrapped bytes.
    name : str
        What errors call the file.

    Returns
    -------
    astropy.io.fits.HDUList
        Lazily read; close it after use.

    Raises
    ------
    CorruptFileError
        It is not a FITS file any more.
    """
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what astropy would say of the header was said at ingest
        try:
            return fits.open(io.BytesIO(source) if isinstance(source, bytes) else source, memmap=False)
        except (OSError, ValueError, TypeError) as err:
            msg = f"{name}: cannot be opened as FITS ({err})"
            raise CorruptFileError(msg, path=name) from err


def read_tiles(hdus: Any, layout: PlaneLayout, box: Box, name: str) -> PixelArray:
    """Decode a box of a compressed plane.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        From :func:`open_tiles`.
    layout : PlaneLayout
        The plane.
    box : Box
        Inside the plane.
    name : str
        What errors call the file.

    Returns
    -------
    ndarray
        Scaled as astropy does; may be a view.

    Raises
    ------
    CorruptFileError
        A tile does not decode, or the HDU is not a compressed image any more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in open_tiles
        try:
            hdu = hdus[layout.hdu]
            extra = (0,) * (len(hdu.shape) - 2)
            data: PixelArray = np.asarray(hdu.section[(*extra, *box.slices)])
        except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError) as err:
            msg = f"{name}: plane {layout.name!r} (HDU {layout.hdu}) does not decode ({err})"
            raise CorruptFileError(msg, path=name, plane=layout.name) from err
    return data
