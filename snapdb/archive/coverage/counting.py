"""Counting images over the cells of the sky: only cells about footprints are looked at."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from snapdb.archive.coverage.cells import (
    GREATEST_ORDER,
    cell_area,
    check_order,
    find_centers,
    load_mocpy,
    load_nested,
)
from snapdb.archive.coverage.depth import Band, DepthMap, Depths, Quantity
from snapdb.archive.originals import search_originals
from snapdb.errors import UsageError
from snapdb.sky.matching import CutFootprints, SortedPositions
from snapdb.sky.vectors import to_radec
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.search import Search
    from snapdb.registry.footprints import FootprintBlock

MOST_VALUES = 100_000_000
"""Cells times bands of a map: more would take gigabytes."""

_GOOD_VALUES = 20_000_000
"""Cells times bands of a map whose order nobody chose, at most."""
_BATCH = 200_000
"""Footprints that are counted at once."""
_CONES = 4096
"""Circles that are united at once."""
_CHUNK = 1_000_000
"""Cells that are counted at once."""
_ACROSS = 12.0
"""Cells across a footprint, when nobody chose their order."""
_COUNTS = np.int32
"""Type of numbers of images."""
_WIDTH = 58.6323
"""Square root of the area of a cell of order 0, degrees."""


def compute_depth(
    archive: "Archive", *, order: int | None = None, quantity: Quantity = "epochs", **criteria: Any
) -> DepthMap:
    """Count for each cell of the sky and each band the images that contain the cell's centre.

    Parameters
    ----------
    archive : Archive
        What is asked.
    order : int, optional
        Of the HEALPix cells, 0 to 29; by default the one that lays 12 to 24 cells across the median
        footprint, or larger ones where the map would have more than twenty million values.
    quantity : str
        ``epochs`` counts images, ``exptime`` adds up their exposure times.
    **criteria : object
        Which images, as :meth:`snapdb.Archive.find_images` takes them. Kept cutouts are left out
        unless ``kind`` asks for them.

    Returns
    -------
    DepthMap
        Only cells that lie in an image.

    Raises
    ------
    UsageError
        If the order or the quantity cannot be, or the map would have more than 100 million values.
    SearchError
        If a criterion is unknown.
    ConfigError
        If a package that this needs is not installed.
    """
    if quantity not in get_args(Quantity):
        msg = f"quantity={quantity!r} is unknown; expected one of {', '.join(get_args(Quantity))}"
        raise UsageError(msg, quantity=quantity)
    load_mocpy()
    load_nested()
    search = search_originals(archive, criteria)
    level = _choose_order(archive, search) if order is None else check_order(order)
    seconds = _read_seconds(archive, search) if quantity == "exptime" else None
    counter = _Counter(level, seconds)
    for block in archive.registry.iter_footprints(search, batch=_BATCH):
        counter.add(block)
    return counter.to_map(quantity)


def _choose_order(archive: "Archive", search: "Search") -> int:
    """Choose cells well below the size of the median footprint, and not too many of them."""
    found: list[FloatArray] = []
    bands: set[Band] = set()
    for block in archive.registry.iter_footprints(search, batch=_BATCH):
        found.append(block.radii)
        bands.update(block.band_names)
    if not found:
        return 0
    radii = np.degrees(2.0 * np.arcsin(np.minimum(np.concatenate(found) / 2.0, 1.0)))
    side = float(np.median(radii)) * np.sqrt(2.0)
    area = min(float(np.sum(2.0 * radii**2)), 41253.0)
    order = int(np.clip(np.ceil(np.log2(_ACROSS * _WIDTH / side)), 0, GREATEST_ORDER))
    while order and len(bands) * area / cell_area(order) > _GOOD_VALUES:
        order -= 1
    return order


def _read_seconds(archive: "Archive", search: "Search") -> dict[bytes, float]:
    """Read exposure times by the bytes of the image's id; NaN where there is none."""
    return {
        record.id.bytes: np.nan if record.exptime is None else record.exptime
        for record in archive.registry.iter_images(search)
    }


