"""What the formats seam promises, on every real file of the data folder beside the checkout.

Pixels are held against ``astropy.io.fits`` bit for bit; facts against what the
headers and the papers of the data say.
"""

import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_skycoord

from snapdb import Image
from snapdb.errors import FormatError
from snapdb.formats.describe import Described, describe, find_companions, group_files
from snapdb.formats.grouping import find_primary
from snapdb.formats.read import open_planes
from snapdb.model.layout import Meaning
from snapdb.pixels.box import Box

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FILES = sorted(p for p in DATA.rglob("*") if p.is_file() and p.suffix != ".md") if DATA.is_dir() else []

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FILES, reason="the real files are not beside this checkout"),
]


@cache
def describe_all() -> dict[str, list[Described] | FormatError]:
    found: dict[str, list[Described] | FormatError] = {}
    for group in group_files(FILES):
        try:
            answer: Any = describe(group.primary, companions=group.companions)
        except FormatError as err:
            answer = err
        found[str(group.primary.relative_to(DATA))] = answer
    return found


def images(name: str) -> list[Described]:
    answer = describe_all()[name]
    assert not isinstance(answer, FormatError), answer
    return answer


def only(name: str) -> Described:
    (found,) = images(name)
    return found


def test_every_file_is_registered_or_refused_by_a_formats_error() -> None:
    answers = describe_all()
    counts = Counter(a.code if isinstance(a, FormatError) else "registered" for a in answers.values())
    assert counts["registered"] >= 96
    assert set(counts) <= {"registered", "not_an_image", "unknown_format", "corrupt_file", "projection"}
    for name, answer in answers.items():
        if isinstance(answer, FormatError):
            assert name in str(answer).replace("\\", "/"), answer
        else:
            for one in answer:
                facts = one.facts
                assert 0.0 <= facts.ra < 360.0
                assert -90.0 <= facts.dec <= 90.0
                assert facts.wcs_header
                assert len(one.footprint) >= 3
                for fact in ("band", "mjd", "exptime", "zeropoint"):
                    assert getattr(facts, fact) is not None or one.warnings, (name, fact)


def test_every_celestial_image_that_astropy_sees_is_registered() -> None:
    """Any 2-D HDU of a readable file with two celestial CTYPEs is the data, or a plane, of some image."""
    missing = []
    for name, answer in describe_all().items():
        planes = [] if isinstance(answer, FormatError) else [p for d in answer for p in d.planes]
        hdus = {(Path(p.path).resolve(), p.layout.hdu) for p in planes}
        if isinstance(answer, FormatError) and answer.code in ("unknown_format", "corrupt_file"):
            continue
        if name.endswith(".asdf"):  # which astropy does not see; test_real_asdf.py has them
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards are the point of these files
            with fits.open(DATA / name, memmap=False) as opened:
                for number, hdu in enumerate(opened):
                    shape = getattr(hdu, "shape", ())
                    types = [str(hdu.header.get(f"CTYPE{i}", "")) for i in (1, 2)] if hdu.is_image else []
                    flat = len(shape) >= 2 and min(shape) > 0 and all(n == 1 for n in shape[:-2])
                    celestial = sum(t.startswith(("RA--", "DEC-", "GLON", "GLAT")) for t in types) == 2
                    if flat and celestial and ((DATA / name).resolve(), number) not in hdus:
                        missing.append((name, number))
    assert not missing


@pytest.mark.parametrize("index", range(4))
def test_every_plane_equals_astropy_bit_for_bit(index: int) -> None:
    rng = np.random.default_rng(100 + index)
    seen = 0
    for one in (d for a in describe_all().values() if not isinstance(a, FormatError) for d in a):
        for plane in one.planes:
            layout = plane.layout
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as above
                want = np.asarray(fits.getdata(plane.path, layout.hdu, memmap=False)).reshape(layout.shape)
            x0, y0 = int(rng.integers(layout.width)), int(rng.integers(layout.height))
            box = Box(
                x0,
                y0,
                int(rng.integers(1, layout.width - x0 + 1)),
                int(rng.integers(1, layout.height - y0 + 1)),
            )
            if index == 0:
                box = Box(0, 0, layout.width, layout.height)
            with open_planes(plane.path) as reader:
                got = reader.read(layout, box)
            assert got.dtype == np.dtype(layout.dtype)
            assert got.dtype.isnative
            assert got.base is None
            if layout.meaning is Meaning.DIRECT and layout.asinh is None:
                expected = want[box.slices].astype(want.dtype.newbyteorder("="))
                assert got.dtype == expected.dtype, plane
                assert got.tobytes() == expected.tobytes(), plane
                seen += 1
    assert seen > 100


