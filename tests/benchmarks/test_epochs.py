"""800 images of one position into one stack, beside a loop over astropy's Cutout2D and ``.section``.

Page cache warm; the stack begins with the query. The peers are given the files' names for nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # the peers read with it
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

import snapdb
from snapdb.archive.epochs.cutout_set import find_cutouts
from snapdb.types import PixelArray

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
EPOCHS = int(os.environ.get("SNAPDB_BENCH_EPOCHS", "800"))
SIDE, SIZE, PEERS = 1024, 51, 60
RA, DEC = 150.11, 2.19
SEED = 20261126


def make_header(number: int, rng: np.random.Generator) -> fits.Header:
    """About 150 cards: a dithered TAN-SIP of order 3, and what pipelines write."""
    header = fits.Header({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "RADESYS": "ICRS"})
    header.update({"CRVAL1": RA, "CRVAL2": DEC, "FILTER": "gri"[number % 3], "MJD-OBS": 60000.0 + number})
    header.update({"CRPIX1": SIDE / 2 + rng.uniform(-300, 300), "CRPIX2": SIDE / 2 + rng.uniform(-300, 300)})
    header.update({"CD1_1": -3.0e-5, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 3.0e-5, "EXPTIME": 30.0})
    powers = [(p, q) for p in range(4) for q in range(4 - p) if p + q > 1]
    for letter in "AB":
        header[f"{letter}_ORDER"] = 3
        header.update({f"{letter}_{p}_{q}": rng.normal() * 2.0 / 512.0 ** (p + q) for p, q in powers})
    for other in range(150 - len(header)):
        header[f"KEY{other:05}"] = (other * 1.5, "of the pipeline")
    return header


def write_files(folder: Path, kind: str) -> None:
    """Write the epochs: float32 as it is, or RICE tiles of 64 x 64."""
    rng = np.random.default_rng(SEED)
    base = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    options = {"tile_shape": (64, 64), "compression_type": "RICE_1", "quantize_level": 16}
    tiled = fits.CompImageHDU(base, name="SCI", **options)
    with fits.HDUList([fits.PrimaryHDU(), tiled]) as hdus:  # one is compressed, 800 get its bytes
        hdus.writeto(folder / "first")
    for number in range(EPOCHS):
        header = make_header(number, rng)
        if kind == "plain":
            pixels = np.roll(base, (number, number * 7), axis=(0, 1)) + np.float32(number)
            hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="SCI")])
            hdus.writeto(folder / f"{number:04}.fits")
            continue
        with fits.open(folder / "first", disable_image_compression=True) as first:
            first[1].header.extend(header.cards, strip=True)
            first.writeto(folder / f"{number:04}.fits.fz")
    (folder / "first").unlink()


@pytest.fixture(scope="module", params=["plain", "rice"])
def archive(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, snapdb.Archive]]:
    """An archive of the files."""
    folder = tmp_path_factory.mktemp("epochs")
    (folder / "files").mkdir()
    write_files(folder / "files", request.param)
    with snapdb.init(folder / "archive") as made:
        assert len(made.ingest(folder / "files").image_ids) == EPOCHS
        yield request.param, made


def cut_with_cutout2d(path: Path) -> PixelArray:
    """Open, find the pixel with the full header, cut."""
    with fits.open(path) as hdus:
        wcs = WCS(hdus[1].header)
        x, y = wcs.all_world2pix(RA, DEC, 0)
        return np.array(Cutout2D(hdus[1].data, (float(x), float(y)), SIZE, wcs=wcs).data)


def cut_with_section(path: Path) -> PixelArray:
    """Open, find the pixel with the full header, read the section."""
    with fits.open(path) as hdus:
        x, y = WCS(hdus[1].header).all_world2pix(RA, DEC, 0)
        x0, y0 = (int(np.floor(v + 0.5)) - SIZE // 2 for v in (x, y))
        return np.asarray(hdus[1].section[y0 : y0 + SIZE, x0 : x0 + SIZE])


def median_s(call: Callable[[], Any], times: int) -> float:
    """Measure a call."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def test_800_epochs_into_one_stack(
    archive: tuple[str, snapdb.Archive], capsys: pytest.CaptureFixture[str]
) -> None:
    kind, opened = archive
    stack = find_cutouts(opened, RA, DEC, SIZE, None, {}, planes=("data",)).stack()
    assert stack.shape == (EPOCHS, SIZE, SIZE)
    assert list(stack.table["mjd"]) == sorted(stack.table["mjd"])
    paths = [opened.store.path_of(key) for key in stack.table["filepath"]]
    some = range(0, EPOCHS, max(1, EPOCHS // PEERS))
    cut = cut_with_cutout2d if kind == "plain" else cut_with_section
    for layer in some:
        np.testing.assert_array_equal(stack.data[layer], cut(Path(str(paths[layer]))))
    ours = median_s(lambda: find_cutouts(opened, RA, DEC, SIZE, None, {}, planes=("data",)).stack(), 7)
    query = median_s(lambda: find_cutouts(opened, RA, DEC, SIZE, None, {}, planes=("data",)), 5)
    theirs = median_s(lambda: [cut(Path(str(paths[layer]))) for layer in some], 2) / len(some) * EPOCHS
    name = "Cutout2D" if kind == "plain" else ".section"
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kind}: {EPOCHS} x {SIZE} x {SIZE} in {ours:.3f} s (query and plan {query:.3f} s); "
            f"a loop of {name} {theirs:.2f} s = {theirs / ours:.1f}x"
        )
