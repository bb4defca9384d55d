"""What is used of a catalogue of sources."""

import math
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.pixels.segments import as_labels
from snapdb.types import IntArray


class SourceColumns:
    """Ids, positions and weights of a catalogue's sources.

    Parameters
    ----------
    ids : array of int
        One a row.
    x, y, weight : array or None
        Where the catalogue has them.
    """

    def __init__(self, ids: IntArray, x: Any, y: Any, weight: Any) -> None:
        self.ids, self._x, self._y, self._weight = ids, x, y, weight

    @classmethod
    def read(cls, catalog: Any) -> "SourceColumns":
        """Find the columns of a table, a mapping, or an object that holds one.

        Parameters
        ----------
        catalog : Table, mapping, or object with ``catalog``
            With a column ``id``.

        Raises
        ------
        UsageError
            If it has no ids, or they are not whole numbers.
        """
        table = getattr(catalog, "catalog", catalog)
        ids = _column(table, "id")
        if ids is None:
            msg = "the catalogue has no column 'id', the ids of its sources in the segmentation image"
            raise UsageError(msg)
        named = getattr(table, "meta", {}).get("weight_colname") or "weight"
        weight = _column(table, named)
        return cls(as_labels(ids, name="catalog['id']"), _column(table, "x"), _column(table, "y"), weight)

    def position(self, row: int) -> tuple[float, float] | None:
        """Give a source's position, None where it is not known."""
        if self._x is None or self._y is None:
            return None
        x, y = (float(np.ma.filled(np.ma.asarray(c[row], float), np.nan)) for c in (self._x, self._y))
        return (x, y) if math.isfinite(x) and math.isfinite(y) else None

    def weight(self, row: int) -> float | None:
        """Give a source's weight."""
        return None if self._weight is None else float(self._weight[row])


def _column(table: Any, name: str) -> Any:
    """Give a column, None where there is none."""
    try:
        return np.ma.asanyarray(table[name]) if hasattr(table[name], "mask") else np.asarray(table[name])
    except (KeyError, ValueError, IndexError):
        return None
