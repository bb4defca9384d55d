"""Images that were written and registered are never written over. Oracle: the bytes of the file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

import snapdb
from snapdb.archive.archive import Archive
from snapdb.errors import ObjectExistsError
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

DATA = np.arange(60 * 80, dtype=np.float32).reshape(60, 80)


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Iterator[Archive]:
    """An archive without images, on each database."""
    opened = Archive(registry, LocalStore(tmp_path / "store"))
    yield opened
    opened.close()


@pytest.mark.parametrize("stem", [False, True])
def test_a_new_image_is_saved_registered_and_safe(archive: Archive, tmp_path: Path, *, stem: bool) -> None:
    provenance = Provenance("reduce", 1, 0)
    archive.add_provenance(provenance)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [10.0, 20.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [40.5, 30.5], [-1e-4, 1e-4]
    path = tmp_path / ("new" if stem else "new.fits")
    image = snapdb.Image(path, std_imagenames=stem, data=DATA, noise=DATA + 1, wcs=wcs, band="R", mjd=60000.0)
    image.flags = DATA.astype(np.int16)
    image.provenance_id = provenance.id
    files = image.save()
    assert len(files) == (3 if stem else 1)
    registered = image.save_to_db(archive)
    np.testing.assert_array_equal(registered.noise, DATA + 1)
    assert (registered.band, registered.mjd, archive.count_images()) == ("R", 60000.0, 1)
    before = [file.read_bytes() for file in files]
    for one in (image, registered, snapdb.Image(path, std_imagenames=stem)):
        one.data = DATA * 2
        with pytest.raises(ObjectExistsError, match="never written over"):
            one.save(overwrite=True)
    assert [file.read_bytes() for file in files] == before
