"""Stamps in stdpipe's style, and their files. Oracles: numpy, astropy's WCS, files as stdpipe writes."""

import datetime
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time
from astropy.wcs import WCS

import snapdb
from snapdb.archive.stamps.stamp import get_cutout, load_cutout, make_name, write_cutout
from snapdb.errors import (
    CorruptFileError,
    NoOverlapError,
    NotAnImageError,
    ObjectExistsError,
    ObjectMissingError,
    ShapeError,
    UsageError,
)
from snapdb.formats.stamp_files import parse_array

RNG = np.random.default_rng(11)
SHAPE = (80, 100)
IMAGE = RNG.normal(100, 5, SHAPE).astype(np.float32)
MASK = RNG.random(SHAPE) < 0.1
ERR = np.full(SHAPE, 5, np.float32)
TEMPLATE = RNG.normal(100, 5, SHAPE)


def make_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10, 20]
    wcs.wcs.crpix = [50, 40]
    wcs.wcs.cd = [[-1e-4, 1e-6], [2e-6, 1e-4]]
    return wcs


def make_header() -> fits.Header:
    header = fits.ImageHDU(IMAGE, header=make_wcs().to_header()).header
    header["MAGZEROP"] = 25.0
    return header


def make_stamp(**more: Any) -> snapdb.Cutout:
    candidate = {"x": 3.0, "y": 77.0, "ra": 10.5, "dec": -20.25, "mag": 17.5}
    planes = {"mask": MASK, "err": ERR, "template": TEMPLATE}
    return get_cutout(IMAGE, candidate, 10.2, **{"header": make_header(), **planes, **more})


def test_a_stamp_is_a_dictionary() -> None:
    cutout = make_stamp(time="2024-05-06T07:08:09.123", filename="a.fits", diff=None)
    # Oracle: the slice; 2 ceil(10.2) + 1 = 23 pixels about (3, 77), of which x -8..14, y 66..88.
    assert cutout["image"].shape == (23, 23)
    inside = np.s_[0:14, 8:23]
    for key, plane in (("image", IMAGE), ("err", ERR), ("template", TEMPLATE)):
        np.testing.assert_array_equal(cutout[key][inside], plane[66:80, 0:15])
        assert np.isnan(cutout[key]).sum() == 23 * 23 - 14 * 15
        assert cutout[key].dtype == plane.dtype
    np.testing.assert_array_equal(cutout["mask"][inside], MASK[66:80, 0:15])
    assert cutout["mask"][14:].all()
    assert cutout["mask"][:, :8].all()
    assert list(cutout) == cutout.keys() == ["image", "err", "template", "mask", "meta", "header", "wcs"]
    assert "diff" not in cutout
    assert dict(cutout)["err"] is cutout["err"]
    assert len(cutout.items()) == len(cutout) == len(cutout.values())
    meta = cutout["meta"]
    assert (meta["x"], meta["mag"], meta["filename"]) == (3.0, 17.5, "a.fits")
    assert meta["time"] == Time("2024-05-06T07:08:09.123")
    assert meta["name"] == "J004200.00-201500.0"
    assert (cutout.blc, cutout.trc) == ((-8, 66), (14, 88))


def test_its_sky_is_the_images() -> None:
    x, y = RNG.uniform(0, 22, (2, 20))
    expected = make_wcs().all_pix2world(x - 8, y + 66, 0)
    other = make_wcs()
    other.wcs.crval = [50, 60]
    for more in ({}, {"header": None, "wcs": make_wcs()}, {"wcs": make_wcs()}):
        cutout = make_stamp(**more)
        np.testing.assert_allclose(cutout["wcs"].all_pix2world(x, y, 0), expected, atol=1e-11)
        np.testing.assert_allclose(WCS(cutout["header"]).all_pix2world(x, y, 0), expected, atol=1e-11)
        np.testing.assert_allclose(np.array(cutout.pixel_to_world(x, y)), expected, atol=1e-10)
    moved = make_stamp(wcs=other)  # wins over the header
    expected = other.all_pix2world(x - 8, y + 66, 0)
    np.testing.assert_allclose(moved["wcs"].all_pix2world(x, y, 0), expected, atol=1e-11)
    np.testing.assert_allclose(WCS(moved["header"]).all_pix2world(x, y, 0), expected, atol=1e-11)
    assert other.wcs.crpix.tolist() == [50, 40]
    header = cutout["header"]
    assert (header["NAXIS1"], header["CROP_X1"], header["CROP_X2"], header["CROP_Y1"]) == (23, -8, 15, 66)
    assert header["MAGZEROP"] == 25.0
    bare = get_cutout(IMAGE, {"x": 50, "y": 40}, 2)
    assert "wcs" not in bare
    with pytest.raises(KeyError, match="wcs"):
        bare["wcs"]


