"""Files of ObsCore rows: what a search finds, for those who speak the IVOA's language."""

import csv
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args
from typing import Literal as OneOf

from snapdb.archive.guard import check_output
from snapdb.archive.moving.fields import COLUMNS
from snapdb.archive.moving.obscore import HeldFile, Publisher, Row, make_rows
from snapdb.archive.paths import PathLike
from snapdb.archive.positions import load_arrow
from snapdb.archive.votables import write_votable as write_table
from snapdb.errors import UsageError
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from astropy.table import MaskedColumn, Table

    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord

ExportFormat = OneOf["parquet", "votable", "ecsv", "csv"]
Blocks = Iterator[list[Row]]

_SUFFIXES: dict[str, ExportFormat] = {
    ".parquet": "parquet",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".ecsv": "ecsv",
    ".csv": "csv",
}
_BLOCK = 10_000
"""Rows made at once, and in a row group of parquet."""
_NUMPY = {"int": "int32", "long": "int64", "double": "float64"}
_MODEL = {"name": "ObsCore", "version": "1.1", "ivo_id": "ivo://ivoa.net/std/ObsCore#core-1.1"}


def choose_export_format(path: Path, form: str | None) -> ExportFormat:
    """Tell the format of an export: the one named, else by the file's suffix.

    Raises
    ------
    UsageError
        If neither tells it.
    """
    if form is None:
        found = _SUFFIXES.get(path.suffix.lower())
        if found is None:
            msg = f"the format of {path} is not known by its name; expected {', '.join(_SUFFIXES)}"
            raise UsageError(msg, path=str(path))
        return found
    for known in get_args(ExportFormat):
        if form == known:
            return known  # type: ignore[no-any-return]
    msg = f"format={form!r} is unknown; expected one of {', '.join(get_args(ExportFormat))}"
    raise UsageError(msg, format=form)


def export(
    archive: "Archive",
    path: PathLike,
    form: str | None = None,
    *,
    overwrite: bool = False,
    publisher: Publisher | None = None,
    **criteria: Any,
) -> int:
    """Write the images that a search finds as a table with the columns of ObsCore 1.1.

    Parameters
    ----------
    archive : Archive
        What is asked.
    path : path
        The file; it appears when it is complete.
    form : str, optional
        ``parquet`` or ``csv``, written in bounded memory, or ``votable`` or ``ecsv``, held as a
        whole; by the file's suffix by default.
    overwrite : bool
        Whether a file that is there is replaced.
    publisher : Publisher, optional
        Who publishes, and under which URLs.
    **criteria : object
        Which images, as :meth:`snapdb.Archive.find_images` takes them.

    Returns
    -------
    int
        How many images.

    Raises
    ------
    UsageError
        If the format is not known.
    SearchError
        If a criterion is unknown.
    ConfigError
        If the format needs a package that is not installed.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    chosen = choose_export_format(target, form)
    blocks = iter_blocks(archive, publisher, **criteria)
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as stream:
        return write_blocks(blocks, stream, chosen)


def write_blocks(blocks: Blocks, stream: BinaryIO, form: ExportFormat) -> int:
    """Write rows in a format, and count them.

    Parameters
    ----------
    blocks : iterator of list of dict
        From :func:`iter_blocks`.
    stream : binary file
        Where to.
    form : str
        From :func:`choose_export_format`.
    """
    return _WRITERS[form](blocks, stream)


def iter_blocks(archive: "Archive", publisher: Publisher | None = None, **criteria: Any) -> Blocks:
    """Make the rows of the images that a search finds, some at a time.

    Parameters
    ----------
    archive : Archive
        What is asked.
    publisher : Publisher, optional
        What all rows share.
    **criteria : object
        Which images.

    Returns
    -------
    iterator of list of dict
        At most 10,000 rows each; see :func:`snapdb.archive.moving.obscore.make_rows`.
    """
    search = archive.make_search(**criteria)

    def blocks() -> Blocks:
        records = archive.registry.iter_images(search, batch=_BLOCK)
        while some := list(islice(records, _BLOCK)):
            yield _make_block(archive, some, publisher)

    return blocks()


def _make_block(
    archive: "Archive", records: "Sequence[ImageRecord]", publisher: Publisher | None
) -> list[Row]:
    """Make the rows of some records."""
    registry, store = archive.registry, archive.store
    ids = [record.id for record in records]
    files = {
        id_: HeldFile(path=store.path_of(planes[0].file_key), size=planes[0].file_size)
        for id_, planes in registry.get_planes(ids).items()
    }
    return make_rows(records, registry.get_footprints(ids), files, publisher)


def make_schema() -> "pa.Schema":
    """Make the Arrow schema of ObsCore: units, UCDs and utypes stand in the fields' metadata.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    pa = load_arrow()
    types = {"text": pa.string(), "int": pa.int32(), "long": pa.int64(), "double": pa.float64()}
    fields = [
        pa.field(c.name, types[c.type], nullable=c.nullable, metadata=_describe(c.name)) for c in COLUMNS
    ]
    return pa.schema(fields, metadata={f"datamodel.{name}": value for name, value in _MODEL.items()})


