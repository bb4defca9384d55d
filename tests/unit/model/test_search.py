"""Criteria by keyword: what is taken, as what, and what is refused by name."""

import datetime as dt
import math
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.time import Time

from snapdb.errors import SearchError
from snapdb.model.image import ImageRecord
from snapdb.model.search import CRITERIA, EQUALS, ORDERS, Search, make_search

ID = UUID("bdfc881c-bc69-58b7-6cd9-2c6f7db341c3")


def test_nothing_asks_for_everything() -> None:
    assert make_search() == Search()
    assert make_search(band=None, ra=None, dec=None, mjd_min=None, order_by=None, limit=None) == Search()
    assert not Search().is_empty


# What snappl's users search by, from its public documentation and its code.
SNAPPL = """
    ra dec ra_min ra_max dec_min dec_max id observation_id sca band filepath width_min width_max height_min
    height_max mjd_min mjd_max exptime_min exptime_max position_angle_min position_angle_max order_by limit
    offset ra_corner_00_min ra_corner_00_max dec_corner_11_min dec_corner_11_max
"""
SNAPPL_ORDERS = "id provenance_id observation_id sca ra dec filepath width height mjd exptime"


def test_snappls_names_are_known() -> None:
    assert set(SNAPPL.split()) <= set(CRITERIA)
    assert set(SNAPPL_ORDERS.split()) <= set(ORDERS)
    assert set(ORDERS) <= {*ImageRecord.__dataclass_fields__}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"band": "r"}, ("r",)),
        ({"band": ["r", "i", "r"]}, ("r", "i")),
        ({"band": ()}, ()),
        ({"band": np.array(["r", "i"])}, ("r", "i")),
        ({"sca": 3}, (3,)),
        ({"sca": 3.0}, (3,)),
        ({"sca": np.int64(3)}, (3,)),
        ({"sca": range(1, 3)}, (1, 2)),
        ({"observation_id": 17}, ("17",)),
        ({"filepath": PurePosixPath("a/b.fits")}, ("a/b.fits",)),
        ({"id": str(ID)}, (ID,)),
        ({"id": {ID}}, (ID,)),
        ({"mjd": "2020-01-01"}, (58849.0,)),
        ({"exptime": 30}, (30.0,)),
    ],
    ids=str,
)
def test_values_are_taken_one_or_many(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (name,) = given
    assert make_search(**given).equals == {name: expected}


def test_an_empty_list_matches_nothing() -> None:
    assert make_search(band=[]).is_empty
    assert make_search(provenance_ids=[]).is_empty
    assert make_search(limit=0).is_empty
    assert not make_search(band=["r"], provenance_ids=[ID], limit=1).is_empty


# 2020-01-01T12:00 UTC is JD 2458850.0 (Meeus' calendar), MJD 58849.5.
@pytest.mark.parametrize(
    "moment",
    [
        58849.5,
        "2020-01-01T12:00:00",
        Time("2020-01-01T12:00:00", scale="utc"),
        dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC),
        np.float64(58849.5),
    ],
    ids=str,
)
def test_times_are_taken_in_many_forms(moment: object) -> None:
    search = make_search(mjd_min=moment, mjd=moment)
    assert search.ranges["mjd"][0] == pytest.approx(58849.5, abs=1e-9)
    assert search.equals["mjd"][0] == pytest.approx(58849.5, abs=1e-9)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        (187.5, -12.5),
        (187.5 - 360, -12.5),
        (187.5 + 720, -12.5),
        (187.5 * u.deg, Angle("-12d30m")),
        ("12h30m", "-12d30m"),
        (SkyCoord(187.5, -12.5, unit="deg"), None),
        (np.float32(187.5), np.int64(-12) - 0.5),
    ],
    ids=str,
)
def test_positions_are_taken_in_many_forms(ra: Any, dec: Any) -> None:
    search = make_search(ra=ra, dec=dec)
    assert search.ra == pytest.approx(187.5, abs=1e-9)
    assert search.dec == pytest.approx(-12.5, abs=1e-9)