def test_flags_and_integers_outside() -> None:
    flags = np.ones(SHAPE, np.int32)
    cutout = get_cutout(IMAGE.astype(np.int16), {"x": 0, "y": 0}, 2, flags=flags, foot=np.ones(SHAPE, bool))
    assert cutout["image"].dtype == np.int16
    assert (cutout["image"][0] == 0).all()
    assert (cutout["flags"][0] == cutout.flag_bits["NO_DATA"]).all()
    assert (cutout["flags"][2:, 2:] == 1).all()
    assert cutout["foot"].dtype == bool
    assert not cutout["foot"][0].any()
    assert cutout["mask"].sum() == 16


@pytest.mark.parametrize(
    ("candidate", "more", "error"),
    [
        ({"x": 5}, {}, UsageError),
        (5, {}, UsageError),
        ({"x": np.nan, "y": 5}, {}, NoOverlapError),
        ({"x": 500, "y": 5}, {}, NoOverlapError),
        ({"x": 5, "y": 5}, {"template": TEMPLATE[1:]}, ShapeError),
        ({"x": 5, "y": 5}, {"tmie": "2020-01-01"}, UsageError),
        ({"x": 5, "y": 5}, {"time": "yesterday"}, UsageError),
        ({"x": 5, "y": 5}, {"wcs": 3}, UsageError),
    ],
)
def test_what_cannot_be_is_refused(candidate: Any, more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        get_cutout(IMAGE, candidate, 3, **more)


def test_a_header_without_good_coordinates_warns() -> None:
    header = fits.Header({"CTYPE1": "WAVE", "CTYPE2": "LINEAR"})
    with pytest.warns(UserWarning, match="no world coordinates"):
        assert "wcs" not in get_cutout(IMAGE, {"x": 5, "y": 5}, 3, header)


def test_assignment_and_deletion() -> None:
    cutout = make_stamp()
    cutout["adjusted"] = cutout["image"] - 1
    cutout["score"] = 0.5
    cutout.update({"err": np.ones((23, 23)), "meta": {"a": 1}})
    np.testing.assert_array_equal(cutout["err"], 1)
    assert cutout["score"] == 0.5
    assert {"adjusted", "score"} <= set(cutout)
    assert "adjusted" in cutout.plane_names
    del cutout["adjusted"], cutout["score"]
    assert "adjusted" not in cutout
    assert cutout.get("score", 7) == 7
    assert cutout["data"] is cutout["image"]
    assert "data" in cutout
    assert "data" not in cutout.keys()  # noqa: SIM118  # the list itself
    with pytest.raises(ShapeError):
        cutout["template"] = np.zeros((5, 5))
    with pytest.raises(ShapeError):
        cutout["new"] = np.zeros((5, 5))
    for key in ("wcs", "image"):
        with pytest.raises(UsageError):
            del cutout[key]
    with pytest.raises(UsageError, match="coordinates"):
        cutout["wcs"] = make_wcs()
    with pytest.raises(KeyError, match=r"'nothing'.*image"):
        cutout["nothing"]
    with pytest.raises(KeyError):
        del cutout["nothing"]
    assert 3 not in cutout


def test_cutouts_of_images_are_dictionaries_too() -> None:
    image = snapdb.Image(data=IMAGE, noise=ERR, flags=MASK.astype(np.uint8), wcs=make_wcs())
    cutout = image.get_cutout(50, 40, 11)
    assert cutout.keys() == ["image", "err", "flags", "mask", "meta", "header", "wcs"]
    np.testing.assert_array_equal(cutout["mask"], MASK[35:46, 45:56])
    expected = make_wcs().all_pix2world(45, 35, 0)
    np.testing.assert_allclose(cutout["wcs"].all_pix2world(0, 0, 0), expected, atol=1e-11)


AWKWARD: dict[str, Any] = {
    "none": None,
    "yes": True,
    "inf": float("inf"),
    "minus": -np.inf,
    "text": "NaN",
    "tricky": "array(__import__('os').system('true'))",
    "accents": "naïve\nsecond line",
    "FWHM_x": 1.5,
    "fwhm_X": 2.5,
    "naxis": 7,
    "extend": "no",
    "time": Time("2024-01-02T03:04:05.123456789", scale="tdb"),
    "when": datetime.datetime(2024, 1, 2, 3, 4, 5, 678901),
    "flux": 3.5 * u.Jy,
    "list": np.array([1.0, np.nan]),
    "wide": np.arange(5000, dtype=np.int16),
    "single": np.float32(0.1),
    "names": np.array(["a", "bc"]),
    "masked": np.ma.masked,
    "pair": (1, [2.5, None]),
    "a_rather_long_keyword": 1,
    "key with = sign": 2,
}


def test_meta_comes_back_as_it_was(tmp_path: Path) -> None:
    cutout = make_stamp()
    cutout["foot"] = MASK[:23, :23]
    cutout["meta"] = {**AWKWARD, "nan": float("nan")}
    write_cutout(cutout, tmp_path / "a.fits")
    again = load_cutout(tmp_path / "a.fits")
    meta = again["meta"]
    assert list(meta) == list(cutout["meta"])
    assert np.isnan(meta.pop("nan"))
    for key, value in AWKWARD.items():
        assert type(meta[key]) is type(value), key
        if isinstance(value, np.ndarray) and value is not np.ma.masked:
            np.testing.assert_array_equal(meta[key], value)
            assert getattr(meta[key], "dtype", None) == getattr(value, "dtype", None)
        elif value is not np.ma.masked:
            assert meta[key] == value, key
    time = meta["time"]
    assert (time.scale, time.jd1, time.jd2) == ("tdb", AWKWARD["time"].jd1, AWKWARD["time"].jd2)
    assert again["foot"].dtype == bool
    for key in ("image", "err", "template", "mask", "foot"):
        np.testing.assert_array_equal(again[key], cutout[key])
        assert again[key].dtype == cutout[key].dtype
        assert again[key].dtype.isnative
    assert (again.blc, again.insertion_slice) == (cutout.blc, cutout.insertion_slice)
    assert (again.parent.width, again.parent.height) == SHAPE[::-1]
    np.testing.assert_allclose(again.pix2world(3, 4), cutout.pix2world(3, 4), atol=1e-11)
    assert again["header"]["MAGZEROP"] == 25.0
    assert "EXTNAME" not in again["header"]


def test_other_readers_find_keywords(tmp_path: Path) -> None:
    cutout = make_stamp(time="2024-05-06T07:08:09.123", name="SN 1")
    cutout["meta"] |= {"list": np.array([1, 2], np.int16), "bad": np.nan, "tricky": AWKWARD["tricky"]}
    write_cutout(cutout, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
        hdus.verify("exception")
        header = hdus[0].header
        # As stdpipe's own loader goes: all but the first four cards of the primary header are meta.
        assert [c.keyword for c in header.cards[:4]] == ["SIMPLE", "BITPIX", "NAXIS", "EXTEND"]
        found = {key.lower(): header[key] for key in header[4:]}
        assert set(found) == set(cutout["meta"])
        assert (found["x"], found["name"], found["bad"]) == (3.0, "SN 1", "NaN")
        assert Time(found["time"]) == cutout["meta"]["time"]
        assert found["list"] == "array([1, 2])"
        assert not found["tricky"].startswith("array(")
        assert [hdu.name for hdu in hdus[1:]] == ["IMAGE", "ERR", "TEMPLATE", "MASK", "SNAPMETA"]
        assert hdus["MASK"].data.dtype.kind == "u"
        np.testing.assert_array_equal(hdus["IMAGE"].data, cutout["image"])


def write_as_stdpipe_does(path: Path, meta: dict[str, Any], **planes: Any) -> None:
    """A file laid out as stdpipe 0.4.1 lays it out."""
    primary = fits.PrimaryHDU()
    for key, value in meta.items():
        primary.header[key] = value
    header = fits.ImageHDU(IMAGE[:5, :6], header=make_header()).header
    header["CROP_X1"], header["CROP_X2"], header["CROP_Y1"], header["CROP_Y2"] = 12, 18, 13, 18
    hdus = [fits.ImageHDU(plane, header=header, name=name) for name, plane in planes.items()]
    fits.HDUList([primary, *hdus]).writeto(path)


def test_files_of_stdpipe_are_read(tmp_path: Path) -> None:
    meta: dict[str, Any] = {
        "x": 5.5,
        "flags": 3,
        "mag": "NaN",
        "top": "Inf",
        "time": "2024-05-06T07:08:09.123",
        "colors": "array([ 1. , nan, -2.5], dtype=float32)",
        "name": "J1",
        "nothing": None,
    }
    planes = {"image": IMAGE[:5, :6], "mask": MASK[:5, :6].astype(np.uint16), "convolved": TEMPLATE[:5, :6]}
    write_as_stdpipe_does(tmp_path / "a.fits", meta, **planes)
    cutout = load_cutout(tmp_path / "a.fits")
    np.testing.assert_array_equal(cutout["image"], IMAGE[:5, :6])
    np.testing.assert_array_equal(cutout["mask"], MASK[:5, :6])
    assert cutout["mask"].dtype == bool
    assert cutout["convolved"].dtype.isnative
    said = cutout["meta"]
    assert (said["x"], said["flags"], said["name"], said["nothing"]) == (5.5, 3, "J1", None)
    assert np.isnan(said["mag"])
    assert said["top"] == np.inf
    assert said["time"] == Time("2024-05-06T07:08:09.123")
    np.testing.assert_array_equal(said["colors"], np.array([1, np.nan, -2.5], np.float32))
    assert said["colors"].dtype == np.float32
    assert cutout.blc == (12, 13)
    expected = make_wcs().all_pix2world(2, 3, 0)
    np.testing.assert_allclose(np.array(cutout.pixel_to_world(2, 3)), expected, atol=1e-11)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    witness = tmp_path / "run"
    text = "array(open('run', 'w'))"
    write_as_stdpipe_does(tmp_path / "a.fits", {"evil": text}, image=IMAGE[:5, :6])
    assert load_cutout(tmp_path / "a.fits")["meta"]["evil"] == text
    assert not witness.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("array([1, 2])", np.array([1, 2])),
        ("array([[1., inf], [nan, -inf]])", np.array([[1, np.inf], [np.nan, -np.inf]])),
        ("array(['a', 'b'], dtype='<U1')", np.array(["a", "b"])),
        ("array([True])", None),
        ("array([1, 2", None),
        ("array(x)", None),
        ("array([1], order='C')", None),
        ("array([[]], dtype=object)", None),
        ("array([1, ..., 9])", None),
        ("array", None),
    ],
)
def test_text_of_arrays(text: str, expected: Any) -> None:
    found = parse_array(text)
    if expected is None and text != "array([True])":
        assert found == text
    else:
        np.testing.assert_array_equal(found, [True] if expected is None else expected)


