"""What a product was made of and by, and what came of it: images, and the provenance of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from snapdb.model.image import ImageRecord
from snapdb.model.provenance import Provenance

T = TypeVar("T", "Ancestry", "Offspring")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Ancestry:
    """One image, what made it, and the images that it was made from.

    An image that several were made from is the same object wherever it stands.
    """

    image: ImageRecord
    provenance: Provenance
    inputs: "tuple[Ancestry, ...]"
    """In the order in which they were given."""

    def walk(self) -> "Iterator[Ancestry]":
        """Give this and all that it was made from, each once, the inputs of one after it."""
        return _walk(self, lambda one: one.inputs)

    def __repr__(self) -> str:
        return f"<Ancestry of {_describe(self)}, {len(self.inputs)} inputs>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Offspring:
    """One image, what made it, and the images that were made from it.

    An image that was made from several is the same object wherever it stands.
    """

    image: ImageRecord
    provenance: Provenance
    products: "tuple[Offspring, ...]"
    """In the order of their ids."""

    def walk(self) -> "Iterator[Offspring]":
        """Give this and all that was made from it, each once, the products of one after it."""
        return _walk(self, lambda one: one.products)

    def __repr__(self) -> str:
        return f"<Offspring of {_describe(self)}, {len(self.products)} products>"


def _walk(first: T, below: Callable[[T], tuple[T, ...]]) -> Iterator[T]:
    """Give nodes, each once, from the top."""
    seen: set[UUID] = set()
    waiting = [first]
    while waiting:
        one = waiting.pop()
        if one.image.id not in seen:
            seen.add(one.image.id)
            yield one
            waiting.extend(reversed(below(one)))


def _describe(one: Ancestry | Offspring) -> str:
    """Name the image of a node, and what made it."""
    image, made = one.image, one.provenance
    return (
        f"{image.kind} {image.filepath}[{image.hdu}] {image.id} by {made.process} {made.major}.{made.minor}"
    )
