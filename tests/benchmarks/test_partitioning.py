"""One table of images beside the same rows partitioned by time, in PostGIS.

Run with ``pytest -m benchmark -s tests/benchmarks/test_partitioning.py``; the number of rows comes from
``SNAPDB_BENCH_PARTITION_ROWS`` (200,000; ten million take about twenty minutes and 14 GB). Ratios of medians
in one run; the tables must give the same ids. ARCHITECTURE.md says what follows from it.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url

pytestmark = [pytest.mark.benchmark, pytest.mark.postgis]

ROWS = int(os.environ.get("SNAPDB_BENCH_PARTITION_ROWS", "200000"))
QUERIES = 200
FIRST_MJD, YEARS, MONTHS = 61000.0, 10, 120
DAYS = 365.25 * YEARS
DETECTORS, SIDE_DEG = 18, 0.125
RA, WIDTH, DEC, HEIGHT = 20.0, 72.0, -18.0, 36.0
"""The survey's area: that of all ten years in a small trial too, so that images overlap less there."""
SEED = 20261125
PARTS = {"by_year": YEARS, "by_month": MONTHS}
TABLES = ("plain", *PARTS)
COLUMNS = (
    "id uuid NOT NULL, band text, mjd double precision NOT NULL, provenance_id uuid, footprint geography"
)
_HALF = SIDE_DEG / 2
MAKE_ROWS = f"""
CREATE UNLOGGED TABLE source AS
WITH visit AS MATERIALIZED (
    SELECT n, {RA} + {WIDTH} * random() AS ra, {DEC} + {HEIGHT} * random() AS dec
    FROM generate_series(0, %(rows)s / {DETECTORS}) AS n
), spot AS (
    SELECT n * {DETECTORS} + d AS k, n, dec + (d / 6 - 1) * {SIDE_DEG * 1.1} AS y,
        ra + (d %% 6 - 2.5) * {SIDE_DEG * 1.1} / cos(radians(dec)) AS x, {_HALF} / cos(radians(dec)) AS half
    FROM visit CROSS JOIN generate_series(0, {DETECTORS - 1}) AS d
)
SELECT CAST(lpad(to_hex(k), 12, '0') || substr(md5(k::text), 1, 20) AS uuid) AS id,
    'F' || n %% 6 AS band, {FIRST_MJD} + {DAYS} * k / %(rows)s AS mjd,
    CAST(md5((n %% 3)::text) AS uuid) AS provenance_id,
    CAST(ST_SetSRID(ST_MakePolygon(ST_MakeLine(ARRAY[
        ST_MakePoint(x - half, y - {_HALF}), ST_MakePoint(x + half, y - {_HALF}),
        ST_MakePoint(x + half, y + {_HALF}), ST_MakePoint(x - half, y + {_HALF}),
        ST_MakePoint(x - half, y - {_HALF})])), 4326) AS geography) AS footprint
FROM spot WHERE k < %(rows)s ORDER BY k
"""
COVERS = "ST_Covers(footprint, CAST(ST_SetSRID(ST_MakePoint(%(ra)s, %(dec)s), 4326) AS geography))"
QUESTIONS = {
    "position": f"SELECT id FROM {{}} WHERE {COVERS}",
    "position, year": f"SELECT id FROM {{}} WHERE {COVERS} AND mjd BETWEEN %(mjd)s AND %(mjd)s + 365",
    "position, band, 30 days": (
        f"SELECT id FROM {{}} WHERE {COVERS} AND mjd BETWEEN %(mjd)s AND %(mjd)s + 30 AND band = %(band)s"
    ),
    "id": "SELECT id FROM {} WHERE id = %(id)s",
}


def report(*lines: str) -> None:
    """Show figures to whoever runs the benchmark."""
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def mjd_of(month: int, parts: int = MONTHS) -> float:
    """Give the time at which a part begins."""
    return FIRST_MJD + DAYS * month / parts


