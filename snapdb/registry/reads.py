"""Parts of images that a search does not bring: planes, inputs, what values there are."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, bindparam, cast, select

from snapdb.errors import SearchError
from snapdb.model.image import PlaneRecord
from snapdb.model.layout import PlaneLayout
from snapdb.model.search import EQUALS
from snapdb.registry.filters import column_of, to_driver
from snapdb.registry.queries import Statement, compile_select
from snapdb.registry.tables import file, image, image_input, plane

_BATCH = 500


def read_planes(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[PlaneRecord, ...]]:
    """Read the planes of images, each image's ``data`` first; unknown ids are left out."""
    found: dict[UUID, list[PlaneRecord]] = {}
    columns = (plane.c.image_id, plane.c.layout, file.c.key, file.c.size, file.c.mtime_ns, file.c.sha256)
    query = select(*columns).join(file, file.c.id == plane.c.file_id)
    query = query.order_by(plane.c.image_id, plane.c.number)
    for start in range(0, len(ids), _BATCH):
        some = query.where(plane.c.image_id.in_(ids[start : start + _BATCH]))
        for image_id, layout, key, size, mtime_ns, sha256 in connection.execute(some):
            found.setdefault(image_id, []).append(
                PlaneRecord(
                    layout=PlaneLayout.from_dict(layout),
                    file_key=key,
                    file_size=size,
                    file_mtime_ns=mtime_ns,
                    file_sha256=sha256,
                )
            )
    return {id_: tuple(found[id_]) for id_ in ids if id_ in found}


@lru_cache(maxsize=2)
def _planes_sql(dialect: str) -> str:
    """Write the statement for the planes of one image."""
    columns = (cast(plane.c.layout, Text), file.c.key, file.c.size, file.c.mtime_ns, file.c.sha256)
    query = select(*columns).join(file, file.c.id == plane.c.file_id)
    query = query.where(plane.c.image_id == bindparam("id")).order_by(plane.c.number)
    return compile_select(query, dialect)[0]


def make_planes_statement(image_id: UUID, dialect: str) -> Statement:
    """Make the statement for the planes of one image, which is asked before each cutout."""
    return Statement(_planes_sql(dialect), {"id": to_driver(image_id, dialect)})


def make_planes(rows: Sequence[tuple[Any, ...]]) -> tuple[PlaneRecord, ...]:
    """Make planes of the rows of that statement."""
    layouts = json.loads(f"[{','.join([row[0] for row in rows])}]")
    return tuple(
        [
            PlaneRecord(
                layout=PlaneLayout.from_dict(layout),
                file_key=key,
                file_size=size,
                file_mtime_ns=mtime_ns,
                file_sha256=sha256,
            )
            for layout, (_, key, size, mtime_ns, sha256) in zip(layouts, rows, strict=True)
        ]
    )


def read_inputs(connection: Connection, image_id: UUID) -> tuple[UUID, ...]:
    """Read the ids of the images that an image was made from, in the order given."""
    query = select(image_input.c.input_id).where(image_input.c.image_id == image_id)
    return tuple(connection.execute(query.order_by(image_input.c.number)).scalars())


def read_input_edges(connection: Connection, image_id: UUID) -> list[tuple[UUID, UUID]]:
    """Read (image, input) of an image and of all that it was made from, in the order given."""
    edges = image_input.c
    tree = select(edges.input_id.label("id")).where(edges.image_id == image_id).cte("tree", recursive=True)
    tree = tree.union(select(edges.input_id).join(tree, edges.image_id == tree.c.id))
    inside = (edges.image_id == image_id) | edges.image_id.in_(select(tree.c.id))
    query = select(edges.image_id, edges.input_id).where(inside).order_by(edges.image_id, edges.number)
    return [(id_, input_id) for id_, input_id in connection.execute(query)]


def read_products(connection: Connection, image_id: UUID) -> list[UUID]:
    """Read the ids of all images that were made from one, directly or not."""
    edges = image_input.c
    tree = select(edges.image_id.label("id")).where(edges.input_id == image_id).cte("tree", recursive=True)
    tree = tree.union(select(edges.image_id).join(tree, edges.input_id == tree.c.id))
    return list(connection.execute(select(tree.c.id).order_by(tree.c.id)).scalars())


def read_product_edges(connection: Connection, image_id: UUID) -> list[tuple[UUID, UUID]]:
    """Read (image, product) of an image and of all that was made from it, by the products' ids."""
    edges = image_input.c
    tree = select(edges.image_id.label("id")).where(edges.input_id == image_id).cte("tree", recursive=True)
    tree = tree.union(select(edges.image_id).join(tree, edges.input_id == tree.c.id))
    inside = (edges.input_id == image_id) | edges.input_id.in_(select(tree.c.id))
    query = select(edges.input_id, edges.image_id).where(inside).order_by(edges.input_id, edges.image_id)
    return [(id_, product) for id_, product in connection.execute(query)]


def read_values(connection: Connection, name: str) -> list[Any]:
    """Read the distinct values of a column, sorted, without what is not known.

    Raises
    ------
    SearchError
        If there is no such column.
    """
    if name not in (*EQUALS, "ra", "dec", "provenance_id"):
        msg = f"unknown column {name!r}; known are {', '.join(EQUALS)}"
        raise SearchError(msg, parameter=name)
    target = column_of(name)
    source = image.join(file, file.c.id == image.c.file_id) if target.table is file else image
    query = select(target).select_from(source).where(target.is_not(None)).distinct().order_by(target)
    return list(connection.execute(query).scalars())
