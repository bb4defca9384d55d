"""Option values: what is read, and what is refused."""

from typing import Any

import click
import pytest

from snapdb.cli.criteria import number_or_text
from snapdb.cli.values import DEC, PARAMETER, PROPERTY, RA, SIZE, VERSION, Size


@pytest.mark.parametrize(
    ("text", "degrees"),
    [("12.5", 12.5), ("-20", -20.0), ("1e-3", 0.001), ("-20d10m30s", -20.175), ("-0d30m", -0.5)],
)
def test_declinations(text: str, degrees: float) -> None:
    """Oracle: 10' 30" are 0.175 degrees."""
    assert DEC.convert(text, None, None) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("187.5", 187.5),
        ("12h30m", 187.5),
        ("12h30m10s", 187.5 + 10 / 240),
        ("12:30:00", 187.5),
        ("187d30m", 187.5),
    ],
)
def test_right_ascensions(text: str, degrees: float) -> None:
    """Oracle: one hour is 15 degrees, one second of time 1/240 degree."""
    assert RA.convert(text, None, None) == pytest.approx(degrees, abs=1e-12)


@pytest.mark.parametrize("text", ["", "north", "nan", "inf", "12h99m"])
def test_what_is_no_angle_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not an angle; expected degrees"):
        RA.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "scale", "pixels"),
    [
        ("51", None, 51),
        ("51pix", 0.2, 51),
        ("30arcsec", 0.5, 60),
        ("30.1arcsec", 0.5, 61),
        ("0.5arcmin", 0.5, 60),
        ("0.01deg", 0.5, 72),
        ('5"', 0.1, 50),
        ("0.1arcsec", 1.0, 1),
        ("3arcsec", 0.1, 30),
    ],
)
def test_sizes(text: str, scale: float | None, pixels: int) -> None:
    assert SIZE.convert(text, None, None).to_pixels(scale) == pixels


def test_an_angle_needs_a_pixel_scale() -> None:
    assert SIZE.convert("3arcsec", None, None).to_pixels(None) is None
    assert Size(arcsec=3.0).to_pixels(0.0) is None


@pytest.mark.parametrize("text", ["0", "-5", "50.5", "5parsec", "0arcsec", "big", "", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size; expected whole pixels"):
        SIZE.convert(text, None, None)


@pytest.mark.parametrize(("text", "version"), [("1", (1, 0)), ("1.2", (1, 2)), ("2024.10", (2024, 10))])
def test_versions(text: str, version: tuple[int, int]) -> None:
    assert VERSION.convert(text, None, None) == version


@pytest.mark.parametrize("text", ["1.2.3", "v1", "-1", "1.", ""])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected MAJOR or MAJOR\.MINOR"):
        VERSION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=5", 5),
        ("k=5.0", 5.0),
        ("k=true", True),
        ("k=[1, 2]", [1, 2]),
        ("k='r'", "r"),
        ("k=r", "r"),
        ("k=a=b", "a=b"),
        ("k=", ""),
    ],
)
def test_parameters_are_typed_as_toml_types_them(text: str, value: Any) -> None:
    name, read = PARAMETER.convert(text, None, None)
    assert name == "k"
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["k", "=5", " =5"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected NAME=VALUE"):
        PARAMETER.convert(text, None, None)


def test_a_year_is_not_taken_for_an_mjd() -> None:
    """MJD 2014 is 24 May 1864: as a bound it would let everything through."""
    with pytest.raises(click.UsageError, match="'2014' may be a year; write '2014-01-01'"):
        number_or_text("2014")
    assert [number_or_text(t) for t in ("2014.0", "56887", "1700")] == [2014.0, 56887.0, 1700.0]
    assert number_or_text("2014-01-01") == "2014-01-01"


@pytest.mark.parametrize("text", ["airmass!=1", "airmass<1", "airmass>1", "airmass~=x", "airmass", "=1"])
def test_tests_of_properties_that_there_are_not(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no test"):
        PROPERTY.convert(text, None, None)
