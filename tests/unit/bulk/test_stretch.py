"""Stretches of batches, against astropy's and formulas written out image by image in double precision."""

import math
from typing import Any

import numpy as np
import pytest
from astropy.visualization import AsinhStretch, LogStretch, ZScaleInterval
from numpy.typing import NDArray

from snapdb.bulk.shape import limits
from snapdb.bulk.shape.limits import find_order_statistics, find_ranks, find_zscale, thin_rows
from snapdb.bulk.shape.mix import mix
from snapdb.bulk.shape.resample import resample
from snapdb.bulk.shape.steps import shape_batch
from snapdb.bulk.shape.stretch import STRETCHES, Stretch, stretch, to_uint8
from snapdb.errors import ShapeError, UsageError

_RNG = np.random.default_rng(20261203)


def _stamps(*shape: int, sky: float = 0.0) -> NDArray[np.float32]:
    """Sky with a source in the middle and a brighter one at the border, shape (N, H, W, C)."""
    _, height, width, _ = shape
    y, x = np.mgrid[:height, :width]
    source = 60.0 * np.exp(-((x - width / 2) ** 2 + (y - height / 2) ** 2) / 18.0)
    source += 900.0 * np.exp(-((x - 2) ** 2 + (y - 3) ** 2) / 6.0)
    return np.asarray(_RNG.normal(sky, 1.0, shape) + source[:, :, None], dtype=np.float32)


def _middle(image: NDArray[Any], crop: tuple[int, int]) -> NDArray[Any]:
    """The central part, as the seed has it."""
    top, left = (image.shape[0] - crop[0]) // 2, (image.shape[1] - crop[1]) // 2
    return image[top : top + crop[0], left : left + crop[1]]


def _by_hand(image: NDArray[np.float32], how: Stretch) -> NDArray[np.float64]:
    """One image, in the plainest way."""
    data = image.astype(np.float64)
    groups = [data[..., c] for c in range(data.shape[2])] if how.method == "asinh" else [data]
    made = []
    for group in groups:
        ordered = np.sort(group, axis=None)
        tail = (100.0 - how.percentile) / 2.0
        below = ordered[math.floor(tail / 100.0 * (ordered.size - 1) + 1e-9)]
        above = ordered[math.floor((100.0 - tail) / 100.0 * (ordered.size - 1) + 1e-9)]
        low, high = below, above
        if how.method == "zscale":
            zscale = ZScaleInterval(n_samples=how.n_samples, contrast=how.contrast).get_limits(data)
            low, high = max(low, zscale[0]), min(high, zscale[1])
        if how.crop:
            low, high = (min(value, _middle(data, how.crop).max()) for value in (low, high))
        if how.method == "log":
            low, high = (0.0, high) if high > 0.0 else (below, above)
        x = np.clip((group - low) / (high - low), 0.0, 1.0)
        if how.method == "asinh":
            x = AsinhStretch(how.softening)(x)
        if how.method == "log":
            x = LogStretch(how.softening)(x)
        made.append(x)
    return np.stack(made, axis=-1) if len(made) > 1 else np.asarray(made[0]).reshape(image.shape)


@pytest.mark.parametrize("shape", [(5, 64, 64, 1), (3, 40, 56, 3), (2, 256, 256, 1), (2, 131, 150, 2)])
@pytest.mark.parametrize("percentile", [100.0, 99.8, 90.0])
@pytest.mark.parametrize("crop", [None, (20, 16)])
@pytest.mark.parametrize("method", ["linear", "log", "asinh", "zscale"])
def test_against_formulas(
    method: str, crop: tuple[int, int] | None, percentile: float, shape: tuple[int, ...]
) -> None:
    """Oracle: the formulas by hand, astropy's stretches and zscale; grey levels are the nearest of 255 y."""
    batch = _stamps(*shape)
    before = batch.copy()
    how = Stretch(method=method, crop=crop, percentile=percentile)
    expected = np.array([_by_hand(image, how) for image in batch])
    made = stretch(batch, how)
    assert made.dtype == np.float32
    assert np.abs(made - expected).max() < 1e-6
    assert np.array_equal(batch, before)
    grey = stretch(batch, how, dtype="uint8")
    assert grey.dtype == np.uint8
    assert np.abs(grey - 255.0 * expected).max() <= 0.5 + 3e-4
    assert len(np.unique(grey)) > 20
    if shape[3] == 1:
        assert np.array_equal(stretch(batch[..., 0], how), made[..., 0])


