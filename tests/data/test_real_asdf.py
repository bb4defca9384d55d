"""Real gwcs files of JWST; the oracle is gwcs."""

from pathlib import Path

import numpy as np
import pytest

from snapdb.errors import NotAnImageError
from snapdb.formats.asdf.wcs import fit_header, load_gwcs
from snapdb.formats.describe import describe
from snapdb.sky.wcs import AstropyWCS

pytest.importorskip("gwcs")
FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "jwst_asdf"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not FOLDER.exists(), reason="no real data here")]


@pytest.mark.parametrize(("name", "where"), [("jwst.asdf", ("meta", "wcs")), ("nircamwcs.asdf", ("wcs",))])
def test_cards_follow_the_gwcs_of_a_detector(name: str, where: tuple[str, ...]) -> None:
    with (FOLDER / name).open("rb") as stream:
        gwcs = load_gwcs(stream, where, name)
    header, residual = fit_header(gwcs, (2048, 2048), name)
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, 2047, 33), np.linspace(0, 2047, 33)))
    ra, dec = (np.asarray(a) for a in gwcs(x, y, with_bounding_box=False)[:2])
    found_ra, found_dec = AstropyWCS.from_header(header).pixel_to_world(x, y)
    scale = abs(float(header["CD2_2"])) or abs(float(header["CD2_1"]))
    off = np.hypot((found_ra - ra) * np.cos(np.radians(dec)), found_dec - dec) / scale
    assert off.max() < 1e-3
    assert residual < 1e-3


def test_a_cube_is_no_image() -> None:
    with pytest.raises(NotAnImageError):
        describe(FOLDER / "jwst.asdf")
