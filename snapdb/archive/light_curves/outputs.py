"""Tables of fluxes, and files of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.archive.paths import PathLike
from snapdb.archive.positions import load_arrow
from snapdb.archive.table_files import write_file, write_text
from snapdb.archive.votables import write_votable
from snapdb.formats.table_fits import write_table_fits
from snapdb.photometry.calibration import NJY_ZEROPOINT, from_njy, limit_magnitude, to_magnitude
from snapdb.photometry.quality import quality_names
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from astropy.table import QTable, Table

    from snapdb.archive.light_curves.kept import Measured

FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".txt": "table",
}
"""Suffix of a file -> format: astropy's names, and what this package writes itself."""

COLUMNS: dict[str, tuple[str | None, str]] = {
    "mjd": ("d", "start of the exposure, UTC"),
    "band": (None, "band of the image"),
    "image_id": (None, "id of the image"),
    "observation_id": (None, "exposure that the image is of"),
    "x": ("pix", "column of the position, 0-based"),
    "y": ("pix", "row of the position, 0-based"),
    "ra": ("deg", "position that was measured, ICRS"),
    "dec": ("deg", "position that was measured, ICRS"),
    "flux": (None, "flux in units of the image's data, of either sign"),
    "flux_err": (None, "one standard deviation, that of the background included"),
    "zeropoint": ("mag", "AB magnitude of one unit of flux"),
    "flux_njy": ("nJy", "calibrated flux, of either sign"),
    "flux_njy_err": ("nJy", "one standard deviation, without that of the zero point"),
    "mag": ("mag", "AB magnitude; NaN where the flux is not positive"),
    "mag_err": ("mag", "its error; NaN unless the flux is above 3 times its error"),
    "mag_limit3": ("mag", "AB magnitude of 3 standard deviations of the flux"),
    "mag_limit5": ("mag", "AB magnitude of 5 standard deviations of the flux"),
    "background": (None, "background a pixel that was subtracted, units of the image's data"),
    "background_err": (None, "one standard deviation"),
    "chi2": (None, "of the fit; NaN for apertures"),
    "ndof": (None, "degrees of freedom of the fit"),
    "coverage": (None, "share of the profile, or of the aperture, on good pixels"),
    "n_pixels": (None, "good pixels that tell the flux"),
    "bad_fraction": (None, "share of pixels about the position that are bad or not there"),
    "quality": (None, "bits of snapdb.photometry.quality.Quality"),
    "flags": (None, "flags of the pixels about the position, joined by OR"),
    "reason": (None, "why there is no flux"),
}
"""Column of a light curve -> its unit and meaning."""


def make_flux_table(measured: "Measured", sigmas: Sequence[float] = (3.0, 5.0)) -> "QTable":
    """Make the table of fluxes, a row a position on an image.

    Parameters
    ----------
    measured : Measured
        Fluxes.
    sigmas : sequence of float
        How many standard deviations make the limits ``mag_limit...``.

    Returns
    -------
    astropy.table.QTable
        With the columns of :data:`COLUMNS`; numbers that are not known are NaN, texts are empty.
    """
    table, records = measured.table, [epoch.record for epoch in measured.spots.epochs]
    values: dict[str, Any] = {
        name: getattr(table, name) for name in COLUMNS if hasattr(table, name) and name not in _TEXTS
    }
    values["band"] = [record.band or "" for record in records]
    values["image_id"] = [str(record.id) for record in records]
    values["observation_id"] = [record.observation_id or "" for record in records]
    values["reason"] = list(measured.reasons)
    made = make_quantities({name: values[name] for name in COLUMNS if name in values})
    flux, flux_err, zeropoint = table.flux, table.flux_err, table.zeropoint
    mag, mag_err = to_magnitude(flux, flux_err, zeropoint)
    more = {"mag": mag, "mag_err": mag_err}
    more |= {f"mag_limit{sigma:g}": limit_magnitude(flux_err, zeropoint, sigma) for sigma in sigmas}
    at = made.colnames.index("flux_njy_err") + 1
    for place, (name, column) in enumerate(make_quantities(more).items()):
        made.add_column(column, index=at + place, name=name)
    made.meta |= {"flux_unit": _units_of(records), "quality_bits": _describe_bits(table.quality)}
    return made


