"""Roles on a server that has none: by whoever migrates, by several at once, and by one who may not."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from snapdb.registry import Registry, migrate
from snapdb.registry.roles import ROLES
from snapdb.testing.postgis import DSN_VARIABLE, Server, find_binaries, find_or_start_server

pytestmark = pytest.mark.postgis


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """A server of these tests' own, because roles belong to servers."""
    if find_binaries() is None:
        pytest.skip("needs PostgreSQL's own programs, to start a second server")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(DSN_VARIABLE, raising=False)
        server = find_or_start_server()
    yield server
    server.stop()


@pytest.fixture
def bare(cluster: Server) -> Iterator[Server]:
    """The server without roles; what a test makes is dropped."""
    yield cluster
    with psycopg.connect(cluster.admin_url, autocommit=True) as admin:
        names = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'survey%'").fetchall()
        for (name,) in names:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for (name,) in admin.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^(snapdb|alice|bob)'"
        ).fetchall():
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def make_database(server: Server, name: str, owner: str, options: str = "") -> str:
    """Make a database for a user, with the extensions that only a superuser can make; give the user's URL."""
    url = make_url(server.admin_url).set(database=name)
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {owner} LOGIN {options}")
        admin.execute(f"CREATE DATABASE {name} OWNER {owner}")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION postgis; CREATE EXTENSION btree_gist")
    return url.set(username=owner).render_as_string(hide_password=False)


def find_roles(server: Server) -> set[str]:
    """Find which of the roles there are."""
    with psycopg.connect(server.admin_url) as admin:
        query = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND NOT rolcanlogin"
        return {name for (name,) in admin.execute(query, [list(ROLES)]).fetchall()}


def find_owners(url: str) -> set[str]:
    """Find who owns the tables, save those of extensions."""
    query = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s"
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute(query, ["spatial_ref_sys"]).fetchall()}


def test_a_user_without_the_right_to_make_roles_has_a_working_registry(
    bare: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = make_database(bare, "survey", "alice")
    migrate(url)
    assert find_roles(bare) == set()
    assert find_owners(url) == {"alice"}
    (said,) = caplog.messages
    assert caplog.records[0].levelno == logging.WARNING
    assert (
        "there is no role snapdb_owner; there is no role snapdb_ingest; there is no role snapdb_read" in said
    )
    with Registry.open(url) as registry:
        assert registry.values("band") == []

    advice = said.partition("`")[2].partition("`")[0]  # a superuser does what was said
    with psycopg.connect(bare.admin_url, autocommit=True) as admin:
        admin.execute(advice)
    caplog.clear()
    migrate(url)
    assert caplog.messages == []
    assert find_roles(bare) == set(ROLES)
    assert find_owners(url) == {"snapdb_owner"}
    with psycopg.connect(bare.admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE bob LOGIN IN ROLE snapdb_read")
    with Registry.open(make_url(url).set(username="bob").render_as_string(hide_password=False)) as registry:
        assert registry.values("band") == []


def test_a_user_who_may_make_roles_makes_them_and_stays_in_charge(
    bare: Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = make_database(bare, "survey", "alice", "CREATEROLE")
    migrate(url)
    assert caplog.messages == []
    assert find_roles(bare) == set(ROLES)
    assert find_owners(url) == {"snapdb_owner"}
    with psycopg.connect(url) as connection:  # as one of the owners
        connection.execute("ALTER TABLE image ADD COLUMN more integer")


def test_roles_of_another_database_are_shared_without_taking_its_tables(
    bare: Server, caplog: pytest.LogCaptureFixture
) -> None:
    first = make_database(bare, "survey", "alice", "CREATEROLE")
    migrate(first)
    second = make_database(bare, "survey_two", "bob")
    migrate(second)  # the roles are there, but bob is none of the owners
    (said,) = caplog.messages
    assert "alembic_version belongs to bob, who alone can migrate it" in said
    assert "CREATE ROLE" not in said
    assert find_owners(second) == {"bob"}
    migrate(second)
    other = make_url(first).set(username="bob").render_as_string(hide_password=False)
    with psycopg.connect(other) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM image")


MIGRATE = "import sys; from snapdb.registry import migrate; sys.stdin.readline(); migrate(sys.argv[1])"


def make_databases(server: Server, number: int) -> list[str]:
    """Make empty databases, of the superuser."""
    names = [f"survey_{n}" for n in range(number)]
    with psycopg.connect(server.admin_url, autocommit=True) as admin:
        for name in names:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return [make_url(server.admin_url).set(database=n).render_as_string(hide_password=False) for n in names]


def start_migration(url: str) -> "subprocess.Popen[str]":
    """Start a process that migrates a database when it is told to."""
    command = [sys.executable, "-c", MIGRATE, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_databases_that_migrate_at_the_same_moment_share_the_roles(bare: Server) -> None:
    urls = make_databases(bare, 4)
    running = [start_migration(url) for url in urls]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * len(urls)
    assert find_roles(bare) == set(ROLES)
    assert [find_owners(url) for url in urls] == [{"snapdb_owner"}] * len(urls)


def test_a_role_that_another_session_is_just_making_is_awaited(bare: Server) -> None:
    (url,) = make_databases(bare, 1)
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'snapdb' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(bare.admin_url) as other, psycopg.connect(bare.admin_url, autocommit=True) as admin:
        other.execute("CREATE ROLE snapdb_ingest NOLOGIN")
        process = start_migration(url)
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
        while process.poll() is None and admin.execute(waits).fetchone() == (0,):
            time.sleep(0.05)
        assert process.poll() is None  # it is the role that it waits for
        other.commit()
        assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0
    assert find_roles(bare) == set(ROLES)
