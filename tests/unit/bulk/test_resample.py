"""Batches of stamps brought to other sizes, against OpenCV, closed forms and brute force."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snapdb.bulk.shape import compiled
from snapdb.bulk.shape.resample import resample, resample_flags, resample_noise, scale_wcs
from snapdb.bulk.shape.weights import METHODS, make_weights
from snapdb.errors import ShapeError, UsageError

_SIZES = [(32, 64), (33, 64), (100, 64), (128, 64), (64, 63), (63, 64), (17, 50), (1, 16), (2, 16), (130, 16)]
_RNG = np.random.default_rng(20261201)


@pytest.fixture(autouse=True, params=["compiled", "numpy"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code where it was built, and numpy, which does without."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "_windows", None)


def _stamps(size: int, number: int = 5) -> NDArray[np.float32]:
    """Sky, with a source in the middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    source = 300.0 * np.exp(-(x**2 + y**2) / 20.0)
    return np.asarray(_RNG.normal(10.0, 3.0, (number, size, size)) + source, dtype=np.float32)


def _error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The greatest difference, in units of the greatest pixel."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("size", "resolution"), _SIZES)
@pytest.mark.parametrize("method", ["bilinear", "cubic", "lanczos"])
def test_against_opencv(size: int, resolution: int, method: str) -> None:
    """Oracle: cv2.resize of each stamp, by area where it shrinks."""
    cv2 = pytest.importorskip("cv2")
    names = {"bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
    how = cv2.INTER_AREA if resolution < size else names[method]
    stamps = _stamps(size)
    expected = np.array([cv2.resize(stamp, (resolution, resolution), interpolation=how) for stamp in stamps])
    made = resample(stamps, resolution, method)
    assert made.dtype == np.float32
    assert _error(made, expected) < 1e-6


@pytest.mark.parametrize(
    ("size", "resolution"), [(32, 64), (33, 64), (21, 63), (64, 256), (100, 256), (7, 16)]
)
def test_nearest_is_centred(size: int, resolution: int) -> None:
    """Oracle: the input pixel that holds each output pixel's centre; and OpenCV's exact one."""
    stamps = _stamps(size)
    places = [int(np.floor((i + 0.5) * size / resolution)) for i in range(resolution)]
    made = resample(stamps, resolution, "nearest")
    assert np.array_equal(made, stamps[:, places][:, :, places])
    assert np.array_equal(made[:, ::-1, ::-1], resample(stamps[:, ::-1, ::-1], resolution, "nearest"))
    cv2 = pytest.importorskip("cv2")
    exact = cv2.resize(stamps[0], (resolution, resolution), interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.array_equal(made[0], exact)


def test_stamps_that_are_not_square() -> None:
    """Oracle: cv2.INTER_AREA, where both axes shrink."""
    cv2 = pytest.importorskip("cv2")
    batch = _RNG.normal(size=(3, 90, 70)).astype(np.float32)
    expected = [cv2.resize(stamp, (64, 64), interpolation=cv2.INTER_AREA) for stamp in batch]
    assert np.abs(resample(batch, 64) - np.array(expected)).max() < 1e-6


@pytest.mark.parametrize(("size", "resolution"), _SIZES)
def test_conserved_flux(size: int, resolution: int) -> None:
    """Oracle: sums in double precision, and the centroid, which must not move
    (save for the sky's noise within the pixels; half a pixel of shift would be 0.004)."""
    stamps = _stamps(size)
    made = resample(stamps, resolution, conserve=True).astype(np.float64)
    totals = stamps.astype(np.float64).sum(axis=(1, 2))
    assert made.sum(axis=(1, 2)) == pytest.approx(totals, rel=3e-7)
    # In units of the stamp's width, from its centre.
    before = (np.arange(size) + 0.5) / size - 0.5
    after = (np.arange(resolution) + 0.5) / resolution - 0.5
    moments = stamps.astype(np.float64).sum(axis=1) @ before / totals
    assert made.sum(axis=1) @ after / totals == pytest.approx(moments, abs=2e-4)


def test_conserved_flux_of_whole_blocks() -> None:
    """Oracle: sums of blocks, and equal shares."""
    stamps = _stamps(64)
    blocks = stamps.reshape(5, 32, 2, 32, 2).astype(np.float64).sum(axis=(2, 4))
    assert resample(stamps, 32, conserve=True) == pytest.approx(blocks, rel=1e-6)
    shares = np.repeat(np.repeat(stamps, 4, axis=1), 4, axis=2) / 16.0
    assert np.array_equal(resample(stamps, 256, "lanczos", conserve=True), shares)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resolution", [16, 40, 41, 97])
def test_a_level_stays_and_the_middle_does_not_move(method: str, resolution: int) -> None:
    level = np.full((2, 40, 40), 1234.5, dtype=np.float32)
    assert resample(level, resolution, method) == pytest.approx(np.full((2, resolution, resolution), 1234.5))
    stamps = _stamps(40)
    mirrored = resample(stamps[:, ::-1, ::-1], resolution, method)[:, ::-1, ::-1]
    if method != "nearest":  # a centre on a border belongs to one side
        assert _error(mirrored, resample(stamps, resolution, method)) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("conserve", [False, True])
@pytest.mark.parametrize("resolution", [20, 40, 96])
def test_missing_pixels(method: str, conserve: bool, resolution: int) -> None:
    """Oracle: brute force, pixel by pixel, in double precision; other stamps stay as they are."""
    size = 40
    stamps = _stamps(size)
    holed = stamps.copy()
    holed[1, 10, 12], holed[1, 20:25, 3:9], holed[3] = np.nan, np.inf, np.nan
    made = resample(holed, resolution, method, conserve=conserve)
    clean = resample(stamps, resolution, method, conserve=conserve)
    assert np.array_equal(made[[0, 2, 4]], clean[[0, 2, 4]])
    weights = make_weights(size, resolution, method, conserve=conserve).astype(np.float64)
    good = np.isfinite(holed[1])
    share = weights @ good @ weights.T / np.outer(weights.sum(axis=1), weights.sum(axis=1))
    share[share < 0.5 + 1e-6] = np.nan
    expected = weights @ np.where(good, stamps[1].astype(np.float64), 0.0) @ weights.T / share
    if resolution == size:
        expected = holed[1].astype(np.float64)
        assert np.array_equal(made[1], holed[1], equal_nan=True)
    assert np.array_equal(np.isfinite(made[1]), np.isfinite(expected))
    known = np.isfinite(expected)
    assert made[1][known] == pytest.approx(expected[known], rel=1e-5, abs=1e-3)
    assert known.sum() < resolution**2
    assert not np.isfinite(made[3]).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "resolution"), [(40, 16), (40, 97), (40, 40)])
