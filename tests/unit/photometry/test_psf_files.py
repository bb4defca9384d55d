"""PSFs from files: PSFEx, STPSF and plain images, as their writers write them."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from photutils.psf import GaussianPRF, GriddedPSFModel
from scipy.interpolate import RectBivariateSpline

from snapdb.errors import (
    CorruptFileError,
    NotFoundError,
    ObjectMissingError,
    ShapeError,
    SnapdbError,
    StorageError,
    UnknownFormatError,
    UsageError,
)
from snapdb.photometry.psf import GaussianPSF, GriddedPSF, ImagePSF, PSFExPSF, read_psf
from snapdb.types import FloatArray

ZERO, SCALE, SAMPLING = (1000.5, 2000.5), (900.0, 1800.0), 0.71


def psfex_terms(degree: int = 2, side: int = 31, seed: int = 4) -> FloatArray:
    """Make the images of a PSFEx model: a Gaussian, and smooth changes of it that sum to little."""
    random = np.random.default_rng(seed)
    rows, columns = (np.indices((side, side)) - side // 2) * SAMPLING
    terms: list[FloatArray] = []
    for _ in range((degree + 1) * (degree + 2) // 2):
        wide, x, y = random.uniform(1.4, 1.9), *random.uniform(-0.4, 0.4, 2)
        image = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2))
        terms.append(image / image.sum() * (1.0 if not terms else random.uniform(-0.1, 0.1)))
    return np.array(terms).astype(np.float32)


def psfex_hdu(
    terms: FloatArray,
    *,
    names: Sequence[str] = ("X_IMAGE", "Y_IMAGE"),
    zero: Sequence[float] = ZERO,
    scale: Sequence[float] = SCALE,
    degree: int = 2,
    groups: int = 1,
) -> fits.BinTableHDU:
    """Make the table that PSFEx writes."""
    number, height, width = terms.shape
    column = fits.Column(
        "PSF_MASK", f"{terms.size}E", dim=f"({width}, {height}, {number})", array=terms[None]
    )
    hdu = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    hdu.header["LOADED"], hdu.header["ACCEPTED"], hdu.header["CHI2"] = 200, 150, 1.1
    hdu.header["POLNAXIS"] = len(names)
    for axis, name in enumerate(names):
        hdu.header[f"POLGRP{axis + 1}"] = 1 + axis * (groups - 1)
        hdu.header[f"POLNAME{axis + 1}"] = name
        hdu.header[f"POLZERO{axis + 1}"], hdu.header[f"POLSCAL{axis + 1}"] = zero[axis], scale[axis]
    hdu.header["POLNGRP"] = groups if names else 0
    if names:
        hdu.header["POLDEG1"] = degree
    hdu.header["PSF_FWHM"], hdu.header["PSF_SAMP"] = 3.4, SAMPLING
    hdu.header["PSFNAXIS"], hdu.header["PSFAXIS1"], hdu.header["PSFAXIS2"] = 3, width, height
    return hdu


def write(path: Path, *hdus: Any) -> Path:
    """Write a FITS file."""
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def evaluate_psfex(terms: FloatArray, x: float, y: float, size: int, degree: int = 2) -> FloatArray:
    """Evaluate a PSFEx model directly: PSFEx manual, `u**i v**j` with pixels counted from 1."""
    u, v = (x + 1 - ZERO[0]) / SCALE[0], (y + 1 - ZERO[1]) / SCALE[1]
    image, term = np.zeros(terms.shape[1:]), 0
    for power_y in range(degree + 1):
        for power_x in range(degree + 1 - power_y):
            image += u**power_x * v**power_y * terms[term]
            term += 1
    samples = np.arange(len(image)) - len(image) // 2
    spline = RectBivariateSpline(samples, samples, image, s=0)
    pixels = np.arange(size) - size // 2
    at_x, at_y = pixels - (x - np.floor(x + 0.5)), pixels - (y - np.floor(y + 0.5))
    return np.asarray(spline(at_y / SAMPLING, at_x / SAMPLING) / SAMPLING**2)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_psfex_file_is_its_polynomial(tmp_path: Path, degree: int) -> None:
    """The oracle is a direct evaluation with scipy's spline, term by term."""
    terms = psfex_terms(degree)
    names = ("X_IMAGE", "Y_IMAGE") if degree else ()
    path = write(tmp_path / "image.psf", psfex_hdu(terms, names=names, degree=degree))
    psf = read_psf(path, captured=None)
    assert isinstance(psf, PSFExPSF)
    assert psf.stamp_size == 23
    x, y = np.array([999.0, 30.3, 1800.5, 1500.49]), np.array([1999.0, 3900.7, 12.5, 3000.2])
    stamps, scaled = psf.render(x, y, 15), read_psf(path).render(x, y, 23)
    for row in range(len(x)):
        expected = evaluate_psfex(terms, x[row], y[row], 15, degree)
        np.testing.assert_allclose(stamps[row], expected, atol=2e-6 * expected.max())
    # Scaled, a stamp of all the images has the flux of the source.
    np.testing.assert_allclose(scaled.sum((1, 2)), 1.0, atol=2e-4)
    assert psf.parameters() == json.loads(json.dumps(psf.parameters()))
    again = pickle.loads(pickle.dumps(psf))
    np.testing.assert_array_equal(again.get_stamp(5.2, 6.1), psf.get_stamp(5.2, 6.1))


