"""What a row of snappl's table ``l2image`` and the file that it names say together of an image."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.moving.tables import DumpedRow, read_number, read_whole
from snapdb.archive.values import check_fact
from snapdb.errors import NotAnImageError
from snapdb.model.image import ImageFacts
from snapdb.sky.vectors import to_vectors

if TYPE_CHECKING:
    from snapdb.formats.describe import Described

FACTS: Mapping[str, Callable[[str], Any]] = {
    "observation_id": str,
    "sca": read_whole,
    "band": str,
    "mjd": read_number,
    "exptime": read_number,
}
"""What the table knows better than the header, and how it is read."""
CORNERS = tuple(f"{axis}_corner_{corner}" for corner in ("00", "01", "10", "11") for axis in ("ra", "dec"))
"""Columns of the corners, in the order of ra, dec, ra, dec ..."""

_GAPS = {"band": "no band in the header", "exptime": "no exposure time in the header"}
"""Warnings about a header that a row makes idle."""
_SINGLE = 2.0**-23
"""Relative precision of PostgreSQL's real, which ``exptime`` is."""
_MJD_ROUNDING = 1e-8
"""Days: a millisecond, the rounding of times in headers."""
_NEAR_ARCSEC = 0.2
"""How far corners may be off by the rounding of the table alone."""


def read_facts(row: DumpedRow) -> dict[str, Any]:
    """Read what a row knows of its image.

    Raises
    ------
    UsageError
        If a value cannot be.
    """
    told = {name: row.get(name, read) for name, read in FACTS.items()}
    return {name: check_fact(name, value) for name, value in told.items() if value is not None}


def join(
    row: DumpedRow, told: Mapping[str, Any], properties: Mapping[str, Any], images: "Sequence[Described]"
) -> "Described":
    """Make one image of a row and of what its file holds.

    Parameters
    ----------
    row : DumpedRow
        The row: size and corners choose among the file's images.
    told : mapping
        Its facts, from :func:`read_facts`; they win over the header's.
    properties : mapping
        Its properties; they win over the header's.
    images : sequence of Described
        What the file holds.

    Returns
    -------
    Described
        With a warning for each difference.

    Raises
    ------
    NotAnImageError
        If none of the images has the row's size.
    """
    found, warnings = _choose_image(row, images)
    facts, differences = _join_facts(told, found.facts)
    idle = {text for name, text in _GAPS.items() if name in told}
    warnings = [w for w in (*found.warnings, *warnings, *differences) if w not in idle]
    facts = replace(facts, properties={**facts.properties, **properties})
    return replace(found, facts=facts, warnings=tuple(warnings))


def _choose_image(row: DumpedRow, images: "Sequence[Described]") -> "tuple[Described, list[str]]":
    """Choose the image of a file that a row is about: of its size, the nearest; with warnings."""
    size = (row.get("width", read_whole), row.get("height", read_whole))
    right = [d for d in images if all(w in (None, h) for w, h in zip(size, _size_of(d), strict=True))]
    if not right:
        there = ", ".join(f"{d.facts.width} x {d.facts.height}" for d in images)
        msg = (
            f"the row is of an image of {size[0]} x {size[1]} pixels, and the file has {there}: another image"
        )
        raise NotAnImageError(msg)
    offsets = [_find_offset(row, d.facts) for d in right]
    distance = min(offsets)
    best = right[offsets.index(distance)]
    if distance <= _NEAR_ARCSEC:
        return best, []
    return best, [f"the table's corners are up to {distance:.3g} arcsec from the file's, which are taken"]


def _size_of(described: "Described") -> tuple[int, int]:
    """Give width and height."""
    return described.facts.width, described.facts.height


def _find_offset(row: DumpedRow, facts: ImageFacts) -> float:
    """Measure how far the table's corners are from the file's, arcsec; 0 where it has none."""
    corners = [row.get(name, read_number) for name in CORNERS]
    if None in corners:
        return 0.0
    told = np.array(corners, dtype=np.float64).reshape(4, 2)
    seen = np.array([getattr(facts, name) for name in CORNERS]).reshape(4, 2)
    chords = np.linalg.norm(to_vectors(told[:, 0], told[:, 1]) - to_vectors(seen[:, 0], seen[:, 1]), axis=1)
    return math.degrees(2.0 * math.asin(min(1.0, float(chords.max()) / 2.0))) * 3600.0


def _join_facts(told: Mapping[str, Any], facts: ImageFacts) -> tuple[ImageFacts, list[str]]:
    """Let the row's facts win over the header's, and say where they differ."""
    chosen: dict[str, Any] = {}
    warnings = []
    for name, value in told.items():
        seen = getattr(facts, name)
        same = seen is not None and _agree(name, value, seen)
        if name == "exptime" and same:
            continue  # the header has more digits than the table
        chosen[name] = value
        if seen is not None and not same:
            warnings.append(f"{name} is {value} in the table and {seen} in the header; the table's is taken")
    return replace(facts, **chosen), warnings


def _agree(name: str, told: Any, seen: Any) -> bool:
    """Tell whether two values are one, but for rounding."""
    if name == "mjd":
        return bool(abs(told - seen) <= _MJD_ROUNDING)
    if name == "exptime":
        return math.isclose(told, seen, rel_tol=_SINGLE, abs_tol=1e-30)
    return bool(told == seen)
