"""From rows to the records that leave the registry."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from snapdb.model.image import ImageRecord
from snapdb.registry.ids import make_uuid
from snapdb.registry.queries import RECORD_NAMES


class JsonMapping(Mapping[str, Any]):
    """A dictionary that is still text, and is read when it is first looked at."""

    __slots__ = ("_text", "_values")

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        """Give the values."""
        if self._values is None:
            self._values = json.loads(self._text)
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> tuple[type["JsonMapping"], tuple[str]]:
        return JsonMapping, (self._text,)


@lru_cache(maxsize=4096)
def _read_flags(text: str) -> Mapping[str, int]:
    """Read flag bits; thousands of images share few sets."""
    return JsonMapping(text)


@lru_cache(maxsize=4096)
def _read_provenance_id(text: str) -> UUID:
    """Read a provenance's id; thousands of images share few."""
    return UUID(hex=text)


def make_records(rows: Iterable[tuple[Any, ...]], dialect: str) -> list[ImageRecord]:
    """Make records of rows that hold :data:`RECORD_NAMES`.

    Parameters
    ----------
    rows : iterable of tuple
        As the driver gives them.
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    list of ImageRecord
        In the order of the rows.
    """
    return ImageRecord.of_rows(list(rows), _TAKE[dialect])


def _read_uuid(text: str) -> UUID:
    """Read an id."""
    return make_uuid(int(text, 16))


def _read_properties(text: str) -> Mapping[str, Any]:
    """Read properties; most images have none."""
    return JsonMapping(text) if text != "{}" else _NOTHING


def _taking(read: Mapping[str, Callable[[Any], Any]]) -> dict[str, Callable[[tuple[Any, ...]], Any]]:
    """Give what takes each field out of a row."""
    take: dict[str, Callable[[tuple[Any, ...]], Any]] = {}
    for place, name in enumerate(RECORD_NAMES):
        take[name] = _Reading(place, read[name]) if name in read else itemgetter(place)
    return take


class _Reading:
    """Takes a value out of a row, and reads it."""

    def __init__(self, place: int, read: Callable[[Any], Any]) -> None:
        self._place, self._read = place, read

    def __call__(self, row: tuple[Any, ...]) -> Any:
        return self._read(row[self._place])


_JSON: dict[str, Callable[[Any], Any]] = {"flag_bits": _read_flags, "properties": _read_properties}
_TAKE = {
    "postgresql": _taking(_JSON),
    "sqlite": _taking({**_JSON, "id": _read_uuid, "provenance_id": _read_provenance_id}),
}
_NOTHING: Mapping[str, Any] = JsonMapping("{}")