def test_the_order_of_the_coordinates_is_the_files(tmp_path: Path) -> None:
    """Closed form: the same polynomial with y first draws the same stamps."""
    terms = psfex_terms(2)
    straight = read_psf(write(tmp_path / "xy.psf", psfex_hdu(terms)))
    order = [0, 3, 5, 1, 4, 2]  # 1, x, x2, y, xy, y2 in the order 1, y, y2, x, xy, x2
    swapped = psfex_hdu(terms[order], names=("Y_IMAGE", "X_IMAGE"), zero=ZERO[::-1], scale=SCALE[::-1])
    turned = read_psf(write(tmp_path / "yx.psf", swapped))
    np.testing.assert_allclose(turned.get_stamp(100.2, 3000.3), straight.get_stamp(100.2, 3000.3), rtol=1e-9)


def test_one_of_several_ccds_is_named(tmp_path: Path) -> None:
    first, second = psfex_terms(seed=1), psfex_terms(seed=2)
    path = write(tmp_path / "mosaic.psf", psfex_hdu(first), psfex_hdu(second))
    np.testing.assert_array_equal(
        read_psf(path, ccd=2).get_stamp(9.0, 9.0),
        read_psf(write(tmp_path / "one.psf", psfex_hdu(second))).get_stamp(9.0, 9.0),
    )
    with pytest.raises(UsageError, match=r"2 CCDs \(1, 2\): say which"):
        read_psf(path)
    with pytest.raises(NotFoundError, match="no PSF of CCD 'N4'"):
        read_psf(path, ccd="N4")


def test_a_collection_with_a_row_for_each_ccd_is_read(tmp_path: Path) -> None:
    """The oracle is the same model in PSFEx's own file."""
    both = np.stack([psfex_terms(seed=1), psfex_terms(seed=2)])
    columns = [
        fits.Column("psf_mask", f"{both[0].size}E", dim="(31, 31, 6)", array=both),
        fits.Column("ccdname", "4A", array=["N4", "S12"]),
    ]
    numbers = {"polnaxis": 2, "polngrp": 1, "poldeg1": 2, "psf_samp": SAMPLING}
    numbers |= {"polzero1": ZERO[0], "polzero2": ZERO[1], "polscal1": SCALE[0], "polscal2": SCALE[1]}
    for name, value in numbers.items():
        kind = "K" if isinstance(value, int) else "D"
        columns.append(fits.Column(name, kind, array=[value, value]))
    for axis, name in ((1, "X_IMAGE"), (2, "Y_IMAGE")):
        columns.append(fits.Column(f"polname{axis}", "7A", array=[name, name]))
    path = write(tmp_path / "all.fits", fits.BinTableHDU.from_columns(columns))
    for ccd, terms in (("N4", both[0]), ("S12", both[1])):
        own = read_psf(write(tmp_path / f"{ccd}.psf", psfex_hdu(terms)))
        np.testing.assert_array_equal(
            read_psf(path, ccd=ccd).get_stamp(50.2, 60.1), own.get_stamp(50.2, 60.1)
        )
    with pytest.raises(UsageError, match=r"2 CCDs \(N4, S12\)"):
        read_psf(path)


