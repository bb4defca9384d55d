"""A table of positions against the images of an archive: which rows lie in which images."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from snapdb.archive.guard import check_output
from snapdb.archive.originals import search_originals
from snapdb.archive.paths import PathLike
from snapdb.archive.positions import load_arrow, take_positions
from snapdb.errors import UsageError
from snapdb.sky.matching import SortedPositions
from snapdb.sky.vectors import wrap_ra
from snapdb.storage import write_atomically
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from astropy.table import Table

    from snapdb.archive.archive import Archive
    from snapdb.model.search import Search
    from snapdb.registry.footprints import FootprintBlock

OnBadRow = Literal["raise", "skip"]
COLUMNS = ("row", "image_id", "band", "mjd")
"""What is told of each pair."""

_FORMATS = (".parquet", ".csv")
_SHOWN = 10
_DIGITS = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class MatchBlock:
    """Some of the pairs, column by column."""

    row: IntArray
    """Row of the position in its table, counted from 0."""
    image: IntArray
    """Place of the image in `images`."""
    images: "FootprintBlock"
    """Images to which the places belong."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def mjd(self) -> FloatArray:
        """Start of each exposure, days UTC; NaN where it is not known."""
        return self.images.mjd[self.image]

    def image_ids(self) -> tuple[NDArray[np.bytes_], IntArray]:
        """Give the ids of the images that occur, as ASCII text, and the place of each pair's among them."""
        found, places = np.unique(self.image, return_inverse=True)
        return _write_ids(self.images.ids[found]), places

    def to_table(self) -> "Table":
        """Make an astropy table; bands and times that are not known are masked."""
        from astropy.table import MaskedColumn, Table

        ids, places = self.image_ids()
        bands = np.array([name or "" for name in self.images.band_names], dtype=str)
        no_band = np.array([name is None for name in self.images.band_names], dtype=np.bool_)
        codes = self.images.bands[self.image]
        table = Table()
        table["row"] = self.row
        table["image_id"] = ids.astype("U36")[places]
        table["band"] = MaskedColumn(bands[codes], mask=no_band[codes])
        table["mjd"] = MaskedColumn(self.mjd, mask=np.isnan(self.mjd), unit="d")
        return table

    def to_arrow(self) -> "pa.Table":
        """Make an Arrow table; ids and bands are dictionaries, what is not known is null.

        Raises
        ------
        ConfigError
            If pyarrow is not installed.
        """
        pa = load_arrow()
        ids, places = self.image_ids()
        codes = self.images.bands[self.image].astype(np.int32)
        names = self.images.band_names
        unknown = names.index(None) if None in names else -1
        texts = [name or "" for name in names]  # a dictionary of nulls alone has no type
        ends = pa.py_buffer(np.arange(len(ids) + 1, dtype=np.int32) * ids.itemsize)
        texts_of_ids = pa.StringArray.from_buffers(len(ids), ends, pa.py_buffer(ids))
        columns = (
            pa.array(self.row),
            pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), texts_of_ids),
            pa.DictionaryArray.from_arrays(
                pa.array(codes, mask=codes == unknown), pa.array(texts, pa.string())
            ),
            pa.array(self.mjd, from_pandas=True),
        )
        return pa.Table.from_arrays(list(columns), schema=_arrow_schema(pa))


