"""Rows of ObsCore: the standard's list, geometry against other formulas, files read by other readers."""

import csv
import math
import re
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Table
from astropy.units import Unit

from snapdb.archive.moving.exporting import ExportFormat, choose_export_format, make_schema, write_blocks
from snapdb.archive.moving.fields import COLUMNS
from snapdb.archive.moving.obscore import HeldFile, Publisher, make_rows
from snapdb.archive.moving.wavelengths import find_wavelengths
from snapdb.errors import UsageError
from snapdb.model.image import ImageRecord
from snapdb.sky.footprint import Footprint

# Name, type, unit, not null: tables 1 and 4 of REC-ObsCore-v1.1-20170509, in the order of table 1.
STANDARD = """
dataproduct_type VARCHAR - -
calib_level INTEGER - notnull
obs_collection VARCHAR - notnull
obs_id VARCHAR - notnull
obs_publisher_did VARCHAR - notnull
access_url CLOB - -
access_format VARCHAR - -
access_estsize BIGINT kbyte -
target_name VARCHAR - -
s_ra DOUBLE deg -
s_dec DOUBLE deg -
s_fov DOUBLE deg -
s_region REGION - -
s_xel1 BIGINT - -
s_xel2 BIGINT - -
s_resolution DOUBLE arcsec -
t_min DOUBLE d -
t_max DOUBLE d -
t_exptime DOUBLE s -
t_resolution DOUBLE s -
t_xel BIGINT - -
em_min DOUBLE m -
em_max DOUBLE m -
em_res_power DOUBLE - -
em_xel BIGINT - -
o_ucd VARCHAR - -
pol_states VARCHAR - -
pol_xel BIGINT - -
facility_name VARCHAR - -
instrument_name VARCHAR - -
"""
LINES = [line.split() for line in STANDARD.split("\n") if line]
ARROW = {"VARCHAR": "string", "CLOB": "string", "REGION": "string", "INTEGER": "int32", "BIGINT": "int64"}

ID = UUID("0192f3c1-7c4e-7d3a-9a50-3f1f2b6f7a10")
RING = ((10.5, 19.5), (9.5, 19.5), (9.5, 20.5), (10.5, 20.5))


def make_record(**facts: Any) -> ImageRecord:
    corners = {f"{axis}_corner_{xy}": 10.0 for axis in ("ra", "dec") for xy in ("00", "01", "10", "11")}
    given: dict[str, Any] = {
        "id": ID,
        "provenance_id": UUID(int=1),
        "filepath": "night 1/a.fits",
        "hdu": 0,
        "width": 4088,
        "height": 2044,
        "ra": 10.0,
        "dec": 20.0,
        **corners,
        "band": "r",
        "mjd": 60000.25,
        "exptime": 90.0,
        "zeropoint": 25.0,
        "observation_id": "exp7",
        "instrument": "decam",
        "properties": {"telescop": "CTIO 4.0-m", "instrume": "DECam", "object": "SN 2010H"},
    }
    return ImageRecord(**{**given, **facts})


def make_row(
    record: ImageRecord | None = None, ring: Any = RING, path: str = "/data/night 1/a.fits", **publisher: Any
) -> Any:
    one = record or make_record()
    files = {one.id: HeldFile(path=Path(path), size=1_234_567)}
    return make_rows([one], {one.id: ring}, files, Publisher(**publisher))[0]


def test_columns_are_those_of_the_standard() -> None:
    assert [c.name for c in COLUMNS] == [line[0] for line in LINES]
    assert list(make_row()) == [line[0] for line in LINES]
    schema = make_schema()
    for field, (name, kind, unit, null) in zip(schema, LINES, strict=True):
        assert field.name == name
        assert str(field.type) == ARROW.get(kind, "double")
        assert field.nullable is (null != "notnull")
        assert field.metadata.get(b"unit", b"-").decode() == unit
        assert field.metadata[b"utype"].startswith(b"obscore:")
        assert field.metadata[b"ucd"]
    # Spot checks of appendix C.2.
    assert schema.field("t_min").metadata[b"ucd"] == b"time.start;obs.exposure"
    assert schema.field("s_region").metadata[b"utype"] == b"obscore:Char.SpatialAxis.Coverage.Support.Area"


