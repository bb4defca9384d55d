"""What the registry would refuse, found before anything is written, row by row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import NoneType
from typing import Any
from uuid import UUID

import numpy as np

from snapdb.errors import ConflictError, SnapdbError, UsageError
from snapdb.model.file import FileRecord
from snapdb.model.image import NewImage
from snapdb.registry.tables import BOUNDS, CORNERS, DATA_UNITS
from snapdb.types import BoolArray

Columns = Mapping[str, Sequence[Any]]
"""Fact -> its value for each image."""

_TEXTS = ("kind", "observation_id", "band", "data_units", "instrument", "wcs_header")
_NEVER_NONE = ("kind", "data_units", "wcs_header")
_TEXT = "text without null characters"
FLOATS = frozenset({"ra", "dec", *CORNERS, *BOUNDS})
"""Facts that are numbers with a fraction."""
_INTEGERS: dict[str, tuple[int, int]] = {
    "width": (1, 2**31 - 1),
    "height": (1, 2**31 - 1),
    "bad_bits": (-(2**63), 2**63 - 1),
    "hdu": (0, 2**31 - 1),
}
_SHOWN = 5


@dataclass(slots=True)
class Problems:
    """What is wrong with the images of one call."""

    found: dict[int, tuple[type[SnapdbError], str, dict[str, Any]]] = field(default_factory=dict)
    """Row, counted from 0 -> kind of error, what is wrong, and its facts; the first of a row counts."""

    def add(self, row: int, kind: type[SnapdbError], reason: str, **fields: Any) -> None:
        """Note what is wrong with a row."""
        self.found.setdefault(row, (kind, reason, fields))

    def raise_any(self, count: int) -> None:
        """Raise what was found, if anything was.

        Parameters
        ----------
        count : int
            How many images were given.

        Raises
        ------
        UsageError, ConflictError, NotFoundError
            Of the kind of the problems, UsageError where there are several kinds. ``rows`` lists
            (row, reason).
        """
        if not self.found:
            return
        rows = sorted(self.found)
        kinds = {kind for kind, _, _ in self.found.values()}
        fields = self.found[rows[0]][2]
        listed = [(row, self.found[row][1]) for row in rows]
        if len(rows) == 1:
            msg = (
                listed[0][1]
                if count == 1
                else f"{listed[0][1]} (row {rows[0]} of {count}; nothing was written)"
            )
        else:
            shown = "; ".join(f"row {row}: {reason}" for row, reason in listed[:_SHOWN])
            more = f"; and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
            msg = (
                f"{len(rows)} of {count} images cannot be registered, and nothing was written: {shown}{more}"
            )
        kind = kinds.pop() if len(kinds) == 1 else UsageError
        raise kind(msg, **{**fields, "rows": listed})


def check_planes(
    images: Sequence[NewImage], files: Mapping[str, FileRecord], first: int, found: Problems
) -> None:
    """Find images whose ids, planes or files are not given as they should be.

    Parameters
    ----------
    images : sequence of NewImage
        Some of the images.
    files : mapping
        Path -> its file.
    first : int
        Row of the first of them.
    found : Problems
        Takes what is wrong.
    """
    for row, new in enumerate(images, first):
        planes = new.planes
        names = [p.layout.name for p in planes]
        if not names or names[0] != "data" or (len(names) > 1 and not _are_names(names)):
            msg = f"an image has the planes {names}; expected 'data' first, and each name once"
            found.add(row, UsageError, msg, planes=names)
        for plane in planes:
            if plane.path not in files:
                msg = f"a plane lies in {plane.path}, which is not among the files given"
                found.add(row, UsageError, msg, path=plane.path)
    _check_ids(images, first, found)


def _check_ids(images: Sequence[NewImage], first: int, found: Problems) -> None:
    """Find images with an id that is none; the parameters are those of :func:`check_planes`."""
    named = [_ids_of(new) for new in images]
    if set(map(type, chain.from_iterable(named))) <= {UUID}:
        return
    for row, ids in enumerate(named, first):
        for id_ in ids:
            if not isinstance(id_, UUID):
                found.add(row, UsageError, f"an image names the id {id_!r:.80}, expected a UUID")


def _ids_of(new: NewImage) -> tuple[Any, ...]:
    """Give all ids that an image names."""
    ids = (new.provenance_id,) if new.id is None else (new.provenance_id, new.id)
    return ids + new.inputs if new.inputs else ids


def _are_names(names: Sequence[Any]) -> bool:
    """Tell whether all are texts, and no two the same."""
    return all(map(_is_text, names)) and len(set(names)) == len(names)


def check_facts(columns: Columns, paths: Sequence[str], numbers: Sequence[int], found: Problems) -> None:
    """Find values that the registry does not accept.

    Parameters
    ----------
    columns : mapping
        Fact, or ``hdu`` -> its values.
    paths : sequence of str
        Of each image's data, for messages.
    numbers : sequence of int
        Row of each.
    found : Problems
        Takes what is wrong.
    """

    def note(rows: Iterable[int], name: str, expected: str) -> None:
        for row in rows:
            value = f"{columns[name][row]!r:.80}"
            msg = f"{paths[row]}: {name} = {value} is outside what the registry accepts; expected {expected}"
            found.add(numbers[row], UsageError, msg, path=paths[row])

    for name in ("ra", *CORNERS[::2]):
        note(_outside(columns[name], lambda v: (v >= 0.0) & (v < 360.0), optional=False), name, "[0, 360)")
    for name in ("dec", *CORNERS[1::2]):
        note(_outside(columns[name], lambda v: np.abs(v) <= 90.0, optional=False), name, "[-90, 90]")
    for name, (low, high) in BOUNDS.items():
        inside = _between(float(low), float(high))
        note(_outside(columns[name], inside, optional=True), name, f"None or a number from {low} to {high}")
    for name, (least, most) in _INTEGERS.items():
        note(find_no_integers(columns[name], least, most), name, f"a whole number from {least} to {most}")
    some = [0 if v is None else v for v in columns["sca"]]
    note(find_no_integers(some, -(2**63), 2**63 - 1), "sca", "None or a whole number of 64 bits")
    for name in _TEXTS:
        note(_find_no_texts(columns[name], optional=name not in _NEVER_NONE), name, _TEXT)
    units = columns["data_units"]
    wrong = [n for n, v in enumerate(units) if isinstance(v, str) and v not in DATA_UNITS]
    note(wrong, "data_units", str(DATA_UNITS))


def check_files(files: Iterable[FileRecord]) -> None:
    """Find files that the registry does not accept.

    Parameters
    ----------
    files : iterable of FileRecord
        Those of all images.

    Raises
    ------
    UsageError
        If there is one; ``path`` names the first, ``paths`` all.
    """
    records = list(files)
    bad: dict[int, str] = {}
    for name, longest in (("key", None), ("sha256", 64), ("format", 32), ("state", 16)):
        values = [getattr(record, name) for record in records]
        for place in _find_no_texts(values, optional=False, longest=longest):
            bad.setdefault(place, f"{name} = {values[place]!r:.80}, expected {_TEXT}")
    for name, low in (("size", 0), ("mtime_ns", -(2**63))):
        values = [getattr(record, name) for record in records]
        for place in find_no_integers(values, low, 2**63 - 1):
            bad.setdefault(place, f"{name} = {values[place]!r:.80}, expected a whole number from {low}")
    if bad:
        paths = [records[place].key for place in sorted(bad)]
        shown = "; ".join(f"{records[n].key!r:.80}: {bad[n]}" for n in sorted(bad)[:_SHOWN])
        msg = f"{len(bad)} of {len(records)} files cannot be registered, and nothing was written: {shown}"
        raise UsageError(msg, path=paths[0], paths=paths)


def _between(low: float, high: float) -> Callable[[Any], BoolArray]:
    """Make the test of a range."""
    return lambda values: (values >= low) & (values <= high)


def _outside(values: Sequence[Any], inside: Callable[[Any], BoolArray], *, optional: bool) -> list[int]:
    """Find what is no number, or none that passes a test."""
    if not set(map(type, values)) <= {float, NoneType}:
        rest = [n for n, v in enumerate(values) if not (optional and v is None)]
        return [n for n in rest if not (isinstance(values[n], float) and inside(np.float64(values[n])))]
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~inside(np.array(values, dtype=np.float64))).tolist()
    return [n for n in bad if not (optional and values[n] is None)]


def find_no_integers(values: Sequence[Any], low: int, high: int) -> list[int]:
    """Give the places of what is no whole number from `low` to `high`."""
    if set(map(type, values)) == {int} and low <= min(values) and max(values) <= high:
        return []
    return [n for n, v in enumerate(values) if not (_is_whole(v) and low <= v <= high)]


def _is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, numpy's included."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _find_no_texts(values: Sequence[Any], *, optional: bool, longest: int | None = None) -> list[int]:
    """Find what is no text that a database keeps."""
    if set(map(type, values)) <= {str, NoneType}:
        if (optional or None not in values) and _are_texts(list(filter(None, values)), longest):
            return []
        bad = {v for v in set(values) if not _is_text(v, longest) and not (optional and v is None)}
        return [n for n, v in enumerate(values) if v in bad] if bad else []
    return [n for n, v in enumerate(values) if not _is_text(v, longest) and not (optional and v is None)]


def _are_texts(values: Sequence[str], longest: int | None) -> bool:
    """Tell whether all of many texts can be kept, as one text, which is quick."""
    joined = "".join(values)
    if longest is not None and max(map(len, values), default=0) > longest:
        return False
    return _is_text(joined)


def _is_text(value: Any, longest: int | None = None) -> bool:
    """Tell whether a value is text that UTF-8 can write, without null characters, and not too long."""
    if not isinstance(value, str) or "\0" in value or len(value) > (longest or len(value)):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_twice(
    keys: Sequence[tuple[Any, ...]],
    seen: set[Any],
    paths: Sequence[str],
    numbers: Sequence[int],
    found: Problems,
) -> None:
    """Find images that are given twice: the same HDU of a file under the same provenance.

    Parameters
    ----------
    keys : sequence of tuple
        Provenance, file and HDU of each.
    seen : set
        Keys of earlier rows; takes these.
    paths : sequence of str
        Of each image's data, for messages.
    numbers : sequence of int
        Row of each.
    found : Problems
        Takes what is wrong.
    """
    for number, path, key in zip(numbers, paths, keys, strict=True):
        if key in seen:
            msg = f"{path}: HDU {key[-1]} was given twice"
            found.add(number, ConflictError, msg, path=path, hdu=key[-1])
        seen.add(key)
