"""Some rows of a table, as they were read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.catalogue.values import to_texts
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
    _texts: dict[str, NDArray[np.object_]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def texts(self, name: str) -> NDArray[np.object_]:
        """Give a column as texts, which are made once: whoever looks for duplicates reads ids twice.

        Parameters
        ----------
        name : str
            Of the column.
        """
        if name not in self._texts:
            self._texts[name] = to_texts(self.columns[name])
        return self._texts[name]
