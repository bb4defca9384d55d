"""Which images contain this position, among a million: snapdb beside bare SQL and beside other ways.

Run with ``pytest -m benchmark -s tests/benchmarks/test_registry_at_scale.py``; the number of images comes
from ``SNAPDB_BENCH_IMAGES`` (1,000,000). Ratios of medians in one run; every answer is compared.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.model.search import Search, make_search
from snapdb.registry import Registry
from snapdb.registry.queries import make_statement

pytestmark = [pytest.mark.benchmark, pytest.mark.postgis]

POSITIONS = 200
SCANS = 7
"""Positions that are asked of what scans the whole table."""
_CORNERS = ", ".join(f"{axis}_corner_{xy}" for xy in ("00", "10", "11", "01") for axis in ("ra", "dec"))


@pytest.fixture
def bare(roman_postgis: str) -> Iterator[psycopg.Connection]:
    """A bare connection, set up as the registry's own."""
    plain = make_url(roman_postgis).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True, options="-c jit=off") as connection:
        yield connection


def report(*lines: str) -> None:
    """Show figures to whoever runs the benchmark."""
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def median_of(ask: Callable[[Any], Any], questions: list[Any]) -> tuple[float, list[Any]]:
    """Time each question after a first round that warms caches: the median in ms, and the answers."""
    answers = [ask(question) for question in questions]
    times = []
    for question in questions:
        started = time.perf_counter()
        ask(question)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3, answers


@pytest.mark.parametrize("where", ["any", "wide", "deep"])
def test_containment(
    roman_sky: Any, roman_postgis: str, roman_sqlite: str, bare: psycopg.Connection, where: str
) -> None:
    """At the centres of images of any kind, in the wide survey, and where hundreds lie on each other."""
    positions = roman_sky.positions(POSITIONS, where)
    searches = [make_search(ra=ra, dec=dec) for ra, dec in positions]

    def send_sql(search: Search) -> list[Any]:
        statement = make_statement(search, "postgresql")
        return bare.execute(statement.sql, statement.values).fetchall()

    def scan(position: tuple[float, float]) -> list[Any]:
        return bare.execute(
            f"SELECT id FROM image WHERE q3c_poly_query(%s, %s, ARRAY[{_CORNERS}])", position
        ).fetchall()

    bare.execute("CREATE EXTENSION IF NOT EXISTS q3c")
    with Registry.open(roman_postgis) as postgis, Registry.open(roman_sqlite) as sqlite:
        on_postgis, found = median_of(postgis.find_images, searches)
        by_sql, rows = median_of(send_sql, searches)
        on_sqlite, embedded = median_of(sqlite.find_images, searches)
    by_scan, scanned = median_of(scan, positions[:SCANS])
    number = float(np.median([len(records) for records in found]))
    report(
        f"{where}: {number:.0f} images over a position: find_images on PostGIS {on_postgis:.2f} ms, "
        f"{on_postgis / by_sql:.2f} of bare SQL ({by_sql:.2f})",
        f"q3c_poly_query {by_scan:.0f} ms, {by_scan / on_postgis:.0f} times",
        f"find_images on SQLite {on_sqlite:.2f} ms, {on_sqlite / on_postgis:.2f} of PostGIS",
    )
    assert number > 1
    for records, plain, other in zip(found, rows, embedded, strict=True):
        assert records == other
        assert {record.id for record in records} == {row[-4] for row in plain}
    for records, ids in zip(found, scanned, strict=False):
        assert {record.id for record in records} == {id_ for (id_,) in ids}


def test_band_and_time_without_a_position(roman_sky: Any, bare: psycopg.Connection) -> None:
    """The planner must not take the index of footprints for an index of band and time."""
    for asked in (
        {"band": "F129", "mjd_min": 61000.0, "mjd_max": 61010.0},
        {"mjd_min": 61500, "mjd_max": 61501},
    ):
        statement = make_statement(make_search(**asked), "postgresql")
        plan = bare.execute(f"EXPLAIN {statement.sql}", statement.values).fetchall()
        text = "\n".join(line for (line,) in plan)
        assert "ix_image_footprint" not in text
        assert "mjd" in text.split("Index")[1]


