"""Trees of products: what an image was made from, and what was made from it."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from snapdb.errors import NotFoundError
from snapdb.model.ancestry import Ancestry, Offspring
from snapdb.model.image import ImageRecord
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search

if TYPE_CHECKING:
    from snapdb.registry import Registry

T = TypeVar("T")


def get_ancestry(registry: "Registry", image_id: UUID) -> Ancestry:
    """Build the tree of what an image was made from.

    Parameters
    ----------
    registry : Registry
        Where it is registered.
    image_id : UUID
        Of the image.

    Raises
    ------
    NotFoundError
        If it is not registered.
    """

    def make(image: ImageRecord, provenance: Provenance, inputs: tuple[Ancestry, ...]) -> Ancestry:
        return Ancestry(image=image, provenance=provenance, inputs=inputs)

    return _build(registry, image_id, registry.get_input_edges(image_id), make)


def get_offspring(registry: "Registry", image_id: UUID) -> Offspring:
    """Build the tree of what was made from an image.

    Parameters
    ----------
    registry : Registry
        Where it is registered.
    image_id : UUID
        Of the image.

    Raises
    ------
    NotFoundError
        If it is not registered.
    """

    def make(image: ImageRecord, provenance: Provenance, products: tuple[Offspring, ...]) -> Offspring:
        return Offspring(image=image, provenance=provenance, products=products)

    return _build(registry, image_id, registry.get_product_edges(image_id), make)


def _build(
    registry: "Registry",
    first: UUID,
    edges: Iterable[tuple[UUID, UUID]],
    make: Callable[[ImageRecord, Provenance, tuple[T, ...]], T],
) -> T:
    """Read the images of a tree, and make its nodes from the far ends on."""
    below: dict[UUID, list[UUID]] = {}
    for one, other in edges:
        below.setdefault(one, []).append(other)
    ids = dict.fromkeys([first, *(other for some in below.values() for other in some)])
    records = _read_records(registry, list(ids))
    made_by = _read_provenances(registry, records.values())
    made: dict[UUID, T] = {}
    waiting = [first]
    while waiting:
        missing = [id_ for id_ in below.get(waiting[-1], ()) if id_ not in made]
        if missing:
            waiting.extend(missing)
            continue
        id_ = waiting.pop()
        if id_ not in made:  # two may have waited for it
            record = records[id_]
            nodes = tuple(made[other] for other in below.get(id_, ()))
            made[id_] = make(record, made_by[record.provenance_id], nodes)
    return made[first]


def _read_records(registry: "Registry", ids: list[UUID]) -> Mapping[UUID, ImageRecord]:
    """Read the rows of images, all or none."""
    records = {record.id: record for record in registry.find_images(make_search(id=ids))}
    for id_ in ids:
        if id_ not in records:
            # The first was asked for; others can only have been taken out since their names were read.
            msg = f"no image {id_} is registered"
            raise NotFoundError(msg, image_id=id_)
    return records


def _read_provenances(registry: "Registry", records: Iterable[ImageRecord]) -> Mapping[UUID, Provenance]:
    """Read what made images."""
    ids = sorted({record.provenance_id for record in records})
    return {one.id: one for one in registry.get_provenances(ids)}
