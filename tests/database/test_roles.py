"""The roles of PostgreSQL: a user of each logs in and tries everything, on every table that there is."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from snapdb.errors import ReadOnlyStoreError, RegistryError
from snapdb.model.measurement import make_measurements
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import SCHEMA_VERSION, Registry, migrate

pytestmark = [
    pytest.mark.postgis,
    pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True),
]
ROLES = ("owner", "ingest", "read")
_numbers = itertools.count()


@dataclass(frozen=True)
class Users:
    """One user in each role, who may log in."""

    names: Mapping[str, str]
    url: str

    def url_of(self, role: str) -> str:
        """Give the URL of the registry for the user of a role."""
        logged_in = make_url(self.url).set(username=self.names[role], password="secret")
        return logged_in.render_as_string(hide_password=False)

    def connect(self, role: str) -> psycopg.Connection:
        """Log in with the bare driver."""
        return psycopg.connect(self.url_of(role))


@pytest.fixture
def users(registry_url: str) -> Iterator[Users]:
    """A registry, and three users who are members of one role each."""
    names = {role: f"snapdb_test_{role}_{os.getpid()}_{next(_numbers)}" for role in ROLES}
    with psycopg.connect(registry_url, autocommit=True) as admin:
        for role, name in names.items():
            user, group = sql.Identifier(name), sql.Identifier(f"snapdb_{role}")
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret' IN ROLE {}").format(user, group))
        yield Users(names, registry_url)
        for name in names.values():
            admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def list_tables(url: str) -> dict[str, bool]:
    """List every table of the schema, and whether it is snapdb's own: from the catalogue."""
    query = """
        SELECT c.relname, NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
        FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
    """
    with psycopg.connect(url) as connection:
        return dict(connection.execute(query).fetchall())


