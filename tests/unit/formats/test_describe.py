"""Files made here, and what is found in them."""

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from snapdb.errors import ConfigError, NotAnImageError, ProjectionError
from snapdb.formats.describe import describe, describe_plane, find_companions, group_files
from snapdb.formats.read import read_box
from snapdb.model.layout import Meaning
from snapdb.pixels.box import Box

Made = Callable[..., fits.Header]


@pytest.fixture
def sky() -> Made:
    def make(ra: float = 10.0, dec: float = -20.0, **cards: object) -> fits.Header:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = [ra, dec]
        wcs.wcs.crpix = [15.5, 10.5]
        wcs.wcs.cdelt = [-1e-4, 1e-4]
        wcs.wcs.radesys = "ICRS"
        header = wcs.to_header()
        for key, value in cards.items():
            header[key.replace("_", "-")] = value
        return header

    return make


def image(
    header: fits.Header, name: str | None = None, ver: int = 1, kind: str = "f4", fill: float = 1.0
) -> Any:
    return fits.ImageHDU(np.full((20, 30), fill, kind), header, name=name, ver=ver)


def save(path: Path, *hdus: Any, primary: fits.Header | None = None) -> Path:
    fits.HDUList([fits.PrimaryHDU(header=primary), *hdus]).writeto(path)
    return path


def test_a_plain_image_is_described_with_its_facts_and_their_sources(tmp_path: Path, sky: Made) -> None:
    primary = fits.Header()
    primary["FILTER"], primary["MJD-OBS"], primary["EXPTIME"], primary["OBSID"] = "r", 60000.25, 30.0, "obs-7"
    path = save(tmp_path / "a.fits", image(sky(CCDNUM=3, BUNIT="nJy"), "SCI"), primary=primary)
    (found,) = describe(path)
    facts = found.facts
    assert (facts.width, facts.height, facts.kind, facts.instrument) == (30, 20, "exposure", "generic")
    assert (facts.band, facts.mjd, facts.exptime, facts.observation_id, facts.sca) == (
        "r",
        60000.25,
        30.0,
        "obs-7",
        3,
    )
    assert facts.zeropoint == 31.4
    assert facts.ra == pytest.approx(10.0)
    assert facts.dec == pytest.approx(-20.0)
    assert facts.position_angle == pytest.approx(0.0, abs=1e-6) or facts.position_angle == pytest.approx(
        360.0
    )
    assert facts.pixel_scale == pytest.approx(0.36, rel=1e-6)
    astropy_ra, astropy_dec = WCS(fits.getheader(path, 1)).all_pix2world(29, 0, 0)
    assert facts.ra_corner_10 == pytest.approx(astropy_ra)
    assert facts.dec_corner_10 == pytest.approx(astropy_dec)
    assert len(found.footprint) >= 4
    sources = {f.field: f.source for f in found.findings}
    assert sources["band"] == "generic.toml: FILTER of HDU 0"
    assert sources["sca"] == "generic.toml: CCDNUM of HDU 1"
    assert "plane data" in sources


def test_each_sci_of_a_file_has_its_own_err_and_dq(tmp_path: Path, sky: Made) -> None:
    hdus = []
    for ver in (1, 2):
        header = sky(ra=10.0 + ver)
        hdus += [image(header, "SCI", ver, fill=ver), image(header, "ERR", ver, fill=10 + ver)]
        hdus += [image(header, "DQ", ver, "i2", fill=20 + ver)]
    found = describe(save(tmp_path / "a.fits", *hdus))
    assert [d.planes[0].layout.hdu for d in found] == [1, 4]
    for ver, one in enumerate(found, 1):
        assert [p.layout.name for p in one.planes] == ["data", "noise", "flags"]
        values = [read_box(p.path, p.layout, Box(0, 0, 1, 1))[0, 0] for p in one.planes]
        assert values == [ver, 10 + ver, 20 + ver]
        assert one.facts.ra == pytest.approx(10.0 + ver)


def test_planes_grouped_by_kind_pair_by_extver(tmp_path: Path, sky: Made) -> None:
    hdus = [image(sky(), name, ver, fill=ver) for name in ("SCI", "VAR") for ver in (1, 2, 3)]
    for one in describe(save(tmp_path / "a.fits", *hdus)):
        data, noise = one.planes
        assert noise.layout.meaning is Meaning.VARIANCE
        assert noise.layout.hdu == data.layout.hdu + 3


def test_one_dimensional_headers_cubes_and_tables_are_named_in_the_refusal(tmp_path: Path, sky: Made) -> None:
    cube = fits.ImageHDU(np.zeros((2, 20, 30), "f4"), sky())
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(15))])
    plain = fits.ImageHDU(np.zeros((5, 6)))
    path = save(tmp_path / "a.fits", cube, table, plain, fits.ImageHDU(np.zeros(7)))
    with pytest.raises(NotAnImageError) as caught:
        describe(path)
    for words in (
        "a cube 30x20x2",
        "a table of 15 rows",
        "6x5 without celestial coordinates",
        "a vector of 7",
    ):
        assert words in str(caught.value)


