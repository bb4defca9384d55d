"""Images that are made to be written, and files that are replaced by what was read of them.

Oracles: the arrays that were saved, and astropy.io.fits, which reads the files.
"""

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import snapdb
from snapdb.errors import ObjectExistsError, ObjectMissingError, ShapeError

DATA = np.arange(60 * 80, dtype=np.float32).reshape(60, 80)


@pytest.fixture
def wcs() -> WCS:
    """Coordinates of the images."""
    made = WCS(naxis=2)
    made.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    made.wcs.crval = [10.0, 20.0]
    made.wcs.crpix = [40.5, 30.5]
    made.wcs.cdelt = [-1e-4, 1e-4]
    return made


def test_image_of_arrays_is_saved_to_its_own_path(tmp_path: Path, wcs: WCS) -> None:
    path = tmp_path / "new.fits"
    image = snapdb.Image(full_filepath=path, no_base_path=True, data=DATA, noise=DATA + 1, wcs=wcs, band="R")
    assert image.image_shape == (60, 80)
    assert image.ra == pytest.approx(10.0, abs=1e-9)
    assert image.save() == (path,)
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus["SCI"].data, DATA)
        np.testing.assert_array_equal(hdus["ERR"].data, DATA + 1)
    image.free()
    np.testing.assert_array_equal(image.data, DATA)
    assert (image.band, image.full_filepath) == ("R", path)


def test_pixels_may_be_set_after_the_image_was_made(tmp_path: Path, wcs: WCS) -> None:
    image = snapdb.Image(tmp_path / "a.fits", wcs=wcs)
    with pytest.raises(ObjectMissingError):
        _ = image.band
    image.noise = DATA + 1
    image.data = DATA
    image.mjd = 60000.0
    image.save()
    again = snapdb.Image(tmp_path / "a.fits")
    np.testing.assert_array_equal(again.data, DATA)
    assert again.mjd == 60000.0


def test_size_may_be_said_before_there_are_pixels(tmp_path: Path, wcs: WCS) -> None:
    image = snapdb.Image(full_filepath=tmp_path / "a.fits", width=80, height=60, wcs=wcs)
    assert image.image_shape == (60, 80)
    truth = wcs.all_pix2world([[79, 59]], 0)[0]
    assert (image.ra_corner_11, image.dec_corner_11) == pytest.approx(tuple(truth), abs=1e-9)
    with pytest.raises(ShapeError, match=r"\(60, 80\)"):
        image.data = DATA[:10]
    image.data = DATA
    image.save()
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits", "SCI"), DATA)
    with pytest.raises(ShapeError, match="width"):
        snapdb.Image(full_filepath=tmp_path / "b.fits", width=80.5, height=60)


