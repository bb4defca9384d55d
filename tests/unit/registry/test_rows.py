"""Small parts of the registry: ids, EWKB, JSON that waits, errors of drivers."""

import json
import pickle
import sqlite3
import time
from dataclasses import fields
from uuid import RFC_4122

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import (
    ConflictError,
    ReadOnlyStoreError,
    RegistryError,
    RegistryUnavailableError,
    SnapdbError,
    UsageError,
)
from snapdb.model.image import ImageRecord
from snapdb.registry.engine import read_url, show_url
from snapdb.registry.errors import translated
from snapdb.registry.ewkb import read_polygon, write_point, write_polygon
from snapdb.registry.ids import make_id
from snapdb.registry.queries import RECORD_NAMES
from snapdb.registry.records import JsonMapping


def test_ids_are_version_7_and_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = []
    for _ in range(50):
        ids.append(make_id())
        time.sleep(1e-5)
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert {(i.version, i.variant) for i in ids} == {(7, RFC_4122)}
    assert before <= ids[0].int >> 80 <= time.time_ns() // 1_000_000  # RFC 9562: milliseconds first


def test_ewkb_is_what_postgis_writes() -> None:
    # SELECT ST_AsHEXEWKB('SRID=4326;POLYGON((-10 1, 20 1, 20 2, -10 1))'::geometry)
    expected = (
        "0103000020E6100000010000000400000000000000000024C0000000000000F03F0000000000003440000000000000F03F"
        "0000000000003440000000000000004000000000000024C0000000000000F03F"
    )
    ring = ((350.0, 1.0), (20.0, 1.0), (20.0, 2.0))
    assert write_polygon(ring).hex().upper() == expected
    assert read_polygon(bytes.fromhex(expected)) == ring
    # SELECT ST_AsHEXEWKB('SRID=4326;POINT(180 -90)'::geometry)
    assert write_point(180.0, -90.0).hex().upper() == "0101000020E6100000000000000080664000000000008056C0"


@given(
    ring=st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=3, max_size=9)
)
def test_rings_come_back_to_the_last_bit_but_one(ring: list[tuple[float, float]]) -> None:
    found = read_polygon(write_polygon(ring))
    assert [dec for _, dec in found] == [dec for _, dec in ring]
    for (ra, _), (expected, _) in zip(found, ring, strict=True):
        assert 0 <= ra < 360
        assert abs(ra - expected) <= 6e-14  # one step of a float64 near 360


def test_records_have_every_field_that_the_dataclass_has() -> None:
    assert sorted(RECORD_NAMES) == sorted(f.name for f in fields(ImageRecord))
    assert not hasattr(ImageRecord, "__post_init__")  # records are made by their slots, past the constructor


