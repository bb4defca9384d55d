"""What a product was made of and by: images, and the provenance of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from snapdb.model.image import ImageRecord
from snapdb.model.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ancestry:
    """One image, what made it, and the images that it was made from.

    Images that several were made from are the same object wherever they stand.
    """

    image: ImageRecord
    provenance: Provenance
    inputs: "tuple[Ancestry, ...]"
    """In the order in which they were given."""

    def walk(self) -> "Iterator[Ancestry]":
        """Give this and all that it was made from, each once, the inputs of one after it."""
        seen: set[UUID] = set()
        waiting = [self]
        while waiting:
            one = waiting.pop()
            if one.image.id not in seen:
                seen.add(one.image.id)
                yield one
                waiting.extend(reversed(one.inputs))
