"""Where a target is at a time: standing still, in proper motion, or along an ephemeris."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from snapdb.errors import UsageError
from snapdb.sky.time import to_mjd
from snapdb.sky.units import forget_masked, split_coordinates
from snapdb.sky.vectors import separation, to_radec, to_vectors
from snapdb.types import FloatArray

_MAS = np.radians(1.0 / 3.6e6)
_YEAR_DAYS = 365.25
_J2000_MJD = 51_544.5
_LATEST_YEAR = 3000.0
_LATEST_MJD = _J2000_MJD + (_LATEST_YEAR - 2000.0) * _YEAR_DAYS
_REACH_DEG = 2.0
"""How far an ephemeris goes before images are searched anew."""
_MARGIN_DEG = 5.0 / 3600.0
_BETWEEN = 16
"""Points between two of an ephemeris at which its way is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A circle that a target stays in for some time."""

    ra: float
    """Centre, ICRS degrees."""
    dec: float
    radius: float
    """Degrees."""
    mjd_min: float | None = None
    """None: for all time."""
    mjd_max: float | None = None


class Track(Protocol):
    """Gives a target's position at any time."""

    @property
    def moves(self) -> bool:
        """Whether the position depends on time."""

    def at(self, mjd: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the positions at times, MJD UTC: ICRS degrees, NaN where they are not known."""

    def reaches(self, first: float, last: float) -> Iterator[Reach]:
        """Give circles that hold all positions between two times, MJD UTC."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A target that stands still."""

    ra: float
    """ICRS degrees in [0, 360)."""
    dec: float

    @property
    def moves(self) -> bool:
        """Whether the position depends on time: it does not."""
        return False

    def at(self, mjd: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the position for each time, known or not."""
        return np.full(np.shape(mjd), self.ra), np.full(np.shape(mjd), self.dec)

    def reaches(self, first: float, last: float) -> Iterator[Reach]:  # noqa: ARG002  # the protocol's
        """Give the one point."""
        return iter((Reach(ra=self.ra, dec=self.dec, radius=0.0),))


@dataclass(frozen=True, slots=True)
class ProperMotion:
    """A star that moves along a great circle at constant speed."""

    ra: float
    """At the epoch, ICRS degrees."""
    dec: float
    pmra: float
    """Milliarcseconds a year, cos(dec) included, as in Gaia's catalogue."""
    pmdec: float
    epoch_mjd: float

    @classmethod
    def make(cls, ra: float, dec: float, given: Any) -> Self:
        """Read ``(pmra, pmdec, epoch)``: mas a year, and a Julian year such as 2016.0 or a Time.

        Raises
        ------
        UsageError
            If it is anything else.
        """
        try:
            pmra, pmdec, epoch = given
            east, north = (
                float(getattr(v, "to_value", lambda _unit, v=v: v)("mas/yr")) for v in (pmra, pmdec)
            )
            if not np.isfinite(east + north):
                raise ValueError(given)  # noqa: TRY301  # told as the others
        except (TypeError, ValueError) as err:
            msg = f"proper_motion={given!r}: expected (pmra, pmdec, epoch): mas a year, and a Julian year"
            raise UsageError(msg, proper_motion=given) from err
        return cls(ra, dec, east, north, _read_epoch(epoch))

    @property
    def moves(self) -> bool:
        """Whether the position depends on time: it does."""
        return True

    def at(self, mjd: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the positions at times."""
        years = (np.asarray(mjd, dtype=np.float64) - self.epoch_mjd) / _YEAR_DAYS
        start = to_vectors(self.ra, self.dec)
        east = to_vectors(self.ra + 90.0, 0.0)
        north = np.cross(start, east)
        speed = _MAS * np.hypot(self.pmra, self.pmdec)
        if speed == 0.0:
            return np.full(years.shape, self.ra), np.full(years.shape, self.dec)
        way = _MAS * (self.pmra * east + self.pmdec * north) / speed
        angle = speed * years[..., None]
        known = np.isfinite(years)
        ra, dec = to_radec(np.where(known[..., None], start * np.cos(angle) + way * np.sin(angle), start))
        return np.where(known, ra, np.nan), np.where(known, dec, np.nan)

    def reaches(self, first: float, last: float) -> Iterator[Reach]:
        """Give a circle about the middle of the way between two times."""
        return iter((_enclose(*self.at(np.linspace(first, last, 33))),))


class Ephemeris:
    """Positions at times, between which a curve is laid; before and after there is none.

    Parameters
    ----------
    mjd : array
        MJD UTC, at least two, all different.
    ra, dec : array
        ICRS degrees, as seen by the observer.

    Raises
    ------
    UsageError
        If they are no such columns.
    """

    moves = True

    def __init__(self, mjd: Any, ra: Any, dec: Any) -> None:
        times = np.atleast_1d(np.asarray(mjd, dtype=np.float64))
        right, up = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (ra, dec))
        if not times.ndim == 1 == right.ndim or not times.shape == right.shape == up.shape or len(times) < 2:
            msg = f"ephemeris of shapes {times.shape}, {right.shape}, {up.shape}: expected 2 or more rows"
            raise UsageError(msg, rows=len(times))
        if not np.isfinite(times + right + up).all() or np.abs(up).max() > 90.0:
            msg = "ephemeris: expected finite mjd, ra and dec in every row, declinations from -90 to 90"
            raise UsageError(msg)
        if times.max() > _LATEST_MJD:
            msg = (
                f"ephemeris: mjd {times.max()} lies beyond the year 3000; of Julian dates take off 2400000.5"
            )
            raise UsageError(msg, mjd=float(times.max()))
        order = np.argsort(times, kind="stable")
        self.mjd = times[order]
        self._vectors = to_vectors(right[order], up[order])
        if (np.diff(self.mjd) <= 0).any():
            msg = f"ephemeris: mjd {self.mjd[int(np.argmin(np.diff(self.mjd)))]} is there twice"
            raise UsageError(msg)

    @classmethod
    def make(cls, given: Any) -> Self:
        """Read a table with columns ``mjd`` (or ``time``), ``ra``, ``dec``, or a file of one.

        Raises
        ------
        UsageError
            If it is no such table.
        SearchError
            If a text or a date in it is no time.
        """
        if isinstance(given, Ephemeris):
            return cls(given.mjd, *to_radec(given._vectors))  # noqa: SLF001  # its own
        table = _read_table(given) if isinstance(given, str | Path) else given
        names = list(table.keys()) if hasattr(table, "keys") else []  # pandas has them too
        times = next((name for name in ("mjd", "time") if name in names), None)
        if times is None or "ra" not in names or "dec" not in names:
            msg = f"ephemeris: expected columns mjd (or time), ra and dec; it has {', '.join(names)}"
            raise UsageError(msg, columns=names)
        return cls(_read_times(table[times]), *split_coordinates(table["ra"], table["dec"]))

    @cached_property
    def _curve(self) -> Any:
        """Lay a curve through the positions: cubic from four on, straight below."""
        from scipy.interpolate import CubicSpline, make_interp_spline

        if len(self.mjd) < 4:
            return make_interp_spline(self.mjd, self._vectors, k=1)
        return CubicSpline(self.mjd, self._vectors)

    def at(self, mjd: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the positions at times; NaN outside those of the ephemeris."""
        times = np.asarray(mjd, dtype=np.float64)
        known = (times >= self.mjd[0]) & (times <= self.mjd[-1])
        ra, dec = to_radec(self._curve(np.where(known, times, self.mjd[0])))
        return np.where(known, ra, np.nan), np.where(known, dec, np.nan)

    def reaches(self, first: float, last: float) -> Iterator[Reach]:
        """Give circles about parts of the way that are at most some degrees long.

        Parameters
        ----------
        first, last : float
            MJD UTC.

        Yields
        ------
        Reach
            With the times between which it holds; none outside those of the ephemeris.
        """
        inside = self.mjd[(self.mjd > first) & (self.mjd < last)]
        knots = np.unique(np.concatenate((np.clip([first, last], self.mjd[0], self.mjd[-1]), inside)))
        if last < self.mjd[0] or first > self.mjd[-1]:
            return
        begin = 0
        while begin < max(1, len(knots) - 1):
            end = begin + 1
            ra, dec = self.at(knots)
            while end + 1 < len(knots) and _spans(ra[begin : end + 2], dec[begin : end + 2]) < _REACH_DEG:
                end += 1
            times = knots[begin : end + 1]
            dense = np.interp(
                np.arange((len(times) - 1) * _BETWEEN + 1) / _BETWEEN, np.arange(len(times)), times
            )
            circle = _enclose(*self.at(dense))
            yield Reach(
                ra=circle.ra,
                dec=circle.dec,
                radius=circle.radius,
                mjd_min=float(times[0]),
                mjd_max=float(times[-1]),
            )
            begin = end


def make_track(ra: Any, dec: Any, *, proper_motion: Any = None, ephemeris: Any = None) -> Track:
    """Take a target's position as a caller gives it.

    Parameters
    ----------
    ra, dec : float, str, Quantity or SkyCoord
        The position, ICRS; None with an ephemeris. A SkyCoord that has proper motions says with its
        ``obstime`` when it was there.
    proper_motion : tuple, optional
        ``(pmra, pmdec, epoch)``; see :meth:`ProperMotion.make`. It wins over a SkyCoord's own.
    ephemeris : Table, mapping or path, optional
        See :meth:`Ephemeris.make`.

    Raises
    ------
    UsageError
        If there is no position, or more than one.
    """
    if ephemeris is not None:
        if ra is not None or dec is not None or proper_motion is not None:
            msg = "an ephemeris says where the target is; leave out ra, dec and proper_motion"
            raise UsageError(msg)
        return Ephemeris.make(ephemeris)
    if ra is None:
        msg = "expected ra and dec, or an ephemeris"
        raise UsageError(msg)
    right, up = (np.asarray(v, dtype=np.float64) for v in split_coordinates(ra, dec))
    if right.size != 1 or not np.isfinite(right + up).all() or abs(up.item()) > 90.0:
        msg = f"ra={ra!r:.60}, dec={dec!r:.60}: expected one position, declination -90 to 90 degrees"
        raise UsageError(msg, ra=ra, dec=dec)
    place = right.item() % 360.0, up.item()
    if proper_motion is None:
        proper_motion = _find_motion(ra)
    return Fixed(*place) if proper_motion is None else ProperMotion.make(*place, proper_motion)


def _find_motion(position: Any) -> tuple[Any, Any, Any] | None:
    """Give the proper motion that a SkyCoord has, None where there is none or it is no coordinate.

    Raises
    ------
    UsageError
        If it moves, and does not say when it was at its place.
    """
    if not hasattr(position, "transform_to"):
        return None
    from astropy.coordinates import SkyCoord

    position = SkyCoord(position)  # a frame has no obstime of its own
    try:
        motion = position.icrs.proper_motion.ravel()
    except (AttributeError, TypeError, ValueError):  # there is none, or radial velocities alone
        return None
    if not np.isfinite(motion.value).all() or not np.any(motion.value):
        return None
    if position.obstime is None:
        msg = (
            "the SkyCoord has proper motions and no obstime, so that nothing tells when it was at its place; "
            "give it an obstime, or proper_motion=(pmra, pmdec, epoch)"
        )
        raise UsageError(msg)
    return motion[0], motion[1], position.obstime.ravel()[0]


def _read_epoch(epoch: Any) -> float:
    """Give the MJD of a Julian year or of a Time."""
    if hasattr(epoch, "tcb"):
        return float(epoch.utc.mjd)
    if isinstance(epoch, int | float | np.number) and 1000.0 < float(epoch) < _LATEST_YEAR:
        return _J2000_MJD + (float(epoch) - 2000.0) * _YEAR_DAYS
    msg = f"proper_motion: epoch {epoch!r} is no Julian year such as 2016.0, and no Time"
    raise UsageError(msg, epoch=epoch)


def _read_table(path: str | Path) -> Any:
    """Read a file of one of astropy's formats."""
    from astropy.table import Table

    from snapdb.archive.epochs.table import ASTROPY_FORMATS
    from snapdb.errors import FormatError, ObjectMissingError

    form = ASTROPY_FORMATS.get(Path(path).suffix.lower())
    if form is None:
        msg = f"ephemeris {path}: the suffix says no format; expected one of {', '.join(ASTROPY_FORMATS)}"
        raise UsageError(msg, path=str(path))
    try:
        return Table.read(path, format=form)
    except FileNotFoundError as err:
        msg = f"{path}: no such file; expected a table with columns mjd, ra, dec"
        raise ObjectMissingError(msg, path=str(path)) from err
    except (OSError, ValueError, TypeError) as err:
        msg = f"{path} cannot be read as a table: {err}"
        raise FormatError(msg, path=str(path)) from err


def _read_times(column: Any) -> FloatArray:
    """Give times as MJD UTC, NaN where they are masked: numbers are MJD already, text is ISO."""
    days = column
    if hasattr(column, "utc"):
        days = column.utc.mjd
    elif hasattr(column, "to_value") and getattr(column, "unit", None) is not None:
        days = column.to_value("d")
    elif (array := np.asarray(column)).dtype.kind in "MOSU":
        kind = {"M": "datetime64[us]", "S": "U"}.get(array.dtype.kind)  # text of FITS tables is bytes
        array = array if kind is None else array.astype(kind)
        days = [to_mjd(one) for one in array.ravel().tolist()]
    return forget_masked(np.asarray(days, dtype=np.float64), column)


def _spans(ra: FloatArray, dec: FloatArray) -> float:
    """Tell how far positions go from the first, degrees."""
    return float(np.max(separation(ra[0], dec[0], ra, dec)))


def _enclose(ra: FloatArray, dec: FloatArray) -> Reach:
    """Give a circle that holds positions, and a little more."""
    middle = to_vectors(ra, dec).sum(axis=0)
    if not np.linalg.norm(middle) > 0.0:
        middle = to_vectors(ra[0], dec[0])
    right, up = (float(v) for v in to_radec(middle / np.linalg.norm(middle)))
    radius = 1.05 * float(np.max(separation(right, up, ra, dec))) + _MARGIN_DEG
    return Reach(ra=right, dec=up, radius=min(radius, 90.0))
