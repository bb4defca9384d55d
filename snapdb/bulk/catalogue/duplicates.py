"""Sources that a catalogue has more than once, found in 8 bytes a row."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.catalogue.checks import Findings
from snapdb.bulk.catalogue.problem import ProblemCode
from snapdb.types import BoolArray, IntArray


def hash_ids(source_ids: NDArray[np.object_]) -> IntArray:
    """Give a number for each id, the same for the same id in this process.

    Parameters
    ----------
    source_ids
        Texts.
    """
    return np.fromiter(map(hash, source_ids), dtype=np.int64, count=len(source_ids))


def find_repeated(hashes: Iterable[IntArray]) -> IntArray:
    """Give the numbers that occur more than once, sorted.

    Parameters
    ----------
    hashes
        From :func:`hash_ids`, of pieces.
    """
    parts = list(hashes)
    if not parts:
        return np.empty(0, dtype=np.int64)
    together = np.concatenate(parts)
    together.sort()
    again = together[1:][together[1:] == together[:-1]]
    return np.unique(again) if again.size else again


class Duplicates:
    """Tells a row that has the id of an earlier one.

    Parameters
    ----------
    repeated
        From :func:`find_repeated`. Ids whose numbers agree by chance are told apart here.
    """

    def __init__(self, repeated: IntArray) -> None:
        self._repeated = repeated
        self._first: dict[str, tuple[int, tuple[Any, ...]]] = {}

    def check(self, found: Findings) -> None:
        """Note the duplicates among the rows of a piece that are sound.

        Parameters
        ----------
        found
            The piece, to which problems are added.
        """
        if not self._repeated.size:
            return
        piece = found.piece
        again = np.isin(hash_ids(piece.source_id), self._repeated) & ~found.bad
        same, other = np.zeros(len(piece), dtype=bool), np.zeros(len(piece), dtype=bool)
        first: dict[int, int] = {}
        for i in np.flatnonzero(again).tolist():
            row, facts = self._first.setdefault(piece.source_id[i], (int(piece.row[i]), _facts(found, i)))
            if row != piece.row[i]:
                first[i] = row
                (same if facts == _facts(found, i) else other)[i] = True
        self._note(found, same, other, first)

    def _note(self, found: Findings, same: BoolArray, other: BoolArray, first: dict[int, int]) -> None:
        """Add the problems."""
        found.add(
            same, ProblemCode.DUPLICATE_ROW, lambda i: f"the same source as row {first[i]}, which is used"
        )
        found.add(
            other,
            ProblemCode.DUPLICATE_ID,
            lambda i: f"the SourceID of row {first[i]}, at another position, size or file; give it its own",
        )


def _facts(found: Findings, i: int) -> tuple[Any, ...]:
    """Give what two rows must share to be the same; NaN as None, which equals itself."""
    piece = found.piece
    sizes = (piece.diameter_pixel[i], piece.diameter_arcsec[i])
    return (
        float(piece.ra[i]),
        float(piece.dec[i]),
        *(None if np.isnan(s) else float(s) for s in sizes),
        int(piece.fileset[i]),
    )
