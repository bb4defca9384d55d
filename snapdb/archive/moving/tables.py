r"""Tables as ``\copy (select ...) to 'file' csv header`` of psql writes them: names first, values as text."""

import csv
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from snapdb.archive.paths import PathLike
from snapdb.errors import ObjectMissingError, UnknownFormatError, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpedRow:
    """One row, its values still text."""

    table: str
    """Name of the file."""
    line: int
    """Line of the file where the row ends, the heading being line 1."""
    values: Mapping[str, str]
    """Column -> value, without those that are null: PostgreSQL writes null as nothing."""

    @property
    def place(self) -> str:
        """File and line, as in messages of compilers."""
        return f"{self.table}:{self.line}"

    def get(self, column: str, read: Callable[[str], T]) -> T | None:
        """Read a value.

        Parameters
        ----------
        column : str
            Which.
        read : callable
            Makes the value of the text; raises ValueError where it cannot.

        Returns
        -------
        object
            None where it is null, or there is no such column.

        Raises
        ------
        UsageError
            If the text is no such value.
        """
        text = self.values.get(column)
        if text is None:
            return None
        try:
            return read(text)
        except (ValueError, RecursionError) as err:
            msg = f"{column} is {text!r:.80}, {err}"
            raise UsageError(msg, column=column) from err

    def need(self, column: str, read: Callable[[str], T]) -> T:
        """Read a value that must not be null.

        Raises
        ------
        UsageError
            If it is, or is no such value.
        """
        value = self.get(column, read)
        if value is None:
            msg = f"{column} is null; expected a value"
            raise UsageError(msg, column=column)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """A table in a file, looked at but not read."""

    path: Path
    columns: tuple[str, ...]
    unknown: tuple[str, ...]
    """Columns that nothing is known of."""

    def __iter__(self) -> Iterator[DumpedRow]:
        """Read the rows one by one.

        Raises
        ------
        UnknownFormatError
            If it is no CSV further on.
        """
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a column of JSON may be long
        with self.path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                for values in reader:
                    if reader.line_num > 1 and values:
                        yield self._make_row(reader.line_num, values)
            except (csv.Error, UnicodeDecodeError) as err:
                msg = f"{self.path}: line {reader.line_num} is no CSV: {err}"
                raise UnknownFormatError(msg, path=str(self.path)) from err

    def _make_row(self, line: int, values: list[str]) -> DumpedRow:
        """Pair a line's values with the columns."""
        if len(values) != len(self.columns):
            counts = f"{len(values)} values, and the heading {len(self.columns)} names"
            msg = f"{self.path}: line {line} has {counts}; write it with psql's \\copy ... csv header"
            raise UnknownFormatError(msg, path=str(self.path))
        named = zip(self.columns, values, strict=True)
        return DumpedRow(table=self.path.name, line=line, values={n: v for n, v in named if v != ""})


def open_dump(path: PathLike, *, needed: Collection[str], known: Collection[str]) -> Dump:
    """Look at a table's heading.

    Parameters
    ----------
    path : path
        A CSV file, UTF-8, whose first line names the columns, in any order.
    needed : collection of str
        Columns that it must have.
    known : collection of str
        All columns that mean something.

    Raises
    ------
    ObjectMissingError
        If there is no such file.
    UnknownFormatError
        If it has no heading, or not these columns.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        msg = f"{found} is no file; check the name"
        raise ObjectMissingError(msg, path=str(found))
    with found.open(encoding="utf-8-sig", newline="") as stream:
        try:
            names = tuple(name.strip() for name in next(csv.reader(stream), []))
        except (csv.Error, UnicodeDecodeError) as err:
            msg = f"{found} is no CSV: {err}; expected what psql's \\copy ... csv header writes"
            raise UnknownFormatError(msg, path=str(found)) from err
    lacking = [name for name in needed if name not in names]
    if lacking or len(set(names)) < len(names):
        what = f"no column {', '.join(lacking)}" if lacking else "a column twice"
        msg = f"{found} has {what}; its first line is {','.join(names)!r:.200}; write it with `csv header`"
        raise UnknownFormatError(msg, path=str(found), columns=names)
    return Dump(path=found, columns=names, unknown=tuple(n for n in names if n not in known))


def read_uuid(text: str) -> UUID:
    """Read an id."""
    try:
        return UUID(text)
    except ValueError as err:
        msg = "expected a UUID"
        raise ValueError(msg) from err


def read_whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError as err:
        msg = "expected a whole number"
        raise ValueError(msg) from err


def read_number(text: str) -> float:
    """Read a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0.0:
        msg = "expected a finite number"
        raise ValueError(msg)
    return number


def read_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json.loads(text)
    except ValueError as err:
        msg = f"expected a JSON object ({err})"
        raise ValueError(msg) from err
    if not isinstance(value, dict):
        msg = "expected a JSON object"
        raise ValueError(msg)  # noqa: TRY004  # what the readers' callers translate
    return value


def read_list(text: str) -> tuple[str, ...]:
    """Read an array of text as PostgreSQL writes it: ``{a,"b c"}``."""
    if not (text.startswith("{") and text.endswith("}")):
        msg = 'expected an array, such as {a,"b c"}'
        raise ValueError(msg)
    inside = text[1:-1]
    return tuple(next(csv.reader([inside], escapechar="\\", strict=True))) if inside else ()
