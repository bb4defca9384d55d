"""Times as MJD, UTC, from what headers hold and what users write.

Calendar and time scales are ERFA's (the IAU SOFA routines), called without astropy.time, whose
import costs a second. As in astropy, the day of a leap second is 86401 s long.
"""

import math
import re
from datetime import UTC, date, datetime
from numbers import Real
from typing import Any

from snapdb.errors import SearchError, UsageError

_MJD_ZERO = 2_400_000.5
SCALES: tuple[str, ...] = ("utc", "tai", "tt", "tdb")
"""Time scales that are understood; headers' 'ut' and 'gmt' are to be given as ``utc``."""

_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ]\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d*)?))?)?"
    r"\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_OLD_FITS = re.compile(r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{2})")
_TEXT = "ISO text such as '2020-01-31' or '2020-01-31T06:18:30.75', a Time, a datetime, or an MJD"


def parse_mjd(value: Any, *, scale: str = "utc") -> float | None:
    """Read a time of a header.

    Parameters
    ----------
    value : str, float, datetime or Time
        ISO date with or without time; ``dd/mm/yy``, which is 19yy (FITS Standard 4.0,
        section 4.4.2.1); a number is an MJD.
    scale : {'utc', 'tai', 'tt', 'tdb'}
        Of the value, where it does not say so itself: a text with ``Z`` or an offset, an
        aware datetime and a Time do.

    Returns
    -------
    float or None
        MJD, UTC; None where the value is no time that exists: ``'09:60:00'``,
        ``'26/07/102'``, the 30th of February, NaN, an empty text.

    Raises
    ------
    UsageError
        If the scale is none of the four.

    Examples
    --------
    >>> parse_mjd("2000-01-01T12:00:00")
    51544.5
    >>> parse_mjd("01/01/00") == parse_mjd("1900-01-01")
    True
    >>> parse_mjd("26/07/102") is None
    True
    """
    if scale not in SCALES:
        msg = f"time scale {scale!r}: expected one of {', '.join(SCALES)}"
        raise UsageError(msg, scale=scale)
    if isinstance(value, bool):
        return None
    if isinstance(value, Real):
        number = float(value)
        return _to_utc(_MJD_ZERO, number, scale) if math.isfinite(number) else None
    if hasattr(value, "scale") and hasattr(value, "mjd"):
        return _from_time(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return _from_text(value.astimezone(UTC).isoformat(), "utc")
    return _from_text(value.isoformat() if isinstance(value, date) else str(value), scale)


def to_mjd(value: Any) -> float:
    """Take a time that a user gives.

    Parameters
    ----------
    value : str, float, datetime or Time
        ISO text; an MJD as number or as text; UTC where nothing else is said.

    Returns
    -------
    float
        MJD, UTC.

    Raises
    ------
    SearchError
        If it is no time that exists; a year alone, which could be an MJD too, is none.

    Examples
    --------
    >>> to_mjd("2020-01-01")
    58849.0
    """
    mjd = _from_number(value.strip()) if isinstance(value, str) else None
    if mjd is None:
        mjd = parse_mjd(value)
    if mjd is None:
        msg = f"{value!r:.80} is no time; expected {_TEXT}"
        raise SearchError(msg, value=value)
    return mjd


def _from_number(text: str) -> float | None:
    """Read an MJD from text, None where it is none, or four digits that are likelier a year."""
    if re.fullmatch(r"\d{4}", text):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _from_text(text: str, scale: str) -> float | None:
    """Read a date, with or without time."""
    text = text.strip()
    if match := _OLD_FITS.fullmatch(text):
        return _from_calendar(
            1900 + int(match["year"]), int(match["month"]), int(match["day"]), 0, 0, 0.0, scale
        )
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    zone = match["zone"]
    mjd = _from_calendar(
        int(match["year"]),
        int(match["month"]),
        int(match["day"]),
        int(match["hour"] or 0),
        int(match["minute"] or 0),
        float(match["second"] or 0.0),
        "utc" if zone else scale,
    )
    return None if mjd is None else mjd - _offset_days(zone)


def _offset_days(zone: str | None) -> float:
    """Give the offset of a zone from UTC in days, east positive."""
    if zone is None or zone in "Zz":
        return 0.0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-minutes if zone[0] == "-" else minutes) / 1440.0


def _from_calendar(
    year: int, month: int, day: int, hour: int, minute: int, second: float, scale: str
) -> float | None:
    """Give the MJD of a calendar date, None where it does not exist."""
    from erfa import ufunc

    # Status 1 says that leap seconds of that year are not known: photographic plates are from such years.
    jd1, jd2, status = ufunc.dtf2d(scale.upper().encode(), year, month, day, hour, minute, second)
    return _to_utc(float(jd1), float(jd2), scale) if status in (0, 1) else None


def _to_utc(jd1: float, jd2: float, scale: str) -> float:
    """Give the MJD, UTC, of a Julian date in two parts."""
    if scale == "utc":
        return (jd1 - _MJD_ZERO) + jd2
    from erfa import ufunc

    if scale == "tdb":
        # At the geocentre; the site's part is at most 2 microseconds.
        jd1, jd2, _ = ufunc.tdbtt(jd1, jd2, ufunc.dtdb(jd1, jd2, 0.0, 0.0, 0.0, 0.0))
    if scale in ("tdb", "tt"):
        jd1, jd2, _ = ufunc.tttai(jd1, jd2)
    jd1, jd2, _ = ufunc.taiutc(jd1, jd2)
    return (float(jd1) - _MJD_ZERO) + float(jd2)


def _from_time(value: Any) -> float | None:
    """Give the MJD of one astropy Time; None where it is masked, an array, or in no scale near UTC."""
    from astropy.time import ScaleValueError

    if not value.isscalar or bool(value.masked):
        return None
    try:
        mjd = float(value.utc.mjd)
    except (ScaleValueError, IndexError):  # IndexError: UT1 of a year that the tables do not have
        return None
    return mjd if math.isfinite(mjd) else None
