"""What is registered already of the images that shall be."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, any_, literal, select

from snapdb.model.image import NewImage
from snapdb.registry.tables import file, image, provenance

T = TypeVar("T")
BATCH = 5_000
"""Values that one statement takes."""


class Key(NamedTuple):
    """What an image is known by: one HDU of one file, under one provenance."""

    provenance_id: UUID
    file_id: UUID
    hdu: int


class Exposure(NamedTuple):
    """What an exposure is known by, under one provenance."""

    provenance_id: UUID
    observation_id: str
    sca: int
    band: str


def batches(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values into lists that a statement can take."""
    listed = list(values)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]


def is_any(connection: Connection, column: Column[Any], values: list[Any]) -> ColumnElement[bool]:
    """Ask that a column has one of some values, which PostgreSQL takes as one array."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(values, ARRAY(column.type)))
    return column.in_(values)


def find_provenances(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Find which of some provenances are registered."""
    return _find_ids(connection, provenance.c.id, ids)


def find_images(connection: Connection, ids: Iterable[UUID]) -> set[UUID]:
    """Find which of some images are registered."""
    return _find_ids(connection, image.c.id, ids)


def _find_ids(connection: Connection, column: Column[Any], ids: Iterable[UUID]) -> set[UUID]:
    """Find which ids a column holds."""
    found: set[UUID] = set()
    for some in batches(ids):
        found.update(connection.execute(select(column).where(is_any(connection, column, some))).scalars())
    return found


def find_known(connection: Connection, keys: Iterable[Key]) -> dict[Key, UUID]:
    """Find which keys are registered, and as which images."""
    wanted = set(keys)
    known: dict[Key, UUID] = {}
    c = image.c
    for some in batches({key.file_id for key in wanted}):
        query = select(c.provenance_id, c.file_id, c.hdu, c.id).where(is_any(connection, c.file_id, some))
        for provenance_id, file_id, hdu, id_ in connection.execute(query):
            known[Key(provenance_id, file_id, hdu)] = id_
    return {key: known[key] for key in wanted if key in known}


def _exposure_of(new: NewImage) -> Exposure | None:
    """Give what an exposure is known by, where all of it is known."""
    facts = new.facts
    if facts.kind != "exposure" or facts.observation_id is None or facts.sca is None or facts.band is None:
        return None
    return Exposure(new.provenance_id, facts.observation_id, facts.sca, facts.band)


class Twins:
    """Which images have a twin: another file of the same exposure, detector and band.

    An archive may hold an exposure in two encodings; both are registered, and whoever
    adds the second is told.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To ask.
    alone : bool
        Whether there are no images but those that were asked about here before.
    """

    def __init__(self, connection: Connection, *, alone: bool) -> None:
        self._connection = connection
        self._alone = alone
        self._owners: dict[Exposure, str] = {}

    def find(self, images: Sequence[NewImage], file_keys: Sequence[str]) -> list[str | None]:
        """Give, for each image, the key of its twin's file."""
        exposures = [_exposure_of(new) for new in images]
        if not self._alone:
            self._ask({exposure.observation_id for exposure in exposures if exposure is not None})
        owners = self._owners
        twins: list[str | None] = []
        for key, exposure in zip(file_keys, exposures, strict=True):
            first = owners.setdefault(exposure, key) if exposure is not None else key
            twins.append(None if first == key else first)
        return twins

    def _ask(self, observation_ids: set[str]) -> None:
        """Note the files of some observations."""
        self._owners = {}
        c = image.c
        columns = (c.provenance_id, c.observation_id, c.sca, c.band, file.c.key)
        query = select(*columns).join(file, file.c.id == c.file_id).where(c.kind == "exposure")
        for some in batches(observation_ids):
            wanted = query.where(is_any(self._connection, c.observation_id, some)).order_by(c.id)
            for *parts, key in self._connection.execute(wanted):
                self._owners.setdefault(Exposure(*parts), key)
