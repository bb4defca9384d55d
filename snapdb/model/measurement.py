"""What was measured at positions on images, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import ShapeError, UsageError
from snapdb.sky.vectors import wrap_ra
from snapdb.types import FloatArray, IntArray

KEYS_PER_DEGREE = 36_000_000
"""Positions are told apart to 1e-4 arcsec."""
_TURN = 360 * KEYS_PER_DEGREE
_POLE = 90 * KEYS_PER_DEGREE

ObjectArray = NDArray[np.object_]
TimeArray = NDArray[np.datetime64]

INTEGERS = {"ndof": np.int32, "n_pixels": np.int32, "quality": np.int32, "flags": np.int64}
"""Columns of whole numbers -> their type; 0 where nothing is given."""
_OBJECTS = ("image_id", "provenance_id", "method", "name", "band")
_NEEDED = ("image_id", "provenance_id", "ra", "dec")
JOINED = ("mjd", "band")
"""Columns that are the image's: read with measurements, never written with them."""


def position_keys(ra: Any, dec: Any) -> tuple[IntArray, IntArray]:
    """Make the whole numbers by which a position is known.

    Parameters
    ----------
    ra, dec : float or array
        ICRS degrees; any right ascension, which is taken into [0, 360).

    Returns
    -------
    ra_key, dec_key : int64 array, shape of the positions
        In 1e-4 arcsec. Right ascension wraps, and is 0 at the poles, which are one position each.

    Raises
    ------
    UsageError
        If a position is not finite, or a declination outside -90 to 90.
    """
    ra, dec = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    good = np.isfinite(ra) & (np.abs(dec) <= 90.0)
    if not good.all():
        row = int(np.argmax(~np.atleast_1d(good)))
        shown = tuple(np.atleast_1d(np.broadcast_to(v, good.shape))[row].item() for v in (ra, dec))
        msg = f"row {row}: position {shown} is none; expected finite degrees, -90 <= dec <= 90"
        raise UsageError(msg, row=row, position=shown)
    dec_key = np.rint(dec * KEYS_PER_DEGREE).astype(np.int64)
    ra_key = np.rint(np.mod(ra, 360.0) * KEYS_PER_DEGREE).astype(np.int64) % _TURN
    return np.where(np.abs(dec_key) == _POLE, 0, ra_key), dec_key


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasurementTable:
    """Measurements, a row each, as columns of one length; see :func:`make_measurements`.

    What is not known is NaN in numbers, None in texts, NaT in times. A row is known by its
    provenance, its image, and its position to 1e-4 arcsec.

    Raises
    ------
    ShapeError
        If the columns are not of one length.
    """

    image_id: ObjectArray
    """UUID of the image that was measured."""
    provenance_id: ObjectArray
    """UUID of the provenance of the measurement: its process, method and parameters."""
    ra: FloatArray
    """Right ascension of the position that was measured on that image, ICRS degrees in [0, 360)."""
    dec: FloatArray
    """Declination likewise."""
    x: FloatArray
    """Column of the position in the image, 0-based."""
    y: FloatArray
    """Row of the position in the image."""
    flux: FloatArray
    """Flux in units of the image; zero and below are fluxes too."""
    flux_err: FloatArray
    """One standard deviation of the flux."""
    background: FloatArray
    """Background in units of the image, a pixel."""
    background_err: FloatArray
    """One standard deviation of the background."""
    zeropoint: FloatArray
    """AB magnitude of one unit of flux that was used."""
    flux_njy: FloatArray
    """Flux in nanojansky."""
    flux_njy_err: FloatArray
    """One standard deviation of it."""
    chi2: FloatArray
    """Chi square of the fit."""
    ndof: NDArray[np.int32]
    """Degrees of freedom of the fit."""
    coverage: FloatArray
    """Part of the profile, or of the aperture, that good pixels hold: 0 to 1."""
    n_pixels: NDArray[np.int32]
    """How many pixels were used."""
    bad_fraction: FloatArray
    """Part of the pixels that were left out: 0 to 1."""
    quality: NDArray[np.int32]
    """Bits that say why a row is to be mistrusted; 0 for a sound one."""
    flags: IntArray
    """Bits of the image's flags in the pixels about the position, joined by OR."""
    method: ObjectArray
    """Short text: how it was measured, such as ``psf`` or ``ap 5``."""
    name: ObjectArray
    """The target's name, or None."""
    measured_at: TimeArray
    """When, UTC; NaT in a table to be added is the moment of adding."""
    mjd: FloatArray
    """Start of the image's exposure, MJD UTC; only of tables that the registry gave."""
    band: ObjectArray
    """The image's band; only of tables that the registry gave."""

    def __post_init__(self) -> None:
        shape = np.shape(self.image_id)
        for field in fields(self):
            if np.shape(getattr(self, field.name)) != shape or len(shape) != 1:
                found = np.shape(getattr(self, field.name))
                msg = f"column {field.name} has shape {found}; expected one value for each image_id, {shape}"
                raise ShapeError(msg, column=field.name, shape=found)

    def __len__(self) -> int:
        return len(self.image_id)

    def __repr__(self) -> str:
        return f"<MeasurementTable of {len(self)} rows>"

    def __getitem__(self, rows: Any) -> Self:
        """Give some of the rows: a slice, a mask, or an array of their numbers."""
        return type(self)(**{name: getattr(self, name)[rows] for name in COLUMNS})

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Give the columns by name, in order; nothing is copied."""
        return {name: getattr(self, name) for name in COLUMNS}

    def position_keys(self) -> tuple[IntArray, IntArray]:
        """Make the whole numbers by which the positions are known; see :func:`position_keys`."""
        return position_keys(self.ra, self.dec)


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(MeasurementTable))
"""Names of the columns, in order."""
FLOATS: tuple[str, ...] = tuple(name for name in COLUMNS if name not in (*_OBJECTS, *INTEGERS, "measured_at"))
"""Columns of float64."""


def make_measurements(**columns: Any) -> MeasurementTable:
    """Make a table of measurements from arrays, and from single values that hold for all rows.

    Parameters
    ----------
    **columns : object
        The columns of :class:`MeasurementTable` by name. ``image_id``, ``provenance_id``, ``ra`` and
        ``dec`` must be given; of the others what is left out is not known: NaN, None, 0 for whole
        numbers. Masked values of masked arrays are not known either.

    Returns
    -------
    MeasurementTable
        Its right ascensions are in [0, 360).

    Raises
    ------
    UsageError
        If a column is unknown or missing, or holds what it cannot.
    ShapeError
        If the columns do not fit together.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in _NEEDED if name not in columns]
    if unknown or missing:
        said = f"no column is called {unknown[0]!r}" if unknown else f"column {missing[0]!r} is missing"
        msg = f"{said}; a measurement has {', '.join(COLUMNS)}, and must have {', '.join(_NEEDED)}"
        raise UsageError(msg, column=(unknown or missing)[0])
    made = {name: _as_column(name, columns.get(name)) for name in COLUMNS}
    try:
        shape = np.broadcast_shapes((1,) if _all_single(made) else (), *(c.shape for c in made.values()))
        made = {name: np.array(np.broadcast_to(column, shape)) for name, column in made.items()}
    except ValueError as err:
        shapes = {name: made[name].shape for name in columns}
        msg = f"columns of lengths {shapes} do not fit together; expected one length, or single values"
        raise ShapeError(msg, shapes=shapes) from err
    position_keys(made["ra"], made["dec"])
    made["ra"] = wrap_ra(made["ra"])
    return MeasurementTable(**made)


