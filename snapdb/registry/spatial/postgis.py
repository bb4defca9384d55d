"""Footprints as geography, which PostGIS treats as polygons on the sphere."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal,
    select,
)

from snapdb.registry.ewkb import Vertices, read_polygon, write_point, write_points
from snapdb.registry.outlines import Outlines
from snapdb.registry.spatial import Where
from snapdb.registry.tables import Polygon, file, image
from snapdb.sky.vectors import to_radec
from snapdb.types import FloatArray


class PostgisSpatial:
    """Containment by ``ST_Covers`` and its GiST index; edges and vertices count as inside."""

    def images(self, where: Where) -> FromClause:
        """Give the images, joined to their files."""
        del where
        return image.join(file, file.c.id == image.c.file_id)

    def conditions(self, where: Where) -> Sequence[ColumnElement[bool]]:
        """Give the condition on a footprint and the parameter ``point`` or ``near``."""
        if where == "position":
            return [func.ST_Covers(image.c.footprint, bindparam("point", type_=Polygon))]
        if where == "near":
            return [image.c.footprint.op("&&")(bindparam("near", type_=Polygon))]
        return []

    def bind_position(self, ra: float, dec: float) -> dict[str, Any]:
        """Give the point as hexadecimal EWKB."""
        return {"point": write_point(ra, dec).hex()}

    def bind_near(self, extremes: FloatArray) -> dict[str, Any]:
        """Give points whose box, in 3-D, is the region's: ``&&`` compares boxes alone."""
        ra, dec = to_radec(extremes)
        return {"near": write_points(list(zip(ra.tolist(), dec.tolist(), strict=True))).hex()}

    def write_footprint(self, polygon: bytes) -> str:
        """Give the polygon as hexadecimal EWKB."""
        return polygon.hex()

    def read_footprints(self, connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Vertices]:
        """Read footprints back."""
        wanted = image.c.id == any_(literal(list(ids), ARRAY(image.c.id.type)))
        rows = connection.execute(select(image.c.id, cast(image.c.footprint, Text)).where(wanted))
        return {id_: read_polygon(bytes.fromhex(polygon)) for id_, polygon in rows}

    def index_footprints(
        self, connection: Connection, ids: Sequence[UUID], outlines: Outlines, rows: Sequence[int]
    ) -> None:
        """Do nothing: the server keeps its index."""