def test_three_files_by_their_standard_names(tmp_path: Path, wcs: WCS) -> None:
    planes: dict[str, Any] = {"data": DATA, "noise": DATA + 1, "flags": DATA.astype(np.int16)}
    image = snapdb.Image(tmp_path / "x", std_imagenames=True, wcs=wcs, **planes)
    assert [p.name for p in image.save()] == ["x_image.fits", "x_noise.fits", "x_flags.fits"]
    image.free()
    for made in (image, snapdb.Image(tmp_path / "x", std_imagenames=True)):
        for name, plane in planes.items():
            np.testing.assert_array_equal(getattr(made, name), plane)
    image.noise = DATA * 3
    assert [p.name for p in image.save("noise", overwrite=True)] == ["x_noise.fits"]
    with fits.open(tmp_path / "x_noise.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "ERR"]
        np.testing.assert_array_equal(hdus["ERR"].data, DATA * 3)


def test_image_without_coordinates_is_saved_too(tmp_path: Path) -> None:
    image = snapdb.Image(tmp_path / "a.fits", data=DATA)
    image.save()
    image.data = DATA * 2
    image.free()
    with pytest.raises(ObjectExistsError, match="ask to overwrite"):
        image.save()
    image.save(overwrite=True)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits", "SCI"), DATA * 2)


def test_own_file_is_replaced_when_asked(tmp_path: Path, wcs: WCS) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(DATA, header=wcs.to_header()).writeto(path)
    image = snapdb.Image(path)
    image.data = image.data * 2
    with pytest.raises(ObjectExistsError, match="ask to overwrite"):
        image.save()
    np.testing.assert_array_equal(fits.getdata(path), DATA)
    for factor in (2, 3):
        image.data = DATA * factor
        assert image.save(path=path if factor == 3 else None, overwrite=True) == (path,)
        image.free()
        np.testing.assert_array_equal(image.data, DATA * factor)
        np.testing.assert_array_equal(fits.getdata(path, "SCI"), DATA * factor)


def test_planes_go_to_the_files_that_they_are_from(tmp_path: Path, wcs: WCS) -> None:
    noise, flags = DATA + 1, DATA.astype(np.int16)
    snapdb.Image(tmp_path / "x", std_imagenames=True, data=DATA, noise=noise, flags=flags, wcs=wcs).save()
    image = snapdb.Image(tmp_path / "x_image.fits")  # the others are found beside it
    image.data = DATA * 2
    before = (tmp_path / "x_noise.fits").read_bytes()
    assert [path.name for path in image.save(overwrite=True)] == ["x_image.fits"]
    assert (tmp_path / "x_noise.fits").read_bytes() == before  # nothing was read of it
    assert image.noise is not None
    image.noise[3, 4] = 77
    assert [path.name for path in image.save(overwrite=True)] == ["x_image.fits", "x_noise.fits"]
    with fits.open(tmp_path / "x_image.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI"]
        np.testing.assert_array_equal(hdus["SCI"].data, DATA * 2)
    assert fits.getdata(tmp_path / "x_noise.fits", "ERR")[3, 4] == 77
    np.testing.assert_array_equal(fits.getdata(tmp_path / "x_flags.fits", "DQ"), flags)


@pytest.mark.parametrize("end", [".fits", ".fits.gz", ".fits.bz2"])
def test_own_file_is_read_anew_after_it_was_replaced(tmp_path: Path, wcs: WCS, end: str) -> None:
    image = snapdb.Image(tmp_path / f"a{end}", data=DATA, wcs=wcs)
    image.save()
    for factor in (2, 3):
        image.data = DATA * factor
        image.save(overwrite=True)
        image.free()
        for one in (image, snapdb.Image(tmp_path / f"a{end}")):
            np.testing.assert_array_equal(one.get_data("data", always_reload=True)[0], DATA * factor)


@pytest.mark.parametrize("kind", ["extension", "table", "two"])
def test_own_file_that_holds_more_stays(tmp_path: Path, wcs: WCS, kind: str) -> None:
    path, header = tmp_path / "a.fits", wcs.to_header()
    hdus = fits.HDUList([fits.PrimaryHDU(DATA, header=header)])
    if kind == "extension":
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(DATA, header=header, name="SCI")])
        hdus[0].header["OBSERVER"] = "mine"
    elif kind == "table":
        hdus.append(fits.BinTableHDU.from_columns([fits.Column(name="a", format="J", array=[1])]))
    elif kind == "two":
        hdus = fits.HDUList([fits.PrimaryHDU(DATA, header=header), fits.ImageHDU(DATA, header=header)])
    hdus.writeto(path)
    image = snapdb.Image(path, imagehdu=0 if kind == "two" else None)
    before = path.read_bytes()
    with pytest.raises(ObjectExistsError, match="never written over"):
        image.save(overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("end", "unpack"), [(".gz", gzip.decompress), (".bz2", bz2.decompress)])
def test_name_says_how_a_file_is_compressed(tmp_path: Path, wcs: WCS, end: str, unpack: object) -> None:
    image = snapdb.Image(data=DATA, wcs=wcs)
    cutout = image.get_cutout(30, 20, 11)
    (path,) = image.save(path=tmp_path / f"image.fits{end}")
    snapdb.write_cutout(cutout, tmp_path / f"stamp.fits{end}")
    for written in (path, tmp_path / f"stamp.fits{end}"):
        assert unpack(written.read_bytes())[:6] == b"SIMPLE"  # type: ignore[operator]
    np.testing.assert_array_equal(snapdb.Image(path).data, DATA)
    np.testing.assert_array_equal(snapdb.load_cutout(tmp_path / f"stamp.fits{end}").data, DATA[15:26, 25:36])
