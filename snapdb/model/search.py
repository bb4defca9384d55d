"""One checked question to the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

Bound = tuple[float | None, float | None]
"""(least, greatest), both inclusive, None where open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which images are asked for; None or empty means "not asked".

    Built by :func:`make_search` from keyword arguments, which checks names and values.
    """

    ra: float | None = None
    """With ``dec``: only images whose footprint contains this position, ICRS degrees."""
    dec: float | None = None
    equals: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Column -> values, any of which will do."""
    ranges: Mapping[str, Bound] = field(default_factory=dict)
    """Column -> bounds; a range of ``ra`` whose least is above its greatest goes through 0."""
    provenance_ids: tuple[UUID, ...] | None = None
    """Any of these; None asks all."""
    order_by: Sequence[tuple[str, bool]] = ()
    """(column, descending) in order of weight."""
    limit: int | None = None
    offset: int = 0
