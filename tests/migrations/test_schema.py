"""The migrations build what the code says, on both databases, up, down and up again."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, make_url, text

import snapdb
from snapdb.errors import SchemaVersionError
from snapdb.registry import SCHEMA_VERSION, Registry, downgrade, migrate
from snapdb.registry.engine import make_engine, read_url
from snapdb.registry.schema import find_version, known_versions, make_config, write_migration

# Everything of the schema as the server describes it, save what belongs to extensions.
CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM own AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE c.relkind = 'r'
    """,
    "constraints": """
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM own AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
    """,
    "indexes": "SELECT c.relname, pg_get_indexdef(c.oid) FROM own AS c WHERE c.relkind = 'i'",
    "owners": "SELECT c.relname, c.relkind::text, pg_get_userbyid(c.relowner) FROM own AS c",
    "grants": """
        SELECT c.relname, g.grantee::regrole::text, g.privilege_type
        FROM own AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS g WHERE c.relkind = 'r'
    """,
    "grants on the schema": """
        SELECT g.grantee::regrole::text, g.privilege_type FROM pg_namespace AS n, aclexplode(n.nspacl) AS g
        WHERE n.nspname = current_schema()
    """,
    "default grants": """
        SELECT d.defaclrole::regrole::text, d.defaclobjtype::text, g.grantee::regrole::text, g.privilege_type
        FROM pg_default_acl AS d, aclexplode(d.defaclacl) AS g
    """,
    "grants on the database": """
        SELECT g.grantee::regrole::text, g.privilege_type
        FROM pg_database AS b, aclexplode(coalesce(b.datacl, acldefault('d', b.datdba))) AS g
        WHERE b.datname = current_database()
    """,
}
OWN = """
    WITH own AS (SELECT * FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = c.oid AND e.deptype = 'e')
    AND c.relname <> 'spatial_ref_sys_pkey')
"""


