"""Tables of any kind, read in pieces as Arrow columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from snapdb.bulk.catalogue.csv_rows import CsvRows
from snapdb.bulk.catalogue.rows import Rows
from snapdb.errors import FormatError, ObjectMissingError, SnapdbError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional


class TableRows(Protocol):
    """A table that can be read more than once."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """Names, as they are spelled."""
        ...

    @property
    def units(self) -> Mapping[str, str]:
        """Column -> unit, where it has one."""
        ...

    def read(self, names: Sequence[str], step: int) -> Iterator[Rows]:
        """Yield pieces of at most `step` rows, in order."""
        ...


def open_table(source: Any) -> TableRows:
    """Open a table.

    Parameters
    ----------
    source
        Path of a CSV, parquet, FITS or VOTable file, by its suffix; a pandas, astropy
        or Arrow table.

    Returns
    -------
    TableRows
        Nothing but its heading has been read, save of a VOTable, which is in memory.

    Raises
    ------
    UsageError
        If it is none of these.
    ObjectMissingError
        If there is no such file.
    FormatError
        If the file cannot be read as what its suffix says.
    """
    if not isinstance(source, str | Path):
        return _open_memory(source)
    path = Path(source)
    if not path.is_file():
        msg = f"catalogue {path}: no such file"
        raise ObjectMissingError(msg, path=str(path))
    suffixes = [s.lower() for s in path.suffixes]
    suffix = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in (".gz", ".bz2") else "".join(suffixes[-1:])
    opener = _OPENERS.get(suffix)
    if opener is None:
        msg = f"catalogue {path}: the suffix {suffix!r} says no format; expected one of {', '.join(_OPENERS)}"
        raise UsageError(msg, path=str(path))
    try:
        opened: TableRows = opener(path)
    except SnapdbError:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError) as err:
        msg = f"catalogue {path} cannot be read as {suffix}: {say_why(err)}"
        raise FormatError(msg, path=str(path)) from err
    return opened


def say_why(err: Exception) -> str:
    """Say why a table cannot be read, and what to do where that is known.

    Parameters
    ----------
    err
        What its reader raised.
    """
    if isinstance(err, UnicodeDecodeError) or "invalid UTF8" in str(err):
        return f"its text is not UTF-8: save it as UTF-8 ({err})"
    return str(err)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedRows:
    """A table in memory, of which any rows can be had."""

    name: str
    """For messages."""
    columns: Sequence[str]
    """Names, as they are spelled."""
    units: Mapping[str, str]
    """Column -> unit, where it has one."""
    count: int
    """Rows."""
    cut: "Callable[[str, slice], pa.Array]"
    """Gives some rows of a column."""

    def read(self, names: Sequence[str], step: int) -> Iterator[Rows]:
        """Yield pieces.

        Parameters
        ----------
        names
            Columns.
        step
            Rows of a piece.
        """
        for start in range(0, self.count, step):
            rows = slice(start, min(start + step, self.count))
            columns = {name: self.cut(name, rows) for name in names}
            yield Rows(numbers=np.arange(rows.start, rows.stop), columns=columns)


def _open_memory(source: Any) -> TableRows:
    """Take a table that is in memory."""
    if hasattr(source, "colnames"):
        return _open_astropy(source, "in the Table")
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return SlicedRows(
            name="in the DataFrame",
            columns=[str(name) for name in source.columns],
            units={},
            count=len(source),
            cut=lambda name, rows: series_to_arrow(source[name].iloc[rows]),
        )
    if hasattr(source, "column_names") and hasattr(source, "schema"):
        return SlicedRows(
            name="in the Arrow table",
            columns=source.column_names,
            units={},
            count=source.num_rows,
            cut=lambda name, rows: _in_one(source[name].slice(rows.start, rows.stop - rows.start)),
        )
    msg = f"catalogue of type {type(source).__name__}: expected a path, or a pandas, astropy or Arrow table"
    raise UsageError(msg)


def _in_one(column: Any) -> "pa.Array":
    """Give a column of an Arrow table in one piece, as that of a record batch is."""
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _open_astropy(table: Any, name: str) -> TableRows:
    """Take an astropy Table."""
    units = {c: getattr(table[c], "unit", None) for c in table.colnames}
    return SlicedRows(
        name=name,
        columns=table.colnames,
        units={c: str(unit) for c, unit in units.items() if unit is not None and str(unit)},
        count=len(table),
        cut=lambda column, rows: numpy_to_arrow(table[column][rows]),
    )


def series_to_arrow(series: Any) -> "pa.Array":
    """Make an Arrow column of a pandas one; one of mixed types becomes text.

    Parameters
    ----------
    series
        One value, or one list, a row.
    """
    import pyarrow as pa

    try:
        made = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # integers of more than 64 bits
        made = pa.array([None if _is_nothing(v) else str(v) for v in series], type=pa.string())
    return _in_one(made)


def _is_nothing(value: Any) -> bool:
    """Tell None, NaN and pandas' NA from values."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value  # noqa: PLR0124  # NaN