def test_noise(method: str, size: int, resolution: int) -> None:
    """Oracle: the variance of a weighted sum, with the weights of each output pixel as one vector."""
    noise = _RNG.uniform(1e-25, 3e-25, (3, size, size)).astype(np.float32)
    weights = make_weights(size, resolution, method).astype(np.float64)
    vectors = np.kron(weights, weights)
    expected = np.sqrt(vectors**2 @ noise.reshape(3, -1).astype(np.float64).T ** 2).T
    made = resample_noise(noise, resolution, method)
    assert made.reshape(3, -1) == pytest.approx(expected, rel=1e-5)


def test_noise_against_many_draws() -> None:
    """Oracle: the scatter of 4,000 resampled stamps of pure noise, good to 1.1 percent each pixel."""
    sigma = np.full((1, 24, 24), 2.0, dtype=np.float32)
    draws = _RNG.normal(0.0, 2.0, (4000, 24, 24)).astype(np.float32)
    for resolution in (10, 40):
        scatter = resample(draws, resolution, "cubic").std(axis=0)
        assert resample_noise(sigma, resolution, "cubic")[0] == pytest.approx(scatter, rel=0.07)


def test_noise_that_is_missing_or_infinite() -> None:
    noise = np.ones((2, 4, 4), dtype=np.float32)
    noise[0, 0, 0], noise[1, 3, 3] = np.nan, np.inf
    made = resample_noise(noise, 2)
    # Three independent pixels of four: 1 / sqrt(3); all four: 1 / 2.
    assert made[0] == pytest.approx(np.array([[1.0 / np.sqrt(3.0), 0.5], [0.5, 0.5]]))
    assert made[1].tolist() == [[0.5, 0.5], [0.5, np.inf]]
    assert np.isnan(resample_noise(np.full((1, 4, 4), np.nan), 2)).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("conserve", [False, True])
