"""Boxes of tile-compressed planes, decoded by astropy; only the tiles that a box touches."""

import io
from typing import Any

import numpy as np

from snapdb.errors import CorruptFileError
from snapdb.formats.quiet import caught_warnings
from snapdb.model.layout import PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

_DAMAGE = (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError)
"""What astropy raises for a compressed HDU that is damaged or another than it was."""


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
        try:
            data: PixelArray = np.asarray(self._section[(*self._extra, *box.slices)])
        except _DAMAGE as err:
            name = self._layout.name
            msg = f"{self._name}: plane {name!r} (HDU {self._layout.hdu}) does not decode ({err})"
            raise CorruptFileError(msg, path=self._name, plane=name) from err
        return data

    def close(self) -> None:
        """Let go of the file."""
        self._hdus.close()
