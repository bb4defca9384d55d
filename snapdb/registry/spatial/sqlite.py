"""Footprints in an R*Tree of 3-D boxes, refined by the half-spaces of their edges.

A convex spherical polygon contains the unit vector v exactly when n.v >= 0 for
the inward normal n of every edge. A footprint is one such piece, or several. On
the unit sphere neither RA 0 nor the poles are special.
"""

from collections.abc import Mapping, Sequence
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
    insert,
    select,
    table,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Join

from snapdb.registry.ewkb import Vertices, read_polygon, write_polygon
from snapdb.registry.spatial import Where
from snapdb.registry.tables import file, image, image_piece
from snapdb.sky.footprint import EDGE_TOLERANCE, Footprint
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

    def write_footprint(self, vertices: Vertices) -> bytes:
        """Give the polygon as EWKB."""
        return write_polygon(vertices)

    def read_footprint(self, connection: Connection, image_id: UUID) -> Vertices | None:
        """Read a footprint back."""
        found = connection.execute(select(image.c.footprint).where(image.c.id == image_id)).scalar()
        return None if found is None else read_polygon(found)

    def index_footprints(self, connection: Connection, footprints: Mapping[UUID, Vertices]) -> None:
        """Replace the pieces and boxes of some images."""
        ids = list(footprints)
        for start in range(0, len(ids), _BATCH):
            connection.execute(
                delete(image_piece).where(image_piece.c.image_id.in_(ids[start : start + _BATCH]))
            )
        first = connection.execute(select(func.coalesce(func.max(image_piece.c.id), 0))).scalar_one() + 1
        pieces: list[dict[str, Any]] = []
        boxes: list[dict[str, Any]] = []
        for image_id, vertices in footprints.items():
            footprint = Footprint(vertices)
            box = _pad(*footprint.bounding_box())
            for normals in footprint.pieces():
                number = first + len(pieces)
                values = dict(zip(_NORMALS, normals.ravel().tolist(), strict=True))
                pieces.append({"id": number, "image_id": image_id, **values})
                boxes.append({"id": number, **box})
        if pieces:
            connection.execute(insert(image_piece), pieces)
            connection.execute(insert(_rtree), boxes)


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


def _pad(least: Any, greatest: Any) -> dict[str, float]:
    """Widen a box by one step of float32, which is what an R*Tree holds."""
    low = np.nextafter(np.asarray(least, dtype=np.float32), np.float32(-np.inf))
    high = np.nextafter(np.asarray(greatest, dtype=np.float32), np.float32(np.inf))
    ends = [float(v) for pair in zip(low, high, strict=True) for v in pair]
    return dict(zip(_ENDS, ends, strict=True))
