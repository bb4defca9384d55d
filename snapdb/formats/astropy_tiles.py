"""Compressed planes that are unusual: read whole, and left to astropy."""

import io
import struct
import threading
import zlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.errors import CorruptFileError
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.scaling import finish_plane
from snapdb.formats.scan import BLOCK
from snapdb.model.layout import PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

_DAMAGE = (
    OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, EOFError,
    AssertionError, struct.error, zlib.error,
)  # fmt: skip
"""What is raised for a compressed HDU that is damaged or another than it was, beside the decoder's own."""
_DECODER = threading.Lock()
"""HCOMPRESS keeps its place in variables of the whole process while it lets other threads run."""
_PRIMARY = b"".join(
    card.ljust(80)
    for card in (
        b"SIMPLE  =                    T",
        b"BITPIX  =                    8",
        b"NAXIS   =                    0",
        b"EXTEND  =                    T",
        b"END",
    )
).ljust(BLOCK)


@dataclass(frozen=True, slots=True)
class WholeDecoder:
    """What hands a whole HDU to astropy, and takes a box of it."""

    layout: PlaneLayout
    box: Box
    length: int
    """Bytes of the HDU."""
    where: str

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Give the finished array.

        Raises
        ------
        CorruptFileError
            The part is short, or astropy cannot read it.
        """
        from astropy.io import fits
        from astropy.io.fits.hdu.compressed._compression import CfitsioException

        turn: Any = _DECODER if self.layout.compression == "HCOMPRESS_1" else nullcontext()
        padding = bytes(-self.length % BLOCK)
        try:
            if len(parts[0]) < self.length:
                msg = f"it ends {self.length - len(parts[0])} bytes beyond the end of the file"
                raise EOFError(msg)
            # what astropy says of the header was said at ingest
            with caught_warnings(), turn, fits.open(io.BytesIO(_PRIMARY + parts[0] + padding)) as hdus:
                hdu: Any = hdus[1]
                extra = (0,) * (len(hdu.shape) - 2)
                data: PixelArray = np.asarray(hdu.section[(*extra, *self.box.slices)])
        except (*_DAMAGE, CfitsioException) as err:
            name = self.layout.name
            msg = f"{self.where}: plane {name!r} (HDU {self.layout.hdu}) does not decode ({err})"
            raise CorruptFileError(msg, path=self.where, plane=name) from err
        return finish_plane(data, self.layout)
