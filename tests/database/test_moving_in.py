"""Moving in: a snappl database, written out by a real PostgreSQL, and trees of files."""

import base64
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import psycopg
import pytest
from astropy.wcs import WCS

import snapdb
from snapdb import Provenance
from snapdb.archive.archive import Archive
from snapdb.archive.moving.snappl import SnapplDump, import_snappl, open_snappl
from snapdb.archive.moving.tree import PathRule, import_tree
from snapdb.archive.report import IngestReport
from snapdb.errors import ObjectMissingError, UnknownFormatError, UsageError
from snapdb.registry import Registry
from snapdb.storage import LocalStore

NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"

TABLES = """
CREATE TABLE provenance (id uuid PRIMARY KEY, environment int, env_major int, env_minor int,
    process text NOT NULL, major int NOT NULL, minor int NOT NULL, params jsonb DEFAULT '{}');
CREATE TABLE provenance_upstream (downstream_id uuid, upstream_id uuid);
CREATE TABLE provenance_tag (tag text, process text, provenance_id uuid);
CREATE TABLE l2image (id uuid PRIMARY KEY, provenance_id uuid NOT NULL, sca int, band text NOT NULL,
    ra double precision, dec double precision,
    ra_corner_00 real, dec_corner_00 real, ra_corner_01 real, dec_corner_01 real,
    ra_corner_10 real, dec_corner_10 real, ra_corner_11 real, dec_corner_11 real,
    filepath text NOT NULL UNIQUE, extension text[], width smallint, height smallint,
    format smallint NOT NULL DEFAULT 0, mjd double precision NOT NULL, exptime real NOT NULL,
    properties jsonb DEFAULT '{}', position_angle real, observation_id text)
"""
"""The columns and types that snappl 0.48 has."""


def snappl_id(process: str, params: dict[str, Any], upstreams: tuple[UUID, ...] = ()) -> UUID:
    """Hash as snappl 0.48 does: MD5 of the base64 of the JSON, keys sorted."""
    spec = {
        "process": process,
        "major": 1,
        "minor": 2,
        "environment": None,
        "env_major": None,
        "env_minor": None,
        "params": params,
        "upstream_ids": [str(u) for u in sorted(upstreams)],
    }
    text = json.dumps(spec, sort_keys=True).encode()
    return UUID(hashlib.md5(base64.b64encode(text), usedforsecurity=False).hexdigest())


def write_image(path: Path, *, ra: float = 10.0, dec: float = -5.0, **facts: Any) -> Path:
    """Write an image of 50 x 40 pixels of 0.36 arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [25.0, 20.0]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    data = np.arange(2000, dtype=np.float32).reshape(40, 50)
    return snapdb.Image(data=data, wcs=wcs, **facts).save(path=path)[0]


class SnapplDatabase:
    """A database with snappl's tables, its dump in CSV, and the files that it names."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "images"
        self.connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self.connection.execute(TABLES)

    def add(self, table: str, **values: Any) -> None:
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        given = {n: json.dumps(v) if isinstance(v, dict) else v for n, v in values.items()}
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", given)

    def add_provenance(self, process: str, params: dict[str, Any], *upstreams: UUID) -> UUID:
        made = snappl_id(process, params, upstreams)
        self.add("provenance", id=made, process=process, major=1, minor=2, params=params)
        for upstream in upstreams:
            self.add("provenance_upstream", downstream_id=made, upstream_id=upstream)
        return made

    def add_image(self, name: str, provenance: UUID, *, file: bool = True, **values: Any) -> UUID:
        """Add a row, with the file's true corners unless others are given, and its file."""
        header = values.pop("header", {})
        path = write_image(self.base / name, **header) if file else None
        image = snapdb.Image(path) if path is not None else None
        corners = [f"{axis}_corner_{xy}" for axis in ("ra", "dec") for xy in ("00", "01", "10", "11")]
        row = {
            "id": uuid5(NAMESPACE, name),
            "provenance_id": provenance,
            "filepath": name,
            "band": "R062",
            "mjd": 62000.25,
            "exptime": 161.025,
            "width": 50,
            "height": 40,
            "format": 1,
            **{c: getattr(image, c) if image is not None else 0.0 for c in corners},
            **values,
        }
        self.add("l2image", **row)
        return UUID(str(row["id"]))

    def dump(self) -> SnapplDump:
        """Let the server write its tables as psql's \\copy does, and look at them."""
        files = {}
        for table in ("l2image", "provenance", "provenance_upstream", "provenance_tag"):
            files[table] = self.folder / f"{table}.csv"
            query = f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv, HEADER)"
            with files[table].open("wb") as out, self.connection.cursor().copy(query) as copy:
                out.writelines(copy)
        return open_snappl(
            files["l2image"],
            self.base,
            provenances=files["provenance"],
            upstreams=files["provenance_upstream"],
            tags=files["provenance_tag"],
        )