def test_weights_become_one_sigma() -> None:
    one = only("decam_tc4/c4d_170316_062107_ooi_z_ls9.N2.fits")
    noise = one.planes[[p.layout.name for p in one.planes].index("noise")]
    weight = fits.getdata(noise.path, noise.layout.hdu)
    with open_planes(noise.path) as reader:
        sigma = reader.read_all(noise.layout)
    good = weight > 0
    assert np.allclose(sigma[good], 1.0 / np.sqrt(weight[good]), rtol=1e-6)
    assert np.all(np.isinf(sigma[~good]))


def test_asinh_and_linear_pan_starrs_agree() -> None:
    """The linear file is the truth; 0.09 % where there is signal, and the quantum of the scale elsewhere."""
    planes = []
    for name in ("derived/ps1_m61_g_asinh.fits.fz", "derived/ps1_m61_g_linear.fits"):
        plane = only(name).planes[0]
        with open_planes(plane.path) as reader:
            planes.append(reader.read_all(plane.layout))
    scaled, linear = planes
    assert np.array_equal(np.isnan(scaled), np.isnan(linear))
    bright = np.abs(linear) > 50.0
    assert np.max(np.abs(scaled[bright] / linear[bright] - 1.0)) < 1e-3


def test_one_image_in_several_encodings_is_one_image() -> None:
    plain = only("odd/m13.fits")
    with open_planes(plain.planes[0].path) as reader:
        want = reader.read_all(plain.planes[0].layout)
    for name in ("odd/m13_hcomp.fits", "odd/m13_plio.fits"):
        other = only(name)
        with open_planes(other.planes[0].path) as reader:
            got = reader.read_all(other.planes[0].layout)
        assert other.facts.ra == pytest.approx(plain.facts.ra)
        assert other.facts.dec == pytest.approx(plain.facts.dec)
        assert np.mean(got == want) > 0.99 or np.max(np.abs(got.astype(float) - want)) <= 20