def test_ucds_are_words_of_the_ivoas_list() -> None:
    from astropy.io.votable.ucd import parse_ucd

    for column in COLUMNS:
        parse_ucd(column.ucd, check_controlled_vocabulary=True)
    for units in ("counts", "rate"):
        parse_ucd(make_row(make_record(data_units=units))["o_ucd"], check_controlled_vocabulary=True)


def test_an_exposure() -> None:
    row = make_row()
    assert row["dataproduct_type"] == "image"
    assert row["obs_id"] == "exp7"
    assert row["obs_publisher_did"] == f"ivo://snapdb.local/images?{ID}"
    assert row["obs_collection"] == "CTIO 4.0-m/DECam"
    assert (row["facility_name"], row["instrument_name"]) == ("CTIO 4.0-m", "DECam")
    assert row["target_name"] == "SN 2010H"
    assert row["access_url"] == "file:///data/night%201/a.fits"
    assert (row["access_format"], row["access_estsize"]) == ("image/fits", 1235)
    assert (row["s_xel1"], row["s_xel2"]) == (4088, 2044)
    assert (row["t_xel"], row["em_xel"], row["pol_xel"], row["pol_states"]) == (1, 1, 0, None)
    assert (row["t_max"] - row["t_min"]) * 86400 == pytest.approx(row["t_exptime"], abs=1e-5)
    assert row["em_min"] < 626e-9 < row["em_max"]
    width = row["em_max"] - row["em_min"]
    assert row["em_res_power"] == pytest.approx((row["em_max"] + row["em_min"]) / 2 / width)


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({}, 2),
        ({"zeropoint": None}, 1),
        ({"kind": "raw"}, 1),
        ({"kind": "coadd", "zeropoint": None}, 3),
        ({"kind": "difference"}, 3),
    ],
)
def test_calibration_levels(facts: dict[str, Any], level: int) -> None:
    assert make_row(make_record(**facts))["calib_level"] == level


def test_what_is_not_known_is_null_and_what_must_not_be_null_is_not() -> None:
    bare = make_record(
        band=None,
        mjd=None,
        exptime=None,
        observation_id=None,
        instrument="generic",
        zeropoint=None,
        properties={},
    )
    row = make_row(bare)
    unknown = (
        "target_name",
        "s_resolution",
        "t_min",
        "t_max",
        "t_exptime",
        "t_resolution",
        "em_min",
        "em_max",
    )
    assert [row[name] for name in (*unknown, "facility_name", "instrument_name")] == [None] * 10
    assert (row["obs_id"], row["obs_collection"], row["calib_level"]) == (str(ID), "snapdb", 1)
    assert make_row(make_record(kind="coadd"))["t_max"] is None
    assert make_row(make_record(kind="mask"))["o_ucd"] is None


@pytest.mark.parametrize(
    ("path", "hdu", "form"),
    [
        ("/a.fits", 0, "image/fits"),
        ("/a.fits", 2, "application/x-fits-mef"),
        ("/a.fits.fz", 1, "application/x-fits-mef"),
        ("/a.fits.gz", 1, "image/x-fits-gzip"),
        ("/a.asdf", 1, "application/x-asdf"),  # the standard knows no ASDF; what its makers register
    ],
)
def test_formats_by_table_5(path: str, hdu: int, form: str) -> None:
    assert make_row(make_record(hdu=hdu), path=path)["access_format"] == form


def test_cameras_are_named_as_headers_name_them_and_never_as_header_maps() -> None:
    bare = make_row(make_record(instrument="ps1", properties={}))
    names = ("facility_name", "instrument_name", "obs_collection")
    assert [bare[name] for name in names] == [None, None, "snapdb"]
    tree = {"telescope": "ROMAN", "instrument": "WFI"}
    roman = make_row(make_record(instrument="roman_asdf", properties=tree))
    assert [roman[name] for name in names] == ["ROMAN", "WFI", "ROMAN/WFI"]


def test_addresses_of_objects_are_urls() -> None:
    # Oracle: RFC 3986: a space is %20, UTF-8 by its bytes; a % of the key is %25.
    def url_of(address: str) -> str:
        return str(make_row(make_record(filepath=address))["access_url"])

    assert url_of("s3://bkt/im/sp ace ü 5%.fits") == "s3://bkt/im/sp%20ace%20%C3%BC%205%25.fits"
    assert url_of("https://h/a%20b.fits?x=1") == "https://h/a%20b.fits?x=1"


