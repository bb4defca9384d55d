"""The compiled way from windows to stamps, against numpy's, and what it refuses."""

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import snapdb.bulk
from snapdb.bulk import Orchestrator, get_default_config
from snapdb.bulk.shape import compiled
from snapdb.bulk.shape.compiled import can_resample, resample_windows
from snapdb.bulk.shape.resample import resample
from snapdb.bulk.shape.weights import METHODS, make_weights
from snapdb.types import IntArray, PixelArray
from tests.unit.bulk.conftest import Tiles

ROWS, ACROSS = 90, 110
_RNG = np.random.default_rng(20261126)
_PIXELS = _RNG.normal(10.0, 3.0, (ROWS, ACROSS)).astype(np.float32)

Corners = list[tuple[int, int, int]]


def cut(corners: Corners, pixels: PixelArray = _PIXELS) -> tuple[PixelArray, IntArray]:
    """Cut windows by x, y and size, one after another; give their sizes too."""
    windows = [pixels[y : y + size, x : x + size].ravel() for x, y, size in corners]
    return np.concatenate(windows), np.array([size for _, _, size in corners])


IS_BUILT = can_resample(_PIXELS, 64)
needs_compiled = pytest.mark.skipif(not IS_BUILT, reason="no C compiler when it was installed")


def test_it_is_built_where_it_can_be() -> None:
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which("cc") is None or not headers.exists():
        pytest.skip("no C compiler, or no headers of Python")
    assert IS_BUILT, "install snapdb again: make setup"


@needs_compiled
@given(data=st.data())
def test_against_numpy(data: st.DataObject) -> None:
    """Oracle: the matrix products, of windows cut by hand."""
    kind = data.draw(st.sampled_from([">f4", "<f4"]))
    side = data.draw(st.integers(1, 70))
    method, conserve = data.draw(st.sampled_from(METHODS)), data.draw(st.booleans())
    factor = data.draw(st.sampled_from([1.0, 2.5e-7, -3.0]))
    sizes = data.draw(st.lists(st.integers(1, 80), min_size=1, max_size=6))
    corners = [(data.draw(st.integers(0, ACROSS - n)), data.draw(st.integers(0, ROWS - n)), n) for n in sizes]
    pixels, _ = cut(corners)
    stamps, extremes = resample_windows(
        pixels.astype(kind), np.array(sizes), side, method, conserve=conserve, factor=factor
    )
    for (x, y, size), stamp, least, most in zip(corners, stamps, extremes.least, extremes.most, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "_windows", None)
            window = _PIXELS[None, y : y + size, x : x + size]
            (expected,) = resample(window, side, method, conserve=conserve, factor=factor)
        np.testing.assert_allclose(stamp, expected, rtol=2e-6, atol=3e-6 * np.abs(expected).max())
        assert (least, most) == (stamp.min(), stamp.max())


@needs_compiled
@pytest.mark.parametrize("side", [5, 20, 33, 64])
def test_same_bits_alone_and_in_any_company(side: int) -> None:
    corners = [(3, 4, 20), (50, 60, 20), (1, 2, 33), (40, 9, 7)]
    stamps, _ = resample_windows(*cut(corners), side)
    for order in ([3, 1, 0, 2], [2], [1, 1]):
        some, _ = resample_windows(*cut([corners[i] for i in order], _PIXELS.astype(">f4")), side)
        assert np.array_equal(some, stamps[order])
    for (x, y, size), stamp in zip(corners, stamps, strict=True):
        window = _PIXELS[None, y : y + size, x : x + size]
        assert np.array_equal(resample(window, side)[0], stamp)


@pytest.mark.parametrize("kind", [">f4", "<f4", "f8", "f2"])
def test_any_place_to_write_to(kind: str) -> None:
    expected = resample(_PIXELS[None, :40, :40], 16)
    out = np.empty(expected.shape, kind)
    resample(_PIXELS[None, :40, :40], 16, out=out)
    np.testing.assert_allclose(out, expected, rtol=1e-3 if kind == "f2" else 2e-6)


@needs_compiled
@pytest.mark.parametrize(("size", "side"), [(4000, 16), (3000, 5), (2000, 64)])
def test_windows_that_are_much_larger(size: int, side: int) -> None:
    """Oracle: means over areas in double precision."""
    pixels = np.asarray(np.random.default_rng(size).normal(1000.0, 1.0, (size, size)), np.float32)
    (stamp,), _ = resample_windows(pixels, np.array([size]), side)
    weights = make_weights(size, side).astype(np.float64)
    np.testing.assert_allclose(stamp, weights @ pixels.astype(np.float64) @ weights.T, rtol=2e-6)


@needs_compiled
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", [3, 16, 25])
def test_missing_pixels_are_told(bad: float, method: str, side: int) -> None:
    """Wherever it lies in the window, and not where it lies just outside."""
    corners = [(10, 10, 16), (26, 10, 16)]
    for x, y in ((10, 10), (25, 25), (10, 25), (17, 13), (26, 18)):
        pixels = _PIXELS.copy()
        pixels[y, x] = bad
        _, extremes = resample_windows(*cut(corners, pixels), side, method)
        inside = [x < 26, x >= 26]
        assert np.isnan(extremes.least).tolist() == inside
        assert np.isnan(extremes.most).tolist() == inside