@pytest.mark.parametrize(("size", "resolution"), [(30, 13), (30, 64), (30, 30)])
def test_flags(method: str, conserve: bool, size: int, resolution: int) -> None:
    """Oracle: brute force over the pixels with a weight."""
    flags = np.zeros((3, size, size), dtype=np.uint32)
    flags[_RNG.random(flags.shape) < 0.05] = 1
    flags[_RNG.random(flags.shape) < 0.02] |= 1 << 31
    used = make_weights(size, resolution, method, conserve=conserve) != 0.0
    expected = np.zeros((3, resolution, resolution), dtype=np.uint32)
    for y in range(resolution):
        for x in range(resolution):
            part = flags[:, used[y]][:, :, used[x]].reshape(3, -1)
            expected[:, y, x] = np.bitwise_or.reduce(part, axis=1)
    made = resample_flags(flags, resolution, method, conserve=conserve)
    assert made.dtype == np.uint32
    assert np.array_equal(made, expected)


@pytest.mark.parametrize(("size", "resolution"), [(100, 64), (64, 256), (31, 64)])
def test_wcs_goes_with_the_pixels(size: int, resolution: int) -> None:
    """Oracle: astropy's WCS at the outer edges and the centre, which are the same sky."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [23.7, -400.2]
    wcs.wcs.cd = [[-3e-5, 4e-6], [5e-6, 2.9e-5]]
    scale = resolution / size
    moved = WCS(naxis=2)
    moved.wcs.ctype, moved.wcs.crval = wcs.wcs.ctype, wcs.wcs.crval
    moved.wcs.crpix, moved.wcs.cd = scale_wcs(tuple(wcs.wcs.crpix), wcs.wcs.cd, (scale, scale))
    for share in (0.0, 0.5, 1.0):
        before = wcs.wcs_pix2world(size * share - 0.5, size * share - 0.5, 0)
        after = moved.wcs_pix2world(resolution * share - 0.5, resolution * share - 0.5, 0)
        assert np.array(after) == pytest.approx(np.array(before), abs=1e-12)


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "uint8"])
def test_types_and_order_of_bytes(dtype: str) -> None:
    values = _RNG.integers(0, 200, (4, 20, 20))
    expected = resample(values.astype(np.float32), 33, "cubic")
    assert np.array_equal(resample(values.astype(dtype), 33, "cubic"), expected)


def test_place_to_write_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same stamps one by one, to rounding; into every other channel of a larger array."""
    stamps = _stamps(30, number=41)
    whole = np.zeros((41, 50, 50, 2), dtype=np.float32)
    made = resample(stamps, 50, out=whole[..., 1])
    assert made.base is whole
    single = np.array([resample(stamp[None], 50)[0] for stamp in stamps])
    assert _error(whole[..., 1], single) < 1e-6
    assert not whole[..., 0].any()
    monkeypatch.setattr("snapdb.bulk.shape.resample.CHUNK_PIXELS", 3 * 2500)
    assert _error(resample(stamps, 50), single) < 1e-6
    assert resample(stamps[:0], 50).shape == (0, 50, 50)


def test_refusals() -> None:
    stamps = _stamps(8)
    with pytest.raises(UsageError, match="interpolation 'spline'"):
        resample(stamps, 16, "spline")
    for call in (resample, resample_noise, resample_flags):
        with pytest.raises(ShapeError, match="expected"):
            call(stamps[0], 16)
        with pytest.raises(ShapeError, match="resolution of at least 1"):
            call(stamps.astype(np.int32), 0)
    with pytest.raises(ShapeError, match="integers"):
        resample_flags(stamps, 16)
    with pytest.raises(ShapeError, match="place of shape"):
        resample(stamps, 16, out=np.empty((5, 16, 15), dtype=np.float32))
    with pytest.raises(UsageError, match="0 pixels"):
        make_weights(0, 4)
