"""How the two databases find images by position: one interface, two implementations."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause

from snapdb.registry.ewkb import Vertices
from snapdb.registry.outlines import Outlines
from snapdb.types import FloatArray

Where: TypeAlias = Literal["anywhere", "position", "near"]
"""Which images: all, those that contain a position, or those whose boxes touch a region's."""


class Spatial(Protocol):
    """What a database can do with footprints."""

    def images(self, where: Where) -> FromClause:
        """Give images joined to their files, found by where they lie."""
        ...

    def conditions(self, where: Where) -> Sequence[ColumnElement[bool]]:
        """Give the conditions on :meth:`images` for that."""
        ...

    def bind_position(self, ra: float, dec: float) -> dict[str, Any]:
        """Give the values of the parameters that the two name for ``position``."""
        ...

    def bind_near(self, extremes: FloatArray) -> dict[str, Any]:
        """Give the values of the parameters that the two name for ``near``.

        Parameters
        ----------
        extremes : array, shape (n, 3)
            Unit vectors whose bounding box is that of the region.
        """
        ...

    def write_footprint(self, polygon: bytes) -> Any:
        """Give the value of the column ``footprint`` for a polygon as EWKB."""
        ...

    def read_footprints(self, connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Vertices]:
        """Read footprints back; unknown images are left out."""
        ...

    def index_footprints(
        self, connection: Connection, ids: Sequence[UUID], outlines: Outlines, rows: Sequence[int]
    ) -> None:
        """Enter new or changed footprints into what the database does not index by itself.

        Parameters
        ----------
        connection : sqlalchemy.Connection
            To write to.
        ids : sequence of UUID
            Of the images.
        outlines : Outlines
            Their footprints.
        rows : sequence of int
            Places of those that are new or have changed.
        """
        ...


def choose_spatial(dialect: str) -> Spatial:
    """Give the implementation for a database."""
    if dialect == "postgresql":
        from snapdb.registry.spatial.postgis import PostgisSpatial

        return PostgisSpatial()
    from snapdb.registry.spatial.sqlite import SqliteSpatial

    return SqliteSpatial()