def test_psfex_models_that_are_not_of_the_position_are_refused(tmp_path: Path) -> None:
    colour = psfex_hdu(psfex_terms(), names=("X_IMAGE", "COLOUR"))
    with pytest.raises(UnknownFormatError, match="X_IMAGE, COLOUR"):
        read_psf(write(tmp_path / "colour.psf", colour))
    with pytest.raises(UnknownFormatError, match="one group"):
        read_psf(write(tmp_path / "groups.psf", psfex_hdu(psfex_terms(), groups=2)))
    with pytest.raises(ShapeError, match=r"\(3, y, x\)"):
        read_psf(write(tmp_path / "short.psf", psfex_hdu(psfex_terms(), degree=1)))
    without = psfex_hdu(psfex_terms())
    del without.header["PSF_SAMP"]
    with pytest.raises(CorruptFileError, match="PSF_SAMP"):
        read_psf(write(tmp_path / "without.psf", without))
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(UsageError, match="sampling"):
            PSFExPSF(psfex_terms(0), wrong)
    with pytest.raises(UsageError, match="scale of 0"):
        PSFExPSF(psfex_terms(1), 1.0, degree=1, scale=(0.0, 1.0))


def grid_images(oversampling: int = 4) -> tuple[FloatArray, list[tuple[float, float]]]:
    """Make a grid of PSFs as STPSF computes it: x first, then y, wider along x with x."""
    rows, columns = np.mgrid[-30:30, -30:30] / oversampling + 0.5 / oversampling
    nodes = [(x, y) for x in (0.0, 1000.0, 2047.0) for y in (0.0, 1000.0, 2047.0)]
    images = [
        GaussianPRF(x_0=0, y_0=0, x_fwhm=2 + x / 1500, y_fwhm=2.1 + y / 9000)(columns, rows) for x, y in nodes
    ]
    return np.array(images), nodes


def grid_hdu(images: FloatArray, nodes: list[tuple[float, float]], version: str | None) -> fits.PrimaryHDU:
    """Make the HDU that STPSF writes."""
    hdu = fits.PrimaryHDU(images)
    hdu.header["OVERSAMP"], hdu.header["DET_SAMP"], hdu.header["NUM_PSFS"] = 4, 4, len(images)
    for number, (x, y) in enumerate(nodes):
        hdu.header[f"DET_YX{number}"] = (str((y, x)), f"The #{number} PSF's (y,x) detector pixel position")
    if version:
        hdu.header["VERSION"] = version
    return hdu


@pytest.mark.parametrize("version", [None, "1.1.1", "1.2.1", "1.3.0", "2.1.0"])
def test_a_grid_of_stpsf_is_where_its_psfs_were_computed(tmp_path: Path, version: str | None) -> None:
    """The oracle is photutils' model of the images and nodes before they were written.

    From WebbPSF 1.3 on the images are sorted by y and the positions are not.
    """
    images, nodes = grid_images()
    theirs = GriddedPSFModel(NDData(images, meta={"grid_xypos": nodes, "oversampling": 4}))
    as_saved = images if version in {None, "1.1.1", "1.2.1"} else theirs.data
    path = tmp_path / "grid.fits"
    grid_hdu(as_saved, nodes, version).writeto(path)
    psf = read_psf(path)
    assert isinstance(psf, GriddedPSF)
    rows, columns = np.mgrid[-4:5, -4:5]
    for x, y in ((1900.3, 100.2), (100.2, 1900.3), (1000.1, 20.4)):
        expected = theirs.evaluate(columns + np.floor(x + 0.5), rows + np.floor(y + 0.5), 1.0, x, y)
        stamp = psf.render(np.array([x]), np.array([y]), 9)[0]
        np.testing.assert_allclose(stamp, expected, atol=1e-7)


def test_a_grid_with_a_contradiction_is_refused(tmp_path: Path) -> None:
    images, nodes = grid_images()
    grid_hdu(images[:-1], nodes, None).writeto(tmp_path / "less.fits")
    with pytest.raises(CorruptFileError, match="8 images and the positions of 9"):
        read_psf(tmp_path / "less.fits")
    odd = grid_hdu(images, nodes, None)
    odd.header["DET_YX3"] = "somewhere"
    odd.writeto(tmp_path / "odd.fits")
    with pytest.raises(CorruptFileError, match="DET_YX3 is 'somewhere'"):
        read_psf(tmp_path / "odd.fits")


def optical_image(oversampling: int, sigma: float = 0.8, pixels: int = 15) -> FloatArray:
    """Give the flux of a Gaussian on samples of an image of so many pixels."""
    fine = GaussianPSF(sigma * oversampling, stamp_size=oversampling * pixels)
    return fine.get_stamp(0.0, 0.0)


