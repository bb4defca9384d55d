"""Rectangles of arrays, wherever they lie. Oracles: every pixel by itself, and astropy's WCS."""

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import snapdb
from snapdb.archive.stamps.cropping import crop_image, crop_image_centered
from snapdb.errors import NoOverlapError, PartialOverlapError, ShapeError

_DTYPES = ["f4", ">f8", "f2", "i2", ">i4", "u1", "?", "c8"]
_corner, _size = st.integers(-15, 15), st.integers(0, 14)
_shape = st.tuples(st.integers(1, 9), st.integers(1, 9))


def _image(shape: tuple[int, int], dtype: str) -> np.ndarray:
    return (np.arange(1, shape[0] * shape[1] + 1).reshape(shape) % 100).astype(dtype)


@settings(deadline=None)
@given(_shape, st.sampled_from(_DTYPES), _corner, _corner, _size, _size)
def test_crop_pixel_by_pixel(
    shape: tuple[int, int], dtype: str, x0: int, y0: int, width: int, height: int
) -> None:
    image = _image(shape, dtype)
    cropped = crop_image(image, x0, y0, width, height)
    assert cropped.shape == (height, width)
    assert cropped.dtype == image.dtype
    assert not np.shares_memory(cropped, image)
    for (j, i), value in np.ndenumerate(cropped):
        y, x = j + y0, i + x0
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            assert value == image[y, x]
        elif image.dtype.kind == "f":
            assert np.isnan(value)
        else:
            assert value == 0
    masked = crop_image(np.ma.MaskedArray(image, mask=image == image.flat[0]), x0, y0, width, height)
    assert isinstance(masked, np.ma.MaskedArray)
    for (j, i), bad in np.ndenumerate(np.ma.getmaskarray(masked)):
        y, x = j + y0, i + x0
        inside = 0 <= y < shape[0] and 0 <= x < shape[1]
        assert bad == (not inside or image[y, x] == image.flat[0])


@settings(deadline=None)
@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0, 8))
def test_the_middle_pixel_holds_the_position(x: float, y: float, radius: float) -> None:
    image = np.arange(400.0).reshape(20, 20)
    cropped = crop_image_centered(image, x, y, radius)
    half = int(np.ceil(radius))
    assert cropped.shape == (2 * half + 1, 2 * half + 1)
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    assert abs(x - column) <= 0.5
    if 0 <= column < 20 and 0 <= row < 20:
        assert cropped[half, half] == image[row, column]
    else:
        assert np.isnan(cropped[half, half])


@settings(deadline=None, max_examples=30)
@given(_corner, _corner, _corner, _corner)
def test_headers_keep_the_sky_where_it_was(x0: int, y0: int, x1: int, y1: int) -> None:
    header = fits.ImageHDU(np.zeros((20, 30), np.float32)).header
    header.update({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 359.999, "CRVAL2": 60.0})
    header.update({"CRPIX1": 12.5, "CRPIX2": 3.0, "CD1_1": -1e-4, "CD2_2": 1e-4, "A_ORDER": 2, "B_ORDER": 2})
    header.update({"A_2_0": 1e-4, "B_0_2": -2e-4, "CRPIX1A": 5.0, "CRPIX2A": 6.0})
    before = header.copy()
    once, first = crop_image(np.zeros((20, 30)), x0, y0, 9, 8, header)
    _, second = crop_image(once, x1, y1, 5, 4, first)
    assert header == before
    x, y = np.meshgrid(np.arange(5.0), np.arange(4.0))
    expected = WCS(header).all_pix2world(x + x0 + x1, y + y0 + y1, 0)
    np.testing.assert_allclose(WCS(second).all_pix2world(x, y, 0), expected, rtol=0, atol=1e-11)
    assert (second["CRPIX1A"], second["CRPIX2A"]) == (5.0 - x0 - x1, 6.0 - y0 - y1)
    assert (second["NAXIS1"], second["NAXIS2"]) == (5, 4)
    place = [second[f"CROP_{name}"] for name in ("X1", "X2", "Y1", "Y2")]
    assert place == [x0 + x1, x0 + x1 + 5, y0 + y1, y0 + y1 + 4]


@settings(deadline=None)
@given(
    _shape,
    st.sampled_from(["f4", ">i2", "u1"]),
    _corner,
    _corner,
    _size,
    _size,
    st.sampled_from([0.0, np.nan, -3]),
)
def test_cutouts_of_arrays_pixel_by_pixel(
    shape: tuple[int, int], dtype: str, x0: int, y0: int, across: int, up: int, fill: Any
) -> None:
    image = _image(shape, dtype)
    call = (image, None, (x0, y0), (x0 + across, y0 + up))
    outside = x0 >= shape[1] or y0 >= shape[0] or x0 + across < 0 or y0 + up < 0
    if outside:
        with pytest.raises(NoOverlapError):
            snapdb.Cutout(*call, mode="fill", fillval=fill)
        return
    partial = x0 < 0 or y0 < 0 or x0 + across >= shape[1] or y0 + up >= shape[0]
    if partial:
        with pytest.raises(PartialOverlapError):
            snapdb.Cutout(*call)
    cutout = snapdb.Cutout(*call, mode="fill", fillval=fill)
    for (j, i), value in np.ndenumerate(cutout.data):
        y, x = j + y0, i + x0
        inside = 0 <= y < shape[0] and 0 <= x < shape[1]
        assert cutout.mask[j, i] == (not inside)
        np.testing.assert_equal(value, np.asarray(image[y, x] if inside else fill, dtype=cutout.data.dtype))
    np.testing.assert_array_equal(cutout.data[cutout.insertion_slice], image[cutout.extraction_slice])


@pytest.mark.parametrize(
    "arguments",
    [(0.5, 0, 2, 2), (0, 0, -1, 2), (0, 0, 2, 2.5), (np.nan, 0, 2, 2), (0, True, 2, 2), ("a", 0, 1, 1)],
)
def test_crops_that_cannot_be(arguments: Any) -> None:
    with pytest.raises(ShapeError):
        crop_image(np.zeros((4, 4)), *arguments)
    with pytest.raises(ShapeError):
        crop_image(np.zeros(4), 0, 0, 1, 1)
    with pytest.raises(NoOverlapError):
        crop_image_centered(np.zeros((4, 4)), np.nan, 0, 1)
    for radius in (-1, np.nan, np.inf):
        with pytest.raises(ShapeError):
            crop_image_centered(np.zeros((4, 4)), 1, 1, radius)
