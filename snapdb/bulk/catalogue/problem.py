"""What is wrong with a row of a catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from snapdb.errors import FormatError


class ProblemCode(StrEnum):
    """Kinds of problems."""

    NO_ID = "no_id"
    """The row has no SourceID."""
    NOT_A_NUMBER = "not_a_number"
    """A column of numbers holds something else."""
    MISSING_VALUE = "missing_value"
    """RA or Dec is empty, or NaN."""
    RA_RANGE = "ra_range"
    """RA is outside [0, 360] degrees."""
    DEC_RANGE = "dec_range"
    """Dec is outside [-90, 90] degrees."""
    SIZE_RANGE = "size_range"
    """A diameter is outside (0, 10000] pixels, or (0, 3600] arcsec."""
    NO_SIZE = "no_size"
    """The row has no diameter, and there is none for all."""
    DUPLICATE_ROW = "duplicate_row"
    """An earlier row says the same."""
    DUPLICATE_ID = "duplicate_id"
    """An earlier row has the same SourceID, and differs."""
    BAD_FILE_LIST = "bad_file_list"
    """fits_file_paths cannot be read as a list of paths."""
    NO_FILES = "no_files"
    """fits_file_paths is empty."""
    MISSING_FILE = "missing_file"
    """A file of fits_file_paths does not exist."""
    MALFORMED_ROW = "malformed_row"
    """A line of the CSV file has too many, or too few, fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of one row; a row may have several."""

    row: int
    """Number of the row in the catalogue; the first is 0, and a CSV's heading is none."""
    source_id: str
    """As far as there is one."""
    code: ProblemCode
    text: str
    """What is wrong, and what was expected."""

    def __str__(self) -> str:
        name = f" ({self.source_id})" if self.source_id else ""
        return f"row {self.row}{name}: {self.text}"


class CatalogueValidationError(FormatError):
    """The catalogue has rows, or columns, that cannot be used."""

    code = "catalogue"


def refuse_catalogue(name: str, problems: Sequence[Problem]) -> CatalogueValidationError:
    """Make the error for a catalogue with problems.

    Parameters
    ----------
    name
        Of the catalogue.
    problems
        All of them; the first few are in the message, all are in the error's ``problems``.
    """
    shown = "; ".join(str(p) for p in problems[:5])
    more = f"; and {len(problems) - 5} more, in the error's .problems" if len(problems) > 5 else ""
    rows = len({p.row for p in problems})
    msg = f"catalogue {name}: {rows} row{'' if rows == 1 else 's'} cannot be used: {shown}{more}"
    return CatalogueValidationError(msg, problems=tuple(problems))
