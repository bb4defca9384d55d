"""Boxes: what is refused, the placement rules by hand-worked examples, and what is inside."""

import numpy as np
import pytest
from astropy.nddata import NoOverlapError as AstropyNoOverlapError

from snapdb.errors import NoOverlapError, PartialOverlapError, ShapeError, UsageError
from snapdb.pixels.box import Box, is_inside, place


@pytest.mark.parametrize(
    ("center", "size", "first"),
    [
        # Odd: the pixel that holds the position is the middle one; half-way goes up.
        (10.0, 5, 8),
        (10.49, 5, 8),
        (10.5, 5, 9),
        (-0.5, 1, 0),
        (-0.6, 1, -1),
        # Even: ceil(x - n / 2).
        (10.0, 4, 8),
        (10.01, 4, 9),
        (9.99, 4, 8),
        (-0.5, 2, -1),
    ],
)
def test_placement_by_hand(center: float, size: int, first: int) -> None:
    box = Box.centered(center, 0.0, size, 3)
    assert (box.x0, box.width, box.y0, box.height) == (first, size, -1, 3)
    box = Box.centered(0.0, center, 3, size)
    assert (box.y0, box.height, box.x0, box.width) == (first, size, -1, 3)


def test_even_box_holds_the_position_within_a_pixel_of_its_middle() -> None:
    """Oracle: the box's middle, (first + last) / 2, computed apart from the rule."""
    for x in np.linspace(3.0, 5.0, 41):
        box = Box.centered(float(x), 0.0, 4, 1)
        assert abs((box.x0 + box.x1 - 1) / 2 - x) <= 0.5


@pytest.mark.parametrize("size", [0, -3, 50.5, True, np.bool_(True), float("nan"), float("inf"), "5", None])
def test_sizes_that_are_refused(size: object) -> None:
    with pytest.raises(ShapeError, match="expected a whole number of pixels"):
        Box.centered(1.0, 1.0, size, 3)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="ysize"):
        Box.centered(1.0, 1.0, 3, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [50, 50.0, np.int16(50), np.float32(50.0)])
def test_sizes_of_any_number_type(size: int) -> None:
    box = Box.centered(25.0, 25.0, size, size)
    assert type(box.width) is int
    assert box.shape == (50, 50)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_position_that_does_not_project_is_no_overlap(bad: float) -> None:
    with pytest.raises(NoOverlapError):
        Box.centered(bad, 1.0, 3, 3)
    with pytest.raises(AstropyNoOverlapError):
        Box.centered(1.0, bad, 3, 3)


@pytest.mark.parametrize("bad", ["3", None, [3.0, 4.0], np.array([3.0, 4.0]), 10**400])
def test_position_that_is_no_number_is_refused(bad: object) -> None:
    """Oracle: the tree of errors; every refusal is one of them."""
    for x, y in ((bad, 1.0), (1.0, bad)):
        with pytest.raises(UsageError, match="expected one number of pixels"):
            Box.centered(x, y, 3, 3)  # type: ignore[arg-type]  # that is the point


def test_empty_box_is_refused() -> None:
    with pytest.raises(ShapeError):
        Box(0, 0, 0, 1)


def test_modes_at_an_edge() -> None:
    box = Box(-2, 3, 5, 4)
    with pytest.raises(PartialOverlapError, match="partial") as caught:
        place(box, 10, 5, "strict")
    assert caught.value.fields == {"box": box, "width": 10, "height": 5}
    partial = place(box, 10, 5, "partial")
    assert (partial.source, partial.target, partial.result) == (Box(0, 3, 3, 2), Box(2, 0, 3, 2), box)
    trim = place(box, 10, 5, "trim")
    assert (trim.source, trim.target, trim.result) == (Box(0, 3, 3, 2), Box(0, 0, 3, 2), Box(0, 3, 3, 2))
    assert trim.is_whole
    assert not partial.is_whole


@pytest.mark.parametrize("mode", ["strict", "partial", "trim"])
@pytest.mark.parametrize("box", [Box(-5, 0, 5, 5), Box(10, 0, 5, 5), Box(0, 8, 5, 5), Box(0, -5, 5, 5)])
def test_a_box_that_only_touches_the_border_has_no_overlap(box: Box, mode: str) -> None:
    with pytest.raises(NoOverlapError):
        place(box, 10, 8, mode)  # type: ignore[arg-type]


def test_unknown_mode_names_the_three() -> None:
    with pytest.raises(UsageError, match=r"'strict', 'partial' or 'trim'"):
        place(Box(0, 0, 1, 1), 5, 5, "fill")  # type: ignore[arg-type]


def test_inside_reaches_half_a_pixel_beyond_the_centres() -> None:
    width, height = 10, 6
    assert is_inside(-0.5, -0.5, width, height) is True
    assert is_inside(np.nextafter(9.5, 0), np.nextafter(5.5, 0), width, height) is True
    assert is_inside(9.5, 0.0, width, height) is False
    assert is_inside(0.0, 5.5, width, height) is False
    assert is_inside(np.nextafter(-0.5, -1), 0.0, width, height) is False
    assert is_inside(float("nan"), 0.0, width, height) is False
    assert is_inside(float("inf"), 0.0, width, height) is False


def test_inside_of_arrays_keeps_the_shape() -> None:
    xs = np.array([[0.0, np.nan], [9.6, -0.4]])
    inside = is_inside(xs, np.zeros((2, 2)), 10, 6)
    np.testing.assert_array_equal(inside, [[True, False], [False, True]])
    assert is_inside(np.array([]), np.array([]), 10, 6).shape == (0,)
