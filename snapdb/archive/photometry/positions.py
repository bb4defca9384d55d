"""Positions to measure, as users have them: pixels or sky, in tables, dictionaries or arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.positions import take_positions
from snapdb.errors import ProjectionError, ShapeError, UnitError, UsageError
from snapdb.pixels.box import is_inside
from snapdb.sky.units import forget_masked, split_coordinates
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from snapdb.archive.planar import PlanarImage

_PIXELS = (
    ("x_init", "y_init"),
    ("x", "y"),
    ("x_0", "y_0"),
    ("x_center", "y_center"),
    ("xcenter", "ycenter"),
    ("x_centroid", "y_centroid"),
    ("xcentroid", "ycentroid"),
    ("x_fit", "y_fit"),
)
_SKY = (("ra", "dec"), ("ra_deg", "dec_deg"), ("raj2000", "dej2000"), ("alpha_j2000", "delta_j2000"))
_FLUXES = ("flux_init", "flux_0", "flux")
_NAMES = ("name", "source_id", "src_id", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """N positions on one image."""

    x: FloatArray
    """Columns, 0-based pixels; NaN where there is none."""
    y: FloatArray
    """Rows, 0-based pixels; NaN where there is none."""
    ra: FloatArray
    """Right ascension, ICRS degrees; NaN where the image has no world coordinates."""
    dec: FloatArray
    """Declination, ICRS degrees."""
    flux_init: FloatArray | None = None
    """First guesses of the fluxes, in the data's units; None where none were given."""
    local_bkg: FloatArray | None = None
    """Skies of the sources, in the data's units, NaN where to be measured; None where none were given."""
    groups: FloatArray | None = None
    """Number of the group that each source is fitted with; None where none were given."""
    names: tuple[Any, ...] | None = None
    """What the sources are called; None where nothing was given."""

    def __len__(self) -> int:
        """Count the positions."""
        return len(self.x)

    def inside(self, width: int, height: int) -> BoolArray:
        """Say which positions lie on an image, up to the outer edges of its pixels.

        Parameters
        ----------
        width, height : int
            Size of the image, pixels.

        Returns
        -------
        array of bool
            False also for what is not a number.
        """
        return np.asarray(is_inside(self.x, self.y, width, height), dtype=np.bool_)


def read_positions(image: "PlanarImage", coords: Any) -> Positions:
    """Give the positions that a call means, in pixels and on the sky.

    Parameters
    ----------
    image : Image
        Whose pixels are meant.
    coords : Table, mapping, array, SkyCoord or path
        A table of any kind, a dictionary or a structured array with columns ``x`` and ``y``
        (0-based pixels; also ``x_init``, ``x_0``, ``xcentroid`` ...) or ``ra`` and ``dec`` (ICRS,
        degrees where without unit), and perhaps ``flux_init``, ``local_bkg``, ``group_id`` and
        ``name``; where it has both positions, the pixels count. An array or list of pixel pairs,
        shape ``(N, 2)``, or one pair. A SkyCoord. A file of a table with ``ra`` and ``dec``.

    Returns
    -------
    Positions
        As many as came, in their order. One that is masked, no number, or not on the
        projection has NaN pixels.

    Raises
    ------
    UsageError
        If there are no such columns, or no numbers in them.
    UnitError
        If pixels have a unit of angles or lengths, or angles have another than an angle's.
    ShapeError
        If it is no list of positions.
    ProjectionError
        If sky positions are given and the image has no world coordinates.
    """
    if isinstance(coords, str | Path):
        return _from_sky(image, *take_positions(coords, "ra", "dec"))
    if hasattr(coords, "transform_to"):
        return _from_sky(image, *split_coordinates(coords, None))
    columns = _columns_of(coords)
    if columns is None:
        return _from_pixels(image, *_pairs(coords))
    found = {str(name).lower(): name for name in columns}
    extras = _extras(coords, found)
    for names in _PIXELS:
        if found.keys() >= set(names):
            x, y = (_pixels(coords[found[name]], name) for name in names)
            return _from_pixels(image, x, y, **extras)
    for names in _SKY:
        if found.keys() >= set(names):
            pair = tuple(_listed(coords[found[name]]) for name in names)
            _check_lengths(**dict(zip(names, pair, strict=True)), **extras)
            return _from_sky(image, *take_positions(pair, *names), **extras)
    known = ", ".join(map(str, columns)) or "none"
    msg = f"the positions have the columns {known}; expected x and y (0-based pixels), or ra and dec (ICRS)"
    raise UsageError(msg, columns=tuple(map(str, columns)))


def _columns_of(coords: Any) -> list[Any] | None:
    """Name the columns of a table of any kind; None for what is no table."""
    if isinstance(coords, Mapping):
        return list(coords)
    names = getattr(coords, "colnames", None) or getattr(coords, "column_names", None)
    if names is None and getattr(getattr(coords, "dtype", None), "names", None):
        names = coords.dtype.names
    if names is None and hasattr(coords, "columns"):
        names = coords.columns
    return None if names is None else list(names)