class MatchResult:
    """Pairs of a position and an image that contains it, found while they are asked for.

    Each iteration asks the archive anew and needs the room of one block, however many
    pairs there are. The order of the pairs is that of the sky, and means nothing.

    Parameters
    ----------
    archive : Archive
        What is asked.
    search : Search
        Which images.
    positions : SortedPositions
        The table's.
    rows : int
        How many rows the table has.
    skipped : array of int
        Rows that hold no position.
    """

    def __init__(
        self,
        archive: "Archive",
        search: "Search",
        positions: SortedPositions,
        *,
        rows: int,
        skipped: IntArray,
    ) -> None:
        self._archive = archive
        self._search = search
        self._positions = positions
        self.rows = rows
        """How many rows the table of positions has."""
        self.skipped = skipped
        """Rows that hold no position, and so are in no pair."""

    def __repr__(self) -> str:
        return f"<MatchResult of {self.rows} positions in {self._archive.url}>"

    def __iter__(self) -> Iterator["Table"]:
        """Give the pairs as astropy tables, one after another."""
        return (block.to_table() for block in self.iter_blocks())

    def iter_blocks(self) -> Iterator[MatchBlock]:
        """Give the pairs as plain arrays, block by block."""
        for images in self._archive.registry.iter_footprints(self._search):
            for row, image in self._positions.match(images):
                yield MatchBlock(row, image, images)

    def iter_arrow(self) -> Iterator["pa.Table"]:
        """Give the pairs as Arrow tables, one after another; see :meth:`MatchBlock.to_arrow`."""
        return (block.to_arrow() for block in self.iter_blocks())

    def count(self) -> int:
        """Count the pairs."""
        return sum(len(block) for block in self.iter_blocks())

    def to_table(self) -> "Table":
        """Give all pairs as one astropy table, sorted by row.

        Returns
        -------
        astropy.table.Table
            ``row``, ``image_id``, ``band``, ``mjd``.
        """
        from astropy.table import MaskedColumn, Table, vstack

        blocks = list(self)
        if not blocks:
            table = Table(names=COLUMNS, dtype=("int64", "U36", "U1", "float64"))
            table["band"], table["mjd"] = MaskedColumn(table["band"]), MaskedColumn(table["mjd"], unit="d")
            return table
        table = vstack(blocks)
        return table[np.argsort(table["row"], kind="stable")]

    def to_arrow(self) -> "pa.Table":
        """Give all pairs as one Arrow table.

        Raises
        ------
        ConfigError
            If pyarrow is not installed.
        """
        pa = load_arrow()
        blocks = list(self.iter_arrow())
        return pa.concat_tables(blocks).unify_dictionaries() if blocks else _arrow_schema(pa).empty_table()

    def write(self, path: PathLike, *, overwrite: bool = False) -> int:
        """Write the pairs to a file while they are found; it appears when it is complete.

        Parameters
        ----------
        path : path
            Its suffix tells the format: ``.parquet`` or ``.csv``.
        overwrite : bool
            Whether a file that is there is replaced.

        Returns
        -------
        int
            How many pairs.

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
        if target.suffix.lower() not in _FORMATS:
            msg = f"the format of {path} is not known by its name; expected {' or '.join(_FORMATS)}"
            raise UsageError(msg, path=str(path))
        check_output(target, overwrite=overwrite)
        write = self.write_parquet if target.suffix.lower() == ".parquet" else self.write_csv
        with write_atomically(target, overwrite=overwrite) as stream:
            return write(stream)

    def write_parquet(self, stream: BinaryIO) -> int:
        """Write the pairs as parquet, a row group a block, and count them.

        Raises
        ------
        ConfigError
            If pyarrow is not installed.
        """
        pa = load_arrow()
        from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        count = 0
        with parquet.ParquetWriter(stream, _arrow_schema(pa)) as writer:
            for table in self.iter_arrow():
                writer.write_table(table)
                count += table.num_rows
        return count

    def write_csv(self, stream: BinaryIO) -> int:
        """Write the pairs as CSV with a heading, empty where a value is not known, and count them."""
        count = 0
        text = TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
        try:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            for block in self.iter_blocks():
                writer.writerows(_plain_rows(block))
                count += len(block)
        finally:
            text.detach()  # the stream is the caller's, and stays open
        return count


def _write_ids(ids: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Write UUIDs, shape (n, 16), as text of 36 signs: a fiftieth of the time of one by one."""
    text = np.full((len(ids), 36), ord("-"), dtype=np.uint8)
    halves = np.stack((ids >> 4, ids & 15), axis=2).reshape(-1, 32)
    text[:, [n for n in range(36) if n not in (8, 13, 18, 23)]] = _DIGITS[halves]
    return text.view("S36")[:, 0]