_TEXTS = ("band", "image_id", "observation_id", "reason")


def make_quantities(values: dict[str, Any]) -> "QTable":
    """Make a table of columns, with the units and meanings of :data:`COLUMNS`."""
    from astropy import units
    from astropy.table import Column, QTable

    made = QTable()
    for name, column in values.items():
        unit, text = COLUMNS.get(name, (None, ""))
        if name.startswith("mag_limit"):
            unit, text = "mag", f"AB magnitude of {name[9:]} standard deviations of the flux"
        if unit is None:
            kind: Any = str if name in _TEXTS or name == "name" else None
            made[name] = Column(np.asarray(column, dtype=kind), description=text)
            continue
        made[name] = np.asarray(column, dtype=np.float64) * units.Unit(unit)
        made[name].info.description = text
    return made


def subtract(table: "QTable", flux_njy: FloatArray, flux_njy_err: FloatArray) -> None:
    """Take a reference's flux off each row, in place, and calibrate anew.

    Parameters
    ----------
    table : QTable
        As :func:`make_flux_table` makes it.
    flux_njy, flux_njy_err : array
        Flux and error of each row's reference, nanojansky; NaN where there is none, which leaves
        the row without a flux.
    """
    lost = np.isnan(flux_njy) & np.isfinite(table["flux_njy"].value)
    njy = table["flux_njy"].value - flux_njy
    err = np.hypot(table["flux_njy_err"].value, flux_njy_err)
    zeropoint = table["zeropoint"].value
    mag, mag_err = to_magnitude(njy, err, NJY_ZEROPOINT)
    new = {"flux_njy": njy, "flux_njy_err": err, "mag": mag, "mag_err": mag_err}
    for name in table.colnames:
        if name.startswith("mag_limit"):
            new[name] = limit_magnitude(err, NJY_ZEROPOINT, float(name[9:]))
    for name, column in new.items():
        table[name][:] = column * table[name].unit
    table["flux"][:], table["flux_err"][:] = from_njy(njy, zeropoint), from_njy(err, zeropoint)
    unsaid = [
        f"the reference has no flux in band {band}" if gone else str(reason)
        for gone, band, reason in zip(lost.tolist(), table["band"], table["reason"], strict=True)
    ]
    table.replace_column("reason", type(table["reason"])(unsaid, dtype=str, name="reason"))