def describe(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Describe all that the schema holds, from the database's own catalogue."""
    engine = make_engine(read_url(url), pooled=False)
    queries = {"all": "SELECT type, name, tbl_name, sql FROM sqlite_master"}  # sql is what was typed
    if engine.dialect.name == "postgresql":
        queries = {kind: OWN + query for kind, query in CATALOGUE.items()}
    with engine.connect() as connection:
        found = {
            kind: sorted(
                (tuple(map(single_spaced, row)) for row in connection.exec_driver_sql(query)), key=str
            )
            for kind, query in queries.items()
        }
    engine.dispose()
    return found


def single_spaced(value: Any) -> Any:
    """Make any white space one blank."""
    return " ".join(value.split()) if isinstance(value, str) else value


def tables_of(url: str) -> set[str]:
    """Name the tables."""
    engine = make_engine(read_url(url), pooled=False)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return {name for name in names if not name.startswith(("spatial_ref_sys", "image_rtree"))}


def test_there_is_one_head_and_the_code_names_it() -> None:
    heads = ScriptDirectory.from_config(make_config("sqlite:///unused.db")).get_heads()
    assert heads == [SCHEMA_VERSION]


def test_up_down_up_gives_the_same_schema(empty_url: str) -> None:
    before = describe(empty_url)
    migrate(empty_url)
    first = describe(empty_url)
    assert {"image", "file", "plane", "image_input", "provenance"} <= tables_of(empty_url)
    downgrade(empty_url, "base")
    assert tables_of(empty_url) == {"alembic_version"}
    for kind in ("grants on the schema", "default grants", "grants on the database"):
        assert describe(empty_url).get(kind) == before.get(kind)
    migrate(empty_url)
    assert describe(empty_url) == first


def test_each_step_down_and_up_gives_the_same_schema(empty_url: str) -> None:
    steps: list[dict[str, Any]] = []
    for version in known_versions():
        migrate(empty_url, version)
        steps.append(describe(empty_url))
    for version, expected in list(zip(known_versions(), steps, strict=True))[-2::-1]:
        downgrade(empty_url, version)
        assert describe(empty_url) == expected
    migrate(empty_url)
    assert describe(empty_url) == steps[-1]


def test_the_description_sees_what_matters(registry_url: str) -> None:
    first = describe(registry_url)
    changes = ["CREATE INDEX more ON image (zeropoint)", "ALTER TABLE file ADD COLUMN more INTEGER"]
    if registry_url.startswith("postgresql"):
        changes += [
            "GRANT DELETE ON image TO snapdb_read",
            "ALTER TABLE image OWNER TO current_user",
            "ALTER TABLE file DROP CONSTRAINT ck_file_size",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO snapdb_read",
            "GRANT CREATE ON SCHEMA public TO snapdb_read",
            "ALTER TABLE plane ALTER COLUMN name TYPE varchar(80)",
        ]
    engine = make_engine(read_url(registry_url), pooled=False)
    for change in changes:
        with engine.begin() as connection:
            connection.exec_driver_sql(change)
        last, first = first, describe(registry_url)
        assert last != first, change
    engine.dispose()


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    first = describe(empty_url)
    migrate(empty_url)
    assert describe(empty_url) == first


@pytest.mark.parametrize("start", [None, "0001"])
def test_written_statements_do_what_migrating_does(
    empty_url: str, start: str | None, tmp_path: Path, databases: Any
) -> None:
    other = databases.make_empty() if empty_url.startswith("postgresql") else f"sqlite:///{tmp_path}/other.db"
    for url in (empty_url, other) if start else ():
        migrate(url, start or "head")
    if not start and other.startswith("sqlite"):
        Path(str(make_url(other).database)).touch()
    written = write_migration(other)
    assert tables_of(other) == tables_of(empty_url)  # nothing was run
    if other.startswith("sqlite"):
        with sqlite3.connect(str(make_url(other).database)) as connection:
            connection.executescript(written)
        connection.close()
    else:
        with psycopg.connect(other, autocommit=True) as server:
            server.execute(written)
    migrate(empty_url)
    assert describe(other) == describe(empty_url)
    assert write_migration(other) == ""
    if other.startswith("postgresql"):
        databases.drop(other)


def test_autogenerate_finds_no_drift(registry_url: str) -> None:
    command.check(make_config(registry_url))  # raises where tables and migrations differ


def test_spatial_index_is_there(registry_url: str) -> None:
    engine = make_engine(read_url(registry_url), pooled=False)
    if engine.dialect.name == "postgresql":
        query = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_image_footprint'"
        expected = "USING gist (footprint, ((band || ''::text)), ((mjd + (0)::double precision)))"
    else:
        query = "SELECT sql FROM sqlite_master WHERE name = 'image_rtree'"
        expected = "USING rtree"
    with engine.connect() as connection:
        assert expected in connection.execute(text(query)).scalar_one()
    engine.dispose()


def set_version(url: str, version: str) -> None:
    """Let a registry say that it is of another version."""
    engine = make_engine(read_url(url), pooled=False)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    engine.dispose()


def test_an_empty_database_is_refused_with_the_command_that_helps(empty_url: str) -> None:
    expected = rf"schema version none, expected {SCHEMA_VERSION}; .*snapdb migrate"
    with pytest.raises(SchemaVersionError, match=expected) as caught:
        Registry.open(empty_url)
    assert (caught.value.fields["found"], caught.value.fields["expected"]) == (None, SCHEMA_VERSION)


def test_an_older_version_is_refused_until_it_is_brought_up(empty_url: str) -> None:
    migrate(empty_url, "0001")
    with pytest.raises(
        SchemaVersionError, match=rf"version 0001, expected {SCHEMA_VERSION}; .*`snapdb migrate`"
    ):
        Registry.open(empty_url)
    with Registry.open(empty_url, create=True) as registry:
        assert registry.schema_version() == SCHEMA_VERSION


def test_a_later_version_is_refused_in_plain_words_whatever_is_asked(registry_url: str) -> None:
    set_version(registry_url, "0999")
    known = ", ".join(known_versions())
    with pytest.raises(SchemaVersionError, match=rf"version 0999, expected {SCHEMA_VERSION}; .*later snapdb"):
        Registry.open(registry_url)
    calls: list[Callable[[], object]] = [
        lambda: Registry.open(registry_url, create=True),
        lambda: migrate(registry_url),
        lambda: migrate(registry_url, "0001"),
        lambda: downgrade(registry_url, "base"),
        lambda: write_migration(registry_url),
    ]
    for call in calls:
        with pytest.raises(SchemaVersionError) as caught:
            call()
        assert f"has schema version 0999, expected {SCHEMA_VERSION}; it was made by" in str(caught.value)
        assert f"a later snapdb: install that one (this one knows {known})" in str(caught.value)
        assert caught.value.fields["found"] == "0999"
        assert caught.value.fields["known"] == known_versions()
    assert find_version(registry_url) == "0999"


def test_archives_of_a_later_version_are_refused_in_the_same_words(registry_url: str, tmp_path: Path) -> None:
    set_version(registry_url, "0999")
    for open_it in (snapdb.connect, snapdb.init):
        with pytest.raises(SchemaVersionError, match="made by a later snapdb: install that one"):
            open_it(registry_url, store=tmp_path)


@pytest.mark.parametrize("revision", ["0009", "00", "+1", "heads", "", "base"])
def test_a_version_that_there_is_not(registry_url: str, revision: str) -> None:
    known = ", ".join(known_versions())
    with pytest.raises(SchemaVersionError) as caught:
        migrate(registry_url, revision)
    assert str(caught.value).startswith(
        f"there is no schema version {revision!r}; this snapdb knows {known}; "
    )
    if revision != "base":
        with pytest.raises(SchemaVersionError, match="there is no schema version"):
            downgrade(registry_url, revision)


def test_the_wrong_way_is_refused_with_the_right_one(registry_url: str) -> None:
    with pytest.raises(SchemaVersionError, match=r"past 0001; .*`snapdb migrate --down --to 0001`"):
        migrate(registry_url, "0001")
    downgrade(registry_url, "0001")
    with pytest.raises(SchemaVersionError, match=r"before 0002; .*`snapdb migrate --to 0002`"):
        downgrade(registry_url, "0002")
    downgrade(registry_url, "0001")  # where it is
    assert find_version(registry_url) == "0001"


def test_creating_is_idempotent(empty_url: str) -> None:
    for _ in range(2):
        with Registry.open(empty_url, create=True) as registry:
            assert registry.schema_version() == SCHEMA_VERSION