def parse_region(text: str) -> list[tuple[float, float]]:
    shape, frame, *numbers = text.split()
    assert (shape, frame) == ("POLYGON", "ICRS")
    values = [float(n) for n in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("center", [(10.0, 20.0), (0.1, -60.0), (200.0, 89.9), (33.0, -89.99)])
def test_regions_go_counter_clockwise_seen_from_inside(center: tuple[float, float], turned: bool) -> None:
    # Oracle: astropy's position angles from the centre: counter-clockwise, north to east, they grow.
    middle = SkyCoord(*center, unit="deg")
    corners = middle.directional_offset_by(
        np.array([45.0, 135.0, 225.0, 315.0]) * Unit("deg"), 0.2 * Unit("deg")
    )
    ring = list(zip(corners.ra.deg.tolist(), corners.dec.deg.tolist(), strict=True))
    row = make_row(make_record(ra=center[0], dec=center[1]), ring=ring[::-1] if turned else ring)
    found = parse_region(row["s_region"])
    assert sorted(found) == sorted(ring)  # all digits
    angles = middle.position_angle(SkyCoord(*np.transpose(found), unit="deg")).deg
    steps = np.diff([*angles, angles[0]]) % 360.0
    assert steps == pytest.approx([90.0] * 4, abs=1e-6)
    # Oracle of the diameter: astropy's separations, twice the circle's radius.
    assert row["s_fov"] == pytest.approx(0.4, abs=1e-9)
    assert Footprint(tuple(found)).contains(*center)


def test_publishers_give_their_own_names() -> None:
    row = make_row(
        authority="org.example/wide", collection="WIDE", access_url="https://example.org/{id}?p={filepath}"
    )
    assert row["obs_publisher_did"] == f"ivo://org.example/wide?{ID}"
    assert row["obs_collection"] == "WIDE"
    assert row["access_url"] == f"https://example.org/{ID}?p=night%201/a.fits"
    for wrong in (
        {"authority": "ivo://org.example"},
        {"authority": "x"},
        {"access_url": "https://example.org/a"},
    ):
        with pytest.raises(UsageError):
            Publisher(**wrong)


def test_bands_of_one_name_differ_by_camera_and_unknown_ones_stay_unknown() -> None:
    assert find_wavelengths("g", "ps1") != find_wavelengths("g", "sdss")
    assert find_wavelengths("H158", None) == find_wavelengths("F158", "openuniverse")
    assert find_wavelengths("N964", "decam") is None
    assert find_wavelengths(None, "decam") is None
    order = [
        find_wavelengths(band, None)
        for band in ("NUV", "u", "g", "r", "i", "z", "J", "H", "Ks", "W1", "IRAC4", "W4")
    ]
    middles = [sum(span) for span in order if span is not None]
    assert len(middles) == 12
    assert middles == sorted(middles)
    assert 2e-7 < middles[0] / 2 < middles[-1] / 2 < 3e-5  # metres


def many(count: int) -> list[dict[str, Any]]:
    records = [replace(make_record(), id=UUID(int=n + 1), mjd=60000.0 + n) for n in range(count)]
    records[1] = replace(records[1], band=None, mjd=None, properties={"object": "Häuser"})
    files = {r.id: HeldFile(path=Path("/a.fits"), size=1) for r in records}
    return make_rows(records, {r.id: RING for r in records}, files)


@pytest.mark.parametrize("name", ["o.parquet", "o.csv", "o.ecsv", "o.vot"])
def test_other_readers_read_the_files(tmp_path: Path, name: str) -> None:
    rows, path = many(5), tmp_path / name
    with path.open("wb") as stream:
        assert write_blocks(iter([rows[:3], rows[3:]]), stream, choose_export_format(path, None)) == 5
    if name == "o.parquet":
        assert pq.read_table(path).to_pylist() == rows
        assert pq.ParquetFile(path).num_row_groups == 2
        return
    if name == "o.csv":
        with path.open(newline="") as stream:
            read = list(csv.DictReader(stream))
        assert [line["obs_id"] for line in read] == [r["obs_id"] for r in rows]
        assert [line["t_min"] for line in read] == [
            "" if r["t_min"] is None else repr(r["t_min"]) for r in rows
        ]
        return
    table = Table.read(path, format="ascii.ecsv") if name == "o.ecsv" else read_votable(path)
    for column in COLUMNS:
        values = [None if v is np.ma.masked else v for v in table[column.name].tolist()]
        expected = [row[column.name] for row in rows]
        if column.type == "text":  # VOTable has no null for text
            values, expected = ([v or None for v in some] for some in (values, expected))
        values = [None if isinstance(v, float) and math.isnan(v) else v for v in values]
        assert values == expected
        assert table[column.name].unit == (Unit(column.unit) if column.unit else None)


def _read_attributes(element: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', element))


def test_a_votable_names_scale_and_frame(tmp_path: Path) -> None:
    # Oracle: the XML itself, by VOTable 1.4, sections 3.2, 3.3 and 2.2 (text of any length).
    path = tmp_path / "o.vot"
    with path.open("wb") as stream:
        write_blocks(iter([many(3)]), stream, "votable")
    text = path.read_text(encoding="utf-8")
    fields = {
        found["name"]: found
        for found in (_read_attributes(line) for line in re.findall(r"<FIELD[^>]*>", text))
    }
    system, frame = (_read_attributes(re.findall(f"<{n}[^>]*>", text)[0]) for n in ("TIMESYS", "COOSYS"))
    assert (system["timescale"], system["timeorigin"], frame["system"]) == ("UTC", "MJD-origin", "ICRS")
    assert {n for n, field in fields.items() if field.get("ref") == system["ID"]} == {"t_min", "t_max"}
    assert {n for n, field in fields.items() if field.get("ref") == frame["ID"]} == {"s_ra", "s_dec"}
    assert {f["arraysize"] for f in fields.values() if f["datatype"] in ("char", "unicodeChar")} == {"*"}
    assert fields["pol_states"]["arraysize"] == "*"  # all of it is null


def test_a_long_table_is_written_in_the_room_of_a_block(tmp_path: Path) -> None:
    # Oracle: tracemalloc; the same rows held as a whole take several times as much.
    record = make_record()
    files = {ID: HeldFile(path=Path("/a.fits"), size=1)}

    def blocks() -> Iterator[list[dict[str, Any]]]:
        for _ in range(40):
            yield make_rows([record] * 25, {ID: RING}, files)

    def measure(write: Callable[[], int]) -> int:
        tracemalloc.start()
        try:
            assert write() == 1_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    forms: tuple[ExportFormat, ...] = ("csv", "parquet")
    for form in forms:
        with (tmp_path / form).open("wb") as stream:
            write_blocks(iter([]), stream, form)  # what is loaded once is no part of it
            streamed = measure(lambda: write_blocks(blocks(), stream, form))  # noqa: B023
            whole = measure(lambda: write_blocks(iter(list(blocks())), stream, form))  # noqa: B023
        assert streamed < whole / 3


def read_votable(path: Path) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = votable.parse(str(path), verify="exception")
    field = document.get_first_table().get_field_by_id("s_region")
    assert (field.utype, field.xtype) == ("obscore:Char.SpatialAxis.Coverage.Support.Area", "adql:REGION")
    return document.get_first_table().to_table()


@pytest.mark.parametrize("form", ["parquet", "csv", "ecsv", "votable"])
def test_no_row_is_a_table_too(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "empty"
    with path.open("wb") as stream:
        assert write_blocks(iter([]), stream, form) == 0
    if form == "parquet":
        assert pq.read_table(path).num_rows == 0
    if form == "votable":
        assert len(read_votable(path)) == 0


def test_a_format_is_told_by_its_name() -> None:
    assert choose_export_format(Path("a.XML"), None) == "votable"
    assert choose_export_format(Path("a.txt"), "csv") == "csv"
    with pytest.raises(UsageError, match=r"\.parquet"):
        choose_export_format(Path("a.txt"), None)
    with pytest.raises(UsageError, match="votable"):
        choose_export_format(Path("a.txt"), "fits")
