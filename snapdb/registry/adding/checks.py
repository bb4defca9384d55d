"""What the registry would refuse, found before anything is written, row by row."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
_INTEGERS: dict[str, tuple[int, int]] = {
    "width": (1, 2**31 - 1),
    "height": (1, 2**31 - 1),
    "bad_bits": (-(2**63), 2**63 - 1),
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
    """Find images whose planes or files are not given.

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
        if not names or names[0] != "data" or (len(names) > 1 and len(set(names)) < len(names)):
            msg = f"an image has the planes {names}; expected 'data' first, and each name once"
            found.add(row, UsageError, msg, planes=names)
        for plane in planes:
            if plane.path not in files:
                msg = f"a plane lies in {plane.path}, which is not among the files given"
                found.add(row, UsageError, msg, path=plane.path)


def check_facts(columns: Columns, paths: Sequence[str], first: int, found: Problems) -> None:
    """Find values that the registry does not accept.

    Parameters
    ----------
    columns : mapping
        Fact -> its values.
    paths : sequence of str
        Of each image's data, for messages.
    first : int
        Row of the first of them.
    found : Problems
        Takes what is wrong.
    """

    def note(rows: Iterable[int], name: str, expected: str) -> None:
        for row in rows:
            value = f"{columns[name][row]!r:.80}"
            msg = f"{paths[row]}: {name} = {value} is outside what the registry accepts; expected {expected}"
            found.add(first + row, UsageError, msg, path=paths[row])

    for name in ("ra", *CORNERS[::2]):
        note(_outside(columns[name], lambda v: (v >= 0.0) & (v < 360.0), optional=False), name, "[0, 360)")
    for name in ("dec", *CORNERS[1::2]):
        note(_outside(columns[name], lambda v: np.abs(v) <= 90.0, optional=False), name, "[-90, 90]")
    for name, (low, high) in BOUNDS.items():
        least, greatest = float(low), float(high)
        inside = _between(least, greatest)
        note(_outside(columns[name], inside, optional=True), name, f"None or a number from {low} to {high}")
    for name, (lowest, highest) in _INTEGERS.items():
        note(
            _not_integers(columns[name], lowest, highest), name, f"a whole number from {lowest} to {highest}"
        )
    some = [0 if v is None else v for v in columns["sca"]]
    note(_not_integers(some, -(2**63), 2**63 - 1), "sca", "None or a whole number of 64 bits")
    for name in _TEXTS:
        note(
            _not_texts(columns[name], optional=name not in _NEVER_NONE), name, "text without null characters"
        )
    note(
        [n for n, v in enumerate(columns["data_units"]) if v not in DATA_UNITS], "data_units", str(DATA_UNITS)
    )


def _between(low: float, high: float) -> Callable[[Any], BoolArray]:
    """Make the test of a range."""
    return lambda values: (values >= low) & (values <= high)


def _outside(values: Sequence[Any], inside: Callable[[Any], BoolArray], *, optional: bool) -> list[int]:
    """Find numbers that do not pass a test."""
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return [n for n, v in enumerate(values) if not (optional and v is None) and not _is_number(v, inside)]
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~inside(numbers)).tolist()
    return [n for n in bad if not (optional and values[n] is None)]


def _is_number(value: Any, inside: Callable[[Any], BoolArray]) -> bool:
    """Tell whether one value is a number that passes a test."""
    try:
        return bool(inside(np.float64(value)))
    except (TypeError, ValueError):
        return False


def _not_integers(values: Sequence[Any], low: int, high: int) -> list[int]:
    """Find what is no whole number within bounds."""
    if all(type(v) is int for v in values) and low <= min(values) and max(values) <= high:
        return []
    return [n for n, v in enumerate(values) if not (_is_whole(v) and low <= v <= high)]


def _is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, numpy's included."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _not_texts(values: Sequence[Any], *, optional: bool) -> list[int]:
    """Find what is no text that a database keeps."""
    texts = set(values)
    bad = {v for v in texts if not _is_text(v) and not (optional and v is None)}
    return [n for n, v in enumerate(values) if v in bad] if bad else []


def _is_text(value: Any) -> bool:
    """Tell whether a value is text that UTF-8 can write, without null characters."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_twice(
    keys: Sequence[tuple[Any, ...]], seen: set[Any], paths: Sequence[str], first: int, found: Problems
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
    first : int
        Row of the first of them.
    found : Problems
        Takes what is wrong.
    """
    for row, key in enumerate(keys):
        if key in seen:
            msg = f"{paths[row]}: HDU {key[-1]} was given twice"
            found.add(first + row, ConflictError, msg, path=paths[row], hdu=key[-1])
        seen.add(key)
