"""Some rows of a table, as they were read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapdb.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Columns of some rows."""

    numbers: IntArray
    """Number of each row in the table."""
    columns: "Mapping[str, pa.Array]"
    """Column -> values, as many as rows."""
    malformed: tuple[tuple[int, str], ...] = ()
    """(row, what is wrong) of rows that could not be split into columns."""
