"""Coordinates in every form that users give, against astropy.coordinates."""

import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, Angle, Latitude, Longitude, SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.masked import Masked

from snapdb.errors import ShapeError, UnitError, UsageError
from snapdb.sky.units import split_coordinates, to_degrees


@pytest.mark.parametrize(
    "text",
    [
        "12h30m",
        "12h30m10.5s",
        "12h 30m 10.5s",
        "12:30:10.5",
        "12 30 10.5",
        "0h0m1s",
        "23:59:59.999",
        "12:30",
        "7h",
    ],
)
def test_right_ascension_against_astropy(text: str) -> None:
    assert to_degrees(text, name="ra") == pytest.approx(Angle(text, unit=u.hourangle).deg, rel=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "-20d30m",
        "+20d30m10.5s",
        "-20 30 10.5",
        "-0:30:00",
        "-00d00m01s",
        "+89:59:59.99",
        "20°30′10″",
        "-20.5",
    ],
)
def test_declination_against_astropy(text: str) -> None:
    assert to_degrees(text, name="dec") == pytest.approx(Angle(text, unit=u.deg).deg, rel=1e-14)


def test_text_by_hand() -> None:
    assert to_degrees("187.5", name="ra") == 187.5
    assert to_degrees(" +187.5 deg ", name="ra") == 187.5
    assert to_degrees("187d30m", name="ra") == 187.5
    assert to_degrees("\N{MINUS SIGN}20:30", name="dec") == -20.5
    assert to_degrees("12:30:00", name="position_angle") == 12.5
    assert to_degrees("1h", name="ra") == 15.0
    assert to_degrees("5e-3", name="dec") == 0.005


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "ra"),
        ("abc", "ra"),
        ("12:60:00", "ra"),
        ("12:30:60", "ra"),
        ("12h30s", "ra"),
        ("187:30:00", "ra"),
        ("25h", "ra"),
        ("12h30m", "dec"),
        ("2h", "dec"),
        ("12:30.5:10", "ra"),
        ("nan", "ra"),
        ("12:30:00:00", "dec"),
        ("1 2 3 4", "dec"),
        (None, "ra"),
        (True, "ra"),
        (1j, "ra"),
        ([True], "ra"),
        ([1.0, "x"], "ra"),
        ({"ra": 1}, "ra"),
        ([[1.0], [1.0, 2.0]], "ra"),
        (object(), "dec"),
    ],
)
def test_what_is_no_angle(text: object, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} = .* is no angle; expected"):
        to_degrees(text, name=name)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        1.5 * u.deg,
        0.1 * u.hourangle,
        5400 * u.arcsec,
        Angle("1d30m"),
        Longitude(1.5 * u.deg),
        Latitude(90 * u.arcmin),
        np.float32(1.5),
        np.array(1.5),
    ],
)
def test_scalars_become_floats(value: object) -> None:
    result = to_degrees(value, name="ra")
    assert type(result) is float
    assert result == pytest.approx(1.5, rel=1e-15)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5],
        (1.0, 2.5),
        np.array([1.0, 2.5], dtype=">f4"),
        [1.0, 2.5] * u.deg,
        [1.0 * u.deg, 150 * u.arcmin],
        ["1.0", "2d30m"],
        np.array(["1.0", "2d30m"]),
        np.array(["1.0", 2.5], dtype=object),
        Column([60.0, 150.0], unit="arcmin"),
        Column([1.0, 2.5]),
    ],
)
def test_arrays_become_arrays(value: object) -> None:
    result = to_degrees(value, name="dec")
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.dtype("f8")
    np.testing.assert_allclose(result, [1.0, 2.5], rtol=1e-15)


def test_input_is_never_shared() -> None:
    given = np.array([1.0, 2.0])
    ra, dec = split_coordinates(given, given)
    assert not np.shares_memory(ra, given)
    assert not np.shares_memory(ra, dec)


def test_nothing_is_wrapped_and_nan_stays() -> None:
    np.testing.assert_array_equal(to_degrees([-10.0, 370.0, np.nan], name="ra"), [-10.0, 370.0, np.nan])