@contextmanager
def footprint_alone(connection: psycopg.Connection) -> Iterator[None]:
    """Put an index of the footprints alone in the place of the composite one, for a while."""
    with connection.transaction(force_rollback=True):
        connection.execute("DROP INDEX ix_image_footprint")
        connection.execute("CREATE INDEX ix_image_plain ON image USING gist (footprint)")
        yield


@pytest.mark.parametrize("where", ["wide", "deep"])
def test_the_composite_index(roman_sky: Any, bare: psycopg.Connection, where: str) -> None:
    positions = roman_sky.positions(POSITIONS, where)
    searches = []
    for n, (ra, dec) in enumerate(positions):
        low = 61000.0 + 100.0 * (n % 10)
        asked = {"band": ("F129", "F158")[n % 2], "mjd_min": low, "mjd_max": low + 300.0}
        searches.append(make_search(ra=ra, dec=dec, provenance_ids=roman_sky.provenance_id, **asked))
    statements = [make_statement(search, "postgresql") for search in searches]

    def send(statement: Any) -> set[Any]:
        return {row[-4] for row in bare.execute(statement.sql, statement.values).fetchall()}

    def explain() -> str:
        rows = bare.execute(f"EXPLAIN {statements[0].sql}", statements[0].values).fetchall()
        return "\n".join(line for (line,) in rows)

    plan = explain()
    together, found = median_of(send, statements)
    with footprint_alone(bare):
        other_plan = explain()
        alone, again = median_of(send, statements)
    report(plan, f"composite {together:.3f} ms, footprint alone {alone:.3f} ms: {alone / together:.1f} times")
    assert "ix_image_footprint" in plan
    assert "(band ||" in plan.split("Filter:")[0]
    assert "ix_image_plain" in other_plan
    assert found == again
    assert sum(map(len, found)) > 0


DEEP_POSITIONS = 100_000
MEMORY_KB = 2_000_000
STREAM = """
import sys, time
import numpy as np
import snapdb
archive = snapdb.Archive(snapdb.registry.Registry.open(sys.argv[1]), snapdb.storage.LocalStore(sys.argv[2]))
ra, dec = np.load(sys.argv[3])
counts = np.zeros(len(ra), dtype=np.int64)
started = time.perf_counter()
for block in archive.match((ra, dec)).iter_blocks():
    counts += np.bincount(block.row, minlength=len(ra))
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.perf_counter() - started, peak)  # not ru_maxrss, which a child has from its parent
np.save(sys.argv[3], counts)
"""


@pytest.mark.parametrize("dialect", ["postgis", "sqlite"])
def test_many_pairs_stream_in_bounded_memory(
    roman_sky: Any, request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    """Positions in the deep fields, each in hundreds of images; a process of its own tells its memory."""
    url = request.getfixturevalue(f"roman_{dialect}")
    positions = np.array(roman_sky.positions(DEEP_POSITIONS, "deep")).T
    table = tmp_path / "positions.npy"
    np.save(table, positions)
    (tmp_path / "stream.py").write_text(
        STREAM.replace("import snapdb\n", "import snapdb, snapdb.registry, snapdb.storage\n")
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "stream.py", url, tmp_path, table],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, memory = map(float, done.stdout.split())
    counts = np.load(table)
    report(f"{dialect}: {counts.sum() / 1e6:.1f} million pairs in {seconds:.1f} s, {memory / 1e3:.0f} MB")
    with Registry.open(url) as registry:
        for row in range(0, DEEP_POSITIONS, DEEP_POSITIONS // 50):
            ra, dec = positions[:, row]
            assert registry.count_images(make_search(ra=ra, dec=dec)) == counts[row]
    assert memory < MEMORY_KB
