"""Images of fewer pixels, and their headers. Oracles: loops over every block, and astropy's WCS."""

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snapdb.archive.stamps.cropping import downscale_image
from snapdb.errors import ShapeError, UsageError

RNG = np.random.default_rng(5)
JOIN: dict[str, Any] = {
    "sum": np.sum,
    "mean": np.mean,
    "and": np.bitwise_and.reduce,
    "or": np.bitwise_or.reduce,
}


@pytest.mark.parametrize("mode", list(JOIN))
@pytest.mark.parametrize(
    ("shape", "scale"), [((6, 9), 3), ((7, 5), 2), ((4, 4), 4), ((5, 3), 1), ((11, 4), 3)]
)
@pytest.mark.parametrize("dtype", ["i2", "u1", "f4", "f8", ">i4"])
def test_each_block(mode: str, shape: tuple[int, int], scale: int, dtype: str) -> None:
    image = RNG.integers(0, 250, shape).astype(dtype)
    if mode in ("and", "or") and image.dtype.kind == "f":
        with pytest.raises(UsageError, match="bits"):
            downscale_image(image, scale, mode)
        return
    blocks = downscale_image(image, scale, mode)
    assert blocks.shape == (shape[0] // scale, shape[1] // scale)
    for (j, i), value in np.ndenumerate(blocks):
        block = image[j * scale : (j + 1) * scale, i * scale : (i + 1) * scale].astype(
            "f8" if mode == "mean" else dtype
        )
        assert value == pytest.approx(JOIN[mode](block.ravel()), rel=1e-6)


def test_sums_do_not_overflow_and_masks_combine() -> None:
    full = np.full((4, 4), 255, np.uint8)
    assert downscale_image(full, 2).tolist() == [[1020, 1020], [1020, 1020]]
    mask = np.eye(4, dtype=bool)
    assert downscale_image(mask, 2, "or").dtype == bool
    assert downscale_image(mask, 2, "sum").tolist() == [[2, 0], [0, 2]]
    assert downscale_image(np.ones((2, 2), np.float32), 2, "mean").dtype == np.float32


@pytest.mark.parametrize(
    ("image", "scale", "mode", "error"),
    [
        (np.ones((4, 4)), 2, "median", UsageError),
        (np.ones((4, 4)), 2, "SUM", UsageError),
        (np.ones((4, 4)), 0, "sum", ShapeError),
        (np.ones((4, 4)), 5, "sum", ShapeError),
        (np.ones((4, 4)), 1.5, "sum", ShapeError),
        (np.ones((4, 4)), True, "sum", ShapeError),
        (np.ones(4), 2, "sum", ShapeError),
        (np.ones((0, 4)), 1, "sum", ShapeError),
    ],
)
def test_what_cannot_be_is_refused(image: Any, scale: Any, mode: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        downscale_image(image, scale, mode)


def make_header(kind: str) -> fits.Header:
    """A header whose coordinates are written in one of the ways there are."""
    header = fits.ImageHDU(np.zeros((31, 44), np.float32)).header
    header["MAGZEROP"], header["FLXSCALE"] = 25.0, 2.0
    code = {"sip": "TAN-SIP", "tpv": "TPV"}.get(kind, "TAN")
    header["CTYPE1"], header["CTYPE2"] = f"RA---{code}", f"DEC--{code}"
    header["CRPIX1"], header["CRPIX2"], header["CRVAL1"], header["CRVAL2"] = 100.5, -20.25, 10.0, 20.0
    if kind in ("cdelt", "pc"):
        header["CDELT1"], header["CDELT2"] = -1e-4, 1e-4
    if kind == "pc":
        header["PC1_1"], header["PC1_2"], header["PC2_1"], header["PC2_2"] = 0.8, 0.6, -0.6, 0.8
    elif kind == "crota":
        header["CDELT1"], header["CDELT2"], header["CROTA2"] = -1e-4, 1.1e-4, 30.0
    elif kind == "pc alone":
        header["PC1_1"], header["PC2_2"] = -1e-4, 1e-4
    elif kind != "cdelt":
        header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -1e-4, 1e-6, 2e-6, 1e-4
    if kind == "sip":
        header["A_ORDER"], header["B_ORDER"], header["A_2_0"], header["B_1_2"] = 2, 3, 3e-5, -2e-7
    if kind == "tpv":
        header["PV1_1"], header["PV1_4"], header["PV2_1"], header["PV2_5"] = 1.0, 2e-3, 1.0, -1e-3
    if kind == "no crpix":
        del header["CRPIX1"], header["CRPIX2"]
    if kind == "alternate":
        for name in ("CTYPE1", "CTYPE2", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD2_2"):
            header[f"{name}A"] = header[name]
        header["CRVAL1A"] = 50.0
    return header


KINDS = ["cdelt", "pc", "pc alone", "crota", "cd", "sip", "tpv", "no crpix", "alternate"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1, 2, 5])
def test_coordinates_of_blocks_are_those_of_their_centres(kind: str, scale: int) -> None:
    header = make_header(kind)
    before = header.copy()
    image = np.zeros((31, 44), np.float32)
    blocks, binned = downscale_image(image, scale, "mean", header)
    assert header == before
    assert (binned["NAXIS1"], binned["NAXIS2"]) == blocks.shape[::-1]
    assert (binned["MAGZEROP"], binned["FLXSCALE"]) == (25.0, 2.0)
    x, y = RNG.uniform(-2, 9, (2, 40))
    for key in ("A", " ") if kind == "alternate" else (" ",):
        wide = WCS(binned, key=key).all_pix2world(x, y, 0)
        fine = WCS(header, key=key).all_pix2world((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5, 0)
        np.testing.assert_allclose(wide, fine, rtol=0, atol=1e-11)


def test_a_header_without_coordinates() -> None:
    header = fits.Header([("NAXIS1", 4), ("NAXIS2", 4), ("LTV1", 3.0), ("LTM1_1", 1.0), ("GAIN", 2.0)])
    _, binned = downscale_image(np.zeros((4, 4)), 2, header=header)
    # Oracle: the middle of the first block is pixel 1.5 of the image, which is 1.5 - 3 of the original.
    assert (1.0 - binned["LTV1"]) / binned["LTM1_1"] == pytest.approx(1.5 - 3.0)
    assert binned["GAIN"] == 2.0
    assert "CRPIX1" not in binned
    assert "CDELT1" not in binned