def test_axes_of_length_one_do_not_make_a_cube(tmp_path: Path, sky: Made) -> None:
    header = sky()
    for key, value in (("CTYPE3", "FREQ"), ("CRVAL3", 1e9), ("CTYPE4", "STOKES"), ("CRVAL4", 1.0)):
        header[key] = value
    path = save(tmp_path / "a.fits", fits.ImageHDU(np.ones((1, 1, 20, 30), "f4"), header))
    assert describe(path)[0].facts.width == 30


def test_a_wcs_that_fails_costs_its_image_alone(tmp_path: Path, sky: Made) -> None:
    bad = sky()
    bad["CDELT1"] = 0.0
    path = save(tmp_path / "a.fits", image(sky(), "SCI", 1), image(bad, "SCI", 2))
    (found,) = describe(path)
    assert found.planes[0].layout.hdu == 1
    assert any("HDU 2" in w for w in found.warnings)
    with pytest.raises(ProjectionError, match="HDU 1"):
        describe(save(tmp_path / "b.fits", image(bad, "SCI")))


def test_a_weight_alone_is_an_image_of_its_kind(tmp_path: Path, sky: Made) -> None:
    (found,) = describe(save(tmp_path / "a.fits", image(sky(), "IVAR")))
    assert found.facts.kind == "weight"
    assert found.planes[0].layout.name == "data"
    assert found.planes[0].layout.meaning is Meaning.DIRECT
    assert any("without an image" in w for w in found.warnings)


def test_flag_bits_are_read_from_the_mask_header(tmp_path: Path, sky: Made) -> None:
    mask = sky()
    mask["MP_SAT"] = 1
    mask["HIERARCH MP_NO_DATA"] = 8
    path = save(tmp_path / "a.fits", image(sky(), "SCI"), image(mask, "DQ", kind="i4"))
    assert describe(path)[0].facts.flag_bits == {"SAT": 2, "NO_DATA": 256}