class Tables:
    """The same rows in each table, all but those of the last month; how long each step took, in seconds."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.spent: dict[tuple[str, str], float] = {}
        self.run("SET maintenance_work_mem = '1GB'", "SELECT setseed(0.5)")
        started = time.perf_counter()
        connection.execute(MAKE_ROWS, {"rows": ROWS})
        report(f"{ROWS} rows made in {time.perf_counter() - started:.0f} s")
        for table in TABLES:
            self.make(table)
            self.timed(
                table, "load", f"INSERT INTO {table} SELECT * FROM source WHERE mjd < {mjd_of(MONTHS - 1)}"
            )
            self.timed(table, "index", *self.indexes(table))
            self.timed(table, "analyze", f"VACUUM ANALYZE {table}")

    def run(self, *statements: str) -> None:
        """Run statements."""
        for statement in statements:
            self.connection.execute(statement)

    def timed(self, table: str, step: str, *statements: str) -> None:
        """Run statements, and note how long they took."""
        started = time.perf_counter()
        self.run(*statements)
        self.spent[table, step] = time.perf_counter() - started

    def make(self, table: str) -> None:
        """Make a table, with its parts."""
        if table not in PARTS:
            self.run(f"CREATE TABLE {table} ({COLUMNS})")
            return
        number = PARTS[table]
        self.run(f"CREATE TABLE {table} ({COLUMNS}) PARTITION BY RANGE (mjd)")
        for n in range(number):
            bounds = f"FROM ({mjd_of(n, number)}) TO ({mjd_of(n + 1, number)})"
            self.run(f"CREATE TABLE {table}_{n:03} PARTITION OF {table} FOR VALUES {bounds}")

    def indexes(self, table: str) -> list[str]:
        """Write the keys and indexes: a unique key of a partitioned table has to contain its time."""
        return [
            f"ALTER TABLE {table} ADD PRIMARY KEY ({'id, mjd' if table in PARTS else 'id'})",
            f"CREATE INDEX ON {table} (band, mjd)",
            f"CREATE INDEX ON {table} USING gist (footprint, band, mjd)",
        ]

    def megabytes(self, table: str, measure: str) -> float:
        """Tell how large a table, or its indexes, are: with all parts."""
        names = f"relname = '{table}' OR relname ~ '^{table}_[0-9]+$'"
        found = self.connection.execute(f"SELECT sum({measure}(oid)) FROM pg_class WHERE {names}").fetchone()
        assert found is not None
        return float(found[0]) / 1e6


@pytest.fixture(scope="module")
def tables(databases: Any) -> Iterator[Tables]:
    """The three tables, in a database of their own."""
    url = databases.make_empty()
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    # Where there are many parts, the planner would start workers, at 40 ms a query, to look into a few each.
    options = "-c jit=off -c max_parallel_workers_per_gather=0"
    with psycopg.connect(plain, autocommit=True, options=options) as connection:
        connection.execute("CREATE EXTENSION postgis; CREATE EXTENSION btree_gist")
        yield Tables(connection)
    databases.drop(url)


@pytest.fixture(scope="module")
def questions(tables: Tables) -> list[dict[str, Any]]:
    """Positions and times that images cover: those of images, and their ids."""
    center = "ST_Centroid(CAST(footprint AS geometry))"
    last = mjd_of(MONTHS - 1)
    query = (
        f"SELECT id, band, mjd, ST_X({center}), ST_Y({center}) FROM (SELECT * FROM source WHERE mjd < {last} "
        f"ORDER BY md5(CAST(id AS text)) LIMIT {QUERIES}) AS chosen"
    )
    rows = tables.connection.execute(query).fetchall()
    assert len(rows) == QUERIES
    return [dict(zip(("id", "band", "mjd", "ra", "dec"), row, strict=True)) for row in rows]


def compare(tables: Tables, question: str, asked: list[dict[str, Any]]) -> str:
    """Ask each table the same; their answers must be the same. Give a line of medians in ms."""
    medians: dict[str, float] = {}
    answers: dict[str, list[set[Any]]] = {}
    for table in TABLES:
        statement = QUESTIONS[question].format(table)
        answers[table] = [set(tables.connection.execute(statement, values)) for values in asked]
        times = []
        for values in asked:
            started = time.perf_counter()
            tables.connection.execute(statement, values).fetchall()
            times.append(time.perf_counter() - started)
        medians[table] = float(np.median(times)) * 1e3
    assert all(answers["plain"])
    assert all(answers[table] == answers["plain"] for table in PARTS)
    found = np.mean([len(some) for some in answers["plain"]])
    ratios = ", ".join(f"{t} {medians[t]:.2f} ({medians[t] / medians['plain']:.2f}x)" for t in TABLES)
    return f"{question:24} {found:6.1f} found: {ratios} ms"


def test_building(tables: Tables) -> None:
    lines = []
    for table in TABLES:
        times = ", ".join(
            f"{step} {tables.spent[table, step]:.1f} s" for step in ("load", "index", "analyze")
        )
        sizes = [tables.megabytes(table, measure) for measure in ("pg_table_size", "pg_indexes_size")]
        lines.append(f"{table:10} {times}; heap {sizes[0]:.0f} MB, indexes {sizes[1]:.0f} MB")
        counted = tables.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert counted == (ROWS - ROWS // MONTHS,)
    report(*lines)


def test_questions(tables: Tables, questions: list[dict[str, Any]]) -> None:
    report(*(compare(tables, question, questions) for question in QUESTIONS))


def test_newest_month(tables: Tables) -> None:
    lines = []
    tables.run(f"CREATE TABLE newest AS SELECT * FROM source WHERE mjd >= {mjd_of(MONTHS - 1)}")
    for table in TABLES:
        tables.timed(table, "month", f"INSERT INTO {table} SELECT * FROM newest ORDER BY id")
        rate = ROWS / MONTHS / tables.spent[table, "month"]
        lines.append(f"{table:10} newest month: {rate:.0f} rows a second")
        same = f"SELECT count(*) FROM {table} JOIN source USING (id, mjd)"
        assert tables.connection.execute(same).fetchone() == (ROWS,)
    report(*lines)


def test_dropping_the_first_year(tables: Tables) -> None:
    end = mjd_of(1, YEARS)
    for table, number in PARTS.items():
        gone = ", ".join(f"{table}_{n:03}" for n in range(number // YEARS))
        tables.timed(table, "drop", f"DROP TABLE {gone}")
        tables.timed(table, "vacuum", f"VACUUM ANALYZE {table}")
    tables.timed("plain", "drop", f"DELETE FROM plain WHERE mjd < {end}")
    tables.timed("plain", "vacuum", "VACUUM ANALYZE plain")
    left = {t: tables.connection.execute(f"SELECT count(*), min(mjd) FROM {t}").fetchone() for t in TABLES}
    assert left["plain"] == left["by_year"] == left["by_month"]
    assert left["plain"] is not None
    assert left["plain"][1] >= end
    lines = []
    for table in TABLES:
        size = sum(tables.megabytes(table, measure) for measure in ("pg_table_size", "pg_indexes_size"))
        times = f"drop {tables.spent[table, 'drop']:.2f} s, vacuum {tables.spent[table, 'vacuum']:.1f} s"
        lines.append(f"{table:10} the first year: {times}; {size:.0f} MB left")
    report(*lines)