def _listed(value: Any) -> Any:
    """Give one value as a column of one; keep units."""
    if hasattr(value, "to_numpy") or np.ndim(value) > 0:
        return value if hasattr(value, "dtype") or hasattr(value, "to_numpy") else np.asarray(value)
    return value.reshape(1) if hasattr(value, "reshape") else np.asarray([value])


def _extras(coords: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """Give first guesses and names where there are such columns."""
    flux = next((name for name in _FLUXES if name in found), None)
    name = next((name for name in _NAMES if name in found), None)
    columns = {"flux_init": flux, "local_bkg": "local_bkg", "groups": "group_id"}
    values = {
        key: _numbers(coords[found[column]], column)
        for key, column in columns.items()
        if column is not None and column in found
    }
    names = None
    if name is not None:
        column = coords[found[name]]
        column = column.to_numpy() if hasattr(column, "to_numpy") else column
        names = tuple(np.atleast_1d(np.ma.asarray(column)).tolist())
    return {**values, "names": names}


def _pixels(column: Any, name: str) -> FloatArray:
    """Give a column of pixels as numbers; angles and lengths are none."""
    unit = getattr(column, "unit", None)
    kind = str(getattr(unit, "physical_type", ""))
    if kind in ("angle", "length"):
        msg = f"column {name!r} has the unit {unit}: expected 0-based pixels; sky positions are ra and dec"
        raise UnitError(msg, name=name, unit=str(unit))
    return _numbers(column, name)


def _numbers(column: Any, name: str) -> FloatArray:
    """Give a column as numbers, NaN where it is masked; a unit of pixels or none is meant."""
    column = column.to_numpy() if hasattr(column, "to_numpy") else column
    mask = getattr(column, "mask", None)
    column = getattr(column, "unmasked", column)
    try:
        values = np.atleast_1d(np.array(getattr(column, "value", column), dtype=np.float64))
    except (TypeError, ValueError) as err:
        msg = f"column {name!r} holds no numbers: {err}"
        raise UsageError(msg, column=name) from err
    if values.ndim != 1:
        msg = f"column {name!r} has shape {values.shape}: expected one number a source"
        raise ShapeError(msg, column=name, shape=values.shape)
    if mask is not None:
        values[np.atleast_1d(np.asarray(mask))] = np.nan
    return values


def _pairs(coords: Any) -> tuple[FloatArray, FloatArray]:
    """Give an array of pixel pairs as two columns."""
    try:
        array = forget_masked(np.array(coords, dtype=np.float64), coords)
    except (TypeError, ValueError) as err:
        msg = (
            f"positions are a {type(coords).__name__}: expected a table with x and y or ra and dec, or (N, 2)"
        )
        raise ShapeError(msg) from err
    if array.shape == (2,):
        array = array[None, :]
    if array.size == 0:
        array = array.reshape(0, 2)
    if array.ndim != 2 or array.shape[1] != 2:
        hint = "; transpose it" if array.ndim == 2 and array.shape[0] == 2 else ""
        msg = f"positions of shape {array.shape}: expected (N, 2), a pair (x, y) a source{hint}"
        raise ShapeError(msg, shape=array.shape)
    return array[:, 0].copy(), array[:, 1].copy()


def _from_pixels(image: "PlanarImage", x: FloatArray, y: FloatArray, **extras: Any) -> Positions:
    """Find the sky of pixels."""
    _check_lengths(x=x, y=y, **extras)
    bad = ~(np.isfinite(x) & np.isfinite(y))
    x[bad] = y[bad] = np.nan
    ra, dec = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    if image.has_wcs and not bad.all():
        ra[~bad], dec[~bad] = image.pixel_to_world(x[~bad], y[~bad])
    return Positions(x=x, y=y, ra=ra, dec=dec, **extras)


def _from_sky(image: "PlanarImage", ra: Any, dec: Any, **extras: Any) -> Positions:
    """Find the pixels of the sky."""
    right, up = (np.atleast_1d(np.array(v, dtype=np.float64)) for v in (ra, dec))
    _check_lengths(ra=right, dec=up, **extras)
    if not image.has_wcs:
        msg = f"{image.label} has no world coordinates; give positions as x and y, 0-based pixels"
        raise ProjectionError(msg)
    good = np.isfinite(right) & np.isfinite(up) & (np.abs(up) <= 90.0)
    x, y = np.full(right.shape, np.nan), np.full(right.shape, np.nan)
    if good.any():
        x[good], y[good] = image.world_to_pixel(right[good], up[good])
    bad = ~(np.isfinite(x) & np.isfinite(y))
    x[bad] = y[bad] = np.nan
    return Positions(x=x, y=y, ra=right, dec=up, **extras)


def _check_lengths(**columns: Any) -> None:
    """Refuse columns that do not belong together."""
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        msg = f"the columns of the positions have different lengths ({told})"
        raise ShapeError(msg, lengths=lengths)