@pytest.mark.parametrize(
    ("method", "a"),
    [("asinh", a) for a in (0.001, 0.1, 0.7, 1.0, 3.0, 1e4)]
    + [("log", a) for a in (0.001, 0.1, 1.0, 1000.0, 1e4)],
)
def test_every_softening(method: str, a: float) -> None:
    """Oracle: astropy's stretches of x from 0 to 1, in double precision."""
    x = np.linspace(0.0, 1.0, 4096, dtype=np.float32).reshape(1, 64, 64)
    peer = AsinhStretch(a) if method == "asinh" else LogStretch(a)
    made = stretch(x, method, a=a, percentile=100)
    assert np.abs(made - peer(x.astype(np.float64))).max() < 1e-6
    assert (made.min(), made.max()) == (0.0, pytest.approx(1.0, abs=2e-7))
    assert made.max() <= 1.0
    x = np.sort(_RNG.uniform(0.0, 1.0, 1 << 20) ** 3).astype(np.float32).reshape(1, 1024, 1024)
    x[0, 0, 0], x[0, -1, -1] = 0.0, 1.0
    levels = 255.0 * peer(x.astype(np.float64))
    grey = stretch(x, method, a=a, percentile=100, dtype="uint8")
    assert np.abs(grey - levels).max() <= 0.5 + 3e-4
    assert (grey == np.rint(levels)).mean() > 0.9999
    assert len(np.unique(grey)) >= np.unique(np.rint(levels)).size


@pytest.mark.parametrize("sky", [0.0, 1000.0, -1000.0])
def test_limits_of_any_sky(sky: float) -> None:
    """Oracle: the formulas by hand; with log, stamps below zero are stretched between their own limits."""
    batch = _stamps(4, 48, 48, 1, sky=sky)
    batch[:, 3, 2] -= 700.0
    for method in ("linear", "log", "asinh", "zscale"):
        how = Stretch(method=method)
        expected = np.array([_by_hand(image, how) for image in batch])
        # Single precision holds 1000 to 6e-5, and zscale's range is some 30.
        assert np.abs(stretch(batch, how) - expected).max() < 1e-5


