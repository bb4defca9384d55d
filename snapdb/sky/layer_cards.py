"""World coordinates of layers as cards, and back, each built when it is first looked at."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from snapdb.errors import ProjectionError
from snapdb.pixels.box import Box
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.fit import to_header
from snapdb.sky.moved_cards import move_cards
from snapdb.sky.wcs import AstropyWCS, BaseWCS


def make_cards(wcs: BaseWCS | None, width: int, height: int) -> str:
    """Write world coordinates as FITS cards with newlines between them.

    Parameters
    ----------
    wcs : BaseWCS or None
        Those of tangent projections have their reference pixel moved; for others cards that follow
        them are made, which takes some milliseconds.
    width, height : int
        Size of the layer, pixels.

    Returns
    -------
    str
        Empty where there are no coordinates, and where no cards follow them to a hundredth of a pixel.
    """
    if wcs is None:
        return ""
    if isinstance(wcs, FastWCS):
        return move_cards(wcs.text, Box(*wcs.origin, width, height))
    try:
        header = to_header(wcs, width, height)
    except ProjectionError:
        return ""
    return str(header.tostring(sep="\n", endcard=False, padding=False))


class CardsOfLayers(Sequence[BaseWCS | None]):
    """World coordinates that are cards until they are asked for.

    Parameters
    ----------
    cards : sequence of str
        Of each layer, empty where there are none.
    """

    def __init__(self, cards: Sequence[str]) -> None:
        self.cards = tuple(cards)
        self._built: dict[int, BaseWCS | None] = {}

    def __len__(self) -> int:
        return len(self.cards)

    def __iter__(self) -> Iterator[BaseWCS | None]:
        return (self[n] for n in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> BaseWCS | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[BaseWCS | None]: ...
    def __getitem__(self, index: int | slice) -> BaseWCS | list[BaseWCS | None] | None:
        """Give the coordinates of a layer, or of several."""
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        place = range(len(self))[index]
        if place not in self._built:
            self._built[place] = _read(self.cards[place])
        return self._built[place]


def _read(text: str) -> BaseWCS | None:
    """Build the coordinates of cards."""
    general: Callable[[str], BaseWCS] = AstropyWCS.from_text
    return (FastWCS.from_text(text) or general(text)) if text else None
