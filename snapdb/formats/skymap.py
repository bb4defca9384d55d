"""Maps of the sky as FITS: HEALPix cells with explicit numbers, as healpy and Aladin read them.

Keywords after "HEALPix FITS format", section "partial sky, explicit indexing", of the HEALPix documentation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import CorruptFileError, ObjectMissingError, UnknownFormatError
from snapdb.formats.header import announce_long_strings
from snapdb.formats.quiet import caught_warnings
from snapdb.types import IntArray

NAMES_CARD = "SDBBANDS"
"""Keyword of the columns' names as they are, as JSON: FITS knows no case, and ASCII alone."""
_PIXEL = "PIXEL"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkyColumns:
    """What a file holds of the sky."""

    order: int
    """Of the cells; NSIDE is 2**order."""
    cells: IntArray
    """Nested numbers."""
    names: tuple[str | None, ...]
    """Of the columns."""
    values: NDArray[Any]
    """Shape (columns, cells)."""
    cards: Mapping[str, Any]
    """The table's header."""
    unit: str | None = None
    """Of the values."""


def write_skymap(out: BinaryIO, columns: SkyColumns) -> None:
    """Write cells and their values as a checksummed binary table.

    Parameters
    ----------
    out : binary file
        Where the bytes go.
    columns : SkyColumns
        The map; `cards` are further cards.
    """
    from astropy.io import fits

    kind = "D" if columns.values.dtype.kind == "f" else "J"
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=_PIXEL, format="K", array=columns.cells),
            *(
                fits.Column(name=title, format=kind, array=row, unit=columns.unit)
                for title, row in zip(_titles(columns.names), columns.values, strict=True)
            ),
        ],
        name="SKYMAP",
    )
    cards = {
        "PIXTYPE": ("HEALPIX", "HEALPix cells"),
        "ORDERING": ("NESTED", "Numbering of the cells"),
        "NSIDE": (2**columns.order, "Cells along the side of a base cell"),
        "INDXSCHM": ("EXPLICIT", "PIXEL holds the numbers of the cells"),
        "OBJECT": ("PARTIAL", "Cells that are not listed hold 0"),
        "COORDSYS": ("C", "Equatorial, ICRS"),
        **columns.cards,
        NAMES_CARD: json.dumps(columns.names),
    }
    table.header.update(cards)
    announce_long_strings(table.header)
    primary = fits.PrimaryHDU()
    primary.header["SDBVERS"] = (version("snapdb"), "Version of snapdb that wrote the file")
    fits.HDUList([primary, table]).writeto(out, checksum=True)


def read_skymap(path: Path) -> SkyColumns:
    """Read a map that :func:`write_skymap` wrote, and see that it is whole.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    SkyColumns
        The map.

    Raises
    ------
    ObjectMissingError
        If there is no such file.
    UnknownFormatError
        If it is no FITS file with such a table.
    CorruptFileError
        If its checksum does not fit.
    """
    from astropy.io import fits

    if not path.is_file():
        msg = f"{path}: no such file; expected a map as `snapdb coverage --depth` writes it"
        raise ObjectMissingError(msg, path=str(path))
    try:
        with caught_warnings() as caught, fits.open(path, checksum=True) as hdus:
            found = [_take_table(hdu) for hdu in hdus if hdu.header.get("INDXSCHM") == "EXPLICIT"]
    except (OSError, ValueError, TypeError, KeyError) as err:
        msg = f"{path} cannot be read as a map of HEALPix cells: {err}"
        raise UnknownFormatError(msg, path=str(path)) from err
    if any("hecksum" in line or "truncated" in line for line in caught):
        msg = f"{path} is damaged: its checksum does not fit; write it anew"
        raise CorruptFileError(msg, path=str(path))
    if not found or found[0] is None:
        msg = f"{path} holds no table of nested HEALPix cells with explicit numbers (PIXEL, INDXSCHM, NSIDE)"
        raise UnknownFormatError(msg, path=str(path))
    return found[0]


def _take_table(hdu: Any) -> SkyColumns | None:
    """Read one table; None for one whose cells are not nested."""
    header = hdu.header
    nside = int(header["NSIDE"])
    if header.get("ORDERING") != "NESTED" or nside < 1 or nside & (nside - 1):
        return None
    titles = [name for name in hdu.columns.names if name.upper() != _PIXEL]
    names = json.loads(header[NAMES_CARD]) if NAMES_CARD in header else titles
    rows = [np.asarray(hdu.data.field(n + 1)) for n in range(len(names))]
    values = np.stack(rows) if rows else np.empty((0, len(hdu.data)), dtype=np.int32)
    native = values.astype(np.float64 if values.dtype.kind == "f" else np.int32)
    return SkyColumns(
        order=nside.bit_length() - 1,
        cells=np.asarray(hdu.data.field(_PIXEL), dtype=np.int64),
        names=tuple(names),
        values=native,
        cards=dict(header),
    )


def _titles(names: Sequence[str | None]) -> list[str]:
    """Make names of columns that FITS can tell apart."""
    taken = {_PIXEL.lower()}
    titles: list[str] = []
    for name in names:
        plain = "unknown" if name is None else "".join(c if " " < c < "\x7f" else "_" for c in name) or "none"
        title, n = plain[:60], 1
        while title.lower() in taken:
            n += 1
            title = f"{plain[:60]}_{n}"
        taken.add(title.lower())
        titles.append(title)
    return titles
