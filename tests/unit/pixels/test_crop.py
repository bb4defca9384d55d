"""Filling a cutout: types, values, and that nothing of the parent is shared."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.box import Box, Placement, place
from snapdb.pixels.crop import fill_plane

_BEYOND: Placement = place(Box(-1, 2, 4, 3), 5, 4, "partial")
_WHOLE: Placement = place(Box(1, 1, 3, 2), 5, 4, "strict")


def _part(placement: Placement, dtype: Any) -> NDArray[Any]:
    parent: NDArray[Any] = np.arange(20).reshape(4, 5).astype(dtype)
    return parent[placement.source.slices]


def test_fill_by_hand() -> None:
    """Oracle: written out by hand from parent[y, x] = 5 y + x, box x -1..2, y 2..4."""
    result = fill_plane(_part(_BEYOND, "f4"), _BEYOND, np.nan, name="data")
    nan = np.nan
    expected = [[nan, 10, 11, 12], [nan, 15, 16, 17], [nan, nan, nan, nan]]
    np.testing.assert_array_equal(result, np.array(expected, dtype="f4"))


@pytest.mark.parametrize(
    ("stored", "fill", "expected"),
    [
        (">f4", np.nan, "f4"),
        (">f8", np.nan, "f8"),
        ("f2", -1.0, "f2"),
        ("i2", -1, "i2"),
        (">i4", 0.0, "i4"),
        ("u2", -1, "f4"),
        ("u2", 65535, "u2"),
        ("u2", 65536, "f4"),
        ("u1", np.nan, "f4"),
        ("i2", 1.5, "f4"),
        ("i4", np.nan, "f8"),
        ("i8", -np.inf, "f8"),
        ("u8", 2**63, "u8"),
        ("u4", 2**31, "u4"),
        ("?", 1, "?"),
        ("?", np.nan, "f4"),
    ],
)
def test_type_holds_both_the_pixels_and_the_fill(stored: str, fill: float, expected: str) -> None:
    part = _part(_BEYOND, stored)
    result = fill_plane(part, _BEYOND, fill, name="data")
    assert result.dtype == np.dtype(expected)
    assert result.dtype.isnative
    np.testing.assert_array_equal(result[_BEYOND.target.slices], part)
    outside = np.ones(result.shape, dtype=bool)
    outside[_BEYOND.target.slices] = False
    if np.isnan(fill):
        assert np.isnan(result[outside]).all()
    else:
        assert (result[outside] == fill).all()


@pytest.mark.parametrize("stored", [">i2", "u1", "?", ">f4", "f8"])
def test_whole_cutout_keeps_its_type_whatever_would_fill(stored: str) -> None:
    part = _part(_WHOLE, stored)
    result = fill_plane(part, _WHOLE, np.nan, name="data")
    assert result.dtype == np.dtype(stored).newbyteorder("=")
    assert result.flags.c_contiguous
    assert result.flags.owndata
    assert not np.shares_memory(result, part)
    np.testing.assert_array_equal(result, part)


def test_part_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match="'noise'"):
        fill_plane(np.zeros((3, 2)), _WHOLE, np.nan, name="noise")


def test_fill_value_too_great_for_the_type_is_refused() -> None:
    with pytest.raises(UsageError, match="too great"):
        fill_plane(_part(_BEYOND, "f4"), _BEYOND, 1e300, name="data")
    with pytest.raises(UsageError, match="too great"):
        fill_plane(_part(_BEYOND, "u1"), _BEYOND, 1e300, name="data")


def test_cutout_of_the_whole_image_is_a_copy() -> None:
    """A plane kept in memory is contiguous and native: only a real copy leaves it alone."""
    plane = np.arange(20.0).reshape(4, 5)
    result = fill_plane(plane, place(Box(0, 0, 5, 4), 5, 4, "strict"), np.nan, name="data")
    result[:] = -1.0
    assert plane[0, 1] == 1.0
