"""ASDF files of Roman's and JWST's make, written by the package asdf; the oracles are asdf and gwcs."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapdb import Image
from snapdb.errors import ConfigError, CorruptFileError, NotAnImageError
from snapdb.formats.asdf.blocks import scan_blocks
from snapdb.formats.asdf.cards import to_cards
from snapdb.formats.asdf.decode import unpack
from snapdb.formats.asdf.tree import load_tree
from snapdb.formats.describe import describe

asdf = pytest.importorskip("asdf")
pytest.importorskip("gwcs")
WIDTH, HEIGHT = 420, 400


def make_gwcs(width: int = WIDTH, height: int = HEIGHT, ra: float = 359.99, frame: Any = None) -> Any:
    """A distorted detector: polynomials of degree 3 before a gnomonic projection."""
    import gwcs  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from astropy import coordinates, units
    from astropy.modeling import models

    c = 0.11 / 3600
    centre = models.Shift(-(width - 1) / 2) & models.Shift(-(height - 1) / 2)
    x = models.Polynomial2D(3, c1_0=-c, c2_0=c * 2e-6, c1_1=c * 1e-6, c0_2=-c * 1e-6, c3_0=c * 1e-10)
    y = models.Polynomial2D(3, c0_1=c, c2_0=c * 1e-6, c1_1=-c * 2e-6, c0_2=c * 1e-6)
    sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(ra, 2.2, 180)
    detector = gwcs.coordinate_frames.Frame2D(name="detector", unit=(units.pix, units.pix))
    world = gwcs.coordinate_frames.CelestialFrame(
        reference_frame=coordinates.ICRS() if frame is None else frame,
        name="world",
        unit=(units.deg, units.deg),
    )
    found = gwcs.WCS([(detector, centre | models.Mapping((0, 1, 0, 1)) | x & y | sky), (world, None)])
    found.bounding_box = ((-0.5, width - 0.5), (-0.5, height - 0.5))
    return found


def make_planes() -> dict[str, Any]:
    rng = np.random.default_rng(20261125)
    data = rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    return {
        "data": data,
        "err": np.abs(data) + np.float32(0.5),
        "dq": rng.integers(0, 2**32, data.shape, dtype=np.uint32),
        "var_rnoise": (data**2).astype(np.float16),
        "amp33": np.zeros((2, 4, 5), np.uint16),
    }


def make_meta(gwcs: Any) -> dict[str, Any]:
    from astropy.time import Time

    return {
        "telescope": "ROMAN",
        "instrument": {"name": "WFI", "detector": "WFI07", "optical_element": "F158"},
        "exposure": {"start_time": Time("2027-01-02T03:04:05.678", scale="utc"), "exposure_time": 139.8},
        "observation": {"observation_id": "r0000101001001001001_0001"},
        "photometry": {"conversion_megajanskys": 0.5, "pixel_area": 2.8e-13},
        "wcs": gwcs,
    }


def write(path: Path, compression: str | None = None, **planes: Any) -> dict[str, Any]:
    """Write a file like Roman's; give its planes and coordinates."""
    content = {**make_planes(), **planes}
    gwcs = make_gwcs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = asdf.AsdfFile({"roman": {"meta": make_meta(gwcs), **content}})
        file.write_to(path, all_array_compression=compression)
    return {**content, "wcs": gwcs}