def test_plain_dictionaries_are_written_and_rows_cut(tmp_path: Path) -> None:
    table = Table({"x": [30.2], "y": [20.1], "id": [5], "name": ["star"]})
    cutout = get_cutout(IMAGE, table[0], 3)
    assert cutout["meta"]["name"] == "star"
    plain = {"image": np.asarray(cutout["image"]), "meta": dict(cutout["meta"])}
    write_cutout(plain, str(tmp_path / "a.fits"))
    again = load_cutout(str(tmp_path / "a.fits"))
    np.testing.assert_array_equal(again["image"], plain["image"])
    assert again["meta"] == {"x": 30.2, "y": 20.1, "id": 5, "name": "star"}
    assert again.blc == (0, 0)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError):
        load_cutout(tmp_path / "none.fits")
    write_as_stdpipe_does(tmp_path / "b.fits", {}, template=IMAGE[:5, :6])
    with pytest.raises(NotAnImageError, match="template"):
        load_cutout(tmp_path / "b.fits")
    write_cutout(make_stamp(), tmp_path / "c.fits")
    (tmp_path / "d.fits").write_bytes((tmp_path / "c.fits").read_bytes()[:9000])
    with pytest.raises(CorruptFileError):
        load_cutout(tmp_path / "d.fits")
    with fits.open(tmp_path / "c.fits") as hdus:
        objects = '{"meta": {"a": {"$array": {"dtype": "O", "shape": [1], "values": [1]}}}}'
        boxes = '"boxes": {"result": [0, 0, 23, 23], "source": [0, 0, 9, 9], "target": [20, 20, 9, 9]}'
        state = f'{{{boxes}, "displacement": [0, 0], "parent_size": null}}'
        beyond = f'{{"meta": {{}}, "planes": {{}}, "state": {state}}}'
        turned = beyond.replace("[20, 20, 9, 9]", "[0, 0, -9, 9]")
        for text in ('{"meta": 3', objects, "[]", beyond, turned):
            data = np.frombuffer(text.encode(), np.uint8)[None]
            column = fits.Column(name="JSON", format=f"{data.size}B", array=data)
            hdus[-1] = fits.BinTableHDU.from_columns([column], name="SNAPMETA")
            hdus.writeto(tmp_path / "e.fits", overwrite=True)
            with pytest.raises(CorruptFileError):
                load_cutout(tmp_path / "e.fits")
    for meta in ({"o": object()}, {3: 1}, {"$x": 1}, {"deep": {"er": [object()]}}):
        cutout = make_stamp()
        cutout["meta"] = meta
        with pytest.raises(UsageError):
            write_cutout(cutout, tmp_path / "f.fits")
    assert not (tmp_path / "f.fits").exists()


