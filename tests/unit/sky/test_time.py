"""Times as headers and users write them, against astropy.time."""

import warnings
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from astropy.time import Time
from erfa import ErfaWarning

from snapdb.errors import SearchError, UsageError
from snapdb.sky.time import parse_mjd, to_mjd

_STEP = 4e-6 / 86400
"""Days; a double resolves 0.6 microseconds of a present MJD."""


def _astropy_mjd(value: object, **how: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)  # leap seconds of plates' years are not known
        return float(Time(value, **how).utc.mjd)


@pytest.mark.parametrize("scale", ["utc", "tai", "tt", "tdb"])
@pytest.mark.parametrize(
    "text",
    [
        "2017-03-16T06:18:30.75",
        "2017-03-16 06:18:30.75",
        "2016-12-31T23:59:59.5",
        "2016-12-31T12:00:00",
        "1999-12-31",
        "1954-06-30T03:12:00",
        "2031-07-01T00:00:01",
    ],
)
def test_scales_against_astropy(text: str, scale: str) -> None:
    assert parse_mjd(text, scale=scale) == pytest.approx(_astropy_mjd(text, scale=scale), abs=_STEP, rel=0)


@pytest.mark.parametrize("scale", ["utc", "tai", "tt", "tdb"])
@pytest.mark.parametrize("mjd", [57754.00001, 51544.5, 40000.0, 60310.999999])
def test_numbers_against_astropy(mjd: float, scale: str) -> None:
    assert parse_mjd(mjd, scale=scale) == pytest.approx(
        _astropy_mjd(mjd, format="mjd", scale=scale), abs=_STEP, rel=0
    )


def test_leap_second_lies_between_its_neighbours() -> None:
    before, leap, after = (
        parse_mjd(text) for text in ("2016-12-31T23:59:59.5", "2016-12-31T23:59:60.5", "2017-01-01T00:00:00")
    )
    assert before is not None
    assert leap is not None
    assert after is not None
    assert before < leap < after
    assert leap == pytest.approx(_astropy_mjd("2016-12-31T23:59:60.5"), abs=_STEP, rel=0)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("16/03/87", "1987-03-16"),
        ("1/3/54", "1954-03-01"),
        ("01/01/00", "1900-01-01"),
        ("2017-03-16T06:18:30.75Z", "2017-03-16T06:18:30.75"),
        (" 2017-03-16T06:18 ", "2017-03-16T06:18:00"),
        ("2017-03-16T08:18:30+02:00", "2017-03-16T06:18:30"),
        ("2017-03-16T01:18:30-0500", "2017-03-16T06:18:30"),
    ],
)
def test_forms_of_one_time(text: str, same: str) -> None:
    assert parse_mjd(text) == pytest.approx(_astropy_mjd(same), abs=_STEP, rel=0)


def test_a_zone_is_utc_whatever_the_header_says_of_its_scale() -> None:
    assert parse_mjd("2017-03-16T06:18:30Z", scale="tai") == parse_mjd("2017-03-16T06:18:30")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "09:60:00",
        "26/07/102",
        "32/01/99",
        "2017-02-29",
        "2017-13-01",
        "2017-03-16T24:00:01",
        "2017-03-16T06:60:00",
        "2017-03-16T06:18:61",
        "2015-12-31T23:59:60",
        "2017-03",
        "2017-3-16",
        "yesterday",
        "2017-03-16T",
        float("nan"),
        float("inf"),
        True,
        None,
        b"2017-03-16",
        np.datetime64("NaT"),
        [58849.0],
    ],
)
def test_what_is_no_time(value: object) -> None:
    assert parse_mjd(value) is None
    with pytest.raises(SearchError, match="is no time"):
        to_mjd(value)


def test_unknown_scale_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of utc, tai, tt, tdb"):
        parse_mjd(58849.0, scale="sidereal")


@pytest.mark.parametrize(
    "value",
    [
        "2020-01-01",
        58849,
        58849.0,
        "58849",
        " 58849.0 ",
        np.float32(58849.0),
        np.int64(58849),
        date(2020, 1, 1),
        datetime(2020, 1, 1),  # a naive datetime is taken as UTC
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2020, 1, 1, 3, tzinfo=timezone(timedelta(hours=3))),
        np.datetime64("2020-01-01"),
        np.datetime64("2020-01-01T00:00:00.000000000"),
        Time("2020-01-01"),
        Time("2020-01-01T00:00:37", scale="tai"),
    ],
)
def test_what_users_give(value: object) -> None:
    """Oracle: MJD 58849 is 2020-01-01T00:00:00 UTC (TAI - UTC = 37 s then)."""
    assert to_mjd(value) == pytest.approx(58849.0, abs=_STEP, rel=0)


def test_four_digits_could_be_a_year() -> None:
    with pytest.raises(SearchError):
        to_mjd("2020")
    assert to_mjd("2020.0") == 2020.0


def test_time_that_is_not_one_time() -> None:
    masked = Time(["2020-01-01", "2020-01-02"])
    masked[0] = np.ma.masked
    for value in (Time(["2020-01-01", "2020-01-02"]), masked[0], Time("2020-01-01", scale="local")):
        with pytest.raises(SearchError):
            to_mjd(value)