def test_one_psf_of_stpsf_is_known_not_to_be_integrated(tmp_path: Path) -> None:
    """The oracle is the closed form; the image with distortion is preferred."""
    hdus = [fits.PrimaryHDU(optical_image(5, 1.2))]
    for name, sigma in (("OVERSAMP", 1.2), ("DET_SAMP", 1.2), ("OVERDIST", 0.8), ("DET_DIST", 0.8)):
        factor = 5 if name.startswith("OVER") else 1
        hdu = fits.ImageHDU(optical_image(factor, sigma), name=name)
        hdu.header["DET_SAMP"], hdu.header["OVERSAMP"] = factor, 5
        hdus.append(hdu)
    hdus[0].header["DET_SAMP"] = 5
    path = tmp_path / "psf.fits"
    fits.HDUList(hdus).writeto(path)
    psf = read_psf(path)
    assert isinstance(psf, ImagePSF)
    assert (psf.oversampling, psf.is_prf, psf.stamp_size) == ((5, 5), False, 15)
    expected = GaussianPSF(0.8, stamp_size=15).get_stamp(3.3, 4.4)
    np.testing.assert_allclose(psf.get_stamp(3.3, 4.4), expected, atol=1e-4)
    other = read_psf(path, hdu="OVERSAMP")
    expected = GaussianPSF(1.2, stamp_size=15).get_stamp(3.3, 4.4)
    np.testing.assert_allclose(other.get_stamp(3.3, 4.4), expected, atol=1e-4)
    with pytest.raises(NotFoundError, match="no HDU 'SCI'"):
        read_psf(path, hdu="SCI")


def test_another_image_needs_to_be_told_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "psf.fits"
    fits.PrimaryHDU(optical_image(5)).writeto(path)
    with pytest.raises(UsageError, match="is_prf=True"):
        read_psf(path)
    with pytest.raises(UsageError, match="oversampling="):
        read_psf(path, is_prf=False)
    psf = read_psf(path, is_prf=False, oversampling=5)
    expected = GaussianPSF(0.8, stamp_size=15).get_stamp(3.3, 4.4)
    np.testing.assert_allclose(psf.get_stamp(3.3, 4.4), expected, atol=1e-4)
    fits.setval(path, "OVERSAMP", value=5)
    assert read_psf(path, is_prf=False).parameters() == psf.parameters()


def test_what_is_no_psf_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match="not there"):
        read_psf(tmp_path / "none.psf")
    with pytest.raises(StorageError):
        read_psf(tmp_path)
    text = tmp_path / "psf.txt"
    text.write_text("fwhm 2.3")
    with pytest.raises(UnknownFormatError, match="no FITS file"):
        read_psf(text)
    with pytest.raises(UnknownFormatError, match="holds no PSF"):
        read_psf(write(tmp_path / "empty.fits"))
    whole = write(tmp_path / "whole.psf", psfex_hdu(psfex_terms())).read_bytes()
    for length in (100, 2880, 5000, 9000, len(whole) - 9000):
        cut = tmp_path / f"cut{length}.psf"
        cut.write_bytes(whole[:length])
        with pytest.raises((CorruptFileError, UnknownFormatError), match=str(cut)):
            read_psf(cut)


@pytest.mark.filterwarnings("ignore::snapdb.photometry.psf.UndersampledPSFWarning")
@pytest.mark.parametrize("kind", ["psfex", "grid", "own"])
def test_damaged_bytes_give_a_psf_or_a_named_error(tmp_path: Path, kind: str) -> None:
    """Brute force: 60 files with a few bytes of their first blocks changed, of a fixed seed."""
    path = tmp_path / "sound.fits"
    if kind == "psfex":
        write(path, psfex_hdu(psfex_terms()))
    elif kind == "grid":
        grid_hdu(*grid_images(), None).writeto(path)
    else:
        ImagePSF(optical_image(5), 5, is_prf=False).write(path)
    sound, random = path.read_bytes(), np.random.default_rng(11)
    refused = 0
    for _ in range(60):
        content = bytearray(sound)
        for at in random.integers(0, min(len(sound), 8640), 4):
            content[at] = random.integers(32, 127)
        path.write_bytes(content)
        try:
            stamp = read_psf(path).get_stamp(3.0, 4.0)
        except SnapdbError:
            refused += 1
        else:
            assert stamp.ndim == 2
    assert 0 < refused < 60