Z = "decam_tc4/c4d_170316_062107_ooi_z_ls9.N2.fits"
FACTS: list[tuple[str, str, object]] = [
    # Counts of the whole exposure: MAGZERO = ccdzpt 24.896 + 2.5 log10(107) = 29.97, the card says 29.915.
    (Z, "zeropoint", 29.915),
    (Z, "band", "z"),
    (Z, "observation_id", "ct4m20170316t061830"),
    (Z, "sca", 33),
    (Z, "mjd", 57828.26285591),
    # The same file through two more containers.
    ("derived/c4d_170316_062107_ooi_z_ls9.fits.fz", "zeropoint", 29.915),
    ("odd/made/tpv_plus_empty_sip.fits", "mjd", 57828.26285591),
    ("bass_mzls_fpack/k4m_160319_075112_ooi_zd_ls9.CCD3.fits", "band", "z"),
    ("bass_mzls_fpack/k4m_160319_075112_ooi_zd_ls9.CCD3.fits", "data_units", "rate"),
    ("bass_mzls_fpack/k4m_160319_075112_ooi_zd_ls9.CCD3.fits", "mjd", 57466.32722222),
    ("bass_mzls_fpack/ksb_170430_055945_ooi_r_ls9.CCD4.fits", "band", "r"),
    # Nanomaggies, and TAI seconds of the first row.
    ("sdss_frame/frame-r-001000-1-0100.fits.bz2", "zeropoint", 22.5),
    ("sdss_frame/frame-r-001000-1-0100.fits.bz2", "mjd", Time("1999-10-07T05:38:15.33", scale="tai").utc.mjd),
    ("sn2010H_multiband/SDSS_r.fits", "mjd", Time("2001-02-20T03:38:15.92", scale="tai").utc.mjd),
    ("sn2010H_multiband/SDSS_r.fits", "exptime", 53.907456),
    # Vega to AB by the maps' cited offsets; MAGZP differs from frame to frame.
    ("sn2010H_multiband/2MASS_H.fits", "zeropoint", 20.4185 + 1.39),
    ("sn2010H_multiband/2MASS_K.fits", "band", "Ks"),
    ("sn2010H_multiband/2MASS_H.fits", "mjd", Time("2000-01-27T04:23:47.53").mjd),
    ("sn2010H_multiband/WISE_W3.fits", "band", "W3"),
    ("sn2010H_multiband/WISE_W1.fits", "zeropoint", 20.5 + 2.699),
    ("sn2010H_multiband/WISE_W1.fits", "mjd", Time("2010-04-15T21:37:11.531").mjd),
    # Seconds since 1970 in a keyword that is an MJD elsewhere.
    ("sn2010H_multiband/GALEX_FUV.fits", "mjd", Time(1138871224.995, format="unix").mjd),
    ("sn2010H_multiband/GALEX_FUV.fits", "band", "FUV"),
    ("sn2010H_multiband/GALEX_NUV.fits", "zeropoint", 20.08),
    # No DATE-OBS, no BAND in the early files; EPOCH is a number of a visit.
    ("unwise_timeresolved/e000/unwise-1866p257-w1-img-m.fits", "band", "W1"),
    ("unwise_timeresolved/e000/unwise-1866p257-w1-img-m.fits", "mjd", 55356.1540111),
    ("unwise_timeresolved/e005/unwise-1866p257-w2-img-m.fits", "band", "W2"),
    ("unwise_timeresolved/e005/unwise-1866p257-w2-img-m.fits", "observation_id", "e005-1866p257"),
    ("vista_video/image_1.fits", "zeropoint", 30.0),
    ("vista_video/image_1.fits", "band", "H"),
    ("vista_video/image_8.fits", "mjd", 55405.32633472),
    # EXP_TIME, and a Vega zero point for a count per second.
    ("ukirt_wfcam/image.fits", "exptime", 10.0),
    ("ukirt_wfcam/image.fits", "zeropoint", 24.053 + 2.5 + 1.900),
    ("cfht_megacam/cutout-1616687p.fits", "zeropoint", 32.026),
    ("cfht_megacam/cutout-1616687p.fits", "band", "r"),
    ("cfht_megacam/cutout-1616687p.fits", "sca", 10),
    ("hsc_suprimecam/act-img.fits", "zeropoint", 2.5 * np.log10(23397524615621.0)),
    ("hsc_suprimecam/HSC-0908120-056-small.fits", "band", None),
    ("hsc_suprimecam/HSC-0908120-056-small.fits", "exptime", None),
    ("hsc_suprimecam/HSC-0908120-056-small.fits", "zeropoint", None),
    ("hst/HST-HDFS.fits", "band", "F606W"),
    ("hst/HST-HDFS.fits", "mjd", 51084.28141423),
    ("hst/HST-HDFS.fits", "zeropoint", None),
    ("hst/xdf_hst_wfc3ir_60mas_f105w_sci.fits", "zeropoint", 26.2687),
    ("hst/xdf_hst_wfc3ir_60mas_f105w_sci.fits", "band", "F105W"),
    # Underscores, and a middle of the exposure.
    ("wcs_conventions/sipsample.fits", "mjd", 54280.135805),
    ("wise_l1b/wise-1b-1.fits", "mjd", 55358.07681069 - 7.7 / 2 / 86400),
    # TIMESYS = TT.
    ("wcs_conventions/region.fits", "mjd", Time(51629.02779463675, format="mjd", scale="tt").utc.mjd),
    # dd/mm/yy with UT in another card.
    ("plates_dss/example.fits", "mjd", Time("1984-04-22T10:10:00").mjd),
    ("plates_dss/19501206-NGC2403-reduced.fits.gz", "mjd", None),
    # A date without a time of day.
    ("odd/image_M12c.fits", "mjd", None),
    ("huntsman/science_0.fits", "band", "g"),
    ("wcs_conventions/tnx.fits", "band", "z"),
    ("lco/coj1m011-kb05-20150219-0125-e90.fits", "zeropoint", None),
    ("lco/coj1m011-kb05-20150219-0125-e90.fits", "height", 5),
    ("lco/cpt1m012-fl10-20151216-0073-e00.fits.fz", "width", 1040),
    # DATE-OBS is UTSTART, and UTSTOP = UTSTART + EXPTIME; MJD-OBS is 3.9 s before.
    ("lco/cpt1m012-fl10-20151216-0073-e00.fits.fz", "mjd", Time("2015-12-16T18:20:48.907").mjd),
    ("des/DES_r.fits", "zeropoint", 30.0),
    ("des/DES_r.fits", "mjd", 56951.13385731),
    ("des/cutout_DES_i.fits", "mjd", 56904.11730269),
    ("herschel/herschel_spire.fits.gz", "band", "PLW"),
    ("radio/GRB120422A-120429.fits", "width", 512),
    ("odd/header_newlines.fits", "zeropoint", None),
]


