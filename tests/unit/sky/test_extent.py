"""Sizes as users give them."""

import math
from typing import Any

import astropy.units as u
import pytest

from snapdb.errors import ShapeError, UnitError, UsageError
from snapdb.sky.extent import Extent


@pytest.mark.parametrize("given", [51, 51.0, "51", " 51 px", 51 * u.pix])
def test_pixels_are_the_same_in_every_image(given: Any) -> None:
    extent = Extent.of(given)
    assert [extent.to_pixels(scale) for scale in (0.1, 3.0, None)] == [51, 51, 51]
    assert extent.to_arcsec(0.5) == 25.5


@pytest.mark.parametrize("given", ["10arcsec", '10"', 10 * u.arcsec, (10 / 3600) * u.deg, "10000mas"])
def test_an_angle_reaches_as_far_in_every_image(given: Any) -> None:
    extent = Extent.of(given)
    for scale in (0.1, 0.11, 0.5, 3.0, 40.0):
        assert extent.to_pixels(scale) == max(1, math.ceil(10 / scale - 1e-3))
    assert extent.to_pixels(None) is None
    assert extent.to_arcsec(0.5) == pytest.approx(10, rel=1e-12)
    assert Extent.of(extent) is extent


def test_scales_that_are_nearly_the_same_give_one_size() -> None:
    scales = [0.5003, 0.4998, None, 0.75, 0.5, 0.0, 0.7401, 0.51]
    want = [31, 31, None, 21, 31, None, 21, 30]  # 15 / 0.4998 = 30.01; 15 / 0.7401 = 20.3
    assert Extent.of("15arcsec").to_pixels_each(scales) == want
    assert Extent.of(7).to_pixels_each(scales) == [7] * len(scales)
    assert Extent.of(7).to_pixels_each([]) == []


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (0, ShapeError),
        (2.5, ShapeError),
        (True, ShapeError),
        ("0", ShapeError),
        ("2.5", ShapeError),
        (None, ShapeError),
        ("wide", UsageError),
        ("10 parsec", UsageError),
        ("0arcsec", UsageError),
        (-1 * u.arcsec, UsageError),
        (math.nan * u.arcsec, UsageError),
        (3 * u.kg, UnitError),
    ],
)
def test_what_is_no_size_is_refused_by_name(given: Any, kind: type[UsageError]) -> None:
    with pytest.raises(kind, match="ysize"):
        Extent.of(given, name="ysize")
