"""Taking images out."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, delete

from snapdb.registry.adding.known import batches
from snapdb.registry.tables import image, image_input


def delete_images(connection: Connection, ids: Sequence[UUID]) -> int:
    """Take images out, with their planes; the files stay. Give how many there were."""
    for some in batches(ids):  # first, so that a product and its inputs can go together
        connection.execute(delete(image_input).where(image_input.c.image_id.in_(some)))
    removed = 0
    for some in batches(ids):
        removed += connection.execute(delete(image).where(image.c.id.in_(some))).rowcount
    return removed