@pytest.fixture
def snappl(databases: Any, tmp_path: Path) -> Iterator[SnapplDatabase]:
    url = databases.make_empty()
    made = SnapplDatabase(url, tmp_path)
    made.base.mkdir()
    yield made
    made.connection.close()
    databases.drop(url)


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    return Archive(registry, LocalStore(tmp_path / "store"))


def ends(report: IngestReport) -> dict[str, str]:
    """Give how each row ended, by the name after its line number."""
    return {o.path: str(o.outcome) for o in report.outcomes}


pytestmark = pytest.mark.postgis


def test_everything_moves_in_under_its_own_id_and_a_second_time_nothing_changes(
    archive: Archive, snappl: SnapplDatabase
) -> None:
    raw = snappl.add_provenance("load_raw", {"site": "L2", "gain": 1.0, "n": 3})
    made = snappl.add_provenance("calibrate", {"flat": {"order": [1, 2.5]}, "tiny": 1e-7}, raw)
    snappl.add("provenance_tag", tag="nightly", process="calibrate", provenance_id=made)
    properties = {"airmass": 1.25, "note": 'says "no", and more'}
    first = snappl.add_image(
        "a/one.fits", made, sca=7, observation_id="35198", properties=properties, extension=["x, y", "z"]
    )
    second = snappl.add_image("b/two.fits", raw, sca=None, header={"ra": 0.0004, "dec": 40.0})

    report = import_snappl(archive, snappl.dump())

    assert report.counts == {"registered": 5, "unchanged": 0, "updated": 0, "refused": 0}
    assert archive.get_tagged("nightly", "calibrate").id == made
    assert [u.id for u in archive.get_provenance(made).upstreams] == [raw]
    record = archive.get_record(first)
    assert (record.provenance_id, record.sca, record.observation_id, record.band) == (
        made,
        7,
        "35198",
        "R062",
    )
    assert record.mjd == 62000.25
    assert record.exptime == pytest.approx(161.025, rel=1e-7)
    assert dict(record.properties)["airmass"] == 1.25
    assert record.properties["note"] == properties["note"]
    assert record.properties["snappl"] == {"format": 1, "extension": ["x, y", "z"]}
    cutout = archive.get_image(first).get_cutout(10, 10, 5)
    assert cutout.data[2, 2] == 10 * 50 + 10  # the pixels' own pattern
    truth = snapdb.Image(snappl.base / "b/two.fits")
    assert archive.get_record(second).ra_corner_00 == truth.ra_corner_00  # all digits, not the table's seven
    assert [r.id for r in archive.find_records(ra=0.0004, dec=40.0)] == [second]

    before = archive.find_records(order_by="id")
    again = import_snappl(archive, snappl.dump())
    assert set(ends(again).values()) == {"unchanged"}
    assert len(again.outcomes) == len(report.outcomes)
    assert archive.find_records(order_by="id") == before


def test_every_row_ends_somewhere_and_bad_ones_do_not_stop_the_rest(
    archive: Archive, snappl: SnapplDatabase
) -> None:
    made = snappl.add_provenance("p", {})
    good = snappl.add_image("good.fits", made)
    snappl.add_image("missing.fits", made, file=False)
    (snappl.base / "page.fits").write_text("<html>gone</html>")
    snappl.add_image("page.fits", made, file=False)
    snappl.add_image("large.fits", made, width=4088, height=4088)
    snappl.add_image("nan.fits", made, mjd=float("nan"))
    snappl.add_image("orphan.fits", uuid5(NAMESPACE, "nobody's"))
    report = import_snappl(archive, snappl.dump())
    images = [o for o in report.outcomes if o.path.startswith("l2image.csv")]
    found = {o.path.rpartition(" ")[2]: (str(o.outcome), o.code) for o in images}
    assert found == {
        "good.fits": ("registered", None),
        "missing.fits": ("refused", "object_missing"),
        "page.fits": ("refused", "unknown_format"),
        "large.fits": ("refused", "not_an_image"),
        "nan.fits": ("refused", "usage"),
        "orphan.fits": ("refused", "not_found"),
    }
    lines = sorted(int(o.path.split(":")[1]) for o in images)
    assert lines == [2, 3, 4, 5, 6, 7]
    assert [r.id for r in archive.find_records()] == [good]


