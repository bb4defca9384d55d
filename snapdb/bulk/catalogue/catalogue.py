"""A catalogue of sources, read in pieces and checked row by row."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from snapdb.bulk.catalogue.checks import Findings, check_files, check_values
from snapdb.bulk.catalogue.columns import ARCSEC, DEC, FILES, PIXELS, RA, SOURCE_ID, Columns, find_columns
from snapdb.bulk.catalogue.duplicates import Duplicates, find_repeated, hash_ids
from snapdb.bulk.catalogue.filesets import NO_FILESET, FileSets
from snapdb.bulk.catalogue.piece import Piece
from snapdb.bulk.catalogue.problem import CatalogueValidationError, Problem, ProblemCode
from snapdb.bulk.catalogue.rows import Rows
from snapdb.bulk.catalogue.tables import TableRows, open_table, say_why
from snapdb.bulk.catalogue.values import to_floats
from snapdb.errors import FormatError, SnapdbError
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

PIECE_ROWS = 32_768
"""Rows that are read at a time."""
_FEW = 6
"""Pieces below which a catalogue is kept, and read once."""


class Catalogue:
    """Sources with positions, sizes and, where the catalogue says, their files.

    It can be gone through as often as needed; what is in memory is one piece, and 8
    bytes a row while duplicates are looked for.

    Parameters
    ----------
    table
        Where rows come from.
    rows
        Of a piece.
    diameter_pixel, diameter_arcsec
        Size of sources that have none; at most one of them is given.
    check_file_paths
        Whether to see that local files exist.
    check_duplicates
        Whether to look for ids that occur twice, which goes through the ids once more.

    Raises
    ------
    CatalogueValidationError
        If a column is missing that must be there.
    UnitError
        If a column's unit cannot be converted.
    """

    def __init__(
        self,
        table: TableRows,
        *,
        rows: int = PIECE_ROWS,
        diameter_pixel: float | None = None,
        diameter_arcsec: float | None = None,
        check_file_paths: bool = True,
        check_duplicates: bool = True,
    ) -> None:
        self._table = table
        self._rows = rows
        self._default = {PIXELS: diameter_pixel, ARCSEC: diameter_arcsec}
        self._check_duplicates = check_duplicates
        self._columns: Columns = find_columns(table.name, table.columns, table.units)
        self._filesets = FileSets(check_files=check_file_paths)
        default = diameter_pixel is not None or diameter_arcsec is not None
        if not default and not self._columns.has(PIXELS) and not self._columns.has(ARCSEC):
            msg = (
                f"catalogue {table.name}: no column {PIXELS} or {ARCSEC}; "
                "add one, or give one size for all sources (config.diameter_pixel)"
            )
            raise CatalogueValidationError(msg, problems=(), column=PIXELS)

    @classmethod
    def open(cls, source: Any, **options: Any) -> Self:
        """Open a catalogue.

        Parameters
        ----------
        source
            A CSV, parquet, FITS or VOTable file, or a pandas, astropy or Arrow table. Columns
            are ``SourceID``, ``RA``, ``Dec``, ``diameter_pixel`` or ``diameter_arcsec``, and
            ``fits_file_paths``; case does not count.
        **options : object
            As the class takes them.

        Returns
        -------
        Catalogue
            Of which nothing but the columns' names has been read.

        Raises
        ------
        ObjectMissingError
            If there is no such file.
        FormatError
            If it cannot be read.
        UsageError
            If it is of no kind that is read.
        ConfigError
            If pyarrow is not installed.
        """
        from snapdb.archive.positions import load_arrow

        load_arrow()
        made = cls(open_table(source), **options)
        if isinstance(source, str | Path):
            made.path = Path(source)
        return made

    path: Path | None = None
    """File that it is read from; None for a table in memory."""

    @property
    def name(self) -> str:
        """For messages."""
        return self._table.name

    @property
    def filesets(self) -> list[tuple[str, ...]]:
        """Lists of files that rows name by index; it grows as pieces are read."""
        return self._filesets.sets

    @property
    def names_files(self) -> bool:
        """Whether rows name their files; images come from an archive where they do not."""
        return self._columns.has(FILES)

    @property
    def row_count(self) -> int:
        """Rows, sound or not; they are counted at the first call."""
        return self._scanned[0]

    def pieces(self) -> Iterator[Piece]:
        """Yield the catalogue in stretches, each with its sound rows and its problems.

        Yields
        ------
        Piece
            In the order of the rows.

        Raises
        ------
        FormatError
            If the file is damaged.
        """
        every = self._read(list(self._columns.spelled))
        begun = list(islice(every, _FEW))
        if len(begun) < _FEW and "_scanned" not in self.__dict__:  # a small one need not be read twice
            self.__dict__["_scanned"] = self._scan(begun)
        duplicates = Duplicates(self._scanned[1] if self._check_duplicates else np.empty(0, dtype=np.int64))
        begun.reverse()
        while begun:
            yield self._check(begun.pop(), duplicates)
        for rows in every:
            yield self._check(rows, duplicates)

    def digest(self) -> str:
        """Give a text that differs when the catalogue does.

        Returns
        -------
        str
            64 hexadecimal digits: of the file's bytes, or of a table's sound rows.
        """
        if self.path is not None:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        total = hashlib.sha256()
        for piece in self.pieces():
            numbers = (piece.row, piece.ra, piece.dec, piece.diameter_pixel, piece.diameter_arcsec)
            files = [self.filesets[i] if i >= 0 else () for i in piece.fileset.tolist()]
            for part in (*(n.tobytes() for n in numbers), repr((piece.source_id.tolist(), files)).encode()):
                total.update(part)
        return total.hexdigest()

    @cached_property
    def _scanned(self) -> tuple[int, IntArray]:
        """Count the rows, and find the numbers of ids that occur more than once."""
        return self._scan(self._read([SOURCE_ID]))

    def _scan(self, every: Iterable[Rows]) -> tuple[int, IntArray]:
        """Do that with pieces."""
        count = 0
        hashes = []
        for rows in every:
            count += len(rows.numbers) + len(rows.malformed)
            if self._check_duplicates:
                hashes.append(hash_ids(rows.texts(self._columns.spelled[SOURCE_ID])))
        return count, find_repeated(hashes)

    def _read(self, names: list[str]) -> Iterator[Rows]:
        """Read some columns; what fails is said in the words of this package."""
        pieces = self._table.read([self._columns.spelled[name] for name in names], self._rows)
        while True:
            try:
                rows = next(pieces)
            except StopIteration:
                return
            except SnapdbError:
                raise
            except (OSError, ValueError, TypeError) as err:
                msg = f"catalogue {self.name} cannot be read: {say_why(err)}"
                raise FormatError(msg, path=str(self.path)) from err
            yield rows

    def _check(self, rows: Rows, duplicates: Duplicates) -> Piece:
        """Turn rows into a piece, and leave out what cannot be used."""
        piece, not_numbers = self._convert(rows)
        found = Findings(piece)
        check_values(found, not_numbers, lambda name, i: repr(self._column(rows, name)[i].as_py()))
        check_files(found, self._filesets)
        duplicates.check(found)
        found.problems.extend(
            Problem(row=row, source_id="", code=ProblemCode.MALFORMED_ROW, text=text)
            for row, text in rows.malformed
        )
        found.problems.sort(key=lambda problem: problem.row)
        return piece.select(~found.bad, tuple(found.problems))

    def _convert(self, rows: Rows) -> tuple[Piece, dict[str, BoolArray]]:
        """Give the columns as numpy arrays, and where numbers are none."""
        numbers: dict[str, FloatArray] = {}
        not_numbers: dict[str, BoolArray] = {}
        for name in (RA, DEC, PIXELS, ARCSEC):
            if self._columns.has(name):
                numbers[name], not_numbers[name] = to_floats(self._column(rows, name))
                numbers[name] *= self._columns.factors.get(name, 1.0)
            else:
                numbers[name] = np.full(len(rows.numbers), np.nan)
        self._fill_sizes(numbers, not_numbers)
        numbers[RA][numbers[RA] == 360.0] = 0.0
        if self._columns.has(FILES):
            filesets = self._filesets.take(self._column(rows, FILES))
        else:
            filesets = np.full(len(rows.numbers), NO_FILESET)
        piece = Piece(
            row=rows.numbers,
            source_id=rows.texts(self._columns.spelled[SOURCE_ID]),
            ra=numbers[RA],
            dec=numbers[DEC],
            diameter_pixel=numbers[PIXELS],
            diameter_arcsec=numbers[ARCSEC],
            fileset=filesets,
        )
        return piece, not_numbers

    def _fill_sizes(self, numbers: dict[str, FloatArray], not_numbers: dict[str, BoolArray]) -> None:
        """Give sources without a size the one for all."""
        empty = np.isnan(numbers[PIXELS]) & np.isnan(numbers[ARCSEC])
        for name in (PIXELS, ARCSEC):
            empty &= ~not_numbers.get(name, np.zeros(len(empty), dtype=bool))
        for name, default in self._default.items():
            if default is not None:
                numbers[name][empty] = default

    def _column(self, rows: Rows, name: str) -> Any:
        """Give a column by Cutana's name."""
        return rows.columns[self._columns.spelled[name]]


def load_and_validate_catalogue(filepath: Any, **options: Any) -> "pd.DataFrame":
    """Read a whole catalogue, and refuse it when any row cannot be used.

    Parameters
    ----------
    filepath
        As :meth:`Catalogue.open` takes it.
    **options : object
        As :class:`Catalogue` takes them.

    Returns
    -------
    pandas.DataFrame
        ``SourceID``, ``RA`` and ``Dec``; of ``diameter_pixel``, ``diameter_arcsec`` and
        ``fits_file_paths`` (the text of a list) those that the catalogue has, or that options give.

    Raises
    ------
    CatalogueValidationError
        Whose ``problems`` name every row that cannot be used; or when a column is missing.
    ObjectMissingError
        If there is no such file.
    """
    from snapdb.bulk.catalogue.frame import to_frame
    from snapdb.bulk.catalogue.problem import refuse_catalogue

    catalogue = Catalogue.open(filepath, **options)
    pieces = list(catalogue.pieces())
    problems = [problem for piece in pieces for problem in piece.problems]
    if problems:
        raise refuse_catalogue(catalogue.name, problems)
    return to_frame(pieces, catalogue.filesets)