@dataclass(slots=True)
class _Counter:
    """A map that grows block by block."""

    order: int
    seconds: dict[bytes, float] | None
    cells: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    depths: "dict[Band, Depths]" = field(default_factory=dict)
    images: int = 0
    missed: int = 0
    left_out: int = 0

    def add(self, block: "FootprintBlock") -> None:
        """Count one block of footprints."""
        weights = self._weigh(block)
        seen = np.zeros(len(block), dtype=np.bool_)
        parts = [_count(block, cells, self.order, weights, seen) for cells in find_near(block, self.order)]
        self.images += len(block)
        self.missed += len(block) - int(seen.sum())
        # A band may occur with no cell: an image between all centres.
        for name in (block.band_names[n] for n in np.unique(block.bands).tolist()):
            self.depths.setdefault(name, np.zeros(len(self.cells), dtype=self._kind))
        if parts:
            cells = np.concatenate([cells for cells, _ in parts])
            self._merge(cells, block.band_names, np.concatenate([values for _, values in parts], axis=1))

    def to_map(self, quantity: Quantity) -> DepthMap:
        """Give the map, bands sorted."""
        bands = sorted(self.depths, key=lambda name: (name is None, name or ""))
        rows = [self.depths[band] for band in bands]
        return DepthMap(
            order=self.order,
            cells=self.cells,
            bands=tuple(bands),
            values=np.stack(rows) if rows else np.empty((0, 0), dtype=self._kind),
            quantity=quantity,
            images=self.images,
            missed=self.missed,
            left_out=self.left_out,
        )

    @property
    def _kind(self) -> Any:
        """Type of the values."""
        return _COUNTS if self.seconds is None else np.float64

    def _weigh(self, block: "FootprintBlock") -> FloatArray | None:
        """Give the seconds of a block's images; None where images are counted."""
        if self.seconds is None:
            return None
        ids = [row.tobytes() for row in block.ids]
        seconds = np.array([self.seconds.get(i, np.nan) for i in ids])
        unknown = np.isnan(seconds)
        self.left_out += int(unknown.sum())
        return np.where(unknown, 0.0, seconds)

    def _merge(self, cells: IntArray, names: tuple[Band, ...], values: Depths) -> None:
        """Add a block's depths to those that are there."""
        union = np.union1d(self.cells, cells)
        _check_size(len(union), len(self.depths), self.order)
        old, new = np.searchsorted(union, self.cells), np.searchsorted(union, cells)
        merged = {name: np.zeros(len(union), dtype=self._kind) for name in self.depths}
        for name, depth in self.depths.items():
            merged[name][old] = depth
        for name, depth in zip(names, values, strict=True):
            if name in merged:
                merged[name][new] += depth
        self.cells, self.depths = union, merged


def find_near(block: CutFootprints, order: int) -> Iterator[IntArray]:
    """Find the cells about footprints: all that have a point in a footprint, and some more.

    Parameters
    ----------
    block : CutFootprints
        Footprints.
    order : int
        Of the cells.

    Yields
    ------
    array of int
        Nested numbers, ascending, each once; a million at most.

    Raises
    ------
    UsageError
        If they are many more than a map may have.
    """
    ranges = _unite_circles(block, order)
    count = int((ranges[:, 1] - ranges[:, 0]).sum())
    _check_size(count // 4, 1, order)  # the circles are larger than what they enclose
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
    for start in range(0, count, _CHUNK):
        places = np.arange(start, min(start + _CHUNK, count))
        which = np.searchsorted(ends, places, side="right")
        yield ranges[which, 1] - ends[which] + places


def _unite_circles(block: CutFootprints, order: int) -> IntArray:
    """Give the cells that circles about footprints touch as half-open ranges, shape (n, 2)."""
    from astropy.coordinates import Latitude, Longitude
    from astropy.units import deg

    mocpy = load_mocpy()
    ra, dec = to_radec(block.centers)
    radii = np.degrees(2.0 * np.arcsin(np.minimum(block.radii / 2.0, 1.0)))
    radii = np.minimum(radii * (1.0 + 1e-9) + 1e-9, 180.0)  # rounding may not lose a vertex
    mocs = []
    for start in range(0, len(block), _CONES):
        some = slice(start, start + _CONES)
        mocs.append(
            mocpy.MOC.from_cones(
                lon=Longitude(ra[some], "deg"),
                lat=Latitude(dec[some], "deg"),
                radius=radii[some] * deg,
                max_depth=order,
                union_strategy="large_cones",
                delta_depth=0,
            )
        )
    united = mocs[0].union(*mocs[1:]) if len(mocs) > 1 else mocs[0]
    ranges = np.asarray(united.to_depth29_ranges, dtype=np.uint64).reshape(-1, 2)
    return np.asarray(ranges >> np.uint64(2 * (GREATEST_ORDER - order)), dtype=np.int64)


def _count(
    block: "FootprintBlock", cells: IntArray, order: int, weights: FloatArray | None, seen: BoolArray
) -> tuple[IntArray, Depths]:
    """Count a block's images over some cells: those that have any, and depths (bands, cells); note `seen`."""
    positions = SortedPositions(*find_centers(cells, order))
    names = len(block.band_names)
    size = names * len(cells)
    depth = np.zeros(size, dtype=_COUNTS if weights is None else np.float64)
    touched: BoolArray = np.zeros(len(cells), dtype=np.bool_)
    for row, image in positions.match(block):
        key = block.bands[image] * len(cells) + row
        if weights is None:
            np.add.at(depth, key, 1)
        else:
            np.add.at(depth, key, weights[image])
        touched[row] = True
        seen[image] = True
    return cells[touched], depth.reshape(names, len(cells))[:, touched]


def _check_size(cells: int, bands: int, order: int) -> None:
    """Refuse a map that is too large."""
    if cells * bands > MOST_VALUES:
        msg = (
            f"a map of some {cells:,} cells of order {order} and {bands} bands has more than {MOST_VALUES:,} "
            "values; ask for a lower order, for fewer bands, or for less of the sky"
        )
        raise UsageError(msg, cells=cells, bands=bands, order=order)
