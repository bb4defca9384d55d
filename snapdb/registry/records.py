"""From rows to the records that leave the registry."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from snapdb.model.image import ImageRecord
from snapdb.registry.ids import make_uuid
from snapdb.registry.queries import RECORD_NAMES

_FLAGS = RECORD_NAMES.index("flag_bits")
_PROPERTIES = RECORD_NAMES.index("properties")
_ID = RECORD_NAMES.index("id")
_PROVENANCE = RECORD_NAMES.index("provenance_id")
_HDU = RECORD_NAMES.index("hdu")


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
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    if not columns:
        return []
    columns[_FLAGS] = map(_read_flags, columns[_FLAGS])
    columns[_PROPERTIES] = [JsonMapping(text) if text != "{}" else _NOTHING for text in columns[_PROPERTIES]]
    if dialect == "sqlite":  # ids are hexadecimal there
        columns[_ID] = map(_read_uuid, columns[_ID])
        columns[_PROVENANCE] = map(_read_provenance_id, columns[_PROVENANCE])
    records = [_new(ImageRecord) for _ in range(len(columns[_HDU]))]  # type: ignore[arg-type]
    for fill, column in zip(_SLOTS, columns, strict=True):
        # Slot by slot, without a loop of Python's: a frozen dataclass's constructor takes five times as long.
        deque(map(fill, records, column), maxlen=0)
    return records


def _read_uuid(text: str) -> UUID:
    """Read an id."""
    return make_uuid(int(text, 16))


_new: Any = object.__new__
_SLOTS = tuple(getattr(ImageRecord, name).__set__ for name in RECORD_NAMES)
_NOTHING: Mapping[str, Any] = JsonMapping("{}")