def test_a_parents_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    fits.writeto(path, IMAGE, make_header())
    before = path.read_bytes()
    cutout = snapdb.Image(path).get_cutout(50, 40, 11)
    with pytest.raises(ObjectExistsError):
        write_cutout(cutout, path)
    assert path.read_bytes() == before
    other = tmp_path / "stamp.fits"
    write_cutout(cutout, other)
    write_cutout(cutout, other)  # a file of its own is replaced, as stdpipe does
    np.testing.assert_array_equal(load_cutout(other).data, IMAGE[35:46, 45:56])


def test_names_are_those_of_astropy() -> None:
    ra, dec = RNG.uniform(0, 359.99, 200), np.degrees(np.arcsin(RNG.uniform(-1, 1, 200)))
    for one, two in zip(ra, dec, strict=True):
        place = SkyCoord(one, two, unit="deg")
        hours = place.ra.to_string(unit=u.hourangle, sep="", precision=2, pad=True)
        degrees = place.dec.to_string(sep="", precision=1, alwayssign=True, pad=True)
        assert make_name(one, two) == f"J{hours}{degrees}"
    assert make_name(359.9999999, 0) == "J000000.00+000000.0"
    assert make_name(np.nan, 0) is None


# Candidates, keys and files as users of stdpipe have them


