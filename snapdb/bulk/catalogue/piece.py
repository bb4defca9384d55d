"""Some sources of a catalogue, column by column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.catalogue.problem import Problem
from snapdb.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Sound rows of a stretch of a catalogue, and what is wrong with the others.

    Arrays have a value a row, shape (rows,).
    """

    row: IntArray
    """Number of the row in the catalogue, from 0."""
    source_id: NDArray[np.object_]
    """Texts."""
    ra: FloatArray
    """ICRS degrees in [0, 360)."""
    dec: FloatArray
    """ICRS degrees."""
    diameter_pixel: FloatArray
    """Pixels; NaN where the row has none. It counts where there is a diameter_arcsec too."""
    diameter_arcsec: FloatArray
    """Arcsec; NaN where the row has none."""
    fileset: IntArray
    """Index into the catalogue's ``filesets``; -1 where it has no such column."""
    problems: tuple[Problem, ...] = ()
    """Of the rows of this stretch that are left out."""

    def __len__(self) -> int:
        return len(self.row)

    def select(self, keep: BoolArray, problems: tuple[Problem, ...]) -> "Piece":
        """Keep some rows.

        Parameters
        ----------
        keep
            Which, shape (rows,).
        problems
            Of the piece that is made.
        """
        return Piece(
            row=self.row[keep],
            source_id=self.source_id[keep],
            ra=self.ra[keep],
            dec=self.dec[keep],
            diameter_pixel=self.diameter_pixel[keep],
            diameter_arcsec=self.diameter_arcsec[keep],
            fileset=self.fileset[keep],
            problems=problems,
        )
