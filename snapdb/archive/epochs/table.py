"""What is known of each image of a position, and how its cutout ended, as a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.archive.epochs.plan import Epoch
from snapdb.archive.paths import PathLike
from snapdb.archive.table_files import write_file, write_json, write_parquet, write_text
from snapdb.archive.votables import write_votable
from snapdb.formats.table_fits import write_table_fits

if TYPE_CHECKING:
    from astropy.table import Table

COLUMNS: dict[str, tuple[str, str | None]] = {
    "image_id": ("str", None),
    "mjd": ("float", "d"),
    "band": ("str", None),
    "exptime": ("float", "s"),
    "zeropoint": ("float", "mag"),
    "data_units": ("str", None),
    "observation_id": ("str", None),
    "sca": ("int", None),
    "kind": ("str", None),
    "instrument": ("str", None),
    "pixel_scale": ("float", "arcsec / pix"),
    "filepath": ("str", None),
    "hdu": ("int", None),
    "x": ("float", "pix"),
    "y": ("float", "pix"),
    "box_x0": ("int", "pix"),
    "box_y0": ("int", "pix"),
    "width": ("int", "pix"),
    "height": ("int", "pix"),
    "fraction_outside": ("float", None),
    "planes": ("str", None),
    "bad_bits": ("int", None),
    "status": ("str", None),
    "error": ("str", None),
    "reason": ("str", None),
}
"""Column -> its kind and unit. ``x``, ``y`` are the position's pixel in the cutout, ``box_x0``, ``box_y0``
the image's pixel that is the cutout's (0, 0); ``planes`` names the image's planes, ``error`` the class of
what went wrong and ``reason`` its words; ``bad_bits`` are those of the flags, see ``Image.bad_bits``."""

ASTROPY_FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
}
"""Suffix of a table's file -> what astropy calls its format."""

TABLE_FORMATS = {**ASTROPY_FORMATS, ".parquet": "parquet", ".json": "json", ".jsonl": "jsonl"}
"""Suffix of a table's file -> format: astropy's names, and what is written without it."""

_OF_RECORD = (
    "mjd",
    "band",
    "exptime",
    "zeropoint",
    "data_units",
    "observation_id",
    "sca",
    "kind",
    "instrument",
    "pixel_scale",
    "filepath",
    "hdu",
    "bad_bits",
)


def make_epoch_table(epochs: Iterable[Epoch]) -> "Table":
    """Make a row of each image; what is not known, or is not because there is no cutout, is masked.

    Parameters
    ----------
    epochs : iterable of Epoch
        In order.

    Returns
    -------
    astropy.table.Table
        With the columns of :data:`COLUMNS`.
    """
    return fill_table([_make_row(epoch) for epoch in epochs])


def fill_table(rows: Sequence[dict[str, Any]]) -> "Table":
    """Make a table of rows of :data:`COLUMNS`; None is masked."""
    from astropy.table import MaskedColumn, Table

    columns = []
    for name, (kind, unit) in COLUMNS.items():
        values = [row.get(name) for row in rows]
        empty: Any = "" if kind == "str" else 0
        data = np.array([empty if value is None else value for value in values], dtype=kind)
        mask = np.array([value is None for value in values], dtype=bool)
        columns.append(MaskedColumn(data, name=name, mask=mask, unit=unit, copy=False))
    return Table(columns, copy=False)  # copies of columns cost more than all else here


def _make_row(epoch: Epoch) -> dict[str, Any]:
    """Give the values of one image."""
    row = {name: getattr(epoch.record, name) for name in _OF_RECORD}
    row |= {"image_id": str(epoch.record.id), "status": epoch.status}
    row["planes"] = " ".join(plane.layout.name for plane in epoch.planes) or None
    if epoch.error is not None:
        row |= {"error": type(epoch.error).__name__, "reason": str(epoch.error)}
    if epoch.placement is not None:
        box, source = epoch.placement.result, epoch.placement.source
        outside = 1.0 - source.width * source.height / (box.width * box.height)
        row |= {"x": epoch.x - box.x0, "y": epoch.y - box.y0, "fraction_outside": outside}
        row |= {"box_x0": box.x0, "box_y0": box.y0, "width": box.width, "height": box.height}
    return row


def write_epoch_table(table: "Table", path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a table of epochs to a file, which appears when it is complete.

    Parameters
    ----------
    table : Table
        As :func:`make_epoch_table` makes it.
    path : path
        Its suffix is one of :data:`TABLE_FORMATS`.
    overwrite : bool
        Whether a file that is there is replaced; one that an archive has registered never is.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError
        If the suffix is another.
    ObjectExistsError
        If the file must stay.
    """

    def write(stream: BinaryIO, form: str) -> None:
        if form.startswith("ascii"):
            write_text(table, stream, form)
            return
        if form in ("json", "jsonl"):
            write_json(table, stream, lines=form == "jsonl")
            return
        if form == "parquet":
            write_parquet(table, stream)
            return
        rows = with_blanks(table)
        if form == "fits":
            write_table_fits(rows, stream)
        else:
            write_votable(rows, stream)

    return write_file(path, TABLE_FORMATS, write, overwrite=overwrite)


def with_blanks(table: "Table") -> "Table":
    """Give a copy whose masked values are written as empty text, NaN, or the least number."""
    rows = table.copy()
    for column in rows.itercols():
        kind = column.dtype.kind
        column.fill_value = "" if kind in "US" else np.nan if kind == "f" else np.iinfo(column.dtype).min
    return rows


def join_flag_bits(epochs: Iterable[Epoch]) -> dict[str, int]:
    """Give the names of flags that mean the same bit in every image; the others are left out.

    Parameters
    ----------
    epochs : iterable of Epoch
        Images.
    """
    seen: dict[str, set[int]] = {}
    sets = {id(epoch.record.flag_bits): epoch.record.flag_bits for epoch in epochs}  # thousands share few
    for bits in sets.values():
        for name, value in bits.items():
            seen.setdefault(name, set()).add(int(value))
    return {name: values.pop() for name, values in seen.items() if len(values) == 1}