def test_right_ascension_never_rounds_up_to_360() -> None:
    assert make_search(ra=-1e-20, dec=0).ra == 0.0
    assert make_search(ra=360, dec=0).ra == 0.0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (10, 20, (10, 20)),
        (359, 1, (359, 1)),
        (-1, 1, (359, 1)),
        (350, 370, (350, 10)),
        (0, 360, None),
        (-180, 180, None),
        (None, 20, (None, 20)),
        (10, None, (10, None)),
    ],
)
def test_ranges_of_right_ascension_wrap(low: Any, high: Any, expected: Any) -> None:
    assert make_search(ra_min=low, ra_max=high).ranges.get("ra") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mjd", (("mjd", False),)),
        ("-mjd", (("mjd", True),)),
        ("mjd desc", (("mjd", True),)),
        ("mjd ASC", (("mjd", False),)),
        (["band", "-mjd"], (("band", False), ("mjd", True))),
        ([], ()),
    ],
)
def test_order_is_read(given: Any, expected: Any) -> None:
    assert make_search(order_by=given).order_by == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bnad": "r"}, r"unknown search parameter 'bnad'; did you mean 'band'\?"),
        ({"zzz": 1}, r"unknown search parameter 'zzz'; known are ra, dec"),
        ({"mjd_mn": 1}, r"did you mean 'mjd_min'\?"),
        ({"band_min": 1}, "unknown search parameter 'band_min'"),
        ({"ra": 10}, "ra = 10: expected dec beside it"),
        ({"dec": 10}, "dec = 10: expected ra beside it"),
        ({"ra": 10, "dec": 91}, "dec = 91.0: expected a declination between -90 and 90"),
        ({"ra": 10, "dec": math.nan}, "dec = nan: expected a finite"),
        ({"ra": math.inf, "dec": 0}, "ra = inf: expected a finite"),
        ({"ra": True, "dec": 0}, "ra = True: expected"),
        ({"dec_min": -91}, "dec_min = -91.0: expected a declination"),
        ({"mjd_min": 5, "mjd_max": 3}, "mjd_min = 5: expected at most mjd_max = 3"),
        ({"mjd_min": math.nan}, "mjd_min = nan: expected"),
        ({"mjd_min": "yesterday"}, "mjd_min = 'yesterday': expected an MJD"),
        ({"mjd_min": True}, "mjd_min = True: expected"),
        # What people paste: JD of 2014-08-18, whose MJD is 56887 (ERFA's DJM0 = 2400000.5), and its digits.
        ({"mjd_min": 2456887.5}, r"mjd_min = 2456887\.5: .*this is MJD 56887$"),
        ({"mjd": 20140818}, "mjd = 20140818.0: expected an MJD; a date is written '2014-08-18'"),
        ({"exptime_max": "30"}, "exptime_max = '30': expected a finite number"),
        ({"ra": "noon", "dec": 0}, "ra, dec: .*noon"),
        ({"ra": [1, 2], "dec": [1, 2]}, "ra = .*expected a finite number"),
        ({"ra": 5 * u.m, "dec": 0}, "ra, dec: "),
        ({"sca": "3"}, "sca = '3': expected a whole number"),
        ({"sca": 3.5}, "sca = 3.5: expected a whole number"),
        ({"sca": True}, "sca = True: expected a whole number"),
        ({"sca": 2**63}, "expected a whole number of at most 64 bits"),
        ({"sca": -(10**400)}, "expected a whole number of at most 64 bits"),
        ({"limit": 10**30}, "limit = 1000.*expected a whole number of at most 64 bits"),
        ({"mjd_min": 10**400}, "mjd_min = 1000.*expected a number of at most 64 bits"),
        ({"ra": 10**400, "dec": 0}, "ra = 1000.*expected a number of at most 64 bits"),
        ({"sca": math.nan}, "sca = nan: expected a whole number"),
        ({"band": 3.5}, "band = 3.5: expected text"),
        ({"band": True}, "band = True: expected text"),
        ({"band": ["r", None]}, "band = None: expected text"),
        ({"band": b"r"}, "expected text"),
        ({"id": "not an id"}, "id = 'not an id': expected a UUID"),
        ({"provenance_ids": ["x"]}, "provenance_ids = 'x': expected a UUID"),
        ({"limit": -1}, "limit = -1: expected an integer that is not negative"),
        ({"limit": 1.5}, "limit = 1.5: expected a whole number"),
        ({"offset": True}, "offset = True: expected a whole number"),
        ({"order_by": "mjdd"}, r"unknown column in order_by 'mjdd'; did you mean 'mjd'\?"),
        ({"order_by": "mjd down"}, "order_by = 'mjd down': expected 'asc' or 'desc'"),
        ({"order_by": "wcs_header"}, "unknown column in order_by"),
        ({"order_by": 3}, "order_by = 3: expected a column's name"),
        ({"order_by": ""}, "order_by = '': expected a column's name"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SearchError, match=message) as caught:
        make_search(**given)
    assert "parameter" in caught.value.fields


def test_an_integer_that_python_does_not_write_out_is_refused_too() -> None:
    with pytest.raises(
        SearchError, match=r"exptime = \(an integer of thousands of digits\): expected a number"
    ):
        make_search(exptime=10**5000)


def test_an_unknown_name_is_refused_even_without_a_value() -> None:
    with pytest.raises(SearchError, match="unknown search parameter 'bnad'"):
        make_search(bnad=None)


def test_every_column_by_value_is_known() -> None:
    assert set(EQUALS) - {"id", "filepath", "hdu", "format", "sha256"} <= {*ImageRecord.__dataclass_fields__}