def test_json_waits_until_it_is_read() -> None:
    text = json.dumps({"a": 1, "b": [1, 2]})
    waiting = JsonMapping(text)
    assert waiting == {"a": 1, "b": [1, 2]}
    assert dict(waiting) == {"a": 1, "b": [1, 2]}
    assert (waiting["b"], len(waiting), list(waiting), "c" in waiting) == ([1, 2], 2, ["a", "b"], False)
    assert repr(waiting) == repr({"a": 1, "b": [1, 2]})
    assert pickle.loads(pickle.dumps(waiting)) == waiting
    assert JsonMapping("{not json") is not None
    with pytest.raises(json.JSONDecodeError):
        len(JsonMapping("{not json"))


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (sqlite3.IntegrityError("UNIQUE constraint failed: image.id"), ConflictError, "clashes"),
        (sqlite3.IntegrityError("CHECK constraint failed: ck_image_dec"), UsageError, "ck_image_dec"),
        (sqlite3.IntegrityError("NOT NULL constraint failed: image.ra"), UsageError, "image.ra"),
        (sqlite3.OperationalError("database is locked"), RegistryUnavailableError, "try again"),
        (sqlite3.OperationalError("attempt to write a readonly database"), ReadOnlyStoreError, "written"),
        (sqlite3.OperationalError("unable to open database file"), RegistryError, "check that"),
        (sqlite3.OperationalError("no such table: image"), RegistryError, "snapdb migrate"),
        (sqlite3.OperationalError("database or disk is full"), RegistryUnavailableError, "make room"),
        (sqlite3.DatabaseError("file is not a database"), RegistryError, "is no SQLite database"),
        (sqlite3.DatabaseError("database disk image is malformed"), RegistryError, "restore"),
        (sqlite3.OperationalError("something new"), RegistryError, "something new"),
        (psycopg.errors.UniqueViolation("duplicate key"), ConflictError, "clashes"),
        (psycopg.errors.CheckViolation("ck_image_ra"), UsageError, "ck_image_ra"),
        (psycopg.errors.NumericValueOutOfRange("too big"), UsageError, "too big"),
        (psycopg.errors.DeadlockDetected("deadlock"), RegistryUnavailableError, "another writer"),
        (psycopg.errors.LockNotAvailable("lock"), RegistryUnavailableError, "another writer"),
        (psycopg.errors.ReadOnlySqlTransaction("ro"), ReadOnlyStoreError, "for reading only"),
        (psycopg.errors.InsufficientPrivilege("no"), RegistryError, "rights"),
        (psycopg.errors.UndefinedTable("image"), RegistryError, "snapdb migrate"),
        (psycopg.errors.AdminShutdown("bye"), RegistryUnavailableError, "try again"),
        (psycopg.OperationalError("connection refused"), RegistryUnavailableError, "try again"),
        (
            psycopg.OperationalError('FATAL:  database "nope" does not exist'),
            RegistryError,
            "`createdb nope`",
        ),
        (
            psycopg.OperationalError('FATAL:  role "me" does not exist'),
            RegistryError,
            "the server knows no user 'me'",
        ),
        (
            psycopg.OperationalError('FATAL:  password authentication failed for user "me"'),
            RegistryError,
            "refused user or password; .*PGPASSWORD",
        ),
        (psycopg.OperationalError("fe_sendauth: no password supplied"), RegistryError, "PGPASSWORD"),
        (psycopg.OperationalError("FATAL:  no pg_hba.conf entry for host"), RegistryError, "PGPASSWORD"),
        (
            psycopg.OperationalError("FATAL:  the database system is starting up"),
            RegistryUnavailableError,
            "try again",
        ),
        (psycopg.errors.InvalidCatalogName('database "nope" does not exist'), RegistryError, "createdb nope"),
        (psycopg.errors.InvalidPassword("no"), RegistryError, "user or password"),
        (
            psycopg.OperationalError('Multiple attempts failed:\n- 1: FATAL: database "nope" does not exist'),
            RegistryError,
            r"createdb nope` \(- 1: FATAL",
        ),
        (sa.exc.TimeoutError("QueuePool limit"), RegistryUnavailableError, "all connections are in use"),
        (sa.exc.InvalidRequestError("odd"), RegistryError, "odd"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_of_databases_become_snapdbs(error: Exception, kind: type[SnapdbError], advice: str) -> None:
    with pytest.raises(SnapdbError, match=advice) as caught, translated("sqlite:///x.db"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    assert caught.value.fields["url"] == "sqlite:///x.db"
    wrapped = sa.exc.DBAPIError("SELECT 1", {}, error)
    if isinstance(error, sqlite3.Error | psycopg.Error):
        with pytest.raises(kind, match=advice), translated("sqlite:///x.db"):
            raise wrapped


def test_snapdbs_own_errors_pass_untouched() -> None:
    error = ConflictError("mine")
    with pytest.raises(ConflictError) as caught, translated("sqlite:///x.db"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("url", "driver", "shown"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg", "postgresql://u:***@h/d"),
        ("postgresql://h:5433/d", "postgresql+psycopg", "postgresql://h:5433/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg", "postgresql://h/d"),
        ("sqlite:////a/b.db", "sqlite+pysqlite", "sqlite:////a/b.db"),
    ],
)
def test_urls_get_their_driver_and_lose_their_password(url: str, driver: str, shown: str) -> None:
    assert read_url(url).drivername == driver
    assert show_url(read_url(url)) == shown