def test_what_the_table_says_wins_over_the_header_and_the_difference_is_told(
    archive: Archive, snappl: SnapplDatabase
) -> None:
    made = snappl.add_provenance("p", {})
    header = {"band": "g", "mjd": 62000.25, "exptime": 30.0, "sca": 3}
    image = snappl.add_image("a.fits", made, header=header, exptime=302.275, sca=4, ra_corner_00=10.1)
    report = import_snappl(archive, snappl.dump())
    record = archive.get_record(image)
    assert (record.band, record.sca, record.mjd) == ("R062", 4, 62000.25)
    assert record.exptime == pytest.approx(302.275, rel=1e-7)
    (warnings,) = [o.warnings for o in report.outcomes if o.path.startswith("l2image")]
    told = " | ".join(warnings)
    assert "band is R062 in the table and g in the header" in told
    assert "sca is 4 in the table and 3 in the header" in told
    assert "exptime" in told
    assert "mjd" not in told
    assert "corners are up to 3" in told  # 0.1 degree times cos(5 degrees), less what they are off the centre


def test_numbers_that_jsonb_changed_are_restored_when_the_id_proves_it(
    archive: Archive, snappl: SnapplDatabase
) -> None:
    large = snappl.add_provenance("large", {"a": 1e16, "b": [2, 1e20]})
    zero = snappl.add_provenance("zero", {"a": -0.0, "b": 0})
    report = import_snappl(archive, snappl.dump())
    assert report.counts["refused"] == 0
    assert archive.get_provenance(large).params["b"] == (2, 1e20)
    assert str(archive.get_provenance(zero).params["a"]) == "-0.0"
    assert all("proves" in o.warnings[0] for o in report.outcomes)


def test_a_provenance_that_is_not_what_its_id_says_is_refused_with_both_ids(
    archive: Archive, snappl: SnapplDatabase
) -> None:
    wrong = uuid5(NAMESPACE, "wrong")
    snappl.add("provenance", id=wrong, process="p", major=1, minor=2, params={"a": 1})
    child = snappl_id("child", {}, (wrong,))
    snappl.add("provenance", id=child, process="child", major=1, minor=2)
    snappl.add("provenance_upstream", downstream_id=child, upstream_id=wrong)
    absent = uuid5(NAMESPACE, "absent")
    lonely = snappl_id("lonely", {}, (absent,))
    snappl.add("provenance", id=lonely, process="lonely", major=1, minor=2)
    snappl.add("provenance_upstream", downstream_id=lonely, upstream_id=absent)
    snappl.add("provenance_tag", tag="t", process="p", provenance_id=wrong)
    good = snappl.add_provenance("good", {})
    snappl.add("provenance_tag", tag="t", process="other", provenance_id=good)
    image = snappl.add_image("a.fits", wrong)
    report = import_snappl(archive, snappl.dump())
    reasons = {o.path: o.reason or "" for o in report.refused}
    assert len(reasons) == 6
    assert str(wrong) in reasons["provenance.csv:2"]
    assert str(snappl_id("p", {"a": 1})) in reasons["provenance.csv:2"]
    assert f"upstream {wrong} was refused" in reasons["provenance.csv:3"]
    assert f"upstream {absent} is in no row" in reasons["provenance.csv:4"]
    assert [p.id for p in archive.find_provenances()] == [good]
    assert archive.count_images(id=image) == 0


def test_provenances_in_a_circle_are_refused(archive: Archive, snappl: SnapplDatabase) -> None:
    one, two = uuid5(NAMESPACE, "1"), uuid5(NAMESPACE, "2")
    for made in (one, two):
        snappl.add("provenance", id=made, process="p", major=1, minor=2)
    snappl.add("provenance_upstream", downstream_id=one, upstream_id=two)
    snappl.add("provenance_upstream", downstream_id=two, upstream_id=one)
    report = import_snappl(archive, snappl.dump())
    assert [str(o.outcome) for o in report.outcomes] == ["refused", "refused"]
    assert "builds on it in turn" in (report.outcomes[0].reason or "")


def test_a_tag_that_points_elsewhere_stays(archive: Archive, snappl: SnapplDatabase) -> None:
    ours = Provenance("p", 9, 9)
    archive.add_provenance(ours, tag="best")
    made = snappl.add_provenance("p", {})
    snappl.add("provenance_tag", tag="best", process="p", provenance_id=made)
    report = import_snappl(archive, snappl.dump())
    assert [o.code for o in report.refused] == ["conflict"]
    assert archive.get_tagged("best", "p") == ours


def test_a_dry_run_changes_nothing(archive: Archive, snappl: SnapplDatabase) -> None:
    made = snappl.add_provenance("p", {})
    snappl.add("provenance_tag", tag="t", process="p", provenance_id=made)
    snappl.add_image("a.fits", made)
    report = import_snappl(archive, snappl.dump(), dry_run=True)
    assert report.counts["registered"] == 3
    assert archive.count_images() == 0
    assert archive.find_provenances() == []


