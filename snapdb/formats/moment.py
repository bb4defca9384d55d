"""When an exposure began, and how long it lasted, from the many ways in which headers say so."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from snapdb.formats.cards import to_number
from snapdb.formats.lookup import Lookup
from snapdb.sky.time import parse_mjd

_EARLIEST, _LATEST = 1.0, 88_069.0
"""MJD from 1858-11-18 to 2100: what lies outside is no time of an observation."""
_DATE_ONLY = re.compile(r"^\d{4}-\d{2}-\d{2}$|^\d{1,2}/\d{1,2}/\d{2}$")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def find_exptime(lookup: Lookup, rules: Sequence[Mapping[str, Any]]) -> float | None:
    """Find the exposure time in seconds; None where it is not known, or zero."""
    for rule in rules:
        value, where = lookup.get_number(rule["card"])
        if value is None or not lookup.holds(rule.get("when")):
            continue
        seconds = value * _SECONDS[rule.get("unit", "s")]
        if seconds > 0.0:
            return float(lookup.found("exptime", seconds, where))
        lookup.warn(f"{where} = {value:g} is no exposure time")
    return None


def find_mjd(lookup: Lookup, rules: Sequence[Mapping[str, Any]], exptime: float | None) -> float | None:
    """Find the start of the exposure, MJD UTC, by the first rule that gives a possible time.

    Parameters
    ----------
    lookup : Lookup
        The headers; takes up findings and warnings.
    rules : sequence of mapping
        Of the map, in order.
    exptime : float or None
        Seconds, for times that are the exposure's middle.

    Returns
    -------
    float or None
        None where no rule gives a time, with a warning.
    """
    for rule in rules:
        value, where = lookup.get(rule["card"])
        if value is None or not lookup.holds(rule.get("when")):
            continue
        mjd = _read_time(lookup, rule, value, where)
        if mjd is None:
            continue
        if not _EARLIEST < mjd < _LATEST:
            lookup.warn(f"{where} = {value!r} is no time of an observation")
            continue
        if rule.get("at") == "middle" and exptime:
            mjd, where = mjd - exptime / 2.0 / 86400.0, f"{where} - exptime / 2"
        return float(lookup.found("mjd", mjd, where))
    lookup.warn("no time in the header")
    return None


def _read_time(lookup: Lookup, rule: Mapping[str, Any], value: Any, where: str) -> float | None:
    how = rule.get("as") or ("mjd" if to_number(value) is not None else "iso")
    if how == "iso":
        return _read_date(lookup, rule, str(value).strip(), where)
    if how == "compact_date":
        return _read_compact(lookup, rule, str(value).strip(), where)
    number = to_number(value)
    if number is None:
        lookup.warn(f"{where} = {value!r} is not a number")
        return None
    mjd, scale = _from_number(number, how)
    if not _EARLIEST < mjd < _LATEST:
        return mjd
    return _to_utc(lookup, mjd, rule, scale, where)


def _from_number(number: float, how: str) -> tuple[float, str | None]:
    """Give an MJD, and its time scale where the way of counting fixes it."""
    if how == "tai_seconds":
        return number / 86400.0, "tai"
    if how == "jd":
        return number - 2_400_000.5, None
    if how == "unix":
        return number / 86400.0 + 40_587.0, "utc"
    return number, None


def _read_date(lookup: Lookup, rule: Mapping[str, Any], text: str, where: str) -> float | None:
    """Read a date, with the time of another card where it has none of its own."""
    scale = "utc" if text.endswith("Z") else None
    if _DATE_ONLY.match(text):
        time, time_where = _find_time(lookup, rule)
        if time is None:
            mjd = _to_utc(lookup, text, rule, "utc", where)
            if mjd is not None:
                lookup.warn(f"{where} = {text!r} has no time of day: 0h is taken, which may be a day early")
            return mjd
        joined = f"{_to_iso_date(text)}T{time}"
        return _to_utc(lookup, joined, rule, scale, f"{where} and {time_where}")
    return _to_utc(lookup, text, rule, scale, where)


def _read_compact(lookup: Lookup, rule: Mapping[str, Any], text: str, where: str) -> float | None:
    """Read yymmdd or yyyymmdd."""
    match = re.match(r"^(\d{2}|\d{4})(\d{2})(\d{2})$", text)
    if match is None:
        lookup.warn(f"{where} = {text!r} is not a date")
        return None
    year = int(match.group(1))
    year += 0 if year > 99 else 1900 if year >= 50 else 2000
    return _read_date(lookup, rule, f"{year:04d}-{match.group(2)}-{match.group(3)}", where)


def _find_time(lookup: Lookup, rule: Mapping[str, Any]) -> tuple[str | None, str]:
    for spec in rule.get("time", ()):
        value, where = lookup.get(spec)
        if value is not None and re.match(r"^\d{1,2}:\d{2}(:\d{2}(\.\d*)?)?$", str(value).strip()):
            return _pad_time(str(value).strip()), where
    return None, ""


def _pad_time(text: str) -> str:
    hours, _, rest = text.partition(":")
    return f"{int(hours):02d}:{rest}" if rest.count(":") else f"{int(hours):02d}:{rest}:00"


def _to_iso_date(text: str) -> str:
    """Turn dd/mm/yy, which stands for 19yy (FITS Standard 4.0, 4.4.2.1), into yyyy-mm-dd."""
    if "/" not in text:
        return text
    day, month, year = text.split("/")
    return f"19{year}-{int(month):02d}-{int(day):02d}"


def _to_utc(
    lookup: Lookup, value: float | str, rule: Mapping[str, Any], scale: str | None, where: str
) -> float | None:
    scale = scale or rule.get("scale", "timesys")
    if scale == "timesys":
        scale = _find_scale(lookup)
    mjd: float | None = parse_mjd(value, scale=scale)
    if mjd is None:
        lookup.warn(f"{where} = {value!r} is no date that exists")
    return mjd


def _find_scale(lookup: Lookup) -> str:
    """Read TIMESYS: 'UTC approximate', 'TAI', 'TT(TAI)' ...; UTC where it is absent (4.4.2.6)."""
    value, where = lookup.get("TIMESYS")
    text = str(value or "UTC").strip().lower()
    for scale in ("utc", "tai", "tdb", "tt"):
        if text.startswith(scale):
            return scale
    if not text.startswith(("ut", "gmt")):
        lookup.warn(f"{where} = {value!r} is a time scale that is not understood; UTC is taken")
    return "utc"
