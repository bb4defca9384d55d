"""Pixels between black and white: compiled code gives the numbers that numpy gives."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.bulk.shape import brightness
from snapdb.bulk.shape.brightness import Limits, write_brightness

compiled: Any = vars(brightness)["_brightness"]
needs_compiled = pytest.mark.skipif(compiled is None, reason="no C compiler when it was installed")
_FLOATS = st.floats(width=32, allow_infinity=True, allow_nan=True)


@needs_compiled
@given(data=st.data())
def test_compiled_code_gives_the_same_numbers(data: st.DataObject) -> None:
    """Oracle: numpy, of any pixels and limits."""
    number, pixels = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 40))
    size = number * pixels
    rows = np.array(data.draw(st.lists(_FLOATS, min_size=size, max_size=size)), np.float32)
    low, high = (
        np.array(data.draw(st.lists(_FLOATS, min_size=number, max_size=number)), np.float32) for _ in "lh"
    )
    limits = Limits(low, high, data.draw(st.booleans()))
    method, softening = data.draw(st.sampled_from([("linear", 1.0), ("asinh", 0.3), ("log", 50.0)]))
    made, expected = rows.reshape(number, pixels).copy(), rows.reshape(number, pixels).copy()
    with np.errstate(all="ignore"):
        write_brightness(made, limits, method, softening)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(brightness, "_brightness", None)
            write_brightness(expected, limits, method, softening)
    np.testing.assert_array_equal(made, expected)


@needs_compiled
def test_limits_of_another_number_of_rows_are_refused() -> None:
    rows: Any = np.ones((3, 5), np.float32)
    for limits in (np.ones((2, 2), np.float32), np.ones((0, 2), np.float32), np.ones((4, 2), np.float32)):
        with pytest.raises(ValueError, match="do not go with the pixels"):
            compiled.write_share(rows, limits, 1.0)
    with pytest.raises(ValueError, match="contiguous"):
        compiled.write_share(rows[:, ::2], np.ones((3, 2), np.float32), 1.0)
    assert (rows == 1.0).all()
