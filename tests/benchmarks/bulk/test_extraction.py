"""Cutting windows out of a plain file, beside the bare gather of the same pixels from a memory map."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.bulk.cutting.windows import iter_windows
from snapdb.bulk.planning.placing import place_windows
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import read_channels

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
SIDE, COUNT, SEED = 8000, 5000, 20261126


def best_of(call: Callable[[], None], times: int = 5) -> float:
    """Give the least wall time of some calls, seconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def test_windows_beside_the_bare_gather(tmp_path: Path) -> None:
    """Oracle: the pixels themselves."""
    rng = np.random.default_rng(SEED)
    pixels = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-5, "CDELT2": 1e-5})
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "tile.fits")
    (channel,) = read_channels(str(tmp_path / "tile.fits"), Recipe(convert_flux=False))
    x, y = rng.uniform(64, SIDE - 65, COUNT), np.sort(rng.uniform(64, SIDE - 65, COUNT))
    size = rng.integers(32, 129, COUNT)
    places = place_windows(x, y, size, channel.data.layout)
    offset = channel.data.layout.offset
    corners = list(zip(places.x0.tolist(), places.y0.tolist(), size.tolist(), strict=True))

    def gather() -> None:
        plane = np.memmap(tmp_path / "tile.fits", ">f4", "r", offset, (SIDE, SIDE))
        for x0, y0, n in corners:
            plane[y0 : y0 + n, x0 : x0 + n].astype(np.float32)

    def cut() -> None:
        for _ in iter_windows(channel.data, places):
            pass

    for index, batch in iter_windows(channel.data, places):
        for i, window in zip(index.tolist(), batch, strict=True):
            x0, y0, n = corners[i]
            assert np.array_equal(window, pixels[y0 : y0 + n, x0 : x0 + n])
    bare, ours = best_of(gather), best_of(cut)
    rate = 4e-9 * float((size**2).sum()) / ours
    sys.stdout.write(
        f"\n{COUNT} windows: {ours * 1e3:.0f} ms, bare gather {bare * 1e3:.0f} ms: {ours / bare:.2f} times; "
        f"{rate:.2f} GB/s\n"
    )
