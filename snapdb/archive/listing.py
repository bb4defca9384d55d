"""Rows of images as tables: astropy's, Arrow's, pandas', and files of them."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, SupportsIndex, TypeVar, overload

from snapdb.archive.columns import TYPES, UNITS, Row, make_row
from snapdb.archive.described import DescribedImage
from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.archive.positions import load_arrow
from snapdb.archive.votables import write_votable
from snapdb.errors import ConfigError, UsageError
from snapdb.formats.table_fits import write_table_fits
from snapdb.model.image import ImageRecord
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from astropy.table import Table

I = TypeVar("I", bound=DescribedImage)  # noqa: E741  # an image

_TABLES = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
}
_GROUP = 50_000
"""Rows of a row group of parquet."""


class ImageList(list[I]):
    """Images, in the order asked for, that can also be had as a table of what is known of them."""

    def __repr__(self) -> str:
        return f"<ImageList of {len(self)} images>"

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> I: ...
    @overload
    def __getitem__(self, index: slice, /) -> "ImageList[I]": ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> "I | ImageList[I]":
        """Give one image, or some of them, of which a table can be had too."""
        return (
            ImageList(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)
        )

    @property
    def records(self) -> list[ImageRecord]:
        """What the registry knows of each."""
        return [image.record for image in self if image.record is not None]

    def to_table(self) -> "Table":
        """Make an astropy table with units; see :func:`to_table`."""
        return to_table(self.records)

    def to_pandas(self) -> "pd.DataFrame":
        """Make a pandas data frame; see :func:`to_pandas`."""
        return to_pandas(self.records)

    def to_arrow(self) -> "pa.Table":
        """Make an Arrow table; see :func:`to_arrow`."""
        return to_arrow(self.records)

    def write(self, path: PathLike, *, overwrite: bool = False) -> int:
        """Write a table file; see :func:`write_listing`."""
        return write_listing(self.records, path, overwrite=overwrite)


def to_table(records: Iterable[ImageRecord]) -> "Table":
    """Make an astropy table of what the registry knows of images.

    Parameters
    ----------
    records : iterable of ImageRecord
        A row each.

    Returns
    -------
    astropy.table.Table
        Columns with units; what is not known is masked, ids are text.
    """
    return make_table([make_row(record) for record in records])


def make_table(rows: Sequence[Row]) -> "Table":
    """Make an astropy table of rows as :func:`snapdb.archive.columns.make_row` gives them."""
    from astropy.table import MaskedColumn, Table

    table = Table()
    for name, unit in UNITS.items():
        values = [row[name] for row in rows]
        empty = "" if TYPES[name] == "str" else 0
        table[name] = MaskedColumn(
            [empty if v is None else v for v in values],
            mask=[v is None for v in values],
            dtype=TYPES[name],
            unit=unit,
        )
    return table


def to_arrow(records: Iterable[ImageRecord]) -> "pa.Table":
    """Make an Arrow table of what the registry knows of images.

    Parameters
    ----------
    records : iterable of ImageRecord
        A row each.

    Returns
    -------
    pyarrow.Table
        Units are in the fields' metadata; what is not known is null.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    pa = load_arrow()
    return pa.Table.from_pylist([make_row(record) for record in records], schema=_arrow_schema(pa))


def to_pandas(records: Iterable[ImageRecord]) -> "pd.DataFrame":
    """Make a pandas data frame of what the registry knows of images.

    Parameters
    ----------
    records : iterable of ImageRecord
        A row each.

    Returns
    -------
    pandas.DataFrame
        Integers that may be missing are ``Int64``, texts ``string``, numbers ``float64``.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    try:
        import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "to_pandas needs the package pandas, which is not installed: pip install pandas"
        raise ConfigError(msg, package="pandas") from err
    rows = [make_row(record) for record in records]
    types = {"str": "string", "int": "Int64", "float": "float64"}
    return pd.DataFrame({n: pd.array([r[n] for r in rows], dtype=types[TYPES[n]]) for n in UNITS})


def write_listing(records: Iterable[ImageRecord], path: PathLike, *, overwrite: bool = False) -> int:
    """Write what the registry knows of images to a table file, which appears when it is complete.

    Parameters
    ----------
    records : iterable of ImageRecord
        A row each; parquet takes any number of them in bounded memory.
    path : path
        Its suffix tells the format: ``.parquet``, ``.ecsv``, ``.csv``, ``.fits``, ``.vot``.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    int
        How many rows.

    Raises
    ------
    UsageError
        If the suffix is another.
    ConfigError
        If the format needs a package that is not installed.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    suffix = target.suffix.lower()
    if suffix != ".parquet" and suffix not in _TABLES:
        msg = f"the format of {path} is not known by its name; expected .parquet, {', '.join(_TABLES)}"
        raise UsageError(msg, path=str(path))
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as stream:
        if suffix == ".parquet":
            return write_parquet(map(make_row, records), stream)
        return _write(records, stream, suffix)


def write_parquet(rows: Iterable[Row], stream: BinaryIO) -> int:
    """Write rows as parquet, in bounded memory, and count them.

    Parameters
    ----------
    rows : iterable of dict
        As :func:`snapdb.archive.columns.make_row` gives them.
    stream : binary file
        Where to.

    Returns
    -------
    int
        How many rows.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    pa = load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    count = 0
    with parquet.ParquetWriter(stream, _arrow_schema(pa)) as writer:
        rest = iter(rows)
        while some := list(islice(rest, _GROUP)):
            writer.write_table(pa.Table.from_pylist(some, schema=_arrow_schema(pa)))
            count += len(some)
    return count


def _write(records: Iterable[ImageRecord], stream: BinaryIO, suffix: str) -> int:
    """Write rows through an astropy table."""
    from io import TextIOWrapper

    table = to_table(records)
    if suffix == ".fits":
        write_table_fits(table, stream)
        return len(table)
    if _TABLES[suffix] == "votable":
        write_votable(table, stream)
        return len(table)
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        table.write(text, format=_TABLES[suffix])
        text.flush()
    finally:
        text.detach()  # the stream is the caller's, and stays open
    return len(table)


def _arrow_schema(pa: Any) -> Any:
    """Give the fields of a listing, with their units."""
    types = {"str": pa.string(), "float": pa.float64(), "int": pa.int64()}
    return pa.schema(
        [
            pa.field(name, types[TYPES[name]], metadata={"unit": unit} if unit else None)
            for name, unit in UNITS.items()
        ]
    )