@pytest.mark.parametrize("size", [100, 4096, 16_384, 22_500, 65_536])
@pytest.mark.parametrize("percentile", [100.0, 99.9, 99.8, 99.0, 50.0, 0.0])
def test_order_statistics(size: int, percentile: float) -> None:
    """Oracle: the sorted row. Rows with plateaus and ties too, which leave little to sift."""
    rows = _RNG.normal(size=(4, size)).astype(np.float32)
    rows[1] = np.round(rows[1])
    rows[2] = np.clip(rows[2], -0.5, 0.5)
    rows[3, : size // 2] = 0.0
    low, high = find_ranks(size, percentile)
    before = rows.copy()
    found = find_order_statistics(rows, low, high)
    ordered = np.sort(rows, axis=1)
    assert np.array_equal(found[0], ordered[:, low])
    assert np.array_equal(found[1], ordered[:, high])
    assert np.array_equal(rows, before)


def test_ranks_are_those_of_the_seed() -> None:
    """Oracle: truncated ranks worked out by hand for 64 x 64 and 256 x 256 pixels at 99.8 percent."""
    assert find_ranks(4096, 99.8) == (4, 4090)
    assert find_ranks(65_536, 99.8) == (65, 65_469)
    assert find_ranks(4096, 100.0) == (0, 4095)
    assert find_ranks(1, 99.8) == (0, 0)


@pytest.mark.parametrize("size", [3, 5, 64, 1000, 4096, 22_500])
@pytest.mark.parametrize("contrast", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("samples", [100, 1000, 10_000])
def test_zscale(size: int, contrast: float, samples: int) -> None:
    """Oracle: astropy's ZScaleInterval, row by row; the fit's rounding apart."""
    rows = _RNG.normal(100.0, 5.0, (6, size)).astype(np.float32)
    rows[1, ::3] += 300.0
    rows[2] = _RNG.exponential(size=size)
    if size > 5:  # five whole numbers may lie on a line, and rounding alone rejects then
        rows[3] = np.round(rows[3])
    rows[4] = 7.0
    rows[5, : size // 2] = 0.0
    low, high = find_zscale(rows, samples, contrast)
    peer = ZScaleInterval(n_samples=samples, contrast=contrast)
    for place, row in enumerate(rows):
        if np.ptp(row) == 0.0:
            assert (low[place], high[place]) == (7.0, 7.0)
            continue
        expected = peer.get_limits(row.astype(np.float64))
        assert (low[place], high[place]) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_thinned_rows_see_every_column() -> None:
    """Oracle: the step that has no divisor in common with the width, found by hand."""
    rows = np.arange(64 * 64, dtype=np.float32)[None]
    thin = thin_rows(rows, 256, 64)
    assert np.array_equal(thin[0], rows[0, ::17])
    assert set((thin[0] % 64).tolist()) == set(range(64))
    assert thin_rows(rows, None, 64) is rows
    assert thin_rows(rows, 5000, 64) is rows
    stamp = _stamps(1, 64, 64, 1)
    few = stretch(stamp, "asinh", asinh_n_samples=256)
    low, high = find_order_statistics(thin_rows(stamp.reshape(1, -1), 256, 64), *find_ranks(241, 99.8))
    expected = AsinhStretch(0.7)(np.clip((stamp.astype(np.float64) - low) / float((high - low)[0]), 0, 1))
    assert np.abs(few - expected).max() < 1e-6


@pytest.mark.parametrize("method", STRETCHES)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_stamps_that_leave_nothing_to_stretch(method: str, dtype: str, channels: int) -> None:
    shape = (4, 24, 24, channels)
    batch = np.zeros(shape, dtype=np.float32)
    batch[1], batch[2], batch[3] = 1e30, -17.5, np.nan
    made = stretch(batch, method, dtype=dtype)
    if method == "none" and dtype == "float32":
        assert np.array_equal(made, batch, equal_nan=True)
    else:
        expected = np.zeros(shape)
        if method == "log":  # from 0 to the value
            expected[1] = 255.0 if dtype == "uint8" else 1.0
        assert np.array_equal(made, expected)


@pytest.mark.parametrize("method", ["linear", "log", "asinh", "zscale"])
def test_a_few_bright_pixels_on_nothing(method: str) -> None:
    """Both limits of the percentile are zero: the stamp's own extremes stand."""
    batch = np.zeros((1, 64, 64), dtype=np.float32)
    batch[0, 30, 30], batch[0, 31, 30] = 5.0, 2.5
    made = stretch(batch, method)
    assert made[0, 30, 30] == pytest.approx(1.0, abs=2e-7)
    assert 0.4 < made[0, 31, 30] < 1.0
    assert made.sum() == made[0, 30, 30] + made[0, 31, 30]


@pytest.mark.parametrize("method", ["linear", "log", "asinh", "zscale"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("crop", [None, (16, 16)])
def test_missing_pixels_take_no_part(method: str, channels: int, crop: tuple[int, int] | None) -> None:
    """Oracle: a stamp of the values that are left; the other stamps stay as they are."""
    batch = _stamps(3, 32, 32, channels, sky=50.0)
    holed = batch.copy()
    holed[1, 24:] = np.nan
    holed[1, 28] = -np.inf
    how = Stretch(method=method, crop=crop)
    made, whole = stretch(holed, how), stretch(batch, how)
    assert np.array_equal(made[[0, 2]], whole[[0, 2]])
    assert not made[1, 24:].any()
    if crop is None:
        assert np.array_equal(made[1, :24], stretch(batch[1:2, :24], how)[0])
    else:
        assert made[1, :24].max() == pytest.approx(1.0, abs=2e-7)
    centre = holed.copy()
    centre[1] = np.nan
    centre[1, :4] = batch[1, :4]
    if crop is not None:  # nothing is left of the central part: as if there were none
        assert np.array_equal(stretch(centre, how)[1], stretch(centre, Stretch(method=method))[1])


def test_none_makes_grey_from_least_to_greatest() -> None:
    batch = _stamps(2, 16, 16, 2)
    low, high = (
        getattr(batch, name)(axis=(1, 2, 3), keepdims=True).astype(np.float64) for name in ("min", "max")
    )
    grey = stretch(batch, "none", dtype=np.uint8)
    assert np.abs(grey - 255.0 * (batch - low) / (high - low)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e25])
def test_any_unit_of_flux(scale: float) -> None:
    """Oracle: the same stamp in other units has the same brightness."""
    batch = _stamps(2, 32, 32, 1)
    for method in ("linear", "log", "asinh", "zscale"):
        expected = stretch(batch, method)
        assert stretch(batch * np.float32(scale), method) == pytest.approx(expected, abs=1e-5)


def test_grey_levels() -> None:
    """Oracle: Python's round, which takes the even one of two."""
    values = [0.0, 0.5 / 255, 1.5 / 255, 0.3, 1.0, 1.7, -3.0]
    assert to_uint8(np.array(values)).tolist() == [0, 0, 2, round(0.3 * 255), 255, 255, 0]
    assert to_uint8(np.array([np.nan, np.inf, -np.inf])).tolist() == [0, 255, 0]


@pytest.mark.parametrize("resolution", [24, 64])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("method", STRETCHES)
def test_all_steps_at_once(method: str, dtype: str, resolution: int) -> None:
    """Oracle: the three steps one after the other."""
    batch = _stamps(37, 40, 40, 3)
    batch[5, 3, 4, 1] = np.nan
    weights, factors = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 0.8]]), [2.0, 3.0, 0.5]
    channels = [np.ascontiguousarray(batch[..., c]) for c in range(3)]
    how = Stretch(method=method)
    sized = np.stack([resample(channel, resolution, "cubic") for channel in channels], axis=-1)
    expected = stretch(mix(sized, weights * np.array(factors)[:, None]), how, dtype=dtype)
    place = np.zeros(expected.shape, dtype=dtype)
    made = shape_batch(
        channels,
        resolution,
        interpolation="cubic",
        factors=factors,
        weights=weights,
        stretch=how,
        dtype=dtype,
        out=place,
    )
    assert made is place
    greatest = 1.0 if dtype == "uint8" else 3e-6 * max(1.0, float(np.nanmax(np.abs(expected))))
    assert np.nanmax(np.abs(made.astype(np.float64) - expected)) <= greatest
    assert np.array_equal(np.isnan(made), np.isnan(expected))
    one = shape_batch(channels[:1], resolution, stretch=how, dtype=dtype)
    assert np.array_equal(one[..., 0], stretch(resample(channels[0], resolution), how, dtype=dtype))


def test_channels_of_other_sizes() -> None:
    first, second = _stamps(3, 20, 20, 1)[..., 0], _stamps(3, 50, 50, 1)[..., 0]
    made = shape_batch([first, second], 32)
    assert np.array_equal(made[..., 0], resample(first, 32))
    assert np.array_equal(made[..., 1], resample(second, 32))


def test_extremes_are_sifted_in_long_rows() -> None:
    """The quick way is taken, and is quick only where few pixels are left."""
    assert limits.LARGE_ROW <= 256 * 256
    row = np.zeros((1, 1 << 16), dtype=np.float32)
    assert [float(value[0]) for value in find_order_statistics(row, 65, 65_469)] == [0.0, 0.0]


@pytest.mark.parametrize("size", [limits.LARGE_ROW - 1, limits.LARGE_ROW, limits.LARGE_ROW + 5, 65_536])
@pytest.mark.parametrize("kind", ["normal", "whole", "one end"])
@pytest.mark.parametrize("place", [0, 1, 40])
def test_order_statistics_of_long_rows(size: int, kind: str, place: int) -> None:
    """Oracle: the sorted rows. The extremes may all be in one group, or in none."""
    rows = np.random.default_rng(5).normal(size=(3, size)).astype(np.float32)
    if kind == "whole":
        rows = np.round(rows)  # most values many times
    elif kind == "one end":
        rows[:, -100:] = np.linspace(-50, 50, 100, dtype=np.float32)
    ordered = np.sort(rows, axis=1)
    low, high = find_order_statistics(rows, place, size - 1 - place)
    assert np.array_equal(low, ordered[:, place])
    assert np.array_equal(high, ordered[:, size - 1 - place])


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "sqrt"},
        {"percentile": 100.5},
        {"percentile": math.nan},
        {"a": 0.0},
        {"a": 1e5},
        {"n_samples": 0},
        {"contrast": 2.0},
        {"crop": (0, 5)},
        {"asinh_n_samples": 0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        Stretch(**settings)


def test_refusals() -> None:
    batch = _stamps(2, 8, 8, 1)
    with pytest.raises(UsageError, match="float64"):
        stretch(batch, dtype=np.float64)
    with pytest.raises(ShapeError, match=r"\(N, H, W\)"):
        stretch(batch[0, ..., 0])
    with pytest.raises(ShapeError, match="place"):
        stretch(batch, out=np.empty(batch.shape))
    with pytest.raises(ShapeError, match="no channel"):
        shape_batch([], 8)
    with pytest.raises(ShapeError, match="as many of each"):
        shape_batch([batch[..., 0], batch[:1, ..., 0]], 8)
    with pytest.raises(ShapeError, match="one of each"):
        shape_batch([batch[..., 0]], 8, weights=[[1.0], [1.0]])
    with pytest.raises(ShapeError, match="place"):
        shape_batch([batch[..., 0]], 8, out=np.empty((2, 8, 8, 2), dtype=np.float32))
    assert stretch(batch[:0]).shape == (0, 8, 8, 1)
    assert shape_batch([batch[:0, ..., 0]], 16).shape == (0, 16, 16, 1)