def write_table(table: "Table", path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a table to a file, which appears when it is complete.

    Parameters
    ----------
    table : Table
        Any of this package.
    path : path
        Its suffix is one of :data:`FORMATS`.
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
    ConfigError
        If the format needs a package that is not installed.
    ObjectExistsError
        If the file must stay.
    """
    return write_file(path, FORMATS, partial(write_stream, table), overwrite=overwrite)


def write_stream(table: "Table", stream: BinaryIO, form: str) -> None:
    """Write a table to an open binary file.

    Parameters
    ----------
    table : Table
        Any of this package.
    stream : binary file
        It stays open.
    form : str
        One of the values of :data:`FORMATS`.
    """
    writers = {"parquet": _write_parquet, "votable": _write_votable, "fits": _write_fits}
    if form in writers:
        writers[form](table, stream)
        return
    if form in ("json", "jsonl", "table"):
        stream.writelines(f"{line}\n".encode() for line in _make_lines(table, form))
        return
    write_text(table, stream, form)


def _make_lines(table: "Table", form: str) -> Iterator[str]:
    """Give the lines of a table as text."""
    from snapdb.archive.light_curves.text import draw_lines, make_rows

    if form == "table":
        yield from draw_lines(table)
    elif form == "jsonl":
        yield from (json.dumps(row) for row in make_rows(table))
    else:
        yield json.dumps(list(make_rows(table)), indent=1)


_CARDS = {
    "method": ("METHOD", "How fluxes were measured"),
    "ra": ("RA", "[deg] Position that was asked for, ICRS"),
    "dec": ("DEC", "[deg] Position that was asked for, ICRS"),
    "name": ("OBJECT", "Name of the target"),
    "provenance": ("PROVID", "How it was measured"),
    "flux_unit": ("FLUXUNIT", "What a unit of flux is"),
    "quality_bits": ("QUALBITS", "Bits of the column quality"),
    "reference": ("REFIMAGE", "Images whose flux was subtracted"),
}
"""Fact -> keyword and comment."""


def _plain_facts(table: "Table") -> dict[str, str | int | float]:
    """Give the table's meta as headers can hold it; lists and the like as JSON."""
    made: dict[str, str | int | float] = {}
    for name, value in table.meta.items():
        fits_in = isinstance(value, str | int | float) and value == value  # noqa: PLR0124  # no NaN
        if value is not None and value == value:  # noqa: PLR0124
            made[str(name)] = value if fits_in else json.dumps(value, default=str)
    return made


def _write_fits(table: "Table", stream: BinaryIO) -> None:
    """Write FITS; facts are cards."""
    cards: dict[str, tuple[str | float, str]] = {}
    for number, (name, value) in enumerate(_plain_facts(table).items()):
        keyword, comment = _CARDS.get(name, (name.upper()[:8], name))
        cards[keyword if keyword not in cards else f"FACT{number}"] = (value, comment)
    if "mjd" in table.colnames:
        cards["TIMESYS"] = ("UTC", "Scale of the column mjd")
    write_table_fits(_flatten(table), stream, cards)


def _write_votable(table: "Table", stream: BinaryIO) -> None:
    """Write a VOTable; facts are PARAMs."""
    write_votable(_flatten(table), stream, facts=_plain_facts(table))


def _flatten(table: "Table") -> "Table":
    """Give columns with units, which every format takes, and facts that are plain."""
    from astropy.table import Table

    plain = Table(table, copy=False)
    plain.meta = {}
    for column in plain.itercols():
        if column.dtype.kind == "U" and column.dtype.itemsize == 0:
            plain[column.name] = column.astype("U1")
    return plain


def _write_parquet(table: "Table", stream: BinaryIO) -> None:
    """Write parquet, with units in the fields' metadata."""
    pa = load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    arrays, fields = [], []
    for name in table.colnames:
        column, unit = table[name], getattr(table[name], "unit", None)
        values = np.asarray(getattr(column, "value", column))
        mask = np.isnan(values) if values.dtype.kind == "f" else None
        array = pa.array(values.tolist() if values.dtype.kind == "U" else values, mask=mask)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={"unit": str(unit)} if unit else None))
    facts = {"table_meta_yaml": _describe_table(table)}
    for field, array in zip(fields, arrays, strict=True):
        if pa.types.is_string(field.type):  # astropy wants to know how long texts are
            facts[f"table::len::{field.name}"] = str(
                max((len(one) for one in array.to_pylist()), default=1) or 1
            )
    parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=facts)), stream)


def _describe_table(table: "Table") -> str:
    """Give meta, units and meanings as astropy looks for them in parquet."""
    from astropy.table import meta, serialize

    return "\n".join(meta.get_yaml_from_table(serialize.represent_mixins_as_columns(table)))


def _units_of(records: Iterable[Any]) -> str:
    """Name what one unit of flux is: counts, rate, or both."""
    return ", ".join(sorted({record.data_units for record in records}))


def _describe_bits(quality: Any) -> dict[str, int]:
    """Name the quality bits that occur."""
    from snapdb.photometry.quality import Quality

    joined = int(np.bitwise_or.reduce(np.asarray(quality), initial=0))
    return {name: int(Quality[name]) for name in quality_names(joined)}
