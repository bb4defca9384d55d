"""Where images lie: the sky that a search covers, as an IVOA Multi-Order Coverage map (MOC 2.0)."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.coverage.cells import check_order, load_mocpy
from snapdb.archive.guard import check_output
from snapdb.archive.originals import search_originals
from snapdb.archive.paths import PathLike
from snapdb.errors import UsageError
from snapdb.storage import write_atomically
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from mocpy import MOC  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    from snapdb.archive.archive import Archive
    from snapdb.registry.ewkb import Vertices

DEFAULT_ORDER = 12
"""Of a MOC's finest cells, 0.86 arcmin."""

MOC_FORMATS = (".fits", ".json", ".txt")
"""Suffixes of the files that a MOC can be written to."""

_BATCH = 5_000
"""Footprints that are united at once: their MOCs take some hundred kilobytes each at worst."""


def compute_moc(archive: "Archive", *, max_order: int = DEFAULT_ORDER, **criteria: Any) -> "MOC":
    """Unite the footprints of the images that a search finds.

    Parameters
    ----------
    archive : Archive
        What is asked.
    max_order : int
        Of the finest HEALPix cells, 0 to 29. Every cell that a footprint touches is in the
        map, so that it is larger than the footprints by up to a cell at their edges.
    **criteria : object
        Which images, as :meth:`snapdb.Archive.find_images` takes them. Kept cutouts are left out
        unless ``kind`` asks for them.

    Returns
    -------
    mocpy.MOC
        Empty where nothing is found.

    Raises
    ------
    UsageError
        If `max_order` cannot be.
    SearchError
        If a criterion is unknown.
    ConfigError
        If mocpy is not installed.
    """
    order = check_order(max_order, "max_order")
    mocpy = load_mocpy()
    united = mocpy.MOC.new_empty(order)
    for rings in _iter_rings(archive, criteria, max(1, _BATCH >> max(0, order - DEFAULT_ORDER))):
        # A column of ra and one of dec each.
        columns = np.ascontiguousarray(rings.transpose(0, 2, 1)).reshape(2 * len(rings), -1)
        mocs = mocpy.MOC.from_polygons(columns, max_depth=order)
        united = united.union(*mocs)
    return united


def _iter_rings(archive: "Archive", criteria: dict[str, Any], batch: int) -> Iterator[FloatArray]:
    """Read footprints of one number of vertices at a time, shape (n, vertices, 2); those alike once.

    The finer the cells, the more of them line a footprint, and the fewer footprints are held at once.
    """
    search = search_originals(archive, criteria)
    for block in archive.registry.iter_footprints(search, batch=batch):
        ids = [UUID(bytes=row.tobytes()) for row in block.ids]
        outlines = archive.registry.get_footprints(ids).values()
        sizes: dict[int, list[Vertices]] = {}
        for ring in dict.fromkeys(map(tuple, outlines)):
            sizes.setdefault(len(ring), []).append(ring)
        yield from (np.array(rings, dtype=np.float64) for rings in sizes.values())


def write_moc(moc: "MOC", path: PathLike, *, overwrite: bool = False) -> None:
    """Write a MOC; the file appears when it is complete.

    Parameters
    ----------
    moc : mocpy.MOC
        From :func:`compute_moc`.
    path : path
        Its suffix tells the format: ``.fits``, ``.json``, or ``.txt``, the standard's ASCII.
    overwrite : bool
        Whether a file that is there is replaced.

    Raises
    ------
    UsageError
        If the suffix is another.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    data = format_moc(moc, target.suffix)
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as out:
        out.write(data)


def format_moc(moc: "MOC", suffix: str) -> bytes:
    """Give the bytes of a MOC's file.

    Parameters
    ----------
    moc : mocpy.MOC
        The map.
    suffix : str
        ``.fits`` (MOC 2.0, ORDERING NUNIQ, which readers of 1.1 know too), ``.json`` or ``.txt``.

    Returns
    -------
    bytes
        The whole file.

    Raises
    ------
    UsageError
        If the suffix is another.
    """
    check_moc_suffix(suffix)
    if suffix.lower() == ".json":
        return (json.dumps(moc.serialize("json")) + "\n").encode()
    if suffix.lower() == ".txt":
        text: str = moc.to_string(format="ascii")
        return (text + "\n").encode()
    out = io.BytesIO()
    moc.serialize("fits", v1_compatible=True).writeto(out, checksum=True)
    return out.getvalue()


def check_moc_suffix(suffix: str) -> None:
    """Refuse a suffix that says no format.

    Raises
    ------
    UsageError
        The message names those there are.
    """
    if suffix.lower() not in MOC_FORMATS:
        msg = f"the suffix {suffix!r} says no format of a MOC; expected one of {', '.join(MOC_FORMATS)}"
        raise UsageError(msg, suffix=suffix)
