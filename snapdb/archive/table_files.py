"""Tables as files that appear when they are complete."""

import json
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.archive.positions import load_arrow
from snapdb.errors import UsageError
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    from astropy.table import Table


def write_file(
    path: PathLike,
    formats: Mapping[str, str],
    write: Callable[[BinaryIO, str], None],
    *,
    overwrite: bool = False,
) -> Path:
    """Write a file in the format that its name says.

    Parameters
    ----------
    path : path
        Its suffix is one of `formats`.
    formats : mapping
        Suffix -> name of the format.
    write : callable
        Writes to an open binary file in a format; it leaves the file open.
    overwrite : bool
        Whether a file that is there is replaced; one that an archive has registered never is.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError
        If the suffix is another.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    form = formats.get(target.suffix.lower())
    if form is None:
        msg = f"the format of {path} is not known by its name; expected {', '.join(formats)}"
        raise UsageError(msg, path=str(path))
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as stream:
        write(stream, form)
    return target


def write_text(table: "Table", stream: BinaryIO, form: str) -> None:
    """Write a table to an open binary file in one of astropy's formats of text.

    Parameters
    ----------
    table : Table
        Any.
    stream : binary file
        It stays open.
    form : str
        Such as ``ascii.ecsv``.
    """
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        table.write(text, format=form)
        text.flush()
    finally:
        text.detach()


def write_json(table: "Table", stream: BinaryIO, *, lines: bool) -> None:
    """Write a table to an open binary file as JSON: an object a row, null for what is not known.

    Parameters
    ----------
    table : Table
        Of columns without mixins; what is masked or NaN is not known.
    stream : binary file
        It stays open.
    lines : bool
        Whether each row is a line of its own, and not all are one list.
    """
    columns = [_to_plain(column) for column in table.itercols()]
    rows = [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows) if lines else f"{json.dumps(rows, indent=1)}\n"
    stream.write(text.encode())


def write_parquet(table: "Table", stream: BinaryIO) -> None:
    """Write a table to an open binary file as parquet; units are in the fields' metadata.

    Parameters
    ----------
    table : Table
        Of columns without mixins; what is masked or NaN is null.
    stream : binary file
        It stays open.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    pa = load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    types = {"U": pa.string(), "f": pa.float64(), "i": pa.int64(), "b": pa.bool_()}
    columns = list(table.itercols())
    fields = [
        pa.field(c.name, types[c.dtype.kind], metadata={"unit": str(c.unit)} if c.unit else None)
        for c in columns
    ]
    arrays = [pa.array(_to_plain(c), field.type) for c, field in zip(columns, fields, strict=True)]
    parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), stream)


def _to_plain(column: Any) -> list[Any]:
    """Give a column's values, None for what is masked or NaN."""
    values = np.ma.asarray(column)
    unknown = np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        unknown = unknown | np.isnan(np.ma.getdata(values))
    known = zip(np.ma.getdata(values).tolist(), unknown.tolist(), strict=True)
    return [None if lost else value for value, lost in known]