@pytest.mark.parametrize(
    ("position", "name"),
    [
        ({"ra": 10.5 * u.deg, "dec": -20.25 * u.deg}, "J004200.00-201500.0"),
        ({"ra": 0.7 * u.hourangle, "dec": -1215 * u.arcmin}, "J004200.00-201500.0"),
        ({"ra": "00:42:00", "dec": "-20:15:00"}, "J004200.00-201500.0"),
        ({"ra": None, "dec": None}, None),
        ({"ra": "unknown", "dec": "-20"}, None),
        ({"ra": np.nan, "dec": -20.0}, None),
        ({"ra": np.ma.masked, "dec": -20.0}, None),
        ({"ra": 3.0 * u.m, "dec": -20.0}, None),
    ],
)
def test_a_name_never_stops_a_cutout(position: dict[str, Any], name: str | None) -> None:
    cutout = get_cutout(IMAGE, {"x": 50.0, "y": 40.0, **position}, 2)
    assert cutout["meta"].get("name") == name
    np.testing.assert_array_equal(cutout["image"], IMAGE[38:43, 48:53])


def test_rows_with_units_are_cut(tmp_path: Path) -> None:
    row = QTable({"x": [50.0] * u.pix, "y": [40.0] * u.pix, "ra": [10.5] * u.deg, "dec": [-20.25] * u.deg})[0]
    cutout = get_cutout(IMAGE, row, 2)
    np.testing.assert_array_equal(cutout["image"], IMAGE[38:43, 48:53])
    write_cutout(cutout, tmp_path / "a.fits")
    assert load_cutout(tmp_path / "a.fits")["meta"]["ra"] == 10.5 * u.deg
    with pytest.raises(UsageError, match="x="):
        get_cutout(IMAGE, {"x": 3 * u.arcsec, "y": 5}, 2)
    with pytest.raises(UsageError, match="y="):
        get_cutout(IMAGE, {"x": 3, "y": None}, 2)
    with pytest.raises(snapdb.NoOverlapError):
        get_cutout(IMAGE, {"x": np.ma.masked, "y": 5}, 2)


@pytest.mark.parametrize(("first", "second"), [("err", "noise"), ("flags", "dq"), ("image", "data")])
def test_two_names_of_one_plane_are_refused(tmp_path: Path, first: str, second: str) -> None:
    flags = np.ones(SHAPE, np.int16)
    planes: dict[str, Any] = {name: flags for name in (first, second) if name != "image"}
    with pytest.raises(UsageError, match=f"'{first}' and '{second}'"):
        get_cutout(IMAGE, {"x": 50, "y": 40}, 2, **planes)
    with pytest.raises(UsageError, match=f"'{first}' and '{second}'"):
        write_cutout({"image": IMAGE, **planes}, tmp_path / "a.fits")
    assert not (tmp_path / "a.fits").exists()


