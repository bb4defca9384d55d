"""The migrations build what the code says, on both databases, up, down and up again."""

from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from snapdb.errors import SchemaVersionError
from snapdb.registry import SCHEMA_VERSION, Registry, downgrade, migrate
from snapdb.registry.engine import make_engine, read_url
from snapdb.registry.schema import make_config, read_version

FOREIGN = ("spatial_ref_sys", "image_rtree", "alembic_version")


def describe(url: str) -> dict[str, Any]:
    """Describe every table: columns, keys, indexes, checks."""
    engine = make_engine(read_url(url), pooled=False)
    inspector = inspect(engine)
    found = {}
    for name in inspector.get_table_names():
        if name.startswith(FOREIGN):
            continue
        found[name] = {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)],
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "foreign": sorted(str(k["constrained_columns"]) for k in inspector.get_foreign_keys(name)),
            "indexes": sorted(str(i["name"]) for i in inspector.get_indexes(name)),
            "checks": sorted(str(c["name"]) for c in inspector.get_check_constraints(name)),
        }
    engine.dispose()
    return found


def test_there_is_one_head_and_the_code_names_it() -> None:
    heads = ScriptDirectory.from_config(make_config("sqlite:///unused.db")).get_heads()
    assert heads == [SCHEMA_VERSION]


@pytest.mark.filterwarnings(
    "ignore:Did not recognize type 'geography'"
)  # reflection without geoalchemy2's types
def test_up_down_up_gives_the_same_tables(empty_url: str) -> None:
    migrate(empty_url)
    first = describe(empty_url)
    assert {"image", "file", "plane", "image_input", "provenance", "provenance_tag_history"} <= first.keys()
    assert len(first["image"]["checks"]) == 19
    downgrade(empty_url, "base")
    assert describe(empty_url) == {}
    migrate(empty_url)
    assert describe(empty_url) == first


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    first = describe(empty_url)
    migrate(empty_url)
    assert describe(empty_url) == first


def test_autogenerate_finds_no_drift(registry_url: str) -> None:
    command.check(make_config(registry_url))  # raises where tables and migrations differ


def test_spatial_index_is_there(registry_url: str) -> None:
    engine = make_engine(read_url(registry_url), pooled=False)
    if engine.dialect.name == "postgresql":
        query = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_image_footprint'"
        expected = "USING gist (footprint, band, mjd)"
    else:
        query = "SELECT sql FROM sqlite_master WHERE name = 'image_rtree'"
        expected = "USING rtree"
    with engine.connect() as connection:
        assert expected in connection.execute(text(query)).scalar_one()
    engine.dispose()


def test_an_empty_database_is_refused_with_the_command_that_helps(empty_url: str) -> None:
    with pytest.raises(
        SchemaVersionError, match=r"schema version none, expected 0001; .*snapdb migrate"
    ) as caught:
        Registry.open(empty_url)
    assert (caught.value.fields["found"], caught.value.fields["expected"]) == (None, SCHEMA_VERSION)


@pytest.mark.parametrize(("found", "advice"), [("0000", "snapdb migrate"), ("0002", "later snapdb")])
def test_another_version_is_refused(registry_url: str, found: str, advice: str) -> None:
    engine = make_engine(read_url(registry_url), pooled=False)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
    assert read_version(engine) == found
    engine.dispose()
    with pytest.raises(SchemaVersionError, match=rf"schema version {found}, expected 0001.*{advice}"):
        Registry.open(registry_url)
    with pytest.raises(SchemaVersionError, match=f"{found}.* knows versions up to 0001"):
        Registry.open(registry_url, create=True)


def test_creating_is_idempotent(empty_url: str) -> None:
    for _ in range(2):
        with Registry.open(empty_url, create=True) as registry:
            assert registry.schema_version() == SCHEMA_VERSION
