"""Light curves of constant stars on real epochs: four of one field, in H, from the VISTA VIDEO survey.

Known of them, by sep and astropy: bright stars differ from epoch to epoch by 2 to 29 mmag in the median,
and by 19 to 30 mmag about that. Those used here are 50 times their noise, or more, in one epoch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sep
from astropy.io import fits

import snapdb
from snapdb.archive.archive import Archive
from snapdb.archive.image import Image
from snapdb.archive.light_curves.catalog import find_phot
from snapdb.archive.light_curves.light_curve import find_light_curve
from snapdb.photometry.psf import build_psf
from snapdb.types import FloatArray

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "vista_video"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of real images is not there"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
]
BRIGHT, FAINTEST, RADIUS = 200_000.0, 20_000.0, 6.0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive of the four epochs."""
    with snapdb.init(tmp_path_factory.mktemp("archive") / "vista") as made:
        report = made.ingest(sorted(FOLDER.glob("*.fits")), jobs=1)
        assert len(report.image_ids) == 4
        yield made


@pytest.fixture(scope="module")
def stars(archive: Archive) -> tuple[FloatArray, FloatArray]:
    """Isolated stars of the first epoch that lie well within all of them, found by sep."""
    image = archive.find_images(order_by="mjd")[0]
    with fits.open(FOLDER / "image_1.fits") as hdus:
        data = np.ascontiguousarray(hdus[1].data, dtype=np.float64)
    data = data - sep.Background(data)
    found = sep.extract(data, 10.0, err=np.median(np.abs(data)) * 1.4826)
    flux, _, _ = sep.sum_circle(data, found["x"], found["y"], RADIUS)
    place = np.stack((found["x"], found["y"]), axis=1)
    apart = np.array([np.sort(np.hypot(*(place - one).T))[1] for one in place]) > 20.0
    within = ((place > 150.0) & (place < np.array(data.shape[::-1]) - 150.0)).all(axis=1)
    width = np.sqrt(found["a"] * found["b"])
    sharp = width < 1.6 * np.median(width[flux > 0.1 * FAINTEST])
    chosen = (flux > FAINTEST) & (flux < BRIGHT) & (found["peak"] < 20_000.0) & apart & within & sharp
    ra, dec = image.get_wcs().pixel_to_world(found["x"][chosen], found["y"][chosen])
    return np.asarray(ra), np.asarray(dec)


def differences(found: Any) -> FloatArray:
    """Give magnitudes of epochs 1, 2, 3 less those of epoch 0: shape (stars, 3)."""
    mag = np.asarray(found["mag"].value).reshape(-1, 4)
    return np.asarray(mag[:, 1:] - mag[:, :1])


def test_constant_stars_are_flat(archive: Archive, stars: tuple[FloatArray, FloatArray]) -> None:
    found = find_phot(archive, stars, ap_r=RADIUS).table
    assert len(found) == 4 * len(stars[0]) > 4 * 25
    change = differences(found)
    middle = np.median(change, axis=0)
    assert np.abs(middle).max() < 0.040
    assert np.median(np.abs(change - middle), axis=0).max() < 0.035
    own = np.asarray(found["mag"].value).reshape(-1, 4).std(axis=1)
    assert np.median(own) < 0.030
    one = find_light_curve(archive, float(stars[0][0]), float(stars[1][0]), ap_r=RADIUS)
    assert one.new == 0
    assert np.ptp(one.table["mjd"].value) > 200.0


def test_the_stars_own_psf_makes_them_as_flat(archive: Archive, stars: tuple[FloatArray, FloatArray]) -> None:
    class OwnPSF:
        """Of each image, made of its stars."""

        def __init__(self) -> None:
            self.made: dict[Any, Any] = {}

        def at(self, image: Image) -> Any:
            if image.id not in self.made:
                self.made[image.id] = build_psf(image)
            return self.made[image.id]

    change = differences(find_phot(archive, stars, psf=OwnPSF(), keep=False).table)
    middle = np.nanmedian(change, axis=0)
    assert np.abs(middle).max() < 0.10  # what each PSF holds of the wings differs
    assert np.nanmedian(np.abs(change - middle), axis=0).max() < 0.060  # the real PSF varies over the chip
