"""Fluxes of stamps of real files that a catalogue names, by formulas that their surveys publish."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from snapdb import Image
from snapdb.bulk import Orchestrator, get_default_config

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not there")]

FILES = [
    # Legacy Surveys DR9: mag = -2.5 log10(value) + MAGZERO + 2.5 log10(EXPTIME) for 90Prime and Mosaic-3,
    ("bass_mzls_fpack/ksb_170430_055945_ooi_r_ls9.CCD4.fits", "CCD4", 1.0),
    ("bass_mzls_fpack/k4m_160319_075112_ooi_zd_ls9.CCD3.fits", "CCD3", 1.0),
    # and without the exposure time for DECam.
    ("decam_tc4/c4d_170316_062107_ooi_z_ls9.N2.fits", "N2", 0.0),
]


@pytest.mark.parametrize(("name", "extension", "share"), FILES)
def test_fluxes_follow_the_published_formula(name: str, extension: str, share: float, tmp_path: Path) -> None:
    """Oracle: the formula with cards as astropy reads them, and AB magnitudes' definition."""
    path = (DATA / name).resolve()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            cards: Any = hdus[extension].header
            first: Any = hdus[0].header
            magzero, exptime = (float(cards.get(k, first.get(k))) for k in ("MAGZERO", "EXPTIME"))
            pixels = np.array(hdus[extension].data, np.float64)
    image = Image(path)
    expected = magzero + share * 2.5 * np.log10(exptime)
    ra, dec = image.coord_center
    config = get_default_config()
    config.normalisation_method, config.target_resolution, config.flux_unit = "none", 32, "nJy"
    config.fits_extensions = [extension]
    frame = pd.DataFrame({"SourceID": ["a"], "RA": [ra], "Dec": [dec], "diameter_pixel": [32]})
    frame["fits_file_paths"] = str(path)
    stamps = Orchestrator(config, output=tmp_path / "s.zarr").execute(frame)
    row = pd.read_parquet(stamps["mapping_parquet"]).iloc[0]
    box = pixels[int(row["y0"]) : int(row["y0"]) + 32, int(row["x0"]) : int(row["x0"]) + 32]
    import zarr

    found: Any = zarr.open_group(stamps["output"], mode="r")["images"]
    np.testing.assert_allclose(found[0][..., 0], box * 3631e9 * 10 ** (-0.4 * expected), rtol=1e-4)
    assert image.zeropoint == pytest.approx(expected, abs=1e-6)
