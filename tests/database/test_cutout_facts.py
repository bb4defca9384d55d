"""What a cutout of a registered image has from its parent: the row's facts, and those set in memory."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.archive.archive import Archive
from snapdb.archive.cutout import INHERITED
from snapdb.registry import Registry
from snapdb.storage import LocalStore

CARDS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -5.0, "CRPIX1": 25.0}
CARDS |= {"CRPIX2": 20.0, "CDELT1": -1e-4, "CDELT2": 1e-4, "DATE-OBS": "2023-02-25T00:00:00", "EXPTIME": 30.0}


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    """An archive of one image, on either database."""
    path = tmp_path / "one.fits"
    fits.writeto(path, np.arange(2000, dtype="f4").reshape(40, 50), fits.Header(CARDS))
    made = Archive(registry, LocalStore(tmp_path / "store"))
    made.ingest(path)
    return made


def test_a_cutout_has_the_facts_of_its_parent(archive: Archive) -> None:
    (image,) = archive.find_images()
    cutout = image.get_cutout(20, 20, 5)
    assert (cutout.mjd, cutout.exptime, cutout.kind) == (60000.0, 30.0, "cutout")
    assert {n: cutout.fact(n) for n in INHERITED} == {n: image.fact(n) for n in INHERITED}
    assert image.kind != "cutout"


def test_facts_that_were_set_on_the_parent_go_along(archive: Archive) -> None:
    (image,) = archive.find_images()
    image.band, image.exptime = "z", 45.0
    image.ra = 11.0
    cutout = image.get_cutout(20, 20, 5)
    assert (cutout.band, cutout.exptime, cutout.mjd) == ("z", 45.0, 60000.0)
    assert cutout.ra != 11.0, "a cutout has a centre of its own"
    inner = cutout.get_cutout(2, 2, 3)
    assert (inner.band, inner.exptime) == ("z", 45.0)
    image.band = "g"
    assert cutout.band == "z"