@pytest.mark.parametrize("compression", [None, "zlib", "bzp2", "lz4"])
def test_planes_and_boxes_are_those_that_asdf_reads(tmp_path: Path, compression: str | None) -> None:
    if compression == "lz4":
        pytest.importorskip("lz4")
    written = write(tmp_path / "roman.asdf", compression)
    image = Image(tmp_path / "roman.asdf")
    for name, plane in (("data", "data"), ("noise", "err"), ("flags", "dq"), ("var_rnoise", "var_rnoise")):
        (read,) = image.get_data(name)
        assert read is not None
        assert read.dtype == written[plane].dtype
        np.testing.assert_array_equal(read, written[plane])
    ra, dec = image.get_wcs().pixel_to_world(17, 380)
    cutout = image.get_ra_dec_cutout(ra, dec, 15)
    np.testing.assert_array_equal(cutout.data, written["data"][373:388, 10:25])
    np.testing.assert_array_equal(cutout.flags, written["dq"][373:388, 10:25])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_byte_order(tmp_path: Path, byteorder: str) -> None:
    data = np.arange(HEIGHT * WIDTH, dtype=f"{byteorder}f8").reshape(HEIGHT, WIDTH)
    write(tmp_path / "roman.asdf", data=data)
    (read,) = Image(tmp_path / "roman.asdf").get_data("data")
    assert read is not None
    assert read.dtype == np.dtype("float64")
    np.testing.assert_array_equal(read, data)


def test_a_view_into_a_larger_block(tmp_path: Path) -> None:
    whole = np.arange(2 * HEIGHT * WIDTH, dtype=np.float32).reshape(2 * HEIGHT, WIDTH)
    write(tmp_path / "roman.asdf", data=whole[HEIGHT:])
    np.testing.assert_array_equal(Image(tmp_path / "roman.asdf").data, whole[HEIGHT:])


def test_coordinates_follow_the_gwcs(tmp_path: Path) -> None:
    gwcs = write(tmp_path / "roman.asdf")["wcs"]
    wcs = Image(tmp_path / "roman.asdf").get_wcs()
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, WIDTH - 1, 9), np.linspace(0, HEIGHT - 1, 9)))
    ra, dec = gwcs(x, y)
    found_ra, found_dec = wcs.pixel_to_world(x, y)
    assert np.abs((found_ra - ra + 180) % 360 - 180).max() * 3600 < 1e-6
    assert np.abs(found_dec - dec).max() * 3600 < 1e-6
    back_x, back_y = wcs.world_to_pixel(ra, dec)
    assert max(np.abs(back_x - x).max(), np.abs(back_y - y).max()) < 1e-6


