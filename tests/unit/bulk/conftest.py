"""A small sky for runs: tiles with known pixels, and a catalogue on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snapdb.types import FloatArray, IntArray, PixelArray

SIDE = 400


@dataclass(frozen=True)
class Tiles:
    """Tiles and sources, with what they were made of."""

    paths: list[Path]
    pixels: list[PixelArray]
    wcs: list[WCS]
    tile: IntArray
    """Of each source."""
    x: FloatArray
    """Pixel of each source in its tile."""
    y: FloatArray
    size: IntArray
    frame: pd.DataFrame
    """The catalogue."""


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Tiles:
    """Three tiles, 300 sources wholly on them."""
    folder, rng = tmp_path_factory.mktemp("tiles"), np.random.default_rng(11)
    paths, pixels, all_wcs = [], [], []
    for number in range(3):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
        wcs.wcs.crval, wcs.wcs.crpix = [10.0 + number, -5.0], [SIDE / 2, SIDE / 2]
        wcs.wcs.cd = 0.1 / 3600 * np.array([[-1.0, 0.1], [0.1, 1.0]])
        data = rng.normal(10.0, 1.0, (SIDE, SIDE)).astype(np.float32)
        data[rng.integers(0, SIDE, 400), rng.integers(0, SIDE, 400)] += 200.0
        header = wcs.to_header()
        header["MAGZERO"] = 25.0
        path = folder / f"tile_{number}.fits"
        fits.PrimaryHDU(data, header).writeto(path)
        paths.append(path)
        pixels.append(data)
        all_wcs.append(wcs)
    count = 300
    tile, size = rng.integers(0, 3, count), rng.integers(10, 40, count)
    x, y = rng.uniform(25, SIDE - 26, count), rng.uniform(25, SIDE - 26, count)
    sky = np.array([all_wcs[t].all_pix2world(a, b, 0) for t, a, b in zip(tile, x, y, strict=True)])
    frame = pd.DataFrame(
        {
            "SourceID": [f"source-{i}" for i in range(count)],
            "RA": sky[:, 0],
            "Dec": sky[:, 1],
            "diameter_pixel": size,
            "fits_file_paths": [f"['{paths[t]}']" for t in tile],
        }
    )
    return Tiles(paths, pixels, all_wcs, tile, x, y, size, frame)