def test_planes_keep_the_names_that_they_were_given(tmp_path: Path) -> None:
    flags = np.ones(SHAPE, np.int16)
    cutout = get_cutout(IMAGE, {"x": 50, "y": 40}, 2, noise=ERR, dq=flags)
    write_cutout(cutout, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "NOISE", "DQ", "MASK", "SNAPMETA"]
    for one in (cutout, load_cutout(tmp_path / "a.fits"), cutout.copy()):
        assert list(one) == ["image", "noise", "dq", "meta"]
        for key, plane in (("err", ERR), ("noise", ERR), ("flags", flags), ("dq", flags)):
            assert key in one
            np.testing.assert_array_equal(one[key], plane[38:43, 48:53])
    cutout["flags"] = np.zeros((5, 5), int)
    assert list(cutout) == ["image", "noise", "dq", "meta"]
    del cutout["dq"]
    cutout["flags"] = np.zeros((5, 5), int)
    assert list(cutout) == ["image", "noise", "flags", "meta"]


def test_mask_and_header_are_listed_where_they_were_given(tmp_path: Path) -> None:
    bare = get_cutout(IMAGE, {"x": 1, "y": 1}, 3)
    assert "mask" not in bare
    assert "header" not in bare
    assert bare.get("mask") is None
    assert bare["mask"].sum() == 49 - 25  # five rows and five columns of seven lie inside
    write_cutout(bare, tmp_path / "a.fits")
    again = load_cutout(tmp_path / "a.fits")
    assert list(again) == ["image", "meta"]
    np.testing.assert_array_equal(again["mask"], bare["mask"])
    for more in ({"mask": MASK}, {"header": make_header()}):
        (key,) = more
        assert key in get_cutout(IMAGE, {"x": 1, "y": 1}, 3, **more)
    assert "mask" in get_cutout(np.ma.array(IMAGE, mask=MASK), {"x": 1, "y": 1}, 3)
    bare["mask"] = np.zeros((7, 7), bool)
    assert "mask" in bare
    assert not bare.pop("mask").any()
    assert "mask" not in bare
    assert bare["mask"].sum() == 49 - 25


def test_a_stamp_has_the_methods_of_a_dictionary() -> None:
    cutout = make_stamp()
    plain = dict(cutout)
    assert dict not in type(cutout).__mro__
    assert cutout.setdefault("err", 1) is plain["err"]
    assert cutout.setdefault("score", 2.5) == 2.5
    assert cutout.pop("score") == 2.5
    assert cutout.pop("template") is plain["template"]
    assert cutout.pop("template", None) is None
    assert "template" not in cutout.plane_names
    with pytest.raises(KeyError, match="template"):
        cutout.pop("template")
    with pytest.raises(UsageError):
        cutout.pop("image")
    assert "image" in cutout
    both, other = cutout | {"err": 5}, {"err": 5, "more": 6} | cutout
    assert type(both) is type(other) is dict
    assert list(both) == list(cutout)
    assert (both["err"], other["more"]) == (5, 6)
    assert other["err"] is plain["err"]
    same = cutout
    cutout |= {"score": 3}
    assert cutout is same
    assert cutout["score"] == 3


@pytest.mark.parametrize(
    ("cutout", "error", "told"),
    [
        ({"image": MASK}, ShapeError, "data is an array"),
        ({"image": IMAGE, "err": MASK}, ShapeError, "noise is an array"),
        ({"image": IMAGE, "flags": IMAGE}, ShapeError, "flags is an array"),
        ({"diff": IMAGE}, UsageError, "no plane 'image'; it has diff"),
        ({"meta": {}}, UsageError, "no plane 'image'"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(
    tmp_path: Path, cutout: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        write_cutout(cutout, tmp_path / "a.fits")
    assert not list(tmp_path.iterdir())


def test_a_square_outside_is_refused_and_a_crop_is_filling() -> None:
    assert np.isnan(snapdb.crop_image_centered(IMAGE, -100, -100, 5)).all()
    with pytest.raises(snapdb.NoOverlapError):
        get_cutout(IMAGE, {"x": -100, "y": -100}, 5)