def test_coordinates_of_another_frame_become_icrs(tmp_path: Path) -> None:
    from astropy.coordinates import FK5, SkyCoord

    gwcs = make_gwcs(ra=120.0, frame=FK5(equinox="J1975"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = {"meta": {"telescope": "JWST", "wcs": gwcs}, "data": make_planes()["data"]}
        asdf.AsdfFile(tree).write_to(tmp_path / "jwst.asdf")
    ra, dec = Image(tmp_path / "jwst.asdf").get_wcs().pixel_to_world(100.0, 50.0)
    truth = SkyCoord(*gwcs(100.0, 50.0), unit="deg", frame=FK5(equinox="J1975")).icrs
    assert truth.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 1e-4


def test_facts(tmp_path: Path) -> None:
    write(tmp_path / "roman.asdf")
    (found,) = describe(tmp_path / "roman.asdf")
    facts = found.facts
    assert (facts.band, facts.sca, facts.exptime) == ("F158", 7, 139.8)
    assert facts.observation_id == "r0000101001001001001_0001"
    assert facts.mjd == pytest.approx(61407.12784349537, abs=1e-9)  # astropy.time
    # m_AB = 8.9 - 2.5 log10(Jy): one DN/s is 0.5 MJy/sr on 2.8e-13 sr.
    assert facts.zeropoint == pytest.approx(8.9 - 2.5 * np.log10(0.5e6 * 2.8e-13), abs=1e-8)
    assert facts.data_units == "rate"
    assert facts.flag_bits["REFERENCE_PIXEL"] == 2**31
    assert facts.bad_bits == 1
    assert {p.layout.name for p in found.planes} == {"data", "noise", "flags", "var_rnoise"}
    assert Image(tmp_path / "roman.asdf").header["ROMAN.META.INSTRUMENT.OPTICAL_ELEMENT"] == "F158"


def read_cards(path: Path) -> Any:
    """The metadata of a file as a header."""
    from astropy.io.fits import Header

    with path.open("rb") as stream:
        return Header.fromstring(to_cards(load_tree(stream, path.name)).decode())


@pytest.mark.parametrize(
    ("value", "form", "scale"),
    [
        (60500.3, "mjd", "utc"),
        (60500.3, "mjd", "tai"),
        (2460500.8, "jd", "tdb"),
        (1.72e9, "unix", "utc"),
        ("2024:191:07:12:00.5", "yday", "utc"),
        ("2024-07-09T07:12:00.5", "isot", "tt"),
        (60500.3, "mjd", "ut1"),
        (2024.52, "jyear", "tt"),
    ],
)
def test_times_of_every_format(tmp_path: Path, value: Any, form: str, scale: str) -> None:
    from astropy.time import Time

    time = Time(value, format=form, scale=scale)
    asdf.AsdfFile({"meta": {"start_time": time}}).write_to(tmp_path / "time.asdf")
    written = read_cards(tmp_path / "time.asdf")["META.START_TIME"]
    assert abs(Time(written, scale="utc") - time).to_value("s") < 2e-6  # astropy.time, to the digits written


def test_an_exposure_begins_when_its_time_in_mjd_says(tmp_path: Path) -> None:
    from astropy.time import Time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = make_meta(make_gwcs())
        meta["exposure"]["start_time"] = Time(60500.3, format="mjd", scale="tai")
        tree = {"meta": meta, **make_planes()}
        asdf.AsdfFile({"roman": tree}).write_to(tmp_path / "roman.asdf")
    (found,) = describe(tmp_path / "roman.asdf")
    assert found.facts.mjd == pytest.approx(60500.3 - 37.0 / 86400.0, abs=1e-10)  # 37 leap seconds in 2024


def test_what_looks_like_a_time_and_is_none_stays(tmp_path: Path) -> None:
    meta = {"scale": {"value": 2.5, "format": "percent"}, "day": {"value": "soon", "format": "mjd"}}
    asdf.AsdfFile({"meta": meta}).write_to(tmp_path / "other.asdf")
    header = read_cards(tmp_path / "other.asdf")
    assert (header["META.SCALE.VALUE"], header["META.SCALE.FORMAT"]) == (2.5, "percent")
    assert header["META.DAY.VALUE"] == "soon"


def test_cards_of_wcsinfo_serve_where_there_is_no_gwcs(tmp_path: Path) -> None:
    info = {"ctype1": "RA---TAN", "ctype2": "DEC--TAN", "crpix1": 210.5, "crpix2": 200.5, "crval1": 10.0}
    info |= {"crval2": -5.0, "cd1_1": -3e-5, "cd1_2": 0.0, "cd2_1": 0.0, "cd2_2": 3e-5, "cunit1": "deg"}
    info |= {"cunit2": "deg"}
    tree = {"meta": {"telescope": "JWST", "wcsinfo": info}, "data": make_planes()["data"]}
    asdf.AsdfFile(tree).write_to(tmp_path / "jwst.asdf")
    ra, dec = Image(tmp_path / "jwst.asdf").get_wcs().pixel_to_world(209.5, 199.5)
    assert (float(ra), float(dec)) == pytest.approx((10.0, -5.0), abs=1e-10)


def test_unknown_tags_are_borne(tmp_path: Path) -> None:
    write(tmp_path / "roman.asdf")
    content = (tmp_path / "roman.asdf").read_bytes()
    tagged = content.replace(b"  meta:\n", b"  meta: !<asdf://example.org/tags/meta-1.0.0>\n", 1)
    assert tagged != content
    (tmp_path / "tagged.asdf").write_bytes(tagged)
    assert Image(tmp_path / "tagged.asdf").band == "F158"


def test_truncated_file(tmp_path: Path) -> None:
    write(tmp_path / "roman.asdf")
    content = (tmp_path / "roman.asdf").read_bytes()
    (tmp_path / "short.asdf").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFileError, match="truncated"):
        describe(tmp_path / "short.asdf")


@pytest.mark.parametrize("field", ["used", "size"])
def test_a_block_cannot_claim_more_than_there_is(tmp_path: Path, field: str) -> None:
    write(tmp_path / "roman.asdf", "zlib")
    content = bytearray((tmp_path / "roman.asdf").read_bytes())
    at = content.index(b"\xd3BLK")
    struct.pack_into(">Q", content, at + 6 + 4 + 4 + (8 if field == "used" else 16), 2**45)
    (tmp_path / "bad.asdf").write_bytes(content)
    with pytest.raises(CorruptFileError, match="claims"):
        describe(tmp_path / "bad.asdf")


def test_an_array_cannot_be_larger_than_its_block(tmp_path: Path) -> None:
    write(tmp_path / "roman.asdf")
    content = (tmp_path / "roman.asdf").read_bytes()
    (tmp_path / "bad.asdf").write_bytes(content.replace(b"[400, 420]", b"[900, 420]"))
    with pytest.raises(CorruptFileError, match="claims"):
        describe(tmp_path / "bad.asdf")


def test_damage_inside_a_block_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "roman.asdf", "zlib")
    content = bytearray((tmp_path / "roman.asdf").read_bytes())
    at = describe(tmp_path / "roman.asdf")[0].planes[0].layout.offset
    content[at + 40 : at + 80] = bytes(40)
    (tmp_path / "bad.asdf").write_bytes(content)
    with pytest.raises(CorruptFileError, match="decode"):
        _ = Image(tmp_path / "bad.asdf").data