def numpy_to_arrow(values: Any) -> "pa.Array":
    """Make an Arrow column of a numpy or astropy one, null where it is masked.

    Parameters
    ----------
    values
        One value, or one list, a row.
    """
    import pyarrow as pa

    mask = np.asarray(values.mask) if getattr(values, "mask", None) is not None else None
    plain = getattr(values, "unmasked", values)
    array = np.ma.getdata(getattr(plain, "value", plain))
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind in "OU" or array.ndim > 1:
        items = array.tolist()
        given = items if mask is None else [None if m else v for v, m in zip(items, mask, strict=True)]
        try:
            return pa.array(given)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return pa.array([None if v is None else str(v) for v in given], type=pa.string())
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return pa.array(native, mask=mask)


class ParquetRows:
    """A parquet file, read by row group.

    Parameters
    ----------
    path
        Of the file.
    """

    units: Mapping[str, str]

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        self.name = str(path)
        self.columns: Sequence[str] = parquet.read_schema(path).names
        self.units = {}
        self._path = path

    def read(self, names: Sequence[str], step: int) -> Iterator[Rows]:
        """Yield pieces.

        Parameters
        ----------
        names
            Columns.
        step
            Rows of a piece.
        """
        from pyarrow import parquet

        start = 0
        with parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=step, columns=list(names)):
                columns = {name: batch.column(name) for name in names}
                yield Rows(numbers=np.arange(start, start + batch.num_rows), columns=columns)
                start += batch.num_rows


class FitsTableRows:
    """The first table of a FITS file.

    Parameters
    ----------
    path
        Of the file.
    """

    def __init__(self, path: Path) -> None:
        from snapdb.formats.table_rows import FitsRows

        self.name = str(path)
        self._rows = FitsRows(path)
        self.columns: Sequence[str] = self._rows.names
        self.units: Mapping[str, str] = self._rows.units

    def read(self, names: Sequence[str], step: int) -> Iterator[Rows]:
        """Yield pieces.

        Parameters
        ----------
        names
            Columns.
        step
            Rows of a piece.
        """
        for start, arrays in self._rows.read(names, step):
            columns = {name: numpy_to_arrow(values) for name, values in arrays.items()}
            count = len(next(iter(arrays.values())))
            yield Rows(numbers=np.arange(start, start + count), columns=columns)


def _open_votable(path: Path) -> TableRows:
    """Read a VOTable's first table; astropy has no reader in pieces."""
    import warnings

    from astropy.io.votable import parse_single_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # departures from the standard that do no harm
        table = parse_single_table(path, verify="ignore").to_table(use_names_over_ids=True)
    return _open_astropy(table, str(path))


def _open_ecsv(path: Path) -> TableRows:
    """Read an ECSV file."""
    from astropy.table import Table

    return _open_astropy(Table.read(path, format="ascii.ecsv"), str(path))


_OPENERS: dict[str, Any] = {
    ".csv": CsvRows,
    ".tsv": CsvRows,
    ".txt": CsvRows,
    ".parquet": ParquetRows,
    ".pq": ParquetRows,
    ".fits": FitsTableRows,
    ".fit": FitsTableRows,
    ".xml": _open_votable,
    ".vot": _open_votable,
    ".votable": _open_votable,
    ".ecsv": _open_ecsv,
}