def _plain_rows(block: MatchBlock) -> Iterator[tuple[Any, ...]]:
    """Give the pairs of a block one by one; None where a value is not known."""
    ids, places = block.image_ids()
    names, codes = block.images.band_names, block.images.bands[block.image]
    mjd = [None if day != day else day for day in block.mjd.tolist()]  # noqa: PLR0124  # NaN alone differs
    pairs = zip(block.row.tolist(), places.tolist(), codes.tolist(), mjd, strict=True)
    texts = ids.astype("U36").tolist()
    return ((row, texts[place], names[code], day) for row, place, code, day in pairs)


def match(
    archive: "Archive",
    table: Any,
    *,
    ra: str = "ra",
    dec: str = "dec",
    on_error: OnBadRow = "raise",
    **criteria: Any,
) -> MatchResult:
    """Find which positions of a table lie in which images.

    Parameters
    ----------
    archive : Archive
        What is asked.
    table : Table, path, SkyCoord, mapping, or arrays
        An astropy, Arrow or pandas table; a CSV, ECSV, parquet or FITS file; a dictionary of
        columns; ``(ra, dec)``; or one array of shape (rows, 2). Without units, numbers are
        ICRS degrees.
    ra, dec : str
        Names of the table's columns.
    on_error : str
        What becomes of rows that hold no position (empty, no number, not finite, or beyond a pole):
        ``raise`` refuses the table, ``skip`` leaves them out and lists them in the result.
    **criteria : object
        Which images, as :meth:`snapdb.Archive.find_images` takes them. Kept cutouts are left out
        unless ``kind`` asks for them.

    Returns
    -------
    MatchResult
        Finds the pairs when it is iterated, written or turned into a table.

    Raises
    ------
    UsageError
        If a column is missing, or rows hold no position; the message names rows, from 0.
    SearchError
        If a criterion is unknown.
    ObjectMissingError
        If there is no such file.
    FormatError
        If it cannot be read as a table.
    """
    if on_error not in get_args(OnBadRow):
        msg = f"on_error={on_error!r} is unknown; expected one of {', '.join(get_args(OnBadRow))}"
        raise UsageError(msg, on_error=on_error)
    search = search_originals(archive, criteria)
    odd: dict[int, str] = {}
    right, up = take_positions(table, ra, dec, odd=odd)
    bad = ~(np.isfinite(right) & (np.abs(up) <= 90.0))
    skipped = np.flatnonzero(bad)
    if len(skipped) and on_error == "raise":
        raise _describe_bad(table, right, up, skipped, odd)
    positions = SortedPositions(*_settle(right, up, bad))
    return MatchResult(archive, search, positions, rows=len(right), skipped=skipped)


def _settle(ra: FloatArray, dec: FloatArray, bad: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Bring right ascensions into [0, 360), and make bad rows lie nowhere."""
    inside = (ra >= 0.0) & (ra < 360.0)
    wrapped = np.where(inside, ra, wrap_ra(ra))
    return np.where(bad, np.nan, wrapped), np.where(bad, np.nan, dec)


def _describe_bad(
    table: Any, ra: FloatArray, dec: FloatArray, rows: IntArray, odd: dict[int, str]
) -> UsageError:
    """Make the error that names rows without a position, and the file that they are in."""
    first = rows[:_SHOWN].tolist()
    shown = ", ".join(f"{row} ({odd.get(row) or f'ra {ra[row]:g}, dec {dec[row]:g}'})" for row in first)
    where = f"{table}: " if isinstance(table, str | Path) else ""
    more = f" and {len(rows) - len(first)} more" if len(rows) > len(first) else ""
    msg = (
        f"{where}{len(rows)} of {len(ra)} rows hold no position, counted from 0: {shown}{more}; expected "
        "finite right ascensions, and declinations from -90 to 90 degrees; on_error='skip' "
        "(--on-error skip) leaves them out"
    )
    return UsageError(msg, rows=rows.tolist())


def _arrow_schema(pa: Any) -> Any:
    """Give the columns' types in Arrow and parquet."""
    text = pa.dictionary(pa.int32(), pa.string())
    day = pa.field("mjd", pa.float64(), metadata={"unit": "d"})
    return pa.schema([("row", pa.int64()), ("image_id", text), ("band", text), day])
