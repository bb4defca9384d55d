"""CSV files, read in pieces."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from csv import reader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.catalogue.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

_BLOCK = 2**20
_SEPARATORS = (",", "\t", ";", "|")
_SHOWN = 60


class CsvRows:
    """A CSV file with a heading; the heading says which separator it has.

    Every column is read as text: what is no number is then named by its row, where a
    reader that guesses types would give up the file.

    Parameters
    ----------
    path
        Of the file; ``.gz`` and ``.bz2`` are unwrapped as they are read.
    """

    units: Mapping[str, str]

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.units = {}
        self._path = path
        heading, self._is_bare = self._read_heading()
        self._is_bare = self._is_bare and "\r" not in heading.rstrip(
            "\r"
        )  # where lines end so, there are others
        self._separator = max(_SEPARATORS, key=heading.count)
        if self._is_bare:
            names = next(reader([heading], delimiter=self._separator), [])
        elif _is_plain(heading):  # Arrow would read the first megabyte for it
            names = heading.removesuffix("\r").split(self._separator)
        else:
            with self._open([], deque()) as opened:
                names = opened.schema.names
        self.columns: Sequence[str] = [name.strip() for name in names]
        self._spelled: Mapping[str, str] = dict(zip(self.columns, names, strict=True))

    def read(self, names: Sequence[str], step: int) -> Iterator[Rows]:
        """Yield pieces.

        Parameters
        ----------
        names
            Columns.
        step
            Rows of a piece.
        """
        import pyarrow as pa

        if self._is_bare:
            return
        skipped: deque[tuple[int, str]] = deque()
        spelled = [self._spelled[name] for name in names]
        start = 0
        with self._open(spelled, skipped) as opened:
            held: list[pa.RecordBatch] = []
            for batch in opened:
                held.append(batch)
                while sum(b.num_rows for b in held) >= step:
                    table = pa.Table.from_batches(held)
                    rows, start = self._cut(table.slice(0, step), names, skipped, start)
                    yield rows
                    held = table.slice(step).to_batches()
            if held or skipped:
                yield self._cut(pa.Table.from_batches(held, opened.schema), names, skipped, start)[0]

    def _cut(
        self, table: "pa.Table", names: Sequence[str], skipped: deque[tuple[int, str]], start: int
    ) -> tuple[Rows, int]:
        """Make a piece, whose rows are numbered around those that were skipped."""
        numbers = np.empty(table.num_rows, dtype=np.int64)
        malformed: list[tuple[int, str]] = []
        done = 0
        while skipped and skipped[0][0] <= start + table.num_rows - done:
            row, text = skipped.popleft()
            count = row - start
            numbers[done : done + count] = np.arange(start, row)
            done += count
            malformed.append((row, text))
            start = row + 1
        left = table.num_rows - done
        numbers[done:] = np.arange(start, start + left)
        columns = {name: table[self._spelled[name]].combine_chunks() for name in names}
        return Rows(numbers=numbers, columns=columns, malformed=tuple(malformed)), start + left

    def _open(self, names: list[str], skipped: deque[tuple[int, str]]) -> Any:
        """Open the file; rows that cannot be split go to `skipped`."""
        import pyarrow as pa
        from pyarrow import csv  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        def skip(row: csv.InvalidRow) -> str:
            # The heading is row 1 there. Numbers are given only where one thread reads.
            text = f"{row.actual_columns} fields, expected {row.expected_columns}: {row.text[:_SHOWN]!r}"
            skipped.append((row.number - 2, text))
            return "skip"

        return csv.open_csv(
            pa.input_stream(self._path, compression="detect"),
            read_options=csv.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=csv.ParseOptions(
                delimiter=self._separator, invalid_row_handler=skip, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string())
            ),
        )

    def _read_heading(self) -> tuple[str, bool]:
        """Give the first line, and whether it is all there is: Arrow takes no such file."""
        import pyarrow as pa

        with pa.input_stream(self._path, compression="detect") as file:
            heading, mark, _ = file.read(_BLOCK).partition(b"\n")
        return heading.decode("utf-8-sig", "replace"), bool(heading) and not mark


def _is_plain(heading: str) -> bool:
    """Say whether a line is the heading and need only be split: no empty line, quotes, or ends of lines."""
    line = heading.removesuffix("\r")
    return bool(line) and line.isascii() and not set(line) & set('"\r')