@pytest.mark.parametrize(("name", "field", "value"), FACTS, ids=lambda v: str(v).rsplit("/", 1)[-1])
def test_facts_are_those_of_the_header(name: str, field: str, value: object) -> None:
    got = getattr(only(name).facts, field)
    if isinstance(value, float):
        assert got == pytest.approx(value, abs=2e-7)
    else:
        assert got == value


def test_counts_per_second_get_the_zero_point_of_a_second() -> None:
    """The survey's own ccdzpt is the oracle; MAGZERO is known to lie 0.1 to 0.2 mag beside it."""
    with fits.open(DATA / "bass_mzls_fpack/truth/survey-ccds-1.fits.gz") as hdus:
        truth = {row["filter"].strip(): float(row["ccdzpt"]) for row in hdus[1].data}
    found = [
        d
        for n in describe_all()
        if n.startswith("bass") and "ooi" in n and "psfex" not in n
        for d in images(n)
    ]
    assert len(found) == 3
    for one in found:
        facts = one.facts
        assert facts.band is not None
        assert facts.zeropoint == pytest.approx(truth[facts.band], abs=0.25)


def test_both_exposures_of_a_stis_file_have_planes_times_and_bits() -> None:
    first, second = images("derived/o4k19a010_flt_cutA.fits")
    assert [p.layout.hdu for p in first.planes] == [1, 2, 3]
    assert [p.layout.hdu for p in second.planes] == [4, 5, 6]
    assert first.facts.observation_id != second.facts.observation_id
    assert first.facts.mjd is not None
    assert second.facts.mjd is not None
    assert first.facts.mjd < second.facts.mjd
    assert first.facts.flag_bits["HOT"] == 16


def test_planes_of_the_pipelines_of_rubin_and_hsc() -> None:
    facts = only("hsc_suprimecam/HSC-0908120-056-small.fits").facts
    assert facts.flag_bits["SAT"] == 2
    assert facts.flag_bits["NO_DATA"] == 512
    assert facts.bad_bits & facts.flag_bits["SAT"]
    assert not facts.bad_bits & facts.flag_bits["DETECTED"]
    planes = {p.layout.name: p.layout for p in only("hsc_suprimecam/HSC-0908120-056-small.fits").planes}
    assert planes["noise"].meaning is Meaning.VARIANCE
    assert planes["flags"].dtype == "uint16"


def test_lookup_tables_are_marked_and_read() -> None:
    from snapdb.formats.wcs import read_wcs

    facts = only("hst/dist_lookup.fits.gz").facts
    assert facts.properties["wcs_needs_file"] is True
    wcs = read_wcs(DATA / "hst/dist_lookup.fits.gz", 1)
    ra, dec = wcs.pixel_to_world((facts.width - 1) / 2, (facts.height - 1) / 2)
    assert ra == pytest.approx(facts.ra, abs=1e-10)
    assert dec == pytest.approx(facts.dec, abs=1e-10)


def test_a_distortion_that_only_some_readers_know_is_applied_or_told() -> None:
    """Of IRAF's TNX, a plain tangent plane of the same cards is 2 to 4 arcsec off here."""
    one = only("wcs_conventions/tnx.fits")
    header = fits.getheader(DATA / "wcs_conventions/tnx.fits")
    plain = WCS(naxis=2)
    plain.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    plain.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
    plain.wcs.crval = [header["CRVAL1"], header["CRVAL2"]]
    plain.wcs.cd = [[float(header[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)]
    ra, _ = plain.all_pix2world(0, 0, 0)
    shift_arcsec = abs(float(ra) - one.facts.ra_corner_00) * 3600.0
    assert 2.0 < shift_arcsec < 6.0 or any("distortion" in w for w in one.warnings)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("odd/git_lfs_pointer.fits.gz", "unknown_format", "Git LFS"),
        ("odd/made/html_error_page.fits", "unknown_format", "HTML"),
        ("odd/made/zero_length.fits", "unknown_format", "empty"),
        ("odd/made/header_only_no_end.fits", "corrupt_file", "END"),
        ("odd/made/truncated.fits.gz", "corrupt_file", "cut short"),
        ("odd/made/truncated_data.fits", "corrupt_file", "claims 1280000 bytes"),
        ("odd/zerowidth.fits", "not_an_image", "table"),
        ("odd/random_groups.fits", "not_an_image", "random groups"),
        ("odd/arange.fits", "not_an_image", "cube 11x10x7"),
        ("odd/nocdelt.fits", "not_an_image", "cube 125x125x3"),
        ("eso_midas/timmi2.fits", "not_an_image", "cube 320x240x2"),
        ("jwst_asdf/add_wcs_default_acq1.fits", "not_an_image", "cube 128x128x2x6"),
        ("jwst_asdf/jwst.asdf", "not_an_image", "cube of 4x151x333"),
        ("sdss_frame/photoObj-001000-1-0100.fits", "not_an_image", "table of 19 rows"),
        ("sextractor_reference/image.fits", "not_an_image", "without celestial coordinates"),
        ("panoptes/noheader.fits", "not_an_image", "without celestial coordinates"),
        ("ztf_alerts/1105522281015015000.avro", "unknown_format", "Avro"),
        ("spitzer/spitzer_example_catalog.xml", "unknown_format", "VOTable"),
        ("odd/nonstandard_units.hdr", "unknown_format", "written as text"),
    ],
)
def test_refusals_name_what_the_file_is(name: str, code: str, words: str) -> None:
    answer = describe_all()[name]
    assert isinstance(answer, FormatError)
    assert answer.code == code
    assert words in str(answer)