def _describe(name: str) -> dict[str, str]:
    """Give what is told of a column, without what it has not."""
    column = next(c for c in COLUMNS if c.name == name)
    told = {
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": f"obscore:{column.utype}",
        "xtype": column.xtype,
        "description": column.description,
    }
    return {key: value for key, value in told.items() if value is not None}


def write_parquet(blocks: Blocks, stream: BinaryIO) -> int:
    """Write rows as parquet, a row group a block, and count them.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    """
    pa = load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    count, schema = 0, make_schema()
    with parquet.ParquetWriter(stream, schema) as writer:
        for rows in blocks:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def write_csv(blocks: Blocks, stream: BinaryIO) -> int:
    """Write rows as CSV with a heading, empty where a value is not known, and count them."""
    count = 0
    text = TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.DictWriter(text, [c.name for c in COLUMNS], lineterminator="\n")
        writer.writeheader()
        for rows in blocks:
            writer.writerows(rows)
            count += len(rows)
    finally:
        text.detach()  # the stream is the caller's, and stays open
    return count


def to_obscore_table(rows: Sequence[Row]) -> "Table":
    """Make an astropy table of rows; what is not known is masked."""
    from astropy.table import Table

    table = Table(meta={"datamodel": dict(_MODEL)})
    for column in COLUMNS:
        table[column.name] = _make_column(column.name, [row[column.name] for row in rows])
    return table


def _make_column(name: str, values: Sequence[Any]) -> "MaskedColumn":
    """Make one column of an astropy table."""
    import numpy as np
    from astropy.table import MaskedColumn

    column = next(c for c in COLUMNS if c.name == name)
    text = column.type == "text"
    filled = [("" if text else 0) if value is None else value for value in values]
    told = _describe(name)
    return MaskedColumn(
        np.array(filled, dtype=str if text else _NUMPY[column.type]),
        mask=[value is None for value in values],
        unit=column.unit,
        description=column.description,
        meta={key: told[key] for key in ("ucd", "utype", "xtype") if key in told},
    )


def write_votable(blocks: Blocks, stream: BinaryIO) -> int:
    """Write rows as a VOTable, and count them."""
    table = to_obscore_table([row for rows in blocks for row in rows])
    write_table(table, stream, binary=True)
    return len(table)


def write_ecsv(blocks: Blocks, stream: BinaryIO) -> int:
    """Write rows as ECSV, and count them."""
    table = to_obscore_table([row for rows in blocks for row in rows])
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        table.write(text, format="ascii.ecsv")
        text.flush()
    finally:
        text.detach()  # the stream is the caller's, and stays open
    return len(table)


_WRITERS = {"parquet": write_parquet, "votable": write_votable, "ecsv": write_ecsv, "csv": write_csv}
