"""FITS tables read a stretch of rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from snapdb.errors import CorruptFileError, ObjectMissingError, UnknownFormatError
from snapdb.formats.quiet import caught_warnings

if TYPE_CHECKING:
    from astropy.io import fits

MaskedColumns: TypeAlias = "dict[str, np.ma.MaskedArray[Any, Any]]"
"""Column -> values, masked where there is none."""


class FitsRows:
    """The first table of a FITS file, of which only the rows that are asked for are in memory.

    Parameters
    ----------
    path
        Of the file; a compressed one is unwrapped as a whole.

    Raises
    ------
    ObjectMissingError
        If there is no such file.
    UnknownFormatError
        If the file is no FITS file, or has no table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as hdu:
            self.names: tuple[str, ...] = tuple(hdu.columns.names)
            """Of the columns, as they are spelled."""
            units = {c.name: c.unit for c in hdu.columns}
            self.units: Mapping[str, str] = {name: unit for name, unit in units.items() if unit}
            """Column -> unit, where it has one."""
            self.count: int = int(hdu.header["NAXIS2"])
            """Rows."""

    def read(
        self, names: Sequence[str], step: int
    ) -> Iterator[tuple[int, dict[str, np.ma.MaskedArray[Any, Any]]]]:
        """Yield stretches of rows.

        Parameters
        ----------
        names
            Columns, as they are spelled.
        step
            Rows of a stretch.

        Yields
        ------
        int
            Number of the first row.
        dict
            Column -> its values, masked where the file says that there is none.

        Raises
        ------
        CorruptFileError
            If the file ends before its last row.
        """
        for start in range(0, self.count, step):
            with self._open() as hdu:  # anew: nothing stays open while the caller works
                part = hdu.data[start : start + step]
                columns = {name: _take(part, hdu.columns[name]) for name in names}
            yield start, columns

    @contextmanager
    def _open(self) -> "Iterator[fits.BinTableHDU]":
        """Open the file at its first table."""
        from astropy.io import fits

        if not self.path.is_file():
            msg = f"{self.path}: no such file; expected a FITS table"
            raise ObjectMissingError(msg, path=str(self.path))
        try:
            with caught_warnings(), fits.open(self.path, memmap=True) as hdus:
                for hdu in hdus:
                    if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                        yield hdu
                        return
        except (OSError, ValueError, TypeError) as err:
            msg = f"{self.path} cannot be read as a FITS table: {err}"
            raise CorruptFileError(msg, path=str(self.path)) from err
        msg = f"{self.path} has no table; expected one in its first extension"
        raise UnknownFormatError(msg, path=str(self.path))


def _take(part: "fits.FITS_rec", column: "fits.Column") -> "np.ma.MaskedArray[Any, Any]":
    """Copy one column of some rows, in the machine's byte order."""
    values = np.asarray(part.field(column.name))
    mask = values == column.null if column.null not in (None, "") and values.dtype.kind in "iu" else False
    return np.ma.MaskedArray(values.astype(values.dtype.newbyteorder("=")), mask=mask)
