"""What each row must be, asked of a whole piece at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from snapdb.bulk.catalogue.columns import ARCSEC, DEC, PIXELS, RA
from snapdb.bulk.catalogue.filesets import FileSets
from snapdb.bulk.catalogue.piece import Piece
from snapdb.bulk.catalogue.problem import Problem, ProblemCode
from snapdb.types import BoolArray, FloatArray

MAX_PIXELS, MAX_ARCSEC = 10_000.0, 3600.0
"""The largest diameters."""


@dataclass(slots=True)
class Findings:
    """Problems of a piece, while they are gathered."""

    piece: Piece
    bad: BoolArray = field(init=False)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bad = np.zeros(len(self.piece), dtype=bool)

    def add(self, mask: BoolArray, code: ProblemCode, text: Callable[[int], str]) -> None:
        """Note a problem of some rows.

        Parameters
        ----------
        mask
            Which rows of the piece.
        code
            Kind of the problem.
        text
            Says what is wrong with the row at a place of the piece.
        """
        self.bad |= mask
        rows, names = self.piece.row, self.piece.source_id
        self.problems.extend(
            Problem(row=int(rows[i]), source_id=names[i], code=code, text=text(i))
            for i in np.flatnonzero(mask).tolist()
        )


def check_values(
    found: Findings, not_numbers: dict[str, BoolArray], shown: Callable[[str, int], str]
) -> None:
    """Check ids, positions and sizes.

    Parameters
    ----------
    found
        The piece, to which problems are added.
    not_numbers
        Column -> where it holds something that is no number.
    shown
        Gives what a column held at a place, for messages.
    """
    piece = found.piece
    no_id = np.asarray(piece.source_id == "", dtype=bool)
    found.add(no_id, ProblemCode.NO_ID, lambda _: "no SourceID; expected a name for the source")
    for name, mask in not_numbers.items():
        found.add(mask, ProblemCode.NOT_A_NUMBER, _say_no_number(name, shown))
    for name, values, low, high, code in (
        (RA, piece.ra, 0.0, 360.0, ProblemCode.RA_RANGE),
        (DEC, piece.dec, -90.0, 90.0, ProblemCode.DEC_RANGE),
    ):
        expected = f"expected degrees from {low:g} to {high:g}"
        empty = np.isnan(values) & ~not_numbers[name]
        found.add(empty, ProblemCode.MISSING_VALUE, _say(f"{name} is empty or NaN: {expected}"))
        found.add((values < low) | (values > high), code, _say_value(name, values, expected))
    _check_sizes(found, not_numbers)


def _check_sizes(found: Findings, not_numbers: dict[str, BoolArray]) -> None:
    """Check the ranges of both diameters, and that there is one."""
    piece = found.piece
    none = np.ones(len(piece), dtype=bool)
    for name, values, high in (
        (PIXELS, piece.diameter_pixel, MAX_PIXELS),
        (ARCSEC, piece.diameter_arcsec, MAX_ARCSEC),
    ):
        expected = f"expected more than 0, at most {high:g}"
        wrong = (values <= 0) | (values > high)
        found.add(wrong, ProblemCode.SIZE_RANGE, _say_value(name, values, expected))
        none &= np.isnan(values)
        if name in not_numbers:
            none &= ~not_numbers[name]
    found.add(none, ProblemCode.NO_SIZE, _say(f"neither {PIXELS} nor {ARCSEC}, and no size for all sources"))


def _say(text: str) -> Callable[[int], str]:
    """Give the same text for every row."""
    return lambda _: text


def _say_value(name: str, values: FloatArray, expected: str) -> Callable[[int], str]:
    """Give texts that show a number."""
    return lambda i: f"{name} = {float(values[i])!r}: {expected}"


def _say_no_number(name: str, shown: Callable[[str, int], str]) -> Callable[[int], str]:
    """Give texts that show what is no number."""
    return lambda i: f"{name} = {shown(name, i)}: expected a number"


def check_files(found: Findings, filesets: FileSets) -> None:
    """Check the lists of files.

    Parameters
    ----------
    found
        The piece, to which problems are added.
    filesets
        Which of them cannot be used.
    """
    for index, (code, text) in _refusals(found.piece, filesets):
        found.add(found.piece.fileset == index, code, _say(text))


def _refusals(piece: Piece, filesets: FileSets) -> Iterator[tuple[int, tuple[ProblemCode, str]]]:
    """Yield the lists in a piece that cannot be used, with the reason."""
    for index in np.unique(piece.fileset).tolist():
        refusal = filesets.refusal(index)
        if refusal is not None:
            yield index, refusal
