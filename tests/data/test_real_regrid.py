"""Headers of real images, cropped and binned. The oracle is the sky of the whole image."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import ProjectionError
from snapdb.formats.regrid import bin_cards, crop_cards
from snapdb.sky.wcs import AstropyWCS

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SCALE = 3

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the real images are not here"),
]


def find_headers() -> list[tuple[str, fits.Header]]:
    """The headers of all 2-D images that have coordinates."""
    found = []
    for path in sorted(FOLDER.rglob("*.fit*")):
        try:
            with fits.open(path) as hdus:
                headers = [hdu.header for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2]
        except (OSError, ValueError, IndexError, TypeError):
            continue
        found += [(f"{path.name}[{i}]", header) for i, header in enumerate(headers) if "CTYPE1" in header]
    return found


def test_the_sky_stays_where_it_was() -> None:
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the headers themselves
        for name, header in find_headers():
            try:
                wcs = AstropyWCS.from_header(header)
            except ProjectionError:
                continue
            width, height = header["NAXIS1"], header["NAXIS2"]
            x0, y0 = width // 3, -height // 4
            x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
            truth = wcs.pixel_to_world(x, y)
            cropped = AstropyWCS.from_header(crop_cards(header, x0, y0, width // 2, height))
            binned = AstropyWCS.from_header(bin_cards(header, SCALE, width // SCALE, height // SCALE))
            scale = wcs.pixel_scale_arcsec(width / 2, height / 2) / 3600.0
            for ra, dec in (
                cropped.pixel_to_world(x - x0, y - y0),
                binned.pixel_to_world((x + 0.5) / SCALE - 0.5, (y + 0.5) / SCALE - 0.5),
            ):
                across = (np.asarray(ra) - truth[0] + 180.0) % 360.0 - 180.0
                off = np.hypot(across * np.cos(np.radians(truth[1])), np.asarray(dec) - truth[1])
                assert np.nanmax(off) / scale < 1e-6, name
            seen += 1
    assert seen > 100