def test_what_holds_no_image(tmp_path: Path) -> None:
    asdf.AsdfFile({"numbers": np.zeros((3, 4, 5))}).write_to(tmp_path / "cube.asdf")
    with pytest.raises(NotAnImageError, match=r"it holds numbers: a cube of 5x4x3$"):
        describe(tmp_path / "cube.asdf")


def test_a_refusal_says_what_an_asdf_file_holds(tmp_path: Path) -> None:
    def refuse(tree: dict[str, Any], **how: Any) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asdf.AsdfFile(tree).write_to(tmp_path / "other.asdf", **how)
        with pytest.raises(NotAnImageError) as info:
            describe(tmp_path / "other.asdf")
        return str(info.value).split("it holds ")[1]

    gwcs = make_gwcs()
    plane = np.zeros((6, 5))
    assert refuse({"meta": {"wcs": gwcs}}) == "coordinates without pixels"
    inline = refuse({"meta": {"wcs": gwcs}, "data": plane}, all_array_storage="inline")
    assert inline == "data: an array stored inline, which is not supported (write it as a block)"
    assert refuse({"line": np.zeros(7)}) == "line: a vector of 7"
    assert refuse({"a": {"data": plane}}) == "a.data: an image 5x6 without celestial coordinates"
    waves = refuse({"data": plane.astype("complex64")})
    assert waves == "data: an array 5x6 of complex64, which is not supported"
    assert refuse({"note": "nothing"}) == "headers only"


def test_yaml_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.asdf").write_bytes(b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n--- {a: [\n...\n")
    with pytest.raises(CorruptFileError, match="YAML"):
        describe(tmp_path / "bad.asdf")


def test_decoding_makes_no_more_than_said() -> None:
    import zlib

    with pytest.raises(CorruptFileError, match="more than"):
        unpack(zlib.compress(bytes(10_000)), "zlib", 100, "block")
    with pytest.raises(ConfigError, match="cannot be read"):
        unpack(b"", "blsc", 100, "block")


def test_blocks_are_where_asdf_puts_them(tmp_path: Path) -> None:
    path = tmp_path / "roman.asdf"
    written = write(path)
    with path.open("rb") as stream:
        blocks = scan_blocks(stream, path.stat().st_size)
    content = path.read_bytes()
    stored = {content[b.offset : b.offset + b.size] for b in blocks}
    assert written["data"].tobytes() in stored
    assert written["dq"].tobytes() in stored
