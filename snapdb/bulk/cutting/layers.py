"""Windows of one image, cut and brought to the stamps' size."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.cutting.conversion import convert_windows
from snapdb.bulk.cutting.windows import Run, bad_fraction, iter_runs
from snapdb.bulk.planning.sources import Channel
from snapdb.formats.header import read_header
from snapdb.pixels.placing import Places
from snapdb.types import FloatArray, Header, IntArray, PixelArray

if TYPE_CHECKING:
    from snapdb.bulk.shape.limits import Extremes
    from snapdb.bulk.shape.steps import Steps
    from snapdb.bulk.shape.weights import Floats


@dataclass(slots=True, eq=False)
class Layer:
    """Windows of one image that have the stamps' size."""

    index: IntArray
    """Which of the places, shape (m,)."""
    stamps: "Floats"
    """Shape (m, resolution, resolution)."""
    masked: FloatArray | None = None
    """Part of each window's pixels that are not finite; None where all are."""
    extremes: "Extremes | None" = None
    """Of the stamps, where they are known."""


class LayerMaker:
    """Cuts windows of images, and brings them to the stamps' size.

    Parameters
    ----------
    convert : callable or None
        The user's conversion of flux.
    at_once : int
        Pixels of windows that are read together.
    timed : callable
        Gives what adds the time of a block to a stage's.
    """

    def __init__(
        self,
        convert: Callable[..., Any] | None,
        at_once: int,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._convert = convert
        self._at_once = at_once
        self._timed = timed
        self._headers: dict[tuple[str, int], Header] = {}

    def cut(self, channel: Channel, places: Places) -> Iterator[tuple[IntArray, PixelArray]]:
        """Cut windows as they are.

        Parameters
        ----------
        channel : Channel
            The image.
        places : Places
            Where the windows lie.

        Yields
        ------
        index, batch
            As :func:`~snapdb.bulk.cutting.windows.iter_windows`, in the flux of the user's conversion.
        """
        for run in self._runs(channel, places):
            for part in run.split():
                yield run.index[part], self._cut(channel, run, part)

    def make(
        self, channel: Channel, places: Places, steps: "Steps", *, in_order: bool = False
    ) -> Iterator[Layer]:
        """Cut windows, and bring them to one size.

        Parameters
        ----------
        channel, places
            As :meth:`cut`.
        steps : Steps
            What is done with them.
        in_order : bool
            Whether the windows shall come in their order; it is quick where that is the order of their sizes.

        Yields
        ------
        Layer
            Of few enough stamps to stay in the processor's cache.
        """
        from snapdb.bulk.shape.compiled import can_resample

        for run in self._runs(channel, places, in_order=in_order):
            if self._convert is None and can_resample(run.pixels, steps.resolution):
                yield from self._make_at_once(channel, run, steps)
                continue
            for part in run.split():
                yield self._make_from_batch(channel, run, part, steps)

    def _make_at_once(self, channel: Channel, run: Run, steps: "Steps") -> Iterator[Layer]:
        """Make stamps of windows of any size; those with missing pixels from batches."""
        from snapdb.bulk.shape.compiled import resample_windows

        for part in steps.split(len(run)):
            with self._timed("shape"):
                stamps, extremes = resample_windows(
                    run.take(part), run.sizes[part], steps.resolution, steps.interpolation,
                    conserve=steps.conserve, factor=steps.own_factor,
                )  # fmt: skip
            left = np.flatnonzero(np.isnan(extremes.least))
            if not len(left):
                yield Layer(run.index[part], stamps, extremes=extremes)
                continue
            masked = np.zeros(len(stamps))
            for some in run.split(left + part.start):
                one = self._make_from_batch(channel, run, some, steps)
                own = slice(some.start - part.start, some.stop - part.start)
                stamps[own] = one.stamps
                masked[own] = 0.0 if one.masked is None else one.masked
            yield Layer(run.index[part], stamps, masked)

    def _make_from_batch(self, channel: Channel, run: Run, part: slice, steps: "Steps") -> Layer:
        """Cut windows of one size, and resample them together."""
        batch = self._cut(channel, run, part)
        with self._timed("extract"):
            found = bad_fraction(batch)
            masked = found if found.any() else None
        with self._timed("shape"):
            stamps = steps.resample(batch, complete=masked is None)
        return Layer(run.index[part], stamps, masked)

    def _runs(self, channel: Channel, places: Places, *, in_order: bool = False) -> Iterator[Run]:
        """Read the pixels of windows, timed apart from what is done with them."""
        runs = iter_runs(channel.data, places, in_order=in_order, at_once=self._at_once)
        while True:
            with self._timed("extract"):
                run = next(runs, None)
            if run is None:
                return
            yield run

    def _cut(self, channel: Channel, run: Run, part: slice) -> PixelArray:
        """Cut windows of one size; let the user's function convert their flux."""
        with self._timed("extract"):
            batch = run.cut(part)
        if self._convert is None:
            return batch
        path, hdu = channel.data.path, channel.data.layout.hdu
        if (path, hdu) not in self._headers:
            self._headers[path, hdu] = read_header(path, hdu)
        with self._timed("convert"):
            return convert_windows(self._convert, batch, self._headers[path, hdu], path)
