"""When an exposure began, and how long it lasted, from the many ways in which headers say so."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from snapdb.formats.cards import to_number
from snapdb.formats.lookup import Lookup
from snapdb.formats.scales import find_scale, to_utc

_EARLIEST, _LATEST = 1.0, 88_069.0
"""MJD from 1858-11-18 to 2100: what lies outside is no time of an observation."""
_DAY_0 = date(1858, 11, 17)
"""MJD 0."""
_DATE_ONLY = re.compile(r"^\d{4}-\d{2}-\d{2}$|^\d{1,2}/\d{1,2}/\d{2}$")
_TIME = re.compile(r"^\d{1,2}:\d{2}(:\d{2}(\.\d*)?)?$")
_TIMES = ("TIME-OBS", "TIME_OBS", "UTSTART", "UTC-OBS", "UTIME", "UT", "UT-STR")
"""Where the time of day stands that belongs to a date, if the map does not say."""
_PAIR = (("MJD-OBS", "DATE-OBS"), ("MJD_OBS", "DATE_OBS"), ("MJD-BEG", "DATE-BEG"))
_CLOCK = re.compile(r"[T ]\d{1,2}:\d{2}(:\d{2}(?:\.(\d*))?)?")
_CLOSE_S = 0.1
"""Seconds within which two cards say the same time, whatever their digits."""
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


@dataclass(frozen=True, slots=True)
class _Start:
    """What one card, or a card and its time of day, says."""

    mjd: float
    where: str
    date_only: bool = False


def find_mjd(lookup: Lookup, rules: Sequence[Mapping[str, Any]], exptime: float | None) -> float | None:
    """Find the start of the exposure, MJD UTC, by the first rule that gives a possible time.

    Parameters
    ----------
    lookup : Lookup
        The headers; takes up findings and warnings, and the date as the property
        ``date_obs`` where only that is known.
    rules : sequence of mapping
        Of the map, in order.
    exptime : float or None
        Seconds, for times that are the exposure's middle.

    Returns
    -------
    float or None
        None where no rule gives a time, with a warning. A date without a time of day is
        none, and neither is a whole MJD, unless another card says that it was 0h.
    """
    dates: list[tuple[Any, _Start]] = []
    for rule in rules:
        value, where = lookup.get(rule["card"])
        if value is None or not lookup.holds(rule.get("when")):
            continue
        start = _read_time(lookup, rule, value, where)
        if start is None:
            continue
        if not _EARLIEST < start.mjd < _LATEST:
            lookup.warn(f"{where} = {value!r} is no time of an observation")
        elif start.date_only:
            dates.append((value, start))
        else:
            _warn_of_contradiction(lookup, start.where)
            return _take(lookup, rule, start, exptime)
    _warn_of_no_time(lookup, dates)
    return None


def _take(lookup: Lookup, rule: Mapping[str, Any], start: _Start, exptime: float | None) -> float:
    """Settle on a time, moved to the start where it is the middle."""
    mjd, where = start.mjd, start.where
    if rule.get("at") == "middle" and exptime:
        mjd, where = mjd - exptime / 2.0 / 86400.0, f"{where} - exptime / 2"
    return float(lookup.found("mjd", mjd, where))


def _warn_of_no_time(lookup: Lookup, dates: Sequence[tuple[Any, _Start]]) -> None:
    """Say why the time stays open, and keep the date where there is one."""
    if not dates:
        lookup.warn("no time in the header")
        return
    value, start = min(dates, key=lambda d: to_number(d[0]) is not None)  # a text before an MJD
    day = _DAY_0 + timedelta(days=round(start.mjd))
    lookup.properties["date_obs"] = value if isinstance(value, str) else day.isoformat()
    lookup.warn(f"{start.where} = {value!r} is a date without a time of day; the start is left open")


def _warn_of_contradiction(lookup: Lookup, taken: str) -> None:
    """Tell of an MJD and a date of the observation that are not one time; both are the start (9.2.2)."""
    for mjd_card, date_card in _PAIR:
        (number, mjd_where), (day, date_where) = lookup.get_number(mjd_card), lookup.get(date_card)
        scale = find_scale(lookup.get("TIMESYS")[0])
        if number is None or day is None or scale is None or not _EARLIEST < number < _LATEST:
            continue
        text = str(day).strip()
        apart = measure_gap(number, text, scale)
        if apart:
            how = f"{apart:.3g} s" if apart < 86_400.0 else "more than a day"
            lookup.warn(
                f"{mjd_where} = {number!r} and {date_where} = {text!r} are {how} apart; {taken} is taken"
            )


def measure_gap(mjd: float, text: str, scale: str = "utc") -> float | None:
    """Measure how far apart an MJD and a date of one time are, beyond what their digits leave open.

    Parameters
    ----------
    mjd : float
        In `scale`. A whole one stands for its day.
    text : str
        ISO date; one without a time of day stands for its day.
    scale : str
        As :func:`snapdb.formats.scales.find_scale` gives it.

    Returns
    -------
    float or None
        Seconds; 0.0 where they differ by no more than one unit of the last digit of either (headers
        cut digits off as well as round them) or a tenth of a second, or where one stands for a day
        and they are no more than a day apart. None where one of them is no time that exists.
    """
    number, said = to_utc(mjd, scale), to_utc(text, scale)
    if number is None or said is None:
        return None
    apart = (number - said) * 86_400.0
    clock = _CLOCK.search(text)
    if clock is None or mjd.is_integer():
        is_close = -86_400.0 <= apart <= (172_800.0 if _DATE_ONLY.match(text) else 86_400.0)
    else:
        of_text = 10.0 ** -len(clock.group(2) or "") if clock.group(1) else 60.0
        of_mjd = 86_400.0 * 10.0 ** int(Decimal(repr(mjd)).as_tuple().exponent)
        is_close = abs(apart) <= max(_CLOSE_S, of_text, of_mjd)
    return 0.0 if is_close else abs(apart)


def _read_time(lookup: Lookup, rule: Mapping[str, Any], value: Any, where: str) -> _Start | None:
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
        return _Start(mjd, where)
    whole = how in ("mjd", "jd") and mjd.is_integer() and not rule.get("whole", False)
    return _in_utc(lookup, mjd, rule, scale, _Start(mjd, where, date_only=whole))


def _from_number(number: float, how: str) -> tuple[float, str | None]:
    """Give an MJD, and its time scale where the way of counting fixes it."""
    if how == "tai_seconds":
        return number / 86400.0, "tai"
    if how == "jd":
        return number - 2_400_000.5, None
    if how == "unix":
        return number / 86400.0 + 40_587.0, "utc"
    return number, None


def _read_date(lookup: Lookup, rule: Mapping[str, Any], text: str, where: str) -> _Start | None:
    """Read a date, with the time of another card where it has none of its own."""
    scale = "utc" if text.endswith("Z") else None
    date_only = _DATE_ONLY.match(text) is not None
    if date_only:
        time, time_where = _find_time(lookup, rule)
        if time is not None:
            text, where, date_only = f"{_to_iso_date(text)}T{time}", f"{where} and {time_where}", False
    return _in_utc(lookup, text, rule, scale, _Start(0.0, where, date_only=date_only))


def _read_compact(lookup: Lookup, rule: Mapping[str, Any], text: str, where: str) -> _Start | None:
    """Read yymmdd or yyyymmdd."""
    match = re.match(r"^(\d{2}|\d{4})(\d{2})(\d{2})$", text)
    if match is None:
        lookup.warn(f"{where} = {text!r} is not a date")
        return None
    year = int(match.group(1))
    year += 0 if year > 99 else 1900 if year >= 50 else 2000
    return _read_date(lookup, rule, f"{year:04d}-{match.group(2)}-{match.group(3)}", where)


def _find_time(lookup: Lookup, rule: Mapping[str, Any]) -> tuple[str | None, str]:
    """Find the time of day of a date: hh:mm:ss, or a number of hours (of seconds, if its comment says so)."""
    for spec in rule.get("time", _TIMES):
        value, where = lookup.get(spec)
        text = str(value or "").strip()
        if _TIME.match(text):
            return _pad_time(text), where
        number = to_number(value)
        if number is None:
            continue
        in_seconds = re.search(r"\[s\]|\bsec", lookup.get_comment(spec), re.IGNORECASE)
        seconds = number if in_seconds else number * 3600.0
        if 0.0 <= seconds < 86400.0:
            return _to_clock(seconds), where
    return None, ""


def _to_clock(seconds: float) -> str:
    """Write seconds of a day as hh:mm:ss with microseconds."""
    micros = min(round(seconds * 1e6), 86_400_000_000 - 1)
    minutes, rest = divmod(micros, 60_000_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest / 1e6:09.6f}"


def _pad_time(text: str) -> str:
    hours, _, rest = text.partition(":")
    return f"{int(hours):02d}:{rest}" if rest.count(":") else f"{int(hours):02d}:{rest}:00"


def _to_iso_date(text: str) -> str:
    """Turn dd/mm/yy, which stands for 19yy (FITS Standard 4.0, 4.4.2.1), into yyyy-mm-dd."""
    if "/" not in text:
        return text
    day, month, year = text.split("/")
    return f"19{year}-{int(month):02d}-{int(day):02d}"


def _in_utc(
    lookup: Lookup, value: float | str, rule: Mapping[str, Any], scale: str | None, start: _Start
) -> _Start | None:
    """Convert a time to UTC, or say why it cannot be."""
    scale = scale or rule.get("scale", "timesys")
    if scale == "timesys":
        timesys, where = lookup.get("TIMESYS")
        scale = find_scale(timesys)
        if scale is None:
            lookup.warn(f"{where} = {timesys!r} is no scale that can be converted; {start.where} is not used")
            return None
    mjd = to_utc(value, str(scale))
    if mjd is None:
        lookup.warn(f"{start.where} = {value!r} is no date that exists")
        return None
    return _Start(mjd, start.where, start.date_only)
