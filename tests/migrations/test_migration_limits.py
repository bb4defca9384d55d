"""A migration that is kept waiting, or takes too long, ends with nothing changed and says why."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import inspect, make_url

from snapdb.errors import ReadOnlyStoreError, RegistryError, RegistryUnavailableError, UsageError
from snapdb.registry import SCHEMA_VERSION, Registry, downgrade, migrate
from snapdb.registry.engine import make_engine, read_url
from snapdb.registry.schema import find_version

ON_POSTGIS = pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True)
EMPTY_POSTGIS = pytest.mark.parametrize("empty_url", [pytest.param("postgis")], indirect=True)


@contextmanager
def holding(url: str) -> Iterator[None]:
    """Be a session that has not ended: a reader on PostgreSQL, a writer on SQLite."""
    if url.startswith("sqlite"):
        with sqlite3.connect(str(make_url(url).database), isolation_level=None) as writer:
            writer.execute("BEGIN IMMEDIATE")
            yield
            writer.execute("ROLLBACK")
        writer.close()
    else:
        with psycopg.connect(url, application_name="a forgotten notebook") as reader:
            reader.execute("SELECT count(*) FROM image")
            yield


@pytest.mark.parametrize(
    "registry_url", ["sqlite", pytest.param("postgis", marks=pytest.mark.postgis)], indirect=True
)
def test_a_lock_that_another_holds_ends_a_migration_with_nothing_changed(registry_url: str) -> None:
    with holding(registry_url), pytest.raises(RegistryUnavailableError) as caught:
        downgrade(registry_url, "base", lock_timeout_s=0.2)
    said = str(caught.value)
    assert "the migration waited 0.2 s for " in said
    assert "nothing was changed; let that end, or wait longer with --lock-timeout" in said
    if registry_url.startswith("postgres"):
        assert "(a forgotten notebook, idle in transaction), which holds image" in said
    assert caught.value.transient
    with Registry.open(registry_url) as registry:  # every table is there
        assert registry.find_tags() == []
    downgrade(registry_url, "base", lock_timeout_s=0.2)
    assert find_version(registry_url) is None


@pytest.mark.postgis
@ON_POSTGIS
def test_another_migration_is_waited_for(registry_url: str) -> None:
    with psycopg.connect(registry_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [0x736E6170])
        with pytest.raises(RegistryUnavailableError, match="which holds the lock of migrations"):
            migrate(registry_url, lock_timeout_s=0.2)


@pytest.mark.postgis
@ON_POSTGIS
def test_what_is_up_to_date_waits_for_no_reader(registry_url: str) -> None:
    with holding(registry_url):
        migrate(registry_url, lock_timeout_s=0.2)


@pytest.mark.postgis
@EMPTY_POSTGIS
def test_a_statement_that_takes_too_long_ends_a_migration_with_nothing_changed(empty_url: str) -> None:
    with pytest.raises(RegistryUnavailableError) as caught:
        migrate(empty_url, statement_timeout_s=0.01)  # PostGIS is hundreds of functions
    assert "a statement that took longer than 0.01 s; nothing was changed; allow more" in str(caught.value)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
    migrate(empty_url)
    assert find_version(empty_url) == SCHEMA_VERSION


def test_a_migration_that_fails_half_way_leaves_nothing(empty_url: str) -> None:
    engine = make_engine(read_url(empty_url), pooled=False)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE plane (a INTEGER)")  # which comes after image
    with pytest.raises(RegistryError, match="already exists"):
        migrate(empty_url)
    own = {name for name in inspect(engine).get_table_names() if name != "spatial_ref_sys"}
    assert own == {"plane"}
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE plane")
    engine.dispose()
    migrate(empty_url)
    assert find_version(empty_url) == SCHEMA_VERSION


def test_without_limits_it_migrates(empty_url: str) -> None:
    migrate(empty_url, lock_timeout_s=None, statement_timeout_s=None)
    assert find_version(empty_url) == SCHEMA_VERSION


@pytest.mark.parametrize("name", ["lock_timeout_s", "statement_timeout_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_limits_that_cannot_be(name: str, value: float) -> None:
    limits: dict[str, float | None] = {name: value}
    expected = rf"{name}={value!r}: expected 0 < seconds <= 2000000"
    with pytest.raises(UsageError, match=expected):
        migrate("sqlite:///never.db", "head", **limits)
    with pytest.raises(UsageError, match=expected):
        downgrade("sqlite:///never.db", "base", **limits)


@pytest.mark.postgis
@EMPTY_POSTGIS
def test_a_user_without_rights_is_refused_with_nothing_changed(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION postgis; CREATE EXTENSION btree_gist")
        admin.execute("CREATE ROLE snapdb_test_nobody LOGIN PASSWORD 'secret'")
        try:
            stranger = make_url(empty_url).set(username="snapdb_test_nobody", password="secret")
            with pytest.raises((RegistryError, ReadOnlyStoreError), match="has not the rights") as caught:
                migrate(stranger.render_as_string(hide_password=False))
            assert "secret" not in str(caught.value)
            assert find_version(empty_url) is None
        finally:
            admin.execute("DROP ROLE snapdb_test_nobody")
