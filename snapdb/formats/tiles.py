"""Boxes of tile-compressed planes, decoded by astropy; only the tiles that a box touches."""

import io
import struct
import threading
import zlib
from contextlib import nullcontext
from typing import Any

import numpy as np

from snapdb.errors import CorruptFileError
from snapdb.formats.quiet import caught_warnings
from snapdb.model.layout import PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

_DAMAGE = (
    OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, EOFError,
    AssertionError, struct.error, zlib.error,
)  # fmt: skip
"""What is raised for a compressed HDU that is damaged or another than it was, beside the decoder's own."""
_ONE_AT_A_TIME = frozenset({"HCOMPRESS_1"})
"""Codecs whose decoder keeps its place in variables of the whole process while it lets other threads run."""
_DECODER = threading.Lock()


class TiledPlane:
    """One compressed HDU, open for cutting.

    Parameters
    ----------
    source : str or bytes
        Path of the file, or its unwrapped bytes.
    layout : PlaneLayout
        The plane.
    name : str
        What errors call the file.

    Raises
    ------
    CorruptFileError
        The file has no such compressed image any more.
    """

    def __init__(self, source: str | bytes, layout: PlaneLayout, name: str) -> None:
        from astropy.io import fits

        self._name = name
        self._layout = layout
        self._turn: Any = _DECODER if layout.compression in _ONE_AT_A_TIME else nullcontext()
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with caught_warnings():  # what astropy says of the header was said at ingest
            try:
                self._hdus: Any = fits.open(file, memmap=False)
                self._section: Any = self._hdus[layout.hdu].section
                self._extra = (0,) * (len(self._hdus[layout.hdu].shape) - 2)
            except _DAMAGE as err:
                msg = f"{name}: plane {layout.name!r} (HDU {layout.hdu}) cannot be opened ({err})"
                raise CorruptFileError(msg, path=name, plane=layout.name) from err

    def read(self, box: Box) -> PixelArray:
        """Decode a box inside the plane, scaled as astropy does; it may be a view.

        Raises
        ------
        CorruptFileError
            A tile does not decode.
        """
        from astropy.io.fits.hdu.compressed._compression import CfitsioException

        try:
            with self._turn:
                data: PixelArray = np.asarray(self._section[(*self._extra, *box.slices)])
        except (*_DAMAGE, CfitsioException) as err:
            name = self._layout.name
            msg = f"{self._name}: plane {name!r} (HDU {self._layout.hdu}) does not decode ({err})"
            raise CorruptFileError(msg, path=self._name, plane=name) from err
        return data

    def close(self) -> None:
        """Let go of the file."""
        self._hdus.close()