@pytest.mark.parametrize("compress", [False, True])
def test_blank_flags_stay_whole_numbers(tmp_path: Path, sky: Made, compress: bool) -> None:
    """Oracle: the bits that were written; with BLANK, astropy gives floats, which have no bits."""
    bits = np.arange(600, dtype="i2").reshape(20, 30)
    header = sky()
    header["BLANK"] = 5
    mask = fits.CompImageHDU(bits, header, name="DQ") if compress else fits.ImageHDU(bits, header, name="DQ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = save(tmp_path / "a.fits", image(sky(), "SCI"), mask)
    (found,) = describe(path)
    (flags,) = (plane for plane in found.planes if plane.layout.name == "flags")
    read = read_box(path, flags.layout, Box(0, 0, 30, 20))
    assert read.dtype.kind == "i"
    np.testing.assert_array_equal(read, bits)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_float_flags_are_whole_numbers(tmp_path: Path, sky: Made, kind: str) -> None:
    """Oracle: by hand; what was marked stays marked, also where a mask was resampled."""
    stored = np.tile(
        np.array([0.0, 1.0, 4.0, 2.0**20, 0.25, -0.5, np.nan, -1.0, np.inf, -0.0], kind), (20, 3)
    )
    mask = fits.ImageHDU(stored, sky(), name="DQ")
    path = save(tmp_path / "a.fits", image(sky(), "SCI"), mask)
    (found,) = describe(path)
    assert any("floating-point" in text for text in found.warnings)
    flags = next(plane for plane in found.planes if plane.layout.name == "flags")
    for box in (Box(0, 0, 30, 20), Box(10, 3, 10, 2)):
        read = read_box(path, flags.layout, box)
        assert read.dtype.kind == "i"
        np.testing.assert_array_equal(read[0, :10], [0, 1, 4, 2**20, 1, -1, 1, -1, 2**62, 0])


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_the_uncertainty_of_ccddata_is_what_its_utype_says(tmp_path: Path, sky: Made, kind: Any) -> None:
    """Oracle: astropy's own conversion of an uncertainty to one standard deviation."""
    given = kind(np.linspace(0.25, 9.0, 600).reshape(20, 30))
    ccd = CCDData(np.ones((20, 30)), unit="adu", wcs=WCS(sky()), uncertainty=given)
    ccd.write(tmp_path / "a.fits")
    (found,) = describe(tmp_path / "a.fits")
    noise = next(plane for plane in found.planes if plane.layout.name == "noise")
    read = read_box(tmp_path / "a.fits", noise.layout, Box(0, 0, 30, 20))
    np.testing.assert_allclose(read, given.represent_as(StdDevUncertainty).array, rtol=1e-14)


def three_files(folder: Path, sky: Made) -> list[Path]:
    paths = []
    for part, kind in (("image", "f4"), ("noise", "f4"), ("flags", "i2")):
        path = folder / f"m1_{part}.fits"
        fits.PrimaryHDU(np.ones((20, 30), kind), sky()).writeto(path)
        paths.append(path)
    return paths


def test_three_files_are_one_group_whichever_is_named(tmp_path: Path, sky: Made) -> None:
    paths = three_files(tmp_path, sky)
    for given in (paths, paths[:1], paths[2:], paths[::-1]):
        (group,) = group_files(given)
        assert group.primary == paths[0]
        assert set(group.companions) == set(paths[1:])
    (found,) = describe(paths[0], companions=find_companions(paths[0]))
    assert [(p.layout.name, Path(p.path).name) for p in found.planes] == [
        ("data", "m1_image.fits"),
        ("noise", "m1_noise.fits"),
        ("flags", "m1_flags.fits"),
    ]


def test_a_companion_without_its_primary_is_a_group_of_its_own(tmp_path: Path, sky: Made) -> None:
    paths = three_files(tmp_path, sky)
    paths[0].unlink()
    assert [g.primary for g in group_files(paths[1:])] == paths[1:]
    (found,) = describe(paths[1])
    assert found.facts.kind == "noise"
    assert any("another file" in w for w in found.warnings)


def test_a_broken_or_ill_fitting_companion_costs_only_its_plane(tmp_path: Path, sky: Made) -> None:
    paths = three_files(tmp_path, sky)
    paths[1].write_bytes(b"<html>not found</html>")
    fits.PrimaryHDU(np.ones((5, 5))).writeto(paths[2], overwrite=True)
    (found,) = describe(paths[0], companions=paths[1:])
    assert [p.layout.name for p in found.planes] == ["data"]
    assert any("noise left out" in w and "HTML" in w for w in found.warnings)
    assert any("m1_flags.fits holds no flags of the shape" in w for w in found.warnings)


def test_a_plane_that_the_caller_names(tmp_path: Path, sky: Made) -> None:
    path = save(tmp_path / "a.fits", image(sky(), "SCI"))
    (found,) = describe(path)
    other = tmp_path / "sigma.fits"
    fits.PrimaryHDU(np.full((20, 30), 2.0)).writeto(other)
    plane = describe_plane(other, name="noise", like=found)
    assert (plane.path, plane.layout.name, plane.layout.hdu) == (str(other), "noise", 0)
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(other, overwrite=True)
    with pytest.raises(NotAnImageError, match="no plane of 30 x 20"):
        describe_plane(other, name="noise", like=found)


def test_a_map_of_the_user_reads_a_camera_that_nobody_knows(tmp_path: Path, sky: Made) -> None:
    toml = tmp_path / "mycam.toml"
    toml.write_text(
        'name = "mycam"\n[[recognise]]\nheader = { CAMERA = "^MyCam$" }\n'
        '[[plane]]\nrole = "noise"\nextname = "^SIG$"\nmeaning = "inverse_sigma"\n'
        '[band]\ncards = ["COLOUR"]\nreplace = [["^red$", "r"]]\n'
        '[[mjd]]\ncard = "BEGIN"\nas = "jd"\n[[zeropoint]]\ncard = "ZP"\nsystem = "AB"\nexptime = -1\n'
        '[[exptime]]\ncard = "MINUTES"\nunit = "min"\n'
    )
    header = sky(CAMERA="MyCam", COLOUR="red", BEGIN=2460000.75, ZP=30.0, MINUTES=2.0)
    path = save(tmp_path / "a.fits", image(header, "PIC"), image(sky(), "SIG"))
    (found,) = describe(path, maps=[toml])
    facts = found.facts
    assert (facts.instrument, facts.band, facts.mjd, facts.exptime) == ("mycam", "r", 60000.25, 120.0)
    assert facts.zeropoint == pytest.approx(30.0 - 2.5 * np.log10(120.0))
    assert found.planes[1].layout.meaning is Meaning.INVERSE_SIGMA
    assert describe(path)[0].facts.instrument == "generic"
    with pytest.raises(ConfigError, match="no header map"):
        describe(path, instrument="nope")


def test_gz_is_found_by_its_bytes_and_nothing_is_printed(
    tmp_path: Path, sky: Made, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.fits", image(sky(RADECSYS="FK5", A_ORDER=2, B_ORDER=2), "SCI"))
    path.write_bytes(gzip.compress(path.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (found,) = describe(path)
    assert not caught
    assert capfd.readouterr() == ("", "")
    assert found.planes[0].layout.container == "gzip"
