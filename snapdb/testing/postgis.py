"""A PostGIS server for tests: one that is there, or one of their own.

In this order: the server that ``SNAPDB_TEST_DSN`` names; the service of
``docker-compose.yml`` where a Docker engine answers; the machine's PostgreSQL
binaries, with a throw-away cluster on a free port. There is no fourth way: tests
that need PostGIS fail with advice, they are never passed over.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from snapdb.errors import ConfigError

DSN_VARIABLE = "SNAPDB_TEST_DSN"
_SERVICE = "db"
_WAIT_S = 60.0
_ADVICE = (
    "install PostgreSQL with PostGIS (Debian: apt-get install postgresql postgresql-15-postgis-3), "
    f"start a Docker engine, or name a server in {DSN_VARIABLE} (postgresql://USER@HOST/DATABASE)"
)
_SETTINGS = {
    # Nothing here has to survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "64MB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers."""

    admin_url: str
    """Of a database from which others can be made, as a user who may."""
    source: str
    """How it was found, for messages."""
    stop: Callable[[], None]
    """End it, if it was started here."""


def find_or_start_server(compose_file: Path | None = None) -> Server:
    """Find a PostGIS server, or start one.

    Parameters
    ----------
    compose_file : Path, optional
        ``docker-compose.yml`` with a service ``db``, whose user, password and
        database are ``snapdb``.

    Returns
    -------
    Server
        To be stopped when the tests are done.

    Raises
    ------
    ConfigError
        If there is no way; the message says what to install.
    """
    dsn = os.environ.get(DSN_VARIABLE)
    if dsn:
        _await_answer(dsn)
        return Server(admin_url=dsn, source=DSN_VARIABLE, stop=_leave_running)
    if compose_file is not None and compose_file.is_file() and _docker_answers():
        return _start_service(compose_file)
    binaries = find_binaries()
    if binaries is None:
        msg = f"there is no PostGIS server for the tests: {_ADVICE}"
        raise ConfigError(msg)
    return _start_cluster(binaries)


def find_binaries() -> Path | None:
    """Find the folder of the newest PostgreSQL that has PostGIS beside it; None without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    on_path = shutil.which("initdb")
    folders = [*([Path(on_path).resolve().parent] if on_path else []), *reversed(found)]
    return next((folder for folder in folders if (folder / "initdb").exists() and _has_postgis(folder)), None)


def _has_postgis(folder: Path) -> bool:
    """Tell whether the extension is installed for the binaries in a folder."""
    shared = _run([str(folder / "pg_config"), "--sharedir"], "asking PostgreSQL where its files are").strip()
    return (Path(shared) / "extension" / "postgis.control").is_file()


def _leave_running() -> None:
    """Do nothing: the server is not ours."""


def _docker_answers() -> bool:
    """Tell whether there is a Docker engine."""
    if shutil.which("docker") is None:
        return False
    with suppress(ConfigError):
        _run(["docker", "info"], "asking for a Docker engine")
        return True
    return False


def _start_service(compose_file: Path) -> Server:
    """Use the compose service, which is left as it was found: running or not."""
    compose = ["docker", "compose", "--file", str(compose_file)]
    running = [*compose, "ps", "--quiet", "--status", "running", _SERVICE]
    was_running = bool(_run(running, "asking for the Docker service").strip())
    _run([*compose, "up", "--detach", "--wait", _SERVICE], "starting the Docker service")
    port = (
        _run([*compose, "port", _SERVICE, "5432"], "asking for the service's port").strip().rpartition(":")[2]
    )
    url = f"postgresql://snapdb:snapdb@127.0.0.1:{port}/snapdb"

    def stop() -> None:
        if not was_running:
            _run([*compose, "stop", _SERVICE], "stopping the Docker service")

    try:
        _await_answer(url)
    except ConfigError:
        stop()
        raise
    return Server(admin_url=url, source="docker compose", stop=stop)


def _start_cluster(binaries: Path) -> Server:
    """Make a cluster in a temporary folder and start its server."""
    folder = Path(tempfile.mkdtemp(prefix="snapdb-postgis-"))
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", _find_free_port()
    pg_ctl = [str(binaries / "pg_ctl"), "--pgdata", str(data)]

    def stop() -> None:
        with suppress(ConfigError):
            _run([*pg_ctl, "stop", "--mode", "immediate"], "stopping PostgreSQL", user=user)
        shutil.rmtree(folder, ignore_errors=True)

    try:
        options = ["--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--no-sync"]
        _run([str(binaries / "initdb"), "--pgdata", str(data), *options], "making a cluster", user=user)
        settings = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(folder)}
        with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        log = str(folder / "server.log")
        _run([*pg_ctl, "start", "--wait", "--log", log], "starting PostgreSQL", user=user)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _await_answer(url)
    except BaseException:
        stop()
        raise
    return Server(admin_url=url, source=str(binaries), stop=stop)


def _find_free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(url: str) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as err:
            if time.monotonic() > end:
                msg = f"the PostGIS server for the tests does not answer ({err}): {_ADVICE}"
                raise ConfigError(msg) from err
            time.sleep(0.2)
        else:
            return


def _run(command: list[str], doing: str, *, user: str | None = None) -> str:
    """Run a program and give what it prints."""
    try:
        done = subprocess.run(  # noqa: S603  # the commands are those above
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            user=user,
            cwd="/",
            timeout=300,
            check=True,
        )
    except subprocess.CalledProcessError as err:
        msg = f"{doing} failed: {err.stdout.strip()[-500:]}; {_ADVICE}"
        raise ConfigError(msg) from err
    except (OSError, subprocess.TimeoutExpired) as err:
        msg = f"{doing} failed: {err}; {_ADVICE}"
        raise ConfigError(msg) from err
    return done.stdout