def join_measurements(tables: Sequence[MeasurementTable]) -> MeasurementTable:
    """Put tables below each other.

    Parameters
    ----------
    tables : sequence of MeasurementTable
        In this order.

    Returns
    -------
    MeasurementTable
        With all their rows; empty for no tables.
    """
    if not tables:
        return empty_measurements()
    return MeasurementTable(
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS}
    )


def empty_measurements() -> MeasurementTable:
    """Make a table without rows."""
    return make_measurements(**{name: [] for name in _NEEDED})


def _all_single(columns: dict[str, NDArray[Any]]) -> bool:
    """Tell whether one row is meant."""
    return all(column.ndim == 0 for column in columns.values())


def _as_column(name: str, value: Any) -> NDArray[Any]:
    """Make a column of what was given, or of nothing."""
    if name in _OBJECTS:
        return _as_objects(value)
    try:
        if name == "measured_at":
            return _as_times(value)
        if name in INTEGERS:
            return _as_integers(name, value)
        if value is None:
            return np.asarray(np.nan)
        if np.ma.isMaskedArray(value):
            value = np.ma.filled(value.astype(np.float64), np.nan)
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as err:
        kind = "times" if name == "measured_at" else "numbers"
        msg = f"column {name} cannot be read as {kind}: {err}"
        raise UsageError(msg, column=name) from err


def _as_times(value: Any) -> NDArray[Any]:
    """Make a column of times in UTC."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return np.asarray("NaT" if value is None else value, dtype="datetime64[us]")


def _as_integers(name: str, value: Any) -> NDArray[Any]:
    """Make a column of whole numbers, and refuse what is none."""
    kind = np.dtype(INTEGERS[name])
    if value is None:
        return np.asarray(0, dtype=kind)
    given = np.asarray(value.filled(0) if np.ma.isMaskedArray(value) else value)
    if given.dtype == np.uint64 and kind == np.int64:  # the highest flag is the sign
        return given.view(np.int64) if given.ndim else np.asarray(given.astype(np.int64))
    with np.errstate(invalid="ignore"):  # what is no number is refused below
        made = given.astype(kind)
    if given.size and not np.array_equal(made, given):
        msg = f"expected whole numbers of {kind.itemsize * 8} bits"
        raise ValueError(msg)
    return made


def _as_objects(value: Any) -> NDArray[Any]:
    """Make a column of ids or texts."""
    if np.ma.isMaskedArray(value):
        mask = np.ma.getmaskarray(value)
        value = value.data.astype(object)  # a copy; None as fill_value would mean the default one
        value[mask] = None
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
        single = np.empty((), dtype=object)
        single[()] = value
        return single
    if isinstance(value, np.ndarray):
        return value.astype(object)
    column = np.empty(len(value), dtype=object)
    column[:] = value
    return column