@needs_compiled
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": np.array([7])}, "256 bytes are not those of 1 windows"),
        ({"sizes": np.array([0])}, "not those of 1 windows"),
        ({"sizes": np.array([-8])}, "not those of 1 windows"),
        ({"sizes": np.array([2**62])}, "not those of 1 windows"),
        ({"sizes": np.array([8, 8])}, "out has 64 bytes: expected 128"),
        ({"side": 0}, "stamps of 0"),
        ({"out": np.empty((1, 4, 5), np.float32)}, "out has 80 bytes: expected 64"),
        ({"extremes": np.empty((2, 2), np.float32)}, "extremes has 16 bytes: expected 8"),
        ({"axes": {8: (np.arange(4, dtype=np.int32), np.ones((4, 6), np.float32))}}, "do not lie on them"),
        ({"axes": {8: (np.array([2, 1, 1, 1], np.int32), np.ones((4, 2), np.float32))}}, "do not lie on"),
        ({"axes": {8: (np.array([-1, 1, 1, 1], np.int32), np.ones((4, 2), np.float32))}}, "do not lie on"),
        ({"axes": {8: (np.arange(3, dtype=np.int32), np.ones((4, 2), np.float32))}}, "first has 12 bytes"),
        ({"axes": {8: (np.arange(4, dtype=np.int32), np.ones(9, np.float32))}}, "do not lie on them"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    """Nothing is read or written beyond an array."""
    sound: dict[str, Any] = {
        "pixels": _PIXELS[0, :64], "swapped": False, "sizes": np.array([8]),
        "axes": {8: (np.arange(4, dtype=np.int32), np.ones((4, 2), np.float32))}, "side": 4, "factor": 1.0,
        "out": np.empty((1, 4, 4), np.float32), "extremes": np.empty((1, 2), np.float32),
    }  # fmt: skip
    from snapdb.bulk.shape import _windows

    _windows.resample(*sound.values())
    with pytest.raises(ValueError, match=message):
        _windows.resample(*(sound | change).values())
    with pytest.raises(KeyError):
        _windows.resample(*(sound | {"pixels": _PIXELS[0, :81], "sizes": np.array([9])}).values())
    with pytest.raises(ValueError, match="contiguous"):
        _windows.resample(*(sound | {"pixels": _PIXELS[:2, ::2]}).values())


def test_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_resample(_PIXELS.astype(np.float64), 64)
    assert not can_resample(_PIXELS.astype(np.int32), 64)
    assert not can_resample(_PIXELS, 513)
    assert can_resample(_PIXELS, 64) is can_resample(_PIXELS.astype(">f4"), 64) is IS_BUILT
    monkeypatch.setattr(compiled, "_windows", None)
    assert not can_resample(_PIXELS, 64)


@needs_compiled
def test_many_sizes_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_KEPT", 3)
    corners = [(0, 0, size) for size in range(1, 40)]
    stamps, _ = resample_windows(*cut(corners), 9, "cubic")
    assert len(compiled._axes(9, "cubic", conserve=False)) <= 3
    assert np.array_equal(stamps[4], resample(_PIXELS[None, :5, :5], 9, "cubic")[0])


@needs_compiled
@pytest.mark.parametrize("stretch", ["linear", "none"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_whole_runs_agree(
    stretch: str, dtype: str, tiles: Tiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without compiled code makes the same, sources at edges and with missing pixels among them."""
    holed = tmp_path / "holed.fits"
    with fits.open(tiles.paths[0]) as hdus:
        hdus[0].data[::37, ::41] = np.nan
        hdus.writeto(holed)
    frame = tiles.frame.copy()
    frame["fits_file_paths"] = [
        text.replace(str(tiles.paths[0]), str(holed)) for text in frame["fits_file_paths"]
    ]
    frame.loc[frame.index[:40], "diameter_pixel"] = 130
    found = []
    for name in ("compiled", "numpy"):
        config = get_default_config()
        config.target_resolution, config.normalisation_method, config.data_type = 32, stretch, dtype
        config.output_dir, config.max_workers = str(tmp_path / f"{name}.zarr"), 1
        with monkeypatch.context() as patch:
            if name == "numpy":
                patch.setattr(compiled, "_windows", None)
            assert Orchestrator(config).start_processing(frame)["status"] == "completed"
        found.append(snapdb.bulk.open(config.output_dir))
    made, expected = found
    assert made.table.equals(expected.table)
    assert (made.table["masked_fraction"] > 0).any()
    assert (made.table["outside_fraction"] > 0).any()
    step = {"float32": 1e-6 * float(np.nanmax(np.abs(expected[:]))), "uint8": 1.0}[dtype]
    np.testing.assert_allclose(made[:].astype(float), expected[:].astype(float), rtol=1e-5, atol=2 * step)
