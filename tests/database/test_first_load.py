"""The first load of an empty registry leaves the tables as they were, and steps aside wherever it cannot be.

Oracle: the server's own catalogue of constraints and indexes, before and after.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.errors import ConflictError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry
from snapdb.registry.adding import add
from snapdb.registry.adding.first_load import FirstLoad

pytestmark = [
    pytest.mark.postgis,
    pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True),
]
MakeImage = Callable[..., NewImage]
FilesOf = Callable[..., dict[str, Any]]
_CATALOGUE = """
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) || convalidated::text
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid::text
FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
"""


def read_catalogue(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(_CATALOGUE).fetchall()


@pytest.fixture
def images(registry: Registry, ingest: Provenance, make_image: MakeImage) -> list[NewImage]:
    """Images for three batches, with their provenance in the registry."""
    registry.add_provenance(ingest)
    return [make_image(f"{n:02}.fits", ra=10.0 + n, dec=2.0, band="r", sca=n) for n in range(70)]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each load that could have been a first one was; batches are small."""
    seen: list[bool] = []
    begin = FirstLoad.begin

    def watch(connection: Any) -> FirstLoad | None:
        load = begin(connection)
        seen.append(load is not None)
        return load

    monkeypatch.setattr(add, "BATCH", 30)
    monkeypatch.setattr(FirstLoad, "begin", watch)
    return seen


def test_the_schema_is_as_before_and_the_images_are_there(
    registry: Registry, registry_url: str, images: list[NewImage], files_of: FilesOf, begun: list[bool]
) -> None:
    with psycopg.connect(registry_url) as admin:  # what a database's owner may have added
        admin.execute("CREATE INDEX own ON image (band) WHERE band LIKE '%r'")
    before = read_catalogue(registry_url)
    added = registry.add_images(images, files_of(*images))
    assert begun == [True]
    assert read_catalogue(registry_url) == before
    assert registry.count_images(make_search(band="r")) == len(images)
    (found,) = registry.find_images(make_search(ra=15.0, dec=2.0))
    assert found.id == added[5].id
    assert len(registry.get_planes([one.id for one in added])) == len(images)
    again = registry.add_images(images, files_of(*images))
    assert begun == [True, False]
    assert [one.id for one in again] == [one.id for one in added]


def test_twins_are_told_across_batches(
    registry: Registry, images: list[NewImage], make_image: MakeImage, files_of: FilesOf, begun: list[bool]
) -> None:
    twins = [
        make_image(f"{n:02}.fits.fz", ra=10.0 + n, dec=2.0, band="r", sca=n, observation_id="a")
        for n in range(70)
    ]
    both = [
        make_image(f"{n:02}.fits", ra=10.0 + n, dec=2.0, band="r", sca=n, observation_id="a") for n in (3, 68)
    ]
    added = registry.add_images([*twins, *both], files_of(*twins, *both))
    assert begun == [True]
    assert [one.twin for one in added[:70]] == [None] * 70
    assert [one.twin for one in added[70:]] == ["store/03.fits.fz", "store/68.fits.fz"]
    assert len(images) == 70


def test_a_bad_row_leaves_all_as_it_was(
    registry: Registry, registry_url: str, images: list[NewImage], files_of: FilesOf, begun: list[bool]
) -> None:
    before = read_catalogue(registry_url)
    bad = replace(images[69], facts=replace(images[69].facts, width=0))
    with pytest.raises(UsageError, match="width = 0"):
        registry.add_images([*images[:69], bad], files_of(*images))
    with pytest.raises(ConflictError, match="given twice"):
        registry.add_images([*images, images[0]], files_of(*images))
    assert begun == [True, True]
    assert read_catalogue(registry_url) == before
    assert registry.count_images(make_search()) == 0


def test_it_steps_aside_where_somebody_writes(
    registry: Registry,
    registry_url: str,
    images: list[NewImage],
    files_of: FilesOf,
    begun: list[bool],
) -> None:
    with psycopg.connect(registry_url) as other:
        other.execute("LOCK TABLE plane IN ROW EXCLUSIVE MODE")
        registry.add_images(images, files_of(*images))
    assert begun == [False]
    assert registry.count_images(make_search()) == len(images)


def test_it_steps_aside_for_a_role_that_does_not_own_the_tables(
    registry: Registry, registry_url: str, images: list[NewImage], files_of: FilesOf, begun: list[bool]
) -> None:
    name = "snapdb_test_first_load"
    with psycopg.connect(registry_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE snapdb_ingest")
        try:
            url = make_url(registry_url).set(username=name, password="secret")
            with Registry.open(url.render_as_string(hide_password=False)) as ingesting:
                ingesting.add_images(images, files_of(*images))
        finally:
            admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert begun == [False]
    assert registry.count_images(make_search()) == len(images)
