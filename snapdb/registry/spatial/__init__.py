"""How the two databases find images by position: one interface, two implementations."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause

from snapdb.registry.ewkb import Vertices


class Spatial(Protocol):
    """What a database can do with footprints."""

    def images(self) -> FromClause:
        """Give the images whose footprint contains a position, joined to their files."""
        ...

    def covers(self) -> Sequence[ColumnElement[bool]]:
        """Give the conditions on :meth:`images` for that."""
        ...

    def bind_position(self, ra: float, dec: float) -> dict[str, Any]:
        """Give the values of the parameters that the two name."""
        ...

    def write_footprint(self, vertices: Vertices) -> Any:
        """Give the value of the column ``footprint``."""
        ...

    def read_footprint(self, connection: Connection, image_id: UUID) -> Vertices | None:
        """Read a footprint back; None where there is no such image."""
        ...

    def index_footprints(self, connection: Connection, footprints: Mapping[UUID, Vertices]) -> None:
        """Enter new or changed footprints into what the database does not index by itself."""
        ...


def choose_spatial(dialect: str) -> Spatial:
    """Give the implementation for a database."""
    if dialect == "postgresql":
        from snapdb.registry.spatial.postgis import PostgisSpatial

        return PostgisSpatial()
    from snapdb.registry.spatial.sqlite import SqliteSpatial

    return SqliteSpatial()
