"""Tables of positions as users have them, as two columns of degrees."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.errors import ConfigError, FormatError, ObjectMissingError, ShapeError, UnitError, UsageError
from snapdb.sky.units import split_coordinates, to_degrees
from snapdb.types import FloatArray


def take_positions(
    table: Any, ra: str, dec: str, *, odd: dict[int, str] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Give the positions of a table of any kind as two columns of degrees.

    Parameters
    ----------
    table : Table, path, SkyCoord, mapping, or arrays
        An astropy, Arrow or pandas table; a CSV, ECSV, parquet, FITS or VOTable file; a dictionary of
        columns; ``(ra, dec)``; or one array of shape (rows, 2).
    ra, dec : str
        Names of the table's columns. Columns without a unit are ICRS degrees.
    odd : dict, optional
        Takes up the text of rows whose text is no angle, by the row's number from 0: they are NaN
        then. Without it they are refused.

    Returns
    -------
    ra, dec : array, shape (rows,)
        As they are: NaN where masked, nothing wrapped.

    Raises
    ------
    UsageError
        If a column is missing, or holds no angles, or the suffix says no format, or it is no table.
    ShapeError
        If the columns do not fit together.
    ObjectMissingError
        If there is no such file.
    FormatError
        If it cannot be read as a table.
    """
    if isinstance(table, str | Path):
        table = _read_table(Path(table), (ra, dec))
    if hasattr(table, "transform_to"):
        right, up = split_coordinates(table, None)
    else:
        given = (_fill(column) for column in _take_columns(table, ra, dec))
        pairs = zip(("ra", "dec"), given, strict=True)
        right, up = split_coordinates(*(_read_texts(column, name, odd) for name, column in pairs))
    columns = np.asarray(right, dtype=np.float64), np.asarray(up, dtype=np.float64)
    if columns[0].ndim != 1:
        msg = f"positions of shape {columns[0].shape}: expected one column of ra and one of dec"
        raise ShapeError(msg, shape=columns[0].shape)
    return columns


def _take_columns(table: Any, ra: str, dec: str) -> tuple[Any, Any]:
    """Give the two columns of what has any."""
    if isinstance(table, tuple | list) and len(table) == 2:
        return table[0], table[1]
    if isinstance(table, np.ndarray) and table.dtype.names is None and table.shape[1:] == (2,):
        return table[:, 0], table[:, 1]
    if _find_names(table) is None:
        shape = f" of shape {table.shape}" if isinstance(table, np.ndarray) else ""
        msg = (
            f"a {type(table).__name__}{shape} is no table of positions; expected a table or a dictionary of "
            "columns, a file, a SkyCoord, (ra, dec), or an array of shape (rows, 2)"
        )
        raise UsageError(msg, given=type(table).__name__)
    return _get_column(table, ra), _get_column(table, dec)


def _get_column(table: Any, name: str) -> Any:
    """Give a table's column, and name those there are when it is missing."""
    names = _find_names(table) or []
    if name not in names:
        known = ", ".join(map(str, names)) or f"none in a {type(table).__name__}"
        msg = (
            f"the table has no column {name!r}; there are {known}; say which ones hold the positions by "
            "ra and dec (--ra-column, --dec-column)"
        )
        raise UsageError(msg, column=name)
    return table[name]


def _find_names(table: Any) -> list[Any] | None:
    """Give the names of a table's columns; None where it is no table."""
    if isinstance(table, Mapping):
        return list(table)
    if isinstance(table, np.ndarray):
        return None if table.dtype.names is None else list(table.dtype.names)
    for attribute in ("colnames", "column_names", "columns"):
        names = getattr(table, attribute, None)
        if names is not None:
            return list(names)
    return None


def _read_texts(column: Any, name: str, odd: dict[int, str] | None) -> Any:
    """Read a column of text, NaN where it is empty or, if `odd` takes it up, no angle; others stay."""
    array = column if hasattr(column, "dtype") else np.asarray(column, dtype=object)
    if odd is None or array.dtype.kind not in "UO" or array.ndim != 1:
        return column
    mask = np.broadcast_to(np.asarray(getattr(array, "mask", False)), array.shape)
    degrees = np.full(array.shape, np.nan)
    for row, item in enumerate(np.asarray(array).tolist()):
        if mask[row] or item is None or item == "":
            continue
        try:
            degrees[row] = to_degrees(item, name=name)
        except UnitError:
            raise
        except UsageError:
            odd.setdefault(row, f"{name} {item!r:.40}")
    return degrees


def _fill(column: Any) -> Any:
    """Give a column with NaN where it is masked, and its unit, if it has one, attached."""
    if hasattr(column, "to_numpy"):
        column = column.to_numpy()
    if getattr(column, "mask", None) is not None:
        kind = getattr(column, "dtype", np.dtype(float)).kind
        if kind in "iuf":
            unit = getattr(column, "unit", None)
            mask = np.asarray(column.mask)
            plain = np.where(mask, np.nan, np.asarray(getattr(column, "unmasked", column), dtype=np.float64))
            return plain if unit is None else plain * unit
    if getattr(column, "unit", None) is not None and not hasattr(column, "to_value"):
        return column.quantity
    return column.tolist() if getattr(getattr(column, "dtype", None), "kind", "") == "S" else column


def _read_table(path: Path, names: tuple[str, str]) -> Any:
    """Read the two columns, or all, of a file."""
    if not path.is_file():
        msg = f"{path}: no such file; expected a table of positions"
        raise ObjectMissingError(msg, path=str(path))
    suffix = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    read = _READERS.get(suffix.lower())
    if read is None:
        msg = f"{path}: the suffix {suffix!r} says no format; expected one of {', '.join(_READERS)}"
        raise UsageError(msg, path=str(path))
    try:
        return read(path, names)
    except (OSError, ValueError, TypeError, KeyError) as err:
        if isinstance(err, ConfigError):
            raise
        msg = f"{path} cannot be read as a table: {err}"
        raise FormatError(msg, path=str(path)) from err


def _read_parquet(path: Path, names: tuple[str, str]) -> Any:
    """Read a parquet file's columns; all names are there for the message if one is missing."""
    load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    there = [name for name in names if name in parquet.read_schema(path).names]
    return parquet.read_table(path, columns=there if len(there) == len(names) else None)


def _read_as(form: str) -> Callable[[Path, tuple[str, str]], Any]:
    """Make the reader of one of astropy's formats."""

    def read(path: Path, names: tuple[str, str]) -> Any:  # noqa: ARG001  # the readers' signature
        from astropy.table import Table

        return Table.read(path, format=form)

    return read


_READERS: dict[str, Callable[[Path, tuple[str, str]], Any]] = {
    ".csv": _read_as("ascii.csv"),
    ".ecsv": _read_as("ascii.ecsv"),
    ".fits": _read_as("fits"),
    ".fit": _read_as("fits"),
    **dict.fromkeys((".vot", ".votable", ".xml"), _read_as("votable")),
    ".parquet": _read_parquet,
}


def load_arrow() -> Any:
    """Load pyarrow, which is optional.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import pyarrow
    except ImportError as err:
        msg = "this needs the package pyarrow, which is not installed: pip install 'snapdb[parquet]'"
        raise ConfigError(msg, package="pyarrow") from err
    return pyarrow
