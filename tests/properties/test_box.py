"""Boxes against numpy's own slicing, brute force, and astropy's Cutout2D."""

import numpy as np
import pytest
from astropy.nddata import Cutout2D
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import NoOverlapError, PartialOverlapError
from snapdb.pixels.box import Box, is_inside, place

WIDTH, HEIGHT = 13, 9
PARENT = np.arange(WIDTH * HEIGHT, dtype=np.float64).reshape(HEIGHT, WIDTH)

boxes = st.builds(Box, st.integers(-20, 30), st.integers(-20, 30), st.integers(1, 25), st.integers(1, 25))
positions = st.floats(-20, 30)
sizes = st.integers(1, 12)


def _pixels(box: Box) -> set[tuple[int, int]]:
    """Every pixel (x, y) of a box, one by one."""
    return {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}


def _expected(box: Box) -> np.ndarray:
    """The cutout pixel by pixel, NaN outside the parent."""
    out = np.full(box.shape, np.nan)
    for row, y in enumerate(range(box.y0, box.y1)):
        for column, x in enumerate(range(box.x0, box.x1)):
            if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                out[row, column] = PARENT[y, x]
    return out


@given(boxes, boxes)
def test_intersection_is_of_the_pixels(a: Box, b: Box) -> None:
    common = a.intersect(b)
    assert (set() if common is None else _pixels(common)) == _pixels(a) & _pixels(b)


@given(boxes)
def test_partial_puts_each_pixel_where_it_belongs(box: Box) -> None:
    expected = _expected(box)
    if np.isnan(expected).all():
        for mode in ("strict", "partial", "trim"):
            with pytest.raises(NoOverlapError):
                place(box, WIDTH, HEIGHT, mode)
        return
    placement = place(box, WIDTH, HEIGHT, "partial")
    got = np.full(box.shape, np.nan)
    got[placement.target.slices] = PARENT[placement.source.slices]
    np.testing.assert_array_equal(got, expected)
    assert placement.result == box


@given(boxes)
def test_trim_is_the_part_that_exists_and_strict_refuses_the_rest(box: Box) -> None:
    expected = _expected(box)
    there = ~np.isnan(expected)
    if not there.any():
        return
    placement = place(box, WIDTH, HEIGHT, "trim")
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    part = expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    np.testing.assert_array_equal(PARENT[placement.source.slices], part)
    assert placement.target == Box(0, 0, *part.shape[::-1])
    if there.all():
        assert box.within(WIDTH, HEIGHT)
        assert place(box, WIDTH, HEIGHT, "strict").is_whole
    else:
        with pytest.raises(PartialOverlapError):
            place(box, WIDTH, HEIGHT, "strict")


@given(positions, positions, sizes, sizes)
def test_position_lies_within_half_a_pixel_of_the_middle(x: float, y: float, xsize: int, ysize: int) -> None:
    box = Box.centered(x, y, xsize, ysize)
    assert abs(x - (box.x0 + (xsize - 1) / 2)) <= 0.5 + 1e-12
    assert abs(y - (box.y0 + (ysize - 1) / 2)) <= 0.5 + 1e-12


@given(st.floats(2, 10), st.floats(2, 6), sizes.filter(lambda n: n % 2 == 0))
def test_even_sizes_lie_where_cutout2d_puts_them(x: float, y: float, size: int) -> None:
    oracle = Cutout2D(PARENT, (x, y), size, mode="partial", fill_value=np.nan)
    box = Box.centered(x, y, size, size)
    np.testing.assert_array_equal(_expected(box), oracle.data)


@given(st.floats(-30, 40, allow_subnormal=False), st.floats(-30, 40, allow_subnormal=False))
def test_inside_is_on_a_pixel(x: float, y: float) -> None:
    on_pixel = any(
        i - 0.5 <= x < i + 0.5 and j - 0.5 <= y < j + 0.5 for i in range(WIDTH) for j in range(HEIGHT)
    )
    assert is_inside(x, y, WIDTH, HEIGHT) is on_pixel
    assert bool(is_inside(np.array([x]), np.array([y]), WIDTH, HEIGHT)[0]) is on_pixel
