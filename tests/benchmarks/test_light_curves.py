"""The light curve of one position on 800 images, from the archive, beside ``psf_phot`` on each image.

Files are local FITS with data, noise and flags; the page cache is warm. Answers are equal, row by row.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # writes the files
from astropy.wcs import WCS

import snapdb
from snapdb.archive.light_curves.catalog import find_phot
from snapdb.archive.light_curves.light_curve import find_light_curve
from snapdb.archive.photometry.psf_phot import psf_phot
from snapdb.photometry.psf import GaussianPSF
from snapdb.testing.rendering import integrate_gaussian

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
EPOCHS = int(os.environ.get("SNAPDB_BENCH_EPOCHS", "800"))
SIDE, PEERS, SIGMA, SKY, COUNTS = 256, 40, 1.5, 100.0, 5000.0
RA, DEC = 150.11, 2.19
SEED = 20261127
PSF = GaussianPSF(SIGMA)


def make_header(number: int, rng: np.random.Generator) -> fits.Header:
    """Describe a dithered TAN-SIP image of order 2."""
    header = fits.Header({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "RADESYS": "ICRS"})
    header.update({"CRVAL1": RA, "CRVAL2": DEC, "FILTER": "gri"[number % 3], "MJD-OBS": 60000.2 + number})
    header.update({"CRPIX1": SIDE / 2 + rng.uniform(-70, 70), "CRPIX2": SIDE / 2 + rng.uniform(-70, 70)})
    header.update({"CD1_1": -3.0e-5, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 3.0e-5, "EXPTIME": 30.0})
    header.update(
        {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_0_2": -1e-6, "MAGZERO": 27.0, "MAGSYS": "AB"}
    )
    return header


def write_files(folder: Path) -> None:
    """Write the epochs: a star of constant flux on a flat sky, with Poisson noise and dead pixels."""
    rng = np.random.default_rng(SEED)
    noise = rng.poisson(SKY, (SIDE, SIDE)) - SKY
    for number in range(EPOCHS):
        header = make_header(number, rng)
        x, y = (float(v) for v in WCS(header).all_world2pix(RA, DEC, 0))
        rows, columns, shares = integrate_gaussian(x, y, SIGMA, width=SIDE, height=SIDE)
        light = np.full((SIDE, SIDE), SKY)
        light[rows, columns] += COUNTS * shares
        data = light + np.roll(noise, (number * 3, number * 7), axis=(0, 1)) * np.sqrt(light / SKY)
        flags = np.zeros((SIDE, SIDE), dtype=np.uint8)
        flags[rng.integers(0, SIDE, 500), rng.integers(0, SIDE, 500)] = 1
        planes = {"SCI": data.astype(np.float32), "ERR": np.sqrt(light).astype(np.float32), "DQ": flags}
        hdus = [fits.ImageHDU(pixels, header, name=name) for name, pixels in planes.items()]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(folder / f"{number:04}.fits")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapdb.Archive]:
    """An archive of the files."""
    folder = tmp_path_factory.mktemp("epochs")
    (folder / "files").mkdir()
    write_files(folder / "files")
    with snapdb.init(folder / "archive") as made:
        assert len(made.ingest(folder / "files").image_ids) == EPOCHS
        yield made


def best_s(call: Callable[[], Any], times: int) -> float:
    """Measure a call."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def test_light_curve_of_800_epochs(archive: snapdb.Archive, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    first = find_light_curve(archive, RA, DEC, psf=PSF)
    kept = time.perf_counter() - start
    assert len(first) == EPOCHS == first.new
    images = archive.find_images(ra=RA, dec=DEC, order_by="mjd")
    some = list(range(0, EPOCHS, max(1, EPOCHS // PEERS)))

    def one_by_one() -> list[Any]:
        options: dict[str, Any] = {"fit_shape": (11, 11), "group": False}
        return [psf_phot(images[n], {"ra": [RA], "dec": [DEC]}, PSF, **options) for n in some]

    for n, table in zip(some, one_by_one(), strict=True):
        row = first.table[n]
        assert row["image_id"] == str(images[n].id)
        np.testing.assert_allclose(row["flux"], float(table["flux_fit"][0]), rtol=1e-9)
        np.testing.assert_allclose(row["flux_err"], float(table["flux_err"][0]), rtol=1e-9)
    pull = (first.table["flux"] - COUNTS) / first.table["flux_err"]
    assert abs(pull.mean()) < 4.0 / np.sqrt(EPOCHS)
    assert abs(pull.std() - 1.0) < 4.0 / np.sqrt(2 * EPOCHS)
    again = find_light_curve(archive, RA, DEC, psf=PSF)
    assert again.new == 0
    np.testing.assert_array_equal(again.table["flux"], first.table["flux"])
    measure = best_s(lambda: find_light_curve(archive, RA, DEC, psf=PSF, keep=False), 3)
    recall = best_s(lambda: find_light_curve(archive, RA, DEC, psf=PSF), 3)
    theirs = best_s(one_by_one, 1) / len(some) * EPOCHS
    with capsys.disabled():
        sys.stdout.write(
            f"\n{EPOCHS} epochs: {measure:.3f} s measured, {kept:.3f} s with keeping (the first call), "
            f"{recall:.3f} s when known; psf_phot on each image {theirs:.2f} s = {theirs / measure:.1f}x"
        )


def test_many_targets_of_one_image(archive: snapdb.Archive, capsys: pytest.CaptureFixture[str]) -> None:
    image = archive.find_images(ra=RA, dec=DEC, limit=1)[0]
    rng = np.random.default_rng(SEED)
    x, y = rng.uniform(30, SIDE - 30, (2, 1000))
    ra, dec = (np.asarray(v) for v in image.get_wcs().pixel_to_world(x, y))
    chosen: dict[str, Any] = {"id": image.id, "keep": False, "psf": PSF}
    found = find_phot(archive, (ra, dec), **chosen).table
    assert len(found) == len(ra)
    options: dict[str, Any] = {"fit_shape": (11, 11), "group": False, "mask_neighbours": False}
    reference: Any = psf_phot(image, {"x": x, "y": y}, PSF, **options)
    np.testing.assert_allclose(found["flux"], reference["flux_fit"], rtol=1e-6, atol=1e-6)
    ours = best_s(lambda: find_phot(archive, (ra, dec), **chosen), 3)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(ra)} targets of one image from the archive: {ours:.3f} s")
