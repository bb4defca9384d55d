"""Footprints of the images that a search finds, column by column: for questions of many positions."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, LargeBinary, Text, func, type_coerce

from snapdb.errors import RegistryError
from snapdb.model.search import Search
from snapdb.registry.ewkb import write_polygon
from snapdb.registry.queries import Shape, Statement, build_select, compile_select, make_statement, shape_of
from snapdb.registry.tables import image
from snapdb.sky.matching import CutFootprints, cut_footprints
from snapdb.types import FloatArray, IntArray

Bytes = NDArray[np.uint8]

_FETCH = 20_000
"""Rows that are taken apart at once: as objects they take ten times the room of the columns."""

_HEAD = np.frombuffer(write_polygon([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])[:13], dtype=np.uint8)
"""What the bytes of every footprint begin with: byte order, type, reference system, one ring."""
_BEFORE, _POINT = 17, 16
"""Bytes before the first vertex, and of one vertex."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What a binary COPY begins with (PostgreSQL manual, COPY, File Formats); ``_END`` is its last word."""
_END = b"\xff\xff"
_ID, _MJD, _SIZE, _FOOTPRINT = 6, 26, 34, 38
"""Where, in a copied row, id and mjd and the footprint's size and bytes begin; the band comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FootprintBlock(CutFootprints):
    """Some images' footprints, cut into convex pieces, with what names the images."""

    ids: Bytes
    """Ids, shape (images, 16)."""
    bands: IntArray
    """Places in ``band_names``."""
    band_names: tuple[str | None, ...]
    """Bands that occur, None for one that is not known."""
    mjd: FloatArray
    """Start of the exposures, days UTC; NaN where it is not known."""

    def id_of(self, number: int) -> UUID:
        """Give the id of one image."""
        return UUID(bytes=self.ids[number].tobytes())


def read_footprints(
    connection: Connection, dialect: str, search: Search, batch: int
) -> Iterator[FootprintBlock]:
    """Read footprints block by block; see :meth:`Registry.iter_footprints`."""
    statement = make_footprint_statement(search, dialect)
    driver: Any = connection.connection.driver_connection
    read = _copy if dialect == "postgresql" else _fetch
    held: list[FootprintBlock] = []
    with closing(driver.cursor()) as cursor, closing(read(cursor, statement, min(batch, _FETCH))) as parts:
        for part in parts:
            if held and sum(map(len, held)) + len(part) > batch:
                yield _join(held)
                held = []
            held.append(part)
    if held:
        yield _join(held)


def make_footprint_statement(search: Search, dialect: str) -> Statement:
    """Make the statement of a search that can match something.

    Parameters
    ----------
    search : Search
        The question.
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    Statement
        Its rows hold id, mjd, footprint as EWKB, and band; on PostgreSQL it is a COPY.
    """
    sql, constants = _compile(shape_of(search), dialect)
    return Statement(sql, {**make_statement(search, dialect).values, **constants})


@lru_cache(maxsize=256)
def _compile(shape: Shape, dialect: str) -> tuple[str, dict[str, Any]]:
    """Write the statement of a shape, with the values that every such search has."""
    footprint = type_coerce(image.c.footprint, LargeBinary)
    query = build_select(shape, dialect)
    if not (shape.limited or shape.shifted):
        query = query.order_by(None)  # the order chooses nothing, and a million rows are not sorted for free
    columns: tuple[Any, ...]
    if dialect == "postgresql":
        columns = (func.uuid_send(image.c.id), func.coalesce(image.c.mjd, float("nan")), footprint)
    else:
        columns = (type_coerce(image.c.id, Text), image.c.mjd, footprint)
    columns = (*columns, image.c.band)
    sql, constants = compile_select(query.with_only_columns(*columns, maintain_column_froms=True), dialect)
    return f"COPY ({sql}) TO STDOUT (FORMAT BINARY)" if dialect == "postgresql" else sql, constants


def _fetch(cursor: Any, statement: Statement, step: int) -> Generator[FootprintBlock, None, None]:
    """Read rows as the driver's objects."""
    cursor.execute(statement.sql, statement.values)
    while rows := cursor.fetchmany(step):
        ids, mjd, polygons, bands = zip(*rows, strict=True)
        places = {band: n for n, band in enumerate(dict.fromkeys(bands))}
        all_ids = np.frombuffer(bytes.fromhex("".join(ids)), dtype=np.uint8).reshape(-1, 16)
        all_mjd = np.array(mjd, dtype=np.float64)
        all_bands = np.array([places[band] for band in bands], dtype=np.int64)
        for some, table in _by_size(polygons):
            yield _make_block(all_ids[some], all_mjd[some], table, all_bands[some], tuple(places))


def _copy(cursor: Any, statement: Statement, step: int) -> Generator[FootprintBlock, None, None]:
    """Read rows as the bytes of a COPY, each a message: a cursor of objects takes longer."""
    with cursor.copy(statement.sql, statement.values) as copy:
        messages = _read_messages(copy, cursor.connection.pgconn)
        first = [bytes(message).removeprefix(_SIGNATURE) for message in islice(messages, 1)]
        while rows := [*first, *islice(messages, step - len(first))]:
            first = []
            for _, table in _by_size([row for row in rows if len(row) > len(_END)]):
                yield from _take_apart(table)


