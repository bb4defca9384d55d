"""Footprints in an R*Tree of 3-D boxes, refined by the half-spaces of their edges.

A convex spherical polygon contains the unit vector v exactly when n.v >= 0 for
the inward normal n of every edge. A footprint is one such piece, or several. On
the unit sphere neither RA 0 nor the poles are special.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    FromClause,
    bindparam,
    column,
    delete,
    func,
    select,
    table,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Join

from snapdb.registry.ewkb import Vertices, read_polygon
from snapdb.registry.loaders import choose_loader
from snapdb.registry.outlines import Outlines
from snapdb.registry.spatial import Where
from snapdb.registry.tables import file, image, image_piece
from snapdb.sky.footprint import EDGE_TOLERANCE
from snapdb.sky.vectors import to_vectors
from snapdb.types import FloatArray

_ENDS = tuple(f"{axis}_{end}" for axis in "xyz" for end in ("min", "max"))
_rtree = table("image_rtree", column("id"), *(column(name) for name in _ENDS))
_NORMALS = tuple(f"{axis}{edge}" for edge in range(4) for axis in "xyz")
_BOX = tuple(f"near_{axis}_{end}" for end in ("min", "max") for axis in "xyz")
_BATCH = 500


class _CrossJoin(Join):
    """A join that SQLite carries out from left to right: the R*Tree always comes first."""

    inherit_cache = True


@compiles(_CrossJoin, "sqlite")
def _write_cross_join(element: _CrossJoin, compiler: SQLCompiler, **kw: Any) -> str:
    """Write the join as SQL."""
    kw["asfrom"] = True
    left, right = (compiler.process(side, **kw) for side in (element.left, element.right))
    kw["asfrom"] = False
    assert element.onclause is not None  # noqa: S101  # made so below
    return f"{left} CROSS JOIN {right} ON {compiler.process(element.onclause, **kw)}"


class SqliteSpatial:
    """Containment by R*Tree and half-spaces; edges and vertices count as inside."""

    def images(self, where: Where) -> FromClause:
        """Give images with their files: pieces that contain ``px, py, pz``, or boxes that touch a box."""
        if where == "anywhere":
            return image.join(file, file.c.id == image.c.file_id)
        near = _CrossJoin(_rtree, image_piece, image_piece.c.id == _rtree.c.id)
        inside = _contain_point() if where == "position" else _touch_box()
        # Where two pieces of one footprint meet, both contain the position.
        hits = select(image_piece.c.image_id).select_from(near).where(*inside).distinct().subquery("hit")
        found = _CrossJoin(hits, image, image.c.id == hits.c.image_id)
        return _CrossJoin(found, file, file.c.id == image.c.file_id)

    def conditions(self, where: Where) -> Sequence[ColumnElement[bool]]:
        """Give no more conditions: :meth:`images` has them all."""
        del where
        return []

    def bind_position(self, ra: float, dec: float) -> dict[str, Any]:
        """Give the position as a unit vector."""
        return dict(zip(("px", "py", "pz"), to_vectors(ra, dec).tolist(), strict=True))

    def bind_near(self, extremes: FloatArray) -> dict[str, Any]:
        """Give the box about a region."""
        low, high = extremes.min(axis=0).tolist(), extremes.max(axis=0).tolist()
        return dict(zip(_BOX, (*low, *high), strict=True))

    def write_footprint(self, polygon: bytes) -> bytes:
        """Give the polygon as EWKB."""
        return polygon

    def read_footprints(self, connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Vertices]:
        """Read footprints back."""
        found: dict[UUID, Vertices] = {}
        for start in range(0, len(ids), _BATCH):
            some = image.c.id.in_(ids[start : start + _BATCH])
            rows = connection.execute(select(image.c.id, image.c.footprint).where(some))
            found |= {id_: read_polygon(polygon) for id_, polygon in rows}
        return found

    def index_footprints(
        self, connection: Connection, ids: Sequence[UUID], outlines: Outlines, rows: Sequence[int]
    ) -> None:
        """Replace the pieces and boxes of some images; pieces are numbered in the order of the rows."""
        for start in range(0, len(rows), _BATCH):
            some = [ids[row] for row in rows[start : start + _BATCH]]
            connection.execute(delete(image_piece).where(image_piece.c.image_id.in_(some)))
        first = connection.execute(select(func.coalesce(func.max(image_piece.c.id), 0))).scalar_one() + 1
        cut = outlines.cut
        places = np.full(len(outlines.counts), -1)
        places[np.asarray(rows, dtype=np.int64)] = np.arange(len(rows))
        pieces = np.flatnonzero(places[cut.owners] >= 0)
        pieces = pieces[np.argsort(places[cut.owners[pieces]], kind="stable")]
        owners = cut.owners[pieces]
        normals = cut.normals[:, pieces].transpose(1, 0, 2).reshape(-1, 12).tolist()
        numbers = range(first, first + len(pieces))
        loader = choose_loader(connection)
        named = {"id": numbers, "image_id": [ids[owner] for owner in owners.tolist()]}
        loader.insert(image_piece, named | dict(zip(_NORMALS, zip(*normals, strict=True), strict=True)))
        low, high = (ends[owners] for ends in _pad(*outlines.boxes()))
        ends = np.stack((low, high), axis=2).reshape(-1, 6).tolist()
        loader.insert(_rtree, {"id": numbers} | dict(zip(_ENDS, zip(*ends, strict=True), strict=True)))


def _contain_point() -> list[ColumnElement[bool]]:
    """Give the conditions that box and half-spaces of a piece contain the parameters ``px, py, pz``."""
    point = {axis: bindparam(f"p{axis}", type_=Double) for axis in "xyz"}
    inside = [_rtree.c[f"{axis}_min"] <= point[axis] for axis in "xyz"]
    inside += [_rtree.c[f"{axis}_max"] >= point[axis] for axis in "xyz"]
    for edge in range(4):
        x, y, z = (image_piece.c[f"{axis}{edge}"] * point[axis] for axis in "xyz")
        inside.append(x + y + z >= -EDGE_TOLERANCE)
    return inside


def _touch_box() -> list[ColumnElement[bool]]:
    """Give the conditions that the box of a piece touches the box in the parameters."""
    ends = {name: bindparam(name, type_=Double) for name in _BOX}
    above = [_rtree.c[f"{axis}_max"] >= ends[f"near_{axis}_min"] for axis in "xyz"]
    return above + [_rtree.c[f"{axis}_min"] <= ends[f"near_{axis}_max"] for axis in "xyz"]


def _pad(least: FloatArray, greatest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Widen boxes by one step of float32, which is what an R*Tree holds."""
    low = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
    high = np.nextafter(greatest.astype(np.float32), np.float32(np.inf))
    return low.astype(np.float64), high.astype(np.float64)
