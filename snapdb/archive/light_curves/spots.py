"""Positions on images, and the reading of the squares of pixels about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.epochs.reading import Parts, read_epochs
from snapdb.archive.epochs.reading import _work_px as count_work
from snapdb.model.layout import Container
from snapdb.pixels.box import Box, Placement
from snapdb.types import FloatArray, IntArray

if TYPE_CHECKING:
    from snapdb.storage import LocalStore

_DENSE = 4
"""Squares of one image are read as one region where that takes up to this many times their pixels."""
_MOST_PX = 2**21
"""Pixels of a plane that are read at once."""


@dataclass(slots=True, kw_only=True, eq=False)
class Spots:
    """Positions on images, one of each a row."""

    epochs: list[Epoch]
    """The image of each, with the position's pixel and the square about it."""
    ra: FloatArray
    """Of each position at the time of its image, ICRS degrees in [0, 360)."""
    dec: FloatArray
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Which row of a table of targets each belongs to."""

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.epochs):
            self.rows = np.zeros(len(self.epochs), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.epochs)

    def take(self, places: Sequence[int] | IntArray) -> Self:
        """Give some of them, by their places."""
        chosen = np.asarray(places, dtype=np.int64)
        return replace(
            self,
            epochs=[self.epochs[n] for n in chosen.tolist()],
            ra=self.ra[chosen],
            dec=self.dec[chosen],
            rows=self.rows[chosen],
        )


def read_spots(spots: Spots, ask: Ask, store: "LocalStore") -> Iterator[tuple[int, Parts | None]]:
    """Read the planes about each position; where many lie near each other, their region is read once.

    Parameters
    ----------
    spots : Spots
        Those whose epoch has an error are passed over; what goes wrong is kept there.
    ask : Ask
        Which planes, and in how many threads.
    store : LocalStore
        Where files are.

    Yields
    ------
    int, dict or None
        Place of the position and its parts; None where reading failed. Positions of one image come
        one after the other.
    """
    reads, members = _plan_reads(spots)
    for index, parts in read_epochs(reads, ask, store):
        epoch, mine = reads[index], members[index]
        for place in mine:
            own = spots.epochs[place]
            if parts is None:
                own.error = epoch.error
                yield place, None
                continue
            own.is_read = True
            yield place, parts if own is epoch else _cut(parts, own, epoch.place.source)


def _plan_reads(spots: Spots) -> tuple[list[Epoch], list[list[int]]]:
    """Decide what is read, and which positions each reading serves."""
    groups: dict[int, list[int]] = {}
    for place, epoch in enumerate(spots.epochs):
        if epoch.error is None:
            groups.setdefault(id(epoch.record), []).append(place)
    reads: list[Epoch] = []
    members: list[list[int]] = []
    for group in groups.values():
        for mine in _split(spots, group):
            region = _join(spots, mine) if len(mine) > 1 else None
            if region is None:
                reads.extend(spots.epochs[place] for place in mine)
                members.extend([place] for place in mine)
            else:
                reads.append(replace(spots.epochs[mine[0]], placement=region))
                members.append(mine)
    return reads, members


def _split(spots: Spots, group: Sequence[int]) -> Iterator[list[int]]:
    """Give the positions of an image in strips of rows whose regions are of bounded size."""
    strip: list[int] = []
    for place in sorted(group, key=lambda n: spots.epochs[n].place.source.y0):
        if (
            strip
            and _enclose(spots, [*strip[:1], place]).height * spots.epochs[place].record.width > _MOST_PX
        ):
            yield strip
            strip = []
        strip.append(place)
    yield strip


def _enclose(spots: Spots, mine: Sequence[int]) -> Box:
    """Give the least box that holds the squares of positions."""
    boxes = [spots.epochs[place].place.source for place in mine]
    x0, y0 = min(box.x0 for box in boxes), min(box.y0 for box in boxes)
    return Box(x0, y0, max(box.x1 for box in boxes) - x0, max(box.y1 for box in boxes) - y0)


def _join(spots: Spots, mine: Sequence[int]) -> Placement | None:
    """Give the region of all squares of a strip, None where reading them one by one is less."""
    region = _enclose(spots, mine)
    layout = next(p.layout for p in spots.epochs[mine[0]].planes if p.layout.name == "data")
    if layout.container is Container.PLAIN:
        apart = sum(count_work(layout, spots.epochs[place].place.source) for place in mine)
        if count_work(layout, region) > _DENSE * apart:
            return None
    target = region.shifted(-region.x0, -region.y0)
    return Placement(source=region, target=target, result=region)


def _cut(parts: Parts, epoch: Epoch, region: Box) -> Parts:
    """Take a position's square out of its region."""
    slices = epoch.place.source.shifted(-region.x0, -region.y0).slices
    return {name: part[slices] for name, part in parts.items()}
