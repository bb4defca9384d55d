"""From rows to the records that leave the registry."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from snapdb.model.image import ImageRecord
from snapdb.registry.queries import RECORD_NAMES

_FLAGS = RECORD_NAMES.index("flag_bits")
_PROPERTIES = RECORD_NAMES.index("properties")
_ID = RECORD_NAMES.index("id")
_PROVENANCE = RECORD_NAMES.index("provenance_id")


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
    texts = dialect == "sqlite"  # ids are hexadecimal there
    return [_make_record(row, texts=texts) for row in rows]


def _make_record(row: tuple[Any, ...], *, texts: bool) -> ImageRecord:
    """Make one record by its slots: a frozen dataclass's own constructor takes twice as long."""
    values = list(row)
    values[_FLAGS] = _read_flags(row[_FLAGS])
    values[_PROPERTIES] = JsonMapping(row[_PROPERTIES]) if row[_PROPERTIES] != "{}" else _NOTHING
    if texts:
        values[_ID] = UUID(hex=row[_ID])
        values[_PROVENANCE] = _read_provenance_id(row[_PROVENANCE])
    record = object.__new__(ImageRecord)
    for fill, value in zip(_SLOTS, values, strict=True):
        fill(record, value)
    return record


_SLOTS = tuple(getattr(ImageRecord, name).__set__ for name in RECORD_NAMES)
_NOTHING: Mapping[str, Any] = JsonMapping("{}")
