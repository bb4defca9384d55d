"""The table of measurements comes and goes beside images that stay; its questions walk through indexes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from snapdb.model.measurement import make_measurements
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry, downgrade, migrate
from snapdb.registry.measurement_queries import make_find_statement, make_known_statement
from snapdb.registry.schema import find_version

PHOT = Provenance("phot", 1, 0)


def fill(
    registry: Registry, ingest: Provenance, images: list[Any], files_of: Callable[..., Any], positions: int
) -> list[Any]:
    """Register images, and measure positions on each; give the images' ids."""
    for provenance in (ingest, PHOT):
        registry.add_provenance(provenance)
    ids = np.array([a.id for a in registry.add_images(images, files_of(*images))], dtype=object)
    table = make_measurements(
        image_id=np.repeat(ids, positions),
        provenance_id=PHOT.id,
        ra=np.tile(np.linspace(9.6, 10.4, positions), len(ids)),
        dec=np.tile(np.linspace(19.6, 20.4, positions), len(ids)),
        name=np.tile(np.array([f"s{n}" for n in range(positions)], dtype=object), len(ids)),
    )
    assert registry.add_measurements(table) == len(ids) * positions
    return list(ids)


def test_a_full_registry_goes_down_and_up(
    registry_url: str, ingest: Provenance, make_image: Callable[..., Any], files_of: Callable[..., Any]
) -> None:
    images = [make_image(f"{n}.fits") for n in range(3)]
    with Registry.open(registry_url) as registry:
        ids = fill(registry, ingest, images, files_of, positions=2)
    downgrade(registry_url, "0003")
    assert find_version(registry_url) == "0003"
    migrate(registry_url)
    with Registry.open(registry_url) as registry:
        assert {r.id for r in registry.find_images(make_search())} == set(ids)
        assert len(registry.find_measurements()) == 0
        again = make_measurements(image_id=ids, provenance_id=PHOT.id, ra=10.0, dec=20.0)
        assert registry.add_measurements(again) == 3


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"one_of": {}, "cone": (10.0, 20.0, 1 / 3600)}, "ix_measurement_dec_key_ra_key"),
        ({"one_of": {}, "cone": (0.0, 20.0, 1 / 3600)}, "ix_measurement_dec_key_ra_key"),
        ({"one_of": {"image": None}, "positions": (9.6, 19.6)}, "ix_measurement_dec_key_ra_key"),
        ({"one_of": {"image": "first"}}, "ix_measurement_image_id"),
        ({"one_of": {"name": ["s3"]}}, "ix_measurement_name"),
        ({"one_of": {"provenance": [PHOT.id]}, "positions": (9.6, 19.6)}, ""),
        (None, ""),
    ],
)
def test_questions_walk_through_an_index(
    registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., Any],
    files_of: Callable[..., Any],
    asked: dict[str, Any] | None,
    index: str,
) -> None:
    ids = fill(registry, ingest, [make_image(f"{n:02}.fits") for n in range(20)], files_of, positions=500)
    if asked is None:
        images = np.array(ids[:5], dtype=object)
        statement = make_known_statement(registry.dialect, PHOT.id, images, np.full(5, 9.6), np.full(5, 19.6))
    else:
        one_of = {name: ids[:1] if v == "first" else v for name, v in asked["one_of"].items()}
        statement = make_find_statement(registry.dialect, **{**asked, "one_of": one_of})
    with registry._engine.begin() as connection:  # the plan is the database's affair
        connection.execute(text("ANALYZE"))
        driver: Any = connection.connection.driver_connection
        postgres = registry.dialect == "postgresql"
        rows = driver.execute(
            ("EXPLAIN " if postgres else "EXPLAIN QUERY PLAN ") + statement.sql, statement.values
        )
        plan = "\n".join(str(row[-1]) for row in rows.fetchall())
    assert index in plan
    assert "Seq Scan on measurement" not in plan
    assert "SCAN measurement" not in plan
