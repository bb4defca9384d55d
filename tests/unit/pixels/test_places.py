"""Boxes in many images at once, against the rule for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import NoOverlapError
from snapdb.pixels.box import Box, place
from snapdb.pixels.placing import place_all

pixels = st.one_of(st.floats(-40, 60), st.integers(-80, 120).map(lambda n: n / 2))
cases = st.lists(
    st.tuples(pixels, pixels, st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(1, 40)),
    min_size=1,
    max_size=20,
)


@given(cases)
def test_each_box_is_where_it_is_placed_alone(rows: list[tuple[float, float, int, int, int, int]]) -> None:
    x, y, xsize, ysize, width, height = (np.array(column) for column in zip(*rows, strict=True))
    places = place_all(x.astype(float), y.astype(float), xsize, ysize, width, height)
    for n, row in enumerate(rows):
        box = Box.centered(*row[:4])
        try:
            wanted = {mode: place(box, row[4], row[5], mode) for mode in ("partial", "trim")}
        except NoOverlapError:
            assert not places.touches[n]
            continue
        assert places.touches[n]
        assert bool(places.is_whole[n]) == wanted["partial"].is_whole
        for mode, placement in wanted.items():
            assert places.placement(n, mode) == placement  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [np.nan, np.inf, -1e300])
def test_what_does_not_project_touches_nothing_and_spoils_no_other(x: float) -> None:
    places = place_all(np.array([x, 5.0]), np.array([5.0, 5.0]), 3, 4, np.array([10, 10]), np.array([10, 10]))
    assert places.projects.tolist() == [False, True]
    assert places.touches.tolist() == [False, True]
    assert places.placement(1, "strict").source == Box.centered(5.0, 5.0, 3, 4)


def test_no_image_at_all() -> None:
    none = np.empty(0)
    assert place_all(none, none, 3, 3, none.astype(int), none.astype(int)).touches.shape == (0,)