def test_an_image_of_zeros_that_packs_three_thousandfold_is_taken() -> None:
    one = only("odd/wasp-10-tiny.fit.bz2")
    with open_planes(one.planes[0].path) as reader:
        assert reader.read(one.planes[0].layout, Box(4000, 4000, 50, 50)).shape == (50, 50)


def test_companions_go_with_their_images() -> None:
    names = {p.relative_to(DATA).as_posix() for g in group_files(FILES) for p in g.companions}
    assert sum("decam_tc3" in n for n in names) == 16
    assert sum("unwise" in n for n in names) == 24
    assert "hst/xdf_hst_wfc3ir_60mas_f105w_rms.fits" in names
    primary = DATA / Z
    weight = DATA / Z.replace("ooi", "oow")
    assert find_primary(weight) == primary
    assert len(find_companions(primary)) == 2
    (group,) = group_files([weight])
    assert group.primary == primary


SAVED_FACTS = (
    "mjd", "zeropoint", "band", "observation_id", "sca", "kind", "exptime", "data_units", "sky_level",
    "flag_bits",
)  # fmt: skip


def all_images() -> list[tuple[str, Described]]:
    answers = sorted(describe_all().items())
    return [(name, one) for name, a in answers if not isinstance(a, FormatError) for one in a]


@pytest.mark.parametrize("part", range(8))
def test_a_saved_cutout_reads_back_as_it_was_set(tmp_path: Path, part: int) -> None:
    """The cutout in memory is the oracle, of its file's coordinates astropy's reading of the cards."""
    for name, one in all_images()[part::8]:
        hdu = one.planes[0].layout.hdu
        image = Image(DATA / name, imagehdu=hdu)
        cutout = image.get_cutout(image.width // 3, image.height // 2, 31, 21, mode="trim")
        if part % 2:
            cutout.kind, cutout.mjd, cutout.band = "anything", 60000.0, None
        path = tmp_path / f"{name.replace('/', '_')}_{hdu}.fits"
        cutout.save(path=path)
        again = Image(path)
        assert {f: getattr(again, f) for f in SAVED_FACTS} == {f: getattr(cutout, f) for f in SAVED_FACTS}, (
            name
        )
        assert again.plane_names == cutout.plane_names, name
        for got, want in zip(*(i.read_planes(cutout.plane_names) for i in (again, cutout)), strict=True):
            assert got.dtype == want.dtype, name
            assert np.array_equal(got, want, equal_nan=want.dtype.kind == "f"), name
        header = fits.getheader(path, "SCI")
        stale = ("AMDX", "AMDY", "PLT", "CNPIX", "XPIXELSZ", "YPIXELSZ", "PPO", "WAT", "CPDIS", "D2IM")
        assert not [key for key in header if key.startswith(stale)], name
        tables = one.facts.properties.get("wcs_needs_file")
        bearable_deg = 0.01 * cutout.get_wcs().pixel_scale_arcsec(0, 0) / 3600.0 if tables else 1e-7
        assert distance_deg(header, cutout) < bearable_deg, name


def distance_deg(header: fits.Header, cutout: Image) -> float:
    """Give the greatest distance between what astropy makes of a header and a cutout's own coordinates."""
    sides = (np.linspace(0, n - 1, 4) for n in (cutout.width, cutout.height))
    x, y = (a.ravel() for a in np.meshgrid(*sides))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cards of the originals that astropy finds odd
        sky = pixel_to_skycoord(x, y, WCS(header)).icrs
    ra, dec = cutout.get_wcs().pixel_to_world(x, y)
    east = ((sky.ra.deg - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec))
    return float(np.hypot(east, sky.dec.deg - dec).max())
