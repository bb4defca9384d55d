"""Registries for tests: the same ones on SQLite and on PostGIS."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from snapdb.model.file import FileRecord
from snapdb.model.image import ImageFacts, NewImage, NewPlane
from snapdb.model.layout import PlaneLayout
from snapdb.model.provenance import Provenance
from snapdb.model.search import CORNERS
from snapdb.registry import Registry, migrate
from snapdb.testing.postgis import Server, find_or_start_server

# The same examples in every run, and no example fails for being slow on a busy machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

COMPOSE_FILE = Path(__file__).resolve().parents[1] / "docker-compose.yml"
BOTH = [pytest.param("sqlite"), pytest.param("postgis", marks=pytest.mark.postgis)]

_numbers = itertools.count()


class Databases:
    """Databases on one server, each a clone of one that the migrations have built."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.prefix = f"snapdb_test_{os.getpid()}"
        self.template = f"{self.prefix}_template"
        self._run("CREATE DATABASE {}", self.template)
        migrate(self.url_of(self.template))

    def url_of(self, name: str) -> str:
        """Give the URL of a database on the server."""
        return make_url(self.server.admin_url).set(database=name).render_as_string(hide_password=False)

    def clone(self) -> str:
        """Make a database with all tables, and give its URL."""
        return self._make("CREATE DATABASE {} TEMPLATE " + self.template)

    def make_empty(self) -> str:
        """Make a database without tables, and give its URL."""
        return self._make("CREATE DATABASE {}")

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", str(make_url(url).database))

    def close(self) -> None:
        """Leave the server as it was."""
        self.drop(self.url_of(self.template))
        self.server.stop()

    def _make(self, statement: str) -> str:
        name = f"{self.prefix}_{next(_numbers)}"
        self._run(statement, name)
        return self.url_of(name)

    def _run(self, statement: str, name: str) -> None:
        with psycopg.connect(self.server.admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """PostGIS databases, on a server that is found or started."""
    server = find_or_start_server(COMPOSE_FILE)
    try:
        made = Databases(server)
    except BaseException:
        server.stop()
        raise
    yield made
    made.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that the migrations have built, to be copied."""
    path = tmp_path_factory.mktemp("template") / "registry.db"
    migrate(f"sqlite:///{path}")
    return path


def _make_registry(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    if request.param == "sqlite":
        path = folder / "registry.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("databases")
    url = databases.clone()
    yield url
    databases.drop(url)


@pytest.fixture(params=BOTH)
def registry_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a registry with all tables and nothing in them, on each database."""
    yield from _make_registry(request, tmp_path)


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    """An open, empty registry, on each database."""
    with Registry.open(registry_url) as opened:
        yield opened


@pytest.fixture(scope="module", params=BOTH)
def module_registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """An open registry that all tests of a module share, on each database."""
    for url in _make_registry(request, tmp_path_factory.mktemp("registry")):
        with Registry.open(url) as opened:
            yield opened


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables, on each database."""
    if request.param == "sqlite":
        path = tmp_path / "empty.db"
        path.touch()
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("databases")
    url = databases.make_empty()
    yield url
    databases.drop(url)


MakeImage = Callable[..., NewImage]
INGEST = Provenance("ingest", 1, 0, {"from": "tests"})


@pytest.fixture(scope="session")
def ingest() -> Provenance:
    """The provenance of the images that :func:`make_image` makes."""
    return INGEST


@pytest.fixture(scope="session")
def make_image() -> MakeImage:
    """Make images to be registered; facts by name, an outline of one degree by default."""

    def make(
        path: str = "a.fits",
        *,
        ra: float = 10.0,
        dec: float = 20.0,
        hdu: int = 0,
        footprint: tuple[tuple[float, float], ...] | None = None,
        planes: tuple[NewPlane, ...] = (),
        provenance: Provenance = INGEST,
        inputs: tuple[object, ...] = (),
        **facts: object,
    ) -> NewImage:
        layout = PlaneLayout(
            name="data", hdu=hdu, width=40, height=30, stored_dtype=">i2", dtype="float32", offset=2880
        )
        corners = {name: ra if name.startswith("ra") else dec for name in CORNERS}
        given = {"width": 40, "height": 30, "ra": ra, "dec": dec, **corners, **facts}
        ring = footprint or tuple(
            ((ra + dx) % 360.0, dec + dy) for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
        )
        return NewImage(
            facts=ImageFacts(**given),  # type: ignore[arg-type]
            footprint=ring,
            planes=(NewPlane(layout=layout, path=path), *planes),
            provenance_id=provenance.id,
            inputs=inputs,  # type: ignore[arg-type]
        )

    return make


@pytest.fixture(scope="session")
def files_of() -> Callable[..., dict[str, FileRecord]]:
    """Make the records of the files that images lie in."""

    def make(*images: NewImage, sha256: str = "0" * 64) -> dict[str, FileRecord]:
        paths = {p.path for image in images for p in image.planes}
        return {
            path: FileRecord(
                key=f"store/{path}",
                size=8640,
                mtime_ns=1_600_000_000_000_000_000,
                sha256=sha256,
                format="fits",
            )
            for path in paths
        }

    return make