def _read_messages(copy: Any, connection: Any) -> Iterator[Any]:
    """Take messages that have arrived straight from libpq, and let psycopg wait for more and end it."""
    ended = False
    while not ended:
        size, message = connection.get_copy_data(1)
        if size <= 0:
            message = copy.read()
        # Where there is no row, the end comes with the signature.
        ended = len(message) <= len(_SIGNATURE + _END) and bytes(message).endswith(_END)
        yield message
    copy.read()  # nothing more comes, which psycopg has to see


def _take_apart(table: Bytes) -> Iterator[FootprintBlock]:
    """Take copied rows of one length apart: each field is its size, four bytes, and its value."""
    sizes = _read_integers(table, _SIZE)
    for size in set(sizes.tolist()):
        rows = table[sizes == size]
        end = _FOOTPRINT + size
        width = rows.shape[1] - end - 4
        if size < _BEFORE or width < 0 or np.any(np.maximum(_read_integers(rows, end), 0) != width):
            msg = "the server's COPY is not what PostgreSQL writes, one row a message"
            raise RegistryError(msg)
        if width:
            texts = rows[:, end + 4 :].copy().view(f"S{width}")[:, 0]
            found, bands = np.unique(texts, return_inverse=True)
            names: tuple[str | None, ...] = tuple(text.decode() for text in found.tolist())
        else:
            bands, names = _read_integers(rows, end) + 1, (None, "")  # sizes -1 and 0
        mjd = rows[:, _MJD : _MJD + 8].copy().view(">f8")[:, 0].astype(np.float64)
        yield _make_block(rows[:, _ID : _ID + 16], mjd, rows[:, _FOOTPRINT:end], bands, names)


def _read_integers(rows: Bytes, start: int) -> IntArray:
    """Read four bytes of each row as an integer."""
    return np.asarray(rows[:, start : start + 4].copy().view(">i4")[:, 0], dtype=np.int64)


def _by_size(values: Sequence[Any]) -> Iterator[tuple[IntArray, Bytes]]:
    """Put byte strings of one length into a table: their places, and the bytes."""
    sizes = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    for size in set(sizes.tolist()):
        places = np.flatnonzero(sizes == size)
        some = values if len(places) == len(values) else [values[n] for n in places.tolist()]
        yield places, np.frombuffer(b"".join(some), dtype=np.uint8).reshape(-1, size)


def read_rings(polygons: Sequence[bytes]) -> tuple[FloatArray, IntArray]:
    """Read the vertices of footprints, one after another, and how many each has.

    Parameters
    ----------
    polygons : sequence of bytes
        EWKB, as the registry keeps it.

    Returns
    -------
    vertices : array, shape (n, 2)
        (ra, dec), degrees, in ring order, open.
    counts : array of int
        Vertices of each footprint.

    Raises
    ------
    RegistryError
        If one is no polygon of one ring.
    """
    counts = np.zeros(len(polygons), dtype=np.int64)
    tables = [(places, _read_vertices(table)) for places, table in _by_size(polygons)]
    for places, rings in tables:
        counts[places] = rings.shape[1]
    starts = np.cumsum(counts) - counts
    vertices = np.empty((int(counts.sum()), 2))
    for places, rings in tables:
        vertices[starts[places, None] + np.arange(rings.shape[1])] = rings
    return vertices, counts


def _read_vertices(polygons: Bytes) -> FloatArray:
    """Read polygons of one size: shape (polygons, vertices, 2)."""
    n = (polygons.shape[1] - _BEFORE) // _POINT - 1  # the first vertex is repeated
    if n < 3 or np.any(polygons[:, : len(_HEAD)] != _HEAD):
        msg = "a footprint in the registry is no polygon of one ring; snapdb did not write it"
        raise RegistryError(msg)
    return polygons[:, _BEFORE : _BEFORE + n * _POINT].copy().view("<f8").reshape(len(polygons), n, 2)


def _make_block(
    ids: Bytes, mjd: FloatArray, polygons: Bytes, bands: IntArray, names: tuple[str | None, ...]
) -> FootprintBlock:
    """Read polygons of one size, and cut them."""
    rings = _read_vertices(polygons)
    cut = cut_footprints(rings.reshape(-1, 2), np.full(len(rings), rings.shape[1], dtype=np.int64))
    return FootprintBlock(
        normals=cut.normals,
        owners=cut.owners,
        centers=cut.centers,
        radii=cut.radii,
        ids=ids,
        bands=bands,
        band_names=names,
        mjd=mjd,
    )


def _join(blocks: Sequence[FootprintBlock]) -> FootprintBlock:
    """Make one block of several."""
    if len(blocks) == 1:
        return blocks[0]
    places: dict[str | None, int] = {}
    for block in blocks:
        for name in block.band_names:
            places.setdefault(name, len(places))
    starts = np.cumsum([0, *map(len, blocks)]).tolist()
    return FootprintBlock(
        normals=np.concatenate([b.normals for b in blocks], axis=1),
        owners=np.concatenate([b.owners + start for b, start in zip(blocks, starts, strict=False)]),
        centers=np.concatenate([b.centers for b in blocks]),
        radii=np.concatenate([b.radii for b in blocks]),
        ids=np.concatenate([b.ids for b in blocks]),
        bands=np.concatenate([np.array([places[n] for n in b.band_names])[b.bands] for b in blocks]),
        band_names=tuple(places),
        mjd=np.concatenate([b.mjd for b in blocks]),
    )
