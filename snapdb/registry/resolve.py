"""Searches that take more than one statement: what they name is looked up first.

A region becomes the ids of the images that lie to it as asked: the database gives those whose
boxes touch the region's, and :mod:`snapdb.sky.relate` decides, in the same way for both databases.
The image that results come after becomes what it is sorted by.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import numpy as np
from sqlalchemy import LargeBinary, type_coerce

from snapdb.errors import NotFoundError
from snapdb.model.search import Search
from snapdb.registry.footprints import read_rings
from snapdb.registry.queries import (
    Shape,
    Statement,
    build_select,
    compile_select,
    make_place_statement,
    make_statement,
    shape_of,
)
from snapdb.registry.tables import image

Fetch = Callable[[Statement], list[tuple[Any, ...]]]


def resolve(search: Search, dialect: str, fetch: Fetch) -> Search:
    """Make a search that is one statement of one that may be more.

    Parameters
    ----------
    search : Search
        The question.
    dialect : str
        ``postgresql`` or ``sqlite``.
    fetch : callable
        Runs a statement and gives its rows.

    Returns
    -------
    Search
        Without region, and with the values of `after`; it finds the same images.

    Raises
    ------
    NotFoundError
        If the image to come after is not registered.
    """
    if search.is_empty:
        return search
    if search.after is not None:
        search = replace(search, after_values=_find_place(search, dialect, fetch))
    if search.region is None:
        return search
    found = _find_ids(replace(search, after=None, after_values=None, limit=None, offset=0), dialect, fetch)
    return Search(
        equals={"id": found},
        order_by=search.order_by,
        after=search.after,
        after_values=search.after_values,
        limit=search.limit,
        offset=search.offset,
    )


def _find_place(search: Search, dialect: str, fetch: Fetch) -> tuple[Any, ...]:
    """Read what the image is sorted by, after which results come."""
    rows = fetch(make_place_statement(search, dialect))
    if not rows:
        msg = f"after={search.after}: no such image is registered; begin anew without `after`"
        raise NotFoundError(msg, image_id=search.after)
    return rows[0][1:]


def _find_ids(search: Search, dialect: str, fetch: Fetch) -> tuple[UUID, ...]:
    """Find the images that lie to the region as asked."""
    from snapdb.sky.relate import Relation, relate

    sql, constants = _compile(shape_of(search), dialect)
    rows = fetch(Statement(sql, {**make_statement(search, dialect).values, **constants}))
    if not rows:
        return ()
    ids, polygons = zip(*rows, strict=True)
    vertices, counts = read_rings(polygons)
    assert search.region is not None  # noqa: S101  # `resolve` asked
    fits = relate(vertices, counts, search.region, cast("Relation", search.relation))
    chosen = [ids[n] for n in np.flatnonzero(fits).tolist()]
    return tuple(UUID(hex=i) for i in chosen) if dialect == "sqlite" else tuple(chosen)


@lru_cache(maxsize=256)
def _compile(shape: Shape, dialect: str) -> tuple[str, dict[str, Any]]:
    """Write the statement that reads ids and footprints."""
    columns = (image.c.id, type_coerce(image.c.footprint, LargeBinary))
    query = build_select(shape, dialect).order_by(None)
    return compile_select(query.with_only_columns(*columns, maintain_column_froms=True), dialect)
