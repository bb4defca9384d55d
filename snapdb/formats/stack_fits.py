"""Layers of images of one position as a FITS table: a row an image, its pixels in the columns.

===========  ==================================================================
where        holds
===========  ==================================================================
primary HDU  ``SDBKIND = 'CUTOUTS'``; RA, DEC of the position, ICRS degrees; ALIGNED,
             whether all layers are on one grid; SDBFLAGS, names and bits of flags as JSON
EPOCHS       a row an image: its facts; a column for each plane, DATA, NOISE, FLAGS ...,
             with TDIM (columns, rows); WCS, the cards of its coordinates, 80 characters
             each, one after the other; text that is not ASCII is written as its escape
MISSING      a row for each image that has no layer, with its reason; left out where there is none
===========  ==================================================================
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.errors import CorruptFileError, ObjectMissingError, UnknownFormatError
from snapdb.formats.header import announce_long_strings
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.table_fits import encode_columns
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from astropy.io.fits import BinTableHDU, Header
    from astropy.table import Table

KIND = "CUTOUTS"
_CARD = 80


def write_stack_fits(
    out: BinaryIO,
    planes: Mapping[str, PixelArray],
    table: "Table",
    missing: "Table",
    wcs_cards: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """Write layers and their facts.

    Parameters
    ----------
    out : binary file
        Where the bytes go.
    planes : mapping
        Name -> array, shape (n, h, w).
    table : Table
        A row a layer.
    missing : Table
        A row for each image without a layer.
    wcs_cards : sequence of str
        Cards of each layer, a newline between two.
    facts : mapping
        ``ra``, ``dec``, ``aligned``, ``flag_bits``.
    """
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    header = primary.header
    header["SDBKIND"] = (KIND, "Cutouts of one position, a row an image")
    header["SDBVERS"] = (version("snapdb"), "Version of snapdb that wrote the file")
    header["RA"] = (facts["ra"], "[deg] Position, ICRS")
    header["DEC"] = (facts["dec"], "[deg] Position, ICRS")
    header["ALIGNED"] = (bool(facts["aligned"]), "Whether all layers are on one grid")
    header["SDBFLAGS"] = json.dumps(facts["flag_bits"])
    rows = table.copy()
    for name, plane in planes.items():
        rows[name.upper()] = plane.view(np.uint8) if plane.dtype.kind == "b" else plane
    rows["WCS"] = [cards.replace("\n", "") for cards in wcs_cards]
    hdus = [primary, _to_hdu(rows, "EPOCHS")]
    hdus[1].header["SDBPLANE"] = (json.dumps(list(planes)), "Columns that are planes")
    if len(missing):
        hdus.append(_to_hdu(missing, "MISSING"))
    for hdu in hdus:
        announce_long_strings(hdu.header)
    with caught_warnings():
        fits.HDUList(hdus).writeto(out, checksum=True)


def read_stack_fits(path: Path) -> dict[str, Any]:
    """Read what :func:`write_stack_fits` wrote.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    dict
        ``planes``, ``table``, ``missing`` (None without), ``wcs_cards``, ``ra``, ``dec``, ``aligned``,
        ``flag_bits``.

    Raises
    ------
    ObjectMissingError
        If it is not there.
    UnknownFormatError
        If it is no FITS file of this kind.
    CorruptFileError
        If it is damaged.
    """
    from astropy.io import fits

    try:
        with caught_warnings(), fits.open(path, memmap=False) as hdus:
            _check_kind(hdus[0].header, path)
            facts = _read_facts(hdus[0].header)
            return {**_read_rows(hdus["EPOCHS"]), **facts, "missing": _read_missing(hdus)}
    except FileNotFoundError as err:
        msg = f"{path}: there is no such file"
        raise ObjectMissingError(msg, path=str(path)) from err
    except UnknownFormatError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as err:
        kind = UnknownFormatError if isinstance(err, OSError) else CorruptFileError
        msg = f"{path}: it cannot be read as a stack of cutouts ({err})"
        raise kind(msg, path=str(path)) from err


def _to_hdu(table: "Table", name: str) -> "BinTableHDU":
    """Make a table's HDU; what is masked is empty, NaN, or the least number."""
    from astropy.io import fits

    rows = table.copy()
    encode_columns(rows)
    for column in rows.itercols():
        if hasattr(column, "mask"):
            kind = column.dtype.kind
            column.fill_value = "" if kind in "US" else np.nan if kind == "f" else np.iinfo(column.dtype).min
    with caught_warnings():
        hdu = fits.table_to_hdu(rows)
    hdu.name = name
    return hdu


def _check_kind(header: "Header", path: Path) -> None:
    """Refuse a file of another kind."""
    if header.get("SDBKIND") != KIND:
        msg = f"{path}: its SDBKIND is not {KIND!r}; a stack of cutouts was expected"
        raise UnknownFormatError(msg, path=str(path))


def _read_facts(header: "Header") -> dict[str, Any]:
    """Read the primary HDU."""
    return {
        "ra": float(header["RA"]),
        "dec": float(header["DEC"]),
        "aligned": bool(header["ALIGNED"]),
        "flag_bits": json.loads(header["SDBFLAGS"]),
    }


def _read_rows(hdu: "BinTableHDU") -> dict[str, Any]:
    """Read the layers."""
    from astropy.table import Table

    table = Table.read(hdu)
    planes: dict[str, PixelArray] = {}
    for name in json.loads(hdu.header["SDBPLANE"]):
        column = table[name.upper()]
        pixels = np.asarray(getattr(column, "data", column))
        pixels = np.ma.getdata(pixels)
        planes[name] = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        table.remove_column(name.upper())
    cards = [_split(str(text)) for text in np.ma.getdata(table["WCS"])]
    table.remove_column("WCS")
    return {"planes": planes, "table": _masked(table), "wcs_cards": cards}


def _read_missing(hdus: Any) -> "Table | None":
    """Read the rows of images without a layer."""
    from astropy.table import Table

    return _masked(Table.read(hdus["MISSING"])) if "MISSING" in hdus else None


def _masked(table: "Table") -> "Table":
    """Give a table whose columns all have masks, as it was before it was written."""
    from astropy.table import MaskedColumn, Table

    meta = {"name", "unit"}
    made = Table()
    for column in table.itercols():
        kind = str if column.dtype.kind in "SU" else column.dtype.newbyteorder("=")
        values = np.ma.getdata(column).astype(kind)
        mask = values == "" if kind is str else getattr(column, "mask", False)
        data = np.ma.array(values, mask=mask)
        made[column.name] = MaskedColumn(data, **{key: getattr(column, key) for key in meta})
    return made


def _split(text: str) -> str:
    """Put newlines between cards; FITS keeps no blanks at the end."""
    return "\n".join(text[at : at + _CARD].ljust(_CARD) for at in range(0, len(text), _CARD))
