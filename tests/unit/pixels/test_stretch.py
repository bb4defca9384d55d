"""Grey levels of pictures, against astropy.visualization, and stamps side by side."""

import numpy as np
import pytest
from astropy.visualization import (
    AsinhStretch,
    LinearStretch,
    LogStretch,
    PercentileInterval,
    SqrtStretch,
    ZScaleInterval,
)

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.stretch import compute_limits, tile_stamps, to_bytes

_SKY = np.random.default_rng(11).normal(100.0, 5.0, size=(80, 90))


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("asinh", AsinhStretch(0.1)),
        ("linear", LinearStretch()),
        ("log", LogStretch(1000.0)),
        ("sqrt", SqrtStretch()),
    ],
)
def test_stretches_against_astropy(name: str, peer: object) -> None:
    """Oracle: astropy's stretch of the same [0, 1] values; equal up to the rounding of one level."""
    levels = to_bytes(_SKY, low=95.0, high=110.0, stretch=name)
    expected = 255.0 * peer(np.clip((_SKY - 95.0) / 15.0, 0.0, 1.0))  # type: ignore[operator]
    assert levels.dtype == np.uint8
    assert np.abs(levels - expected).max() <= 0.5 + 1e-9


def test_limits_against_astropy() -> None:
    """Oracle: astropy's PercentileInterval and ZScaleInterval, with NaN put among the pixels."""
    holed = _SKY.copy()
    holed[::7] = np.nan
    holed[1, 1] = np.inf
    finite = holed[np.isfinite(holed)]
    assert compute_limits(holed, 98.0) == pytest.approx(
        PercentileInterval(98.0).get_limits(finite), rel=1e-12
    )
    assert compute_limits(holed, method="zscale") == pytest.approx(
        ZScaleInterval().get_limits(finite), rel=1e-12
    )


@pytest.mark.parametrize("method", ["percentile", "zscale"])
@pytest.mark.parametrize(
    "data", [np.full((9, 9), 3.0), np.full((9, 9), -1e20), np.full((9, 9), np.nan), np.empty(0)]
)
def test_limits_are_always_apart(
    data: np.ndarray[tuple[int, ...], np.dtype[np.float64]], method: str
) -> None:
    low, high = compute_limits(data, method=method)  # type: ignore[arg-type]
    assert low < high
    assert to_bytes(data, low=low, high=high).shape == data.shape


def test_what_is_not_finite_has_a_level() -> None:
    levels = to_bytes(np.array([np.nan, -np.inf, np.inf, 0.0, 1.0, -5.0, 9.0]), low=0.0, high=1.0)
    assert levels.tolist() == [0, 0, 255, 0, 255, 0, 255]


def test_refusals() -> None:
    with pytest.raises(UsageError, match="stretch 'cube'"):
        to_bytes(_SKY, low=0.0, high=1.0, stretch="cube")
    for low, high in ((1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)):
        with pytest.raises(UsageError, match="low below high"):
            to_bytes(_SKY, low=low, high=high)
    for percentile in (0.0, 100.1, np.nan):
        with pytest.raises(UsageError, match="percentile"):
            compute_limits(_SKY, percentile)
    with pytest.raises(UsageError, match="method"):
        compute_limits(_SKY, method="minmax")  # type: ignore[arg-type]


def test_sheet_by_hand() -> None:
    """Oracle: written out by hand; stamps are y up, the sheet's upper row comes first."""
    first = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    second = np.array([[5]], dtype=np.uint8)
    third = np.array([[6, 7]], dtype=np.uint8)
    w = 255
    expected = [
        [w, w, w, w, w, w, w],
        [w, 3, 4, w, 5, w, w],
        [w, 1, 2, w, w, w, w],
        [w, w, w, w, w, w, w],
        [w, 6, 7, w, w, w, w],
        [w, w, w, w, w, w, w],
        [w, w, w, w, w, w, w],
    ]
    np.testing.assert_array_equal(tile_stamps([first, second, third], 2, gap=1), expected)


def test_sheet_refusals() -> None:
    stamp = np.zeros((2, 2), dtype=np.uint8)
    for stamps, columns, gap in (([], 1, 0), ([stamp], 0, 0), ([stamp], 1, -1), ([stamp[0]], 1, 0)):
        with pytest.raises(ShapeError):
            tile_stamps(stamps, columns, gap)
