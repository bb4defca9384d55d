"""Time scales as TIMESYS names them, and their times as MJD, UTC."""

import re
from typing import Any

from snapdb.formats.quiet import caught_warnings
from snapdb.sky.time import SCALES, parse_mjd

_NAMES = {
    "UTC": "utc", "UT": "utc", "UT1": "utc", "GMT": "utc", "Z": "utc", "TAI": "tai", "IAT": "tai", "TT": "tt",
    "TDT": "tt", "ET": "tt", "TDB": "tdb", "TCG": "tcg", "TCB": "tcb", "GPS": "gps",
}  # fmt: skip
"""FITS Standard 4.0, table 30; UT1 differs from UTC by less than 0.9 s, which no header resolves."""
_GPS_SECONDS = 19.0
"""TAI - GPS."""


def find_scale(timesys: object) -> str | None:
    """Read TIMESYS: ``UTC approximate``, ``TT(TAI)``, ``TDT`` ...; UTC where it is absent (4.4.2.6).

    Parameters
    ----------
    timesys : object
        The card's value, None where there is no such card.

    Returns
    -------
    str or None
        A scale that :func:`to_utc` takes; None for local time and for what is not understood.
    """
    match = re.match(r"[A-Z0-9]+", str("UTC" if timesys is None else timesys).strip().upper())
    return _NAMES.get(match.group()) if match else None


def to_utc(value: float | str, scale: str) -> float | None:
    """Convert a time to MJD, UTC.

    Parameters
    ----------
    value : float or str
        MJD, or a date with or without time.
    scale : str
        As :func:`find_scale` gives it.

    Returns
    -------
    float or None
        None where the value is no time that exists.
    """
    if scale in SCALES:
        mjd: float | None = parse_mjd(value, scale=scale)
        return mjd
    # The proleptic reading as TAI has days of 86400 s, as those of every scale but UTC.
    from astropy.time import Time, TimeDelta

    with caught_warnings():  # of years whose leap seconds are not known
        try:
            time = _make_time(Time, value, "tai" if scale == "gps" else scale)
        except ValueError:
            return None
        if scale == "gps":
            time = time + TimeDelta(_GPS_SECONDS, format="sec")
        found: float | None = parse_mjd(time)
    return found


def _make_time(kind: Any, value: float | str, scale: str) -> Any:
    if isinstance(value, str):
        return kind(value.replace(" ", "T"), format="isot", scale=scale)
    return kind(value, format="mjd", scale=scale)
