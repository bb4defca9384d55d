"""Tables of positions against the images of an archive, on both databases.

The oracle is the archive's own search for one position after another, which has winding numbers as
its own (tests/contracts/test_spatial.py).
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from snapdb.archive.archive import Archive
from snapdb.archive.match import match
from snapdb.errors import (
    FormatError,
    ObjectExistsError,
    ObjectMissingError,
    RegistryClosedError,
    SearchError,
    ShapeError,
    UnitError,
    UsageError,
)
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry
from snapdb.storage import LocalStore

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

BANDS = ("r", "i", None)


def places() -> Iterator[tuple[float, float, tuple[tuple[float, float], ...]]]:
    """Footprints about a seam, a pole, and in an ordinary field; one is an L, one has five corners."""
    for n in range(24):
        ra, dec = (10.0 + 0.3 * (n % 6)) % 360, 20.0 + 0.3 * (n // 6)
        yield (
            ra,
            dec,
            ((ra - 0.2, dec - 0.2), (ra + 0.2, dec - 0.2), (ra + 0.2, dec + 0.2), (ra - 0.2, dec + 0.2)),
        )
    yield 0.0, 0.0, ((359.5, -0.5), (0.5, -0.5), (0.5, 0.5), (359.5, 0.5))
    yield 0.0, 90.0, ((0.0, 89.0), (90.0, 89.0), (180.0, 89.0), (270.0, 89.0))
    yield 50.0, 0.0, ((50.0, 0.0), (52.0, 0.0), (52.0, 1.0), (51.0, 1.0), (51.0, 2.0), (50.0, 2.0))
    yield 60.0, 0.0, ((60.0, 0.0), (62.0, 0.0), (63.0, 1.0), (61.0, 2.5), (59.5, 1.0))


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Archive:
    """An archive of images whose files nobody asks for."""
    module_registry.add_provenance(ingest)
    images = [
        make_image(
            f"{n}.fits", ra=ra, dec=dec, footprint=ring, band=BANDS[n % 3], mjd=60000.0 + n if n % 4 else None
        )
        for n, (ra, dec, ring) in enumerate(places())
    ]
    module_registry.add_images(images, files_of(*images))
    return Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def sky() -> Table:
    """Positions in, between and about the footprints."""
    random = np.random.default_rng(3)
    field = random.uniform((9.7, 19.7), (11.8, 21.3), (120, 2))
    seam = random.uniform((-0.7, -0.7), (0.7, 0.7), (30, 2)) % (360.0, 1000.0)
    seam[:, 1] = np.where(seam[:, 1] > 90, seam[:, 1] - 1000.0, seam[:, 1])
    pole = random.uniform((0, 88.5), (360, 90), (30, 2))
    bent = random.uniform((49.5, -0.5), (63.5, 3), (80, 2))
    corners = [vertex for *_, ring in places() for vertex in ring]
    ra, dec = np.concatenate((field, seam, pole, bent, corners, [(0.0, 90.0), (123.0, -45.0)])).T
    return Table({"ra": ra % 360.0, "dec": dec})


def expected_pairs(archive: Archive, sky: Table, **criteria: Any) -> set[tuple[int, str]]:
    return {
        (row, str(record.id))
        for row, (ra, dec) in enumerate(zip(sky["ra"].tolist(), sky["dec"].tolist(), strict=True))
        for record in archive.registry.find_images(make_search(ra=ra, dec=dec, **criteria))
    }


def pairs_of(table: Any) -> list[tuple[int, str]]:
    return list(zip(table["row"].tolist(), map(str, table["image_id"].tolist()), strict=True))


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"band": "r"},
        {"band": ["r", "i"], "mjd_min": 60005},
        {"mjd_max": 60012.0, "order_by": "-mjd"},
        {"ra_min": 359, "ra_max": 11},
    ],
)
def test_pairs_are_those_of_single_searches(archive: Archive, sky: Table, criteria: dict[str, Any]) -> None:
    found = pairs_of(archive.match(sky, **criteria).to_table())
    assert len(found) == len(set(found)) > 10
    assert set(found) == expected_pairs(archive, sky, **criteria)


def test_order_and_limit_choose_the_images(archive: Archive, sky: Table) -> None:
    chosen = {str(r.id) for r in archive.find_records(order_by="-mjd", limit=5, offset=2)}
    found = pairs_of(match(archive, sky, order_by="-mjd", limit=5, offset=2).to_table())
    assert found
    assert set(found) == {pair for pair in expected_pairs(archive, sky) if pair[1] in chosen}


def test_values_may_hold_what_sql_gives_a_meaning(archive: Archive, sky: Table) -> None:
    band = ["r", "it's 100 %s; %(x)s \\"]
    assert set(pairs_of(match(archive, sky, band=band).to_table())) == expected_pairs(archive, sky, band="r")
    ids = [r.id for r in archive.find_records(limit=3)]
    found = {image for _, image in pairs_of(match(archive, sky, id=ids).to_table())}
    assert found == {str(i) for i in ids} & {image for _, image in expected_pairs(archive, sky)}


def test_a_position_can_be_a_criterion_too(archive: Archive) -> None:
    search = make_search(ra=10.0, dec=20.0)
    (block,) = archive.registry.iter_footprints(search)
    assert {block.id_of(n) for n in range(len(block))} == {r.id for r in archive.registry.find_images(search)}


@pytest.mark.parametrize("batch", [1, 5, 27, 28, 1000])
def test_footprints_come_in_blocks_with_what_names_them(archive: Archive, batch: int) -> None:
    records = {r.id: r for r in archive.iter_records()}
    blocks = list(archive.registry.iter_footprints(make_search(), batch=batch))
    assert all(0 < len(block) <= batch for block in blocks)
    assert sum(len(block) for block in blocks) == len(records)
    for block in blocks:
        for n in range(len(block)):
            record = records.pop(block.id_of(n))
            assert block.band_names[block.bands[n]] == record.band
            assert block.mjd[n] == record.mjd or (np.isnan(block.mjd[n]) and record.mjd is None)
    assert records == {}


def test_the_registry_can_be_used_after_half_of_the_footprints(archive: Archive, sky: Table) -> None:
    for _ in range(20):  # more often than there are connections in the pool
        blocks = archive.registry.iter_footprints(make_search(), batch=2)
        next(blocks)
        blocks.close()
    wanted = archive.count_images()
    assert sum(len(b) for b in archive.registry.iter_footprints(make_search(), batch=2)) == wanted
    first = next(iter(match(archive, sky)))
    assert len(first) > 10
    assert archive.count_images() == wanted


def test_bands_and_times_ride_along_and_may_be_unknown(archive: Archive, sky: Table) -> None:
    records = {str(r.id): r for r in archive.iter_records()}
    table, arrow = match(archive, sky).to_table(), match(archive, sky).to_arrow().to_pylist()
    assert table["mjd"].unit == "d"
    assert table["row"].tolist() == sorted(table["row"])
    assert len(arrow) == len(table)
    for row in arrow:
        record = records[row["image_id"]]
        assert (row["band"], row["mjd"]) == (record.band, record.mjd)
    for row in table:
        record = records[row["image_id"]]
        assert (row["band"] is np.ma.masked) == (record.band is None)
        assert (row["mjd"] is np.ma.masked) == (record.mjd is None)
        assert row["band"] is np.ma.masked or row["band"] == record.band


# Kinds of tables


@pytest.mark.parametrize("name", ["t.csv", "t.ecsv", "t.fits", "t.vot", "t.parquet", "t.csv.gz"])
def test_files_are_tables_too(archive: Archive, sky: Table, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        parquet.write_table(pa.table({n: np.asarray(sky[n]) for n in ("ra", "dec")}), path)
    else:
        forms = {"t.csv": "ascii.csv", "t.fits": "fits", "t.vot": "votable"}
        sky.write(path, format=forms.get(name.removesuffix(".gz"), "ascii.ecsv"))
    found = match(archive, path if name != "t.csv" else str(path)).to_table()
    assert set(pairs_of(found)) == expected_pairs(archive, sky)


def test_arrays_coordinates_and_units_are_taken(archive: Archive, sky: Table) -> None:
    ra, dec = np.array(sky["ra"]), np.array(sky["dec"])
    hours = Table({"a": ra / 15, "d": dec * 3600}, units={"a": "hourangle", "d": "arcsec"})
    quantities = QTable({"ra": ra, "dec": dec}, units={"ra": "deg", "dec": "deg"})
    wanted = len(match(archive, sky).to_table())
    assert match(archive, (ra, dec)).count() == wanted
    assert match(archive, [ra.tolist(), dec.tolist()]).count() == wanted
    assert match(archive, (ra - 360.0, dec)).count() == pytest.approx(wanted, abs=8)  # vertices lose digits
    assert match(archive, quantities).count() == wanted
    assert match(archive, {"ra": ra, "dec": dec.tolist()}).count() == wanted
    assert match(archive, np.column_stack((ra, dec))).count() == wanted
    assert match(archive, sky.as_array()).count() == wanted
    assert match(archive, pa.table({"ra": ra, "dec": dec})).count() == wanted
    assert match(archive, hours, ra="a", dec="d").count() == pytest.approx(wanted, abs=30)  # likewise
    inner = sky[:260]
    by_sky = match(archive, SkyCoord(inner["ra"], inner["dec"], unit="deg"))
    assert by_sky.count() == match(archive, inner).count() > 100


def test_text_is_read_as_angles(archive: Archive) -> None:
    table = Table({"ra": ["00:40:00", "12h00m00s"], "dec": ["+20:00:00", "-80d"]})
    assert set(match(archive, table).to_table()["row"]) == {0}


# What cannot be


def test_rows_without_a_position_are_named(archive: Archive) -> None:
    ra, dec = [10.0, np.nan, 10.0, np.inf, 10.0], [20.0, 20.0, 90.5, 0.0, 20.0]
    with pytest.raises(
        UsageError, match=r"3 of 5 rows .* 1 \(ra nan, dec 20\), 2 \(ra 10, dec 90.5\), 3"
    ) as info:
        match(archive, (ra, dec))
    assert info.value.rows == [1, 2, 3]
    result = match(archive, (ra, dec), on_error="skip")
    assert result.skipped.tolist() == [1, 2, 3]
    assert result.rows == 5
    assert set(result.to_table()["row"]) == {0, 4}


def test_masked_rows_hold_no_position(archive: Archive) -> None:
    masked = MaskedColumn([10.0, 10.0, 10], mask=[False, True, False])
    table = Table({"ra": masked, "dec": [20.0, 20.0, 20.0]})
    assert match(archive, table, on_error="skip").skipped.tolist() == [1]
    arrow = pa.table({"ra": [10.0, None, 10.0], "dec": [20.0, 20.0, 20.0]})
    assert match(archive, arrow, on_error="skip").skipped.tolist() == [1]
    texts = MaskedColumn(["10", "10", "10"], mask=[False, True, False])
    table = Table({"ra": texts, "dec": ["+20", "20", "north"]})
    result = match(archive, table, on_error="skip")
    assert result.skipped.tolist() == [1, 2]
    assert set(result.to_table()["row"]) == {0}


@pytest.mark.parametrize(
    ("table", "names", "error", "says"),
    [
        (Table({"RA": [1.0], "dec": [1.0]}), {}, UsageError, "no column 'ra'; there are RA, dec"),
        (Table({"ra": [1.0], "dec": [1.0]}), {"dec": "d"}, UsageError, "no column 'd'"),
        (Table({"ra": [1.0], "dec": [1.0]}, units={"ra": "m"}), {}, UnitError, "angle"),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), {}, ShapeError, "fit together"),
        ((1.0, 2.0), {}, ShapeError, "one column"),
        (7, {}, UsageError, r"a int is no table of positions; expected .* shape \(rows, 2\)"),
        (np.zeros((3, 4)), {}, UsageError, r"a ndarray of shape \(3, 4\) is no table"),
        ({"RA": [1.0], "dec": [1.0]}, {}, UsageError, "no column 'ra'; there are RA, dec"),
        (Table({"ra": ["xx", "1"], "dec": [1.0, 1.0]}), {}, UsageError, r"1 of 2 rows .* 0 \(ra 'xx'\)"),
        ("nowhere.csv", {}, ObjectMissingError, "no such file"),
        ((np.zeros(1), np.zeros(1)), {"on_error": "stop"}, UsageError, "raise, skip"),
        ((np.zeros(1), np.zeros(1)), {"bands": "r"}, SearchError, "did you mean 'band'"),
    ],
)
def test_what_cannot_be_is_said(
    archive: Archive, table: Any, names: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        match(archive, table, **names)


@pytest.mark.parametrize(
    ("name", "error"), [("t.parquet", FormatError), ("t.fits", FormatError), ("t.xyz", UsageError)]
)
def test_files_that_are_no_tables_are_refused(
    archive: Archive, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    path = tmp_path / name
    path.write_bytes(b"no table at all")
    with pytest.raises(error, match="t"):
        match(archive, path)


# Out


def test_files_hold_what_the_table_holds(archive: Archive, sky: Table, tmp_path: Path) -> None:
    result = match(archive, sky)
    arrow = result.to_arrow().to_pylist()
    for name in ("p.parquet", "p.csv"):
        assert result.write(tmp_path / name) == len(arrow)
    assert parquet.read_table(tmp_path / "p.parquet").to_pylist() == arrow
    with (tmp_path / "p.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [
        (
            int(line["row"]),
            line["image_id"],
            line["band"] or None,
            float(line["mjd"]) if line["mjd"] else None,
        )
        for line in lines
    ] == [tuple(row.values()) for row in arrow]
    with pytest.raises(ObjectExistsError):
        result.write(tmp_path / "p.csv")
    assert result.write(tmp_path / "p.csv", overwrite=True) == len(arrow)
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        result.write(tmp_path / "p.json")


def test_nothing_found_is_a_table_without_rows(archive: Archive, sky: Table, tmp_path: Path) -> None:
    for result in (
        match(archive, sky, band="u"),
        match(archive, sky, band=[]),
        match(archive, ([], [])),
        match(archive, ([200.0], [-60.0])),
    ):
        assert result.count() == 0
        table = result.to_table()
        assert len(table) == 0
        assert table.colnames == ["row", "image_id", "band", "mjd"]
        assert result.to_arrow().num_rows == 0
        assert result.write(tmp_path / "none.parquet", overwrite=True) == 0
        assert parquet.read_table(tmp_path / "none.parquet").column_names == table.colnames


def test_a_closed_archive_is_refused(registry: Registry, tmp_path: Path) -> None:
    result = match(Archive(registry, LocalStore(tmp_path)), ([1.0], [1.0]))
    registry.close()
    with pytest.raises(RegistryClosedError):
        result.count()