def may(connection: psycopg.Connection, statement: str, table: str = "") -> bool:
    """Tell whether a user may run a statement; what it does is undone."""
    try:
        connection.execute(sql.SQL(statement).format(sql.Identifier(table)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        connection.rollback()
    return True


def statements_for(url: str, table: str) -> dict[str, str]:
    """Write one statement of each kind for a table."""
    with psycopg.connect(url) as connection:
        described = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).description
    assert described is not None
    column = described[0].name
    return {
        "SELECT": "SELECT * FROM {} LIMIT 1",
        "INSERT": "INSERT INTO {0} SELECT * FROM {0}  WHERE false",
        "UPDATE": f"UPDATE {{}} SET {column} = {column}",
        "DELETE": "DELETE FROM {} WHERE false",
        "TRUNCATE": "TRUNCATE {} CASCADE",
        "ALTER": "ALTER TABLE {} ADD COLUMN more integer",
        "DROP": "DROP TABLE {} CASCADE",
    }


READS, WRITES = {"SELECT"}, {"SELECT", "INSERT", "UPDATE", "DELETE"}
EVERYTHING = WRITES | {"TRUNCATE", "ALTER", "DROP"}


def expected(role: str, table: str, *, own: bool) -> set[str]:
    """Say what a role is for."""
    if not own:  # an extension's: all may read
        return READS
    if role == "owner":
        return EVERYTHING
    return WRITES if role == "ingest" and table != "alembic_version" else READS


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_it_is_for_on_every_table(users: Users, role: str) -> None:
    tables = list_tables(users.url)
    assert {name for name, own in tables.items() if own} >= {"image", "provenance_tag", "alembic_version"}
    with users.connect(role) as connection:
        for table, own in tables.items():
            tried = statements_for(users.url, table)
            allowed = {kind for kind, statement in tried.items() if may(connection, statement, table)}
            assert allowed == expected(role, table, own=own), table


@pytest.mark.parametrize(
    ("role", "creates", "stages"), [("owner", True, True), ("ingest", False, True), ("read", False, True)]
)
def test_only_owners_make_tables_and_all_who_write_can_stage(
    users: Users, role: str, *, creates: bool, stages: bool
) -> None:
    with users.connect(role) as connection:
        assert may(connection, "CREATE TABLE more (a integer)") is creates
        assert may(connection, "CREATE TEMPORARY TABLE more (a integer)") is stages
        assert not may(connection, "CREATE ROLE more")


def test_a_locked_down_database_still_lets_ingest_stage(users: Users) -> None:
    with psycopg.connect(users.url, autocommit=True) as admin:
        name = sql.Identifier(str(make_url(users.url).database))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        users.connect("read")
    migrate(users.url)  # a clone of a database has not its grants: this brings them back
    for role, stages in (("owner", True), ("ingest", True), ("read", False)):
        with users.connect(role) as connection:
            assert may(connection, "CREATE TEMPORARY TABLE more (a integer)") is stages


@pytest.mark.parametrize("maker", ["who migrates", "owner role", "owner who migrates"])
def test_tables_made_later_have_the_same_rights(users: Users, maker: str) -> None:
    if maker == "owner who migrates":
        migrate(users.url_of("owner"))
    at = users.url_of("owner") if maker != "who migrates" else users.url
    with psycopg.connect(at, autocommit=True) as connection:
        if maker == "owner role":
            connection.execute("SET ROLE snapdb_owner")
        connection.execute("CREATE TABLE later (id serial PRIMARY KEY, a integer)")
    insert = "INSERT INTO later (a) VALUES (1) RETURNING id"  # asks the sequence too
    for role in ROLES:
        with users.connect(role) as connection:
            assert may(connection, "SELECT * FROM later")
            assert may(connection, insert) is (role != "read")
            assert may(connection, "DELETE FROM later") is (role != "read")
            assert may(connection, "TRUNCATE later") is (role == "owner")


def test_ingest_registers_changes_and_deletes(
    users: Users, ingest: Provenance, make_image: Callable[..., Any], files_of: Callable[..., Any]
) -> None:
    images = [make_image("a.fits"), make_image("b.fits", ra=30.0)]
    with Registry.open(users.url_of("ingest")) as registry:
        registry.add_provenance(Provenance("stack", 1, 0, upstreams=(ingest,)))
        added = registry.add_images(images, files_of(*images))
        assert [a.outcome for a in added] == ["registered", "registered"]
        again = registry.add_images(images, files_of(*images), update=True)
        assert [a.outcome for a in again] == ["updated", "updated"]
        registry.tag_provenance("dr1", ingest)
        registry.refresh_file("store/a.fits", size=1, mtime_ns=2, sha256="1" * 64)
        measured = make_measurements(
            image_id=[a.id for a in added], provenance_id=ingest.id, ra=10.0, dec=20.0, flux=[1.0, 2.0]
        )
        assert [registry.add_measurements(measured), registry.add_measurements(measured)] == [2, 0]
        assert registry.delete_images([added[0].id]) == 1
        assert [r.id for r in registry.find_images(make_search())] == [added[1].id]
        assert registry.find_measurements().flux.tolist() == [2.0]


def ask_everything(registry: Registry, ingest: Provenance) -> dict[str, Any]:
    """Ask every kind of question."""
    found = registry.find_images(make_search())
    one = found[0].id
    searches: dict[str, dict[str, Any]] = {
        "position": {"ra": 10.0, "dec": 20.0},
        "circle": {"ra": 10.0, "dec": 20.0, "radius": 0.1},
        "region": {"region": "POLYGON 9 19 11 19 11 21 9 21", "relation": "within"},
        "facts": {"band": "r", "mjd_min": 59999.0, "order_by": "mjd", "limit": 5},
        "properties": {"properties": {"airmass": 1.5}},
        "provenance": {"provenance_ids": [ingest.id]},
        "file": {"filepath": "store/a.fits"},
    }
    answers: dict[str, Any] = {
        name: [r.id for r in registry.find_images(make_search(**criteria))]
        for name, criteria in searches.items()
    }
    answers |= {
        "count": registry.count_images(make_search()),
        "stream": [r.id for r in registry.iter_images(make_search(), batch=1)],
        "nearest": [r.id for r in registry.find_nearest_in_time(make_search(limit=1), 60001.2)],
        "image": registry.get_image(one),
        "planes": registry.get_planes([one]),
        "footprint": registry.get_footprint(one),
        "inputs": registry.get_inputs(one),
        "values": registry.values("band"),
        "files": registry.find_files(["store/a.fits"]),
        "provenance tree": registry.get_provenance(ingest.id),
        "provenances": registry.find_provenances(),
        "downstream": registry.find_downstream(ingest.id),
        "tagged": (registry.get_tagged("dr1", ingest.process), registry.find_tagged("dr1")),
        "tags": registry.find_tags(),
        "history": registry.tag_history("dr1", ingest.process),
        "version": registry.schema_version(),
        "measurements": registry.find_measurements(positions=(10.0, 20.0)).flux.tolist(),
        "measured": registry.known_measurements(ingest.id, [r.id for r in found], 10.0, 20.0).tolist(),
    }
    return answers


def test_readers_ask_everything_and_change_nothing(
    users: Users, ingest: Provenance, make_image: Callable[..., Any], files_of: Callable[..., Any]
) -> None:
    facts = {"band": "r", "properties": {"airmass": 1.5}}
    images = [make_image(f"{name}.fits", mjd=60000.0 + n, **facts) for n, name in enumerate("abc")]
    with Registry.open(users.url) as registry:
        registry.add_provenance(ingest)
        registry.tag_provenance("dr1", ingest)
        ids = [a.id for a in registry.add_images(images, files_of(*images))]
        registry.add_measurements(
            make_measurements(image_id=ids[:2], provenance_id=ingest.id, ra=10.0, dec=20.0, flux=[1.0, 2.0])
        )
        answers = ask_everything(registry, ingest)
    assert set(answers["position"]) == set(ids)
    assert (answers["measurements"], answers["measured"]) == ([1.0, 2.0], [True, True, False])
    assert answers["nearest"] == [ids[1]]
    with Registry.open(users.url_of("read")) as reader:
        assert ask_everything(reader, ingest) == answers
        assert reader.schema_version() == SCHEMA_VERSION
        more = make_image("more.fits")
        for write in (
            lambda: reader.add_provenance(Provenance("p")),
            lambda: reader.add_images([more], files_of(more)),
            lambda: reader.delete_images(ids[:1]),
            lambda: reader.add_measurements(
                make_measurements(image_id=ids[2], provenance_id=ingest.id, ra=10.0, dec=20.0)
            ),
            lambda: reader.tag_provenance("dr2", ingest),
            lambda: reader.refresh_file("store/a.fits", size=1, mtime_ns=2, sha256="1" * 64),
        ):
            with pytest.raises(RegistryError, match="the user has not the rights for this") as caught:
                write()
            assert "secret" not in str(caught.value)
        assert ask_everything(reader, ingest) == answers
    with (
        Registry.open(users.url_of("read"), read_only=True) as reader,
        pytest.raises(ReadOnlyStoreError, match="opened for reading only"),
    ):
        reader.delete_images(ids[:1])


@pytest.mark.parametrize("role", ROLES)
def test_migrating_what_is_up_to_date_is_harmless_whoever_does_it(
    users: Users, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    migrate(users.url_of(role))
    assert caplog.messages == []
    if role != "owner":  # whoever makes no tables is left as he was: he can be dropped
        with psycopg.connect(users.url) as admin:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(users.names[role])))
            admin.rollback()
    with Registry.open(users.url_of(role)) as registry:
        assert registry.schema_version() == SCHEMA_VERSION