@pytest.mark.parametrize(
    "value",
    [
        np.ma.masked_array([10.0, 20.0, 30.0], mask=[False, True, False]),
        np.ma.masked_array([10, 20, 30], mask=[False, True, False]),
        MaskedColumn([10.0, 20.0, 30.0], mask=[False, True, False]),
        MaskedColumn([600.0, 1200.0, 1800.0], mask=[False, True, False], unit="arcmin"),
        MaskedColumn(["10d", "20d", "30d"], mask=[False, True, False]),
        Masked([10.0, 20.0, 30.0] * u.deg, mask=[False, True, False]),
        Masked(np.array([10.0, 20.0, 30.0]), mask=[False, True, False]),
    ],
)
def test_what_is_masked_is_not_known(value: object) -> None:
    """Oracle: the numbers by hand; what lies under a mask means nothing, often 0 or 1e20."""
    np.testing.assert_allclose(to_degrees(value, name="ra"), [10.0, np.nan, 30.0], rtol=1e-14)


def test_one_masked_value_is_not_known() -> None:
    """Oracle: by hand; ``float(numpy.ma.masked.data)`` is 0, a place on the sky."""
    row = Table({"ra": np.ma.masked_array([10.0, 20.0], mask=[False, True]), "dec": [1.0, 2.0]})[1]
    ra, dec = split_coordinates(row["ra"], row["dec"])
    assert np.isnan(ra)
    assert dec == 2.0
    assert np.isnan(to_degrees(Masked(20.0 * u.deg, mask=True), name="ra"))


def test_masked_sky_coordinates_are_not_known() -> None:
    """Oracle: the same coordinates without a mask."""
    ra, dec = Masked([10.0, 20.0] * u.deg, mask=[False, True]), [1.0, 2.0] * u.deg
    for found, whole in zip(split_coordinates(SkyCoord(ra, dec)), (10.0, 1.0), strict=True):
        np.testing.assert_allclose(found, [whole, np.nan], rtol=1e-14)


def test_unit_that_is_no_angle() -> None:
    with pytest.raises(UnitError, match="ra has the unit m"):
        to_degrees(3 * u.m, name="ra")
    with pytest.raises(UnitError):
        to_degrees([1 * u.deg, 2 * u.m], name="ra")


@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic", "geocentrictrueecliptic"])
def test_sky_coordinates_of_any_frame(frame: str) -> None:
    """Oracle: the same place, made in ICRS and brought to the frame by astropy."""
    place = SkyCoord(210.8, 54.3, unit="deg").transform_to(frame)
    ra, dec = split_coordinates(place)
    assert type(ra) is float
    assert type(dec) is float
    assert [ra, dec] == pytest.approx([210.8, 54.3], abs=1e-9)


def test_sky_coordinates_of_any_shape() -> None:
    place = SkyCoord(np.arange(6.0).reshape(2, 3), np.zeros((2, 3)), unit="deg")
    ra, dec = split_coordinates(place)
    np.testing.assert_allclose(ra, np.arange(6.0).reshape(2, 3), atol=1e-13)
    assert np.shape(dec) == (2, 3)
    assert np.shape(split_coordinates(place[:0])[0]) == (0, 3)


def test_pairs() -> None:
    assert split_coordinates("12:30:00", -20 * u.deg) == (187.5, -20.0)
    ra, dec = split_coordinates([1.0, 2.0], 5)
    np.testing.assert_array_equal(ra, [1.0, 2.0])
    np.testing.assert_array_equal(dec, [5.0, 5.0])
    assert np.shape(split_coordinates([], [])[0]) == (0,)


def test_pairs_that_are_refused() -> None:
    place = SkyCoord(1.0, 2.0, unit="deg")
    with pytest.raises(UsageError, match="leave out dec"):
        split_coordinates(place, 2.0)
    with pytest.raises(UsageError, match="without dec"):
        split_coordinates(1.0)
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        split_coordinates([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="no place in ICRS"):
        split_coordinates(SkyCoord(AltAz(az=1 * u.deg, alt=2 * u.deg)))
    with pytest.raises(UsageError, match="dec = True"):
        split_coordinates(1.0, True)


def test_numbers_and_text_need_no_astropy() -> None:
    """Start-up stays quick: astropy.coordinates alone takes a second."""
    code = (
        "import sys; from snapdb.sky.units import split_coordinates as s;"
        "s('12:30:00', -20.5); s([1.0], [2.0]);"
        "sys.exit('astropy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