def test_a_file_that_changed_since_is_refused(archive: Archive, snappl: SnapplDatabase) -> None:
    made = snappl.add_provenance("p", {})
    snappl.add_image("a.fits", made)
    import_snappl(archive, snappl.dump())
    path = snappl.base / "a.fits"
    path.unlink()
    write_image(path, ra=11.0)
    report = import_snappl(archive, snappl.dump())
    assert [o.code for o in report.refused] == ["changed_file"]


def test_columns_come_in_any_order_and_unknown_ones_are_named(archive: Archive, tmp_path: Path) -> None:
    made = Provenance("p", 1, 0)
    archive.add_provenance(made)
    write_image(tmp_path / "images/x.fits", band="g")
    table = tmp_path / "some.csv"
    image = uuid5(NAMESPACE, "x")
    with table.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["weather", "filepath", "provenance_id", "id"])
        rows.writerow(["fair", "x.fits", str(made.id), str(image)])
    dump = open_snappl(table, tmp_path / "images")
    assert dump.unknown_columns == {"some.csv": ("weather",)}
    assert import_snappl(archive, dump).counts["registered"] == 1
    assert archive.get_record(image).band == "g"


def test_a_table_that_is_none_is_refused_as_a_whole(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,filepath\n")
    with pytest.raises(UnknownFormatError, match="provenance_id"):
        open_snappl(table, tmp_path)
    with pytest.raises(ObjectMissingError, match=r"none\.csv"):
        open_snappl(tmp_path / "none.csv", tmp_path)
    with pytest.raises(ObjectMissingError, match="no folder"):
        open_snappl(table, tmp_path / "nowhere")


# Trees


MADE = Provenance("survey", 2, 1)


def test_paths_say_what_headers_leave_open(archive: Archive, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_image(tree / "night1/r/exp0042_ccd07.fits")
    write_image(tree / "night1/i/exp0043_ccd08.fits", band="g", observation_id="own")
    write_image(tree / "odd/x.fits")
    (tree / "readme.txt").write_text("about the survey")
    rules = [
        PathRule(r"(?P<observation_id>exp\d+)_ccd(?P<sca>\d+)", "observation_id"),
        PathRule(r"/(\w)/", "band"),
    ]
    report, summary = import_tree(archive, tree, MADE, rules=rules)
    assert report.counts == {"registered": 3, "unchanged": 0, "updated": 0, "refused": 1}
    records = {Path(r.filepath).name: r for r in archive.find_records()}
    first, second, odd = (records[n] for n in ("exp0042_ccd07.fits", "exp0043_ccd08.fits", "x.fits"))
    assert (first.band, first.observation_id, first.sca) == ("r", "exp0042", 7)
    assert (second.band, second.observation_id, second.sca) == ("g", "own", 8)
    assert (odd.band, odd.sca) == (None, None)
    told = {Path(o.path).name: o.warnings for o in report.outcomes}
    assert "band was taken from the path" in told["exp0042_ccd07.fits"]
    assert "no band in the header" not in told["exp0042_ccd07.fits"]
    assert "no band in the header" in told["x.fits"]
    assert {r.provenance_id for r in records.values()} == {MADE.id}
    assert sorted((band, count) for _, band, _, count in summary.lines()) == [("-", 1), ("g", 1), ("r", 1)]
    assert summary.refused == {"unknown_format": 1}
    again, second_summary = import_tree(archive, tree, MADE, rules=rules)
    assert again.counts["unchanged"] == 3
    assert second_summary.unchanged == 3


def test_looking_at_a_tree_changes_nothing(archive: Archive, tmp_path: Path) -> None:
    write_image(tmp_path / "tree/a.fits", band="r")
    report, summary = import_tree(archive, tmp_path / "tree", MADE, dry_run=True)
    assert report.counts["registered"] == 1
    assert [(band, count) for _, band, _, count in summary.lines()] == [("r", 1)]
    assert archive.count_images() == 0
    assert archive.find_provenances() == []


@pytest.mark.parametrize("pattern", ["(", "(?P<filter>r)"])
def test_patterns_that_cannot_be_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        PathRule(pattern, "band")


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not here")
def test_a_real_tree_is_registered_as_ingest_registers_it(archive: Archive) -> None:
    folder = DATA / "wise_l1b"
    report, summary = import_tree(archive, folder, MADE)
    taken = archive.find_records(order_by="filepath")
    other = archive.ingest(folder, provenance=Provenance("other", 1, 0), jobs=1)
    assert report.counts == other.counts
    assert sum(summary.images.values()) == len(taken) > 0
    assert report.counts["refused"] == sum(summary.refused.values())
