"""Reading the cutouts of many images: in order, in bounded memory, in threads where these pay."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.planes import FilePlanes
from snapdb.errors import FormatError, NotFoundError, ShapeError, SnapdbError, StorageError
from snapdb.model.layout import Codec, Container, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.storage import LocalStore

Parts = dict[str, PixelArray]
"""The part of each plane that exists, by name."""

_WINDOW_BYTES = 64 * 2**20
"""What is read ahead of the caller."""
_CHUNK = 8
"""Images a thread is handed at once: one of them is less work than a hand-over."""
_LARGE_PX = 2**16
"""Pixels to be decoded from which threads gain more than their hand-overs take."""
_MOST_THREADS = 8


def read_epochs(epochs: Sequence[Epoch], ask: Ask, store: "LocalStore") -> Iterator[tuple[int, Parts | None]]:
    """Read the wanted planes of images.

    Parameters
    ----------
    epochs : sequence of Epoch
        Those that have failed are passed over. What goes wrong is kept in each one's ``error``.
    ask : Ask
        What is read, and in how many threads.
    store : LocalStore
        Where files are.

    Yields
    ------
    int, dict or None
        Index of the epoch and its parts, in order; None where reading failed.

    Raises
    ------
    SnapdbError
        The first that comes up, where `ask.on_error` is ``raise``.
    """
    todo = [(index, epoch) for index, epoch in enumerate(epochs) if epoch.error is None]
    for done, read in enumerate(_read_all(todo, ask, store), 1):
        if ask.progress is not None:
            ask.progress(done, len(todo))
        yield read


def _read_all(
    todo: Sequence[tuple[int, Epoch]], ask: Ask, store: "LocalStore"
) -> Iterator[tuple[int, Parts | None]]:
    """Read epochs in order, in this thread or in several."""
    threads = choose_threads([epoch for _, epoch in todo], ask)
    if threads == 1:
        for index, epoch in todo:
            yield index, _read(epoch, ask, store)
        return
    each = max(1, *(_bytes_of(epoch, ask) for _, epoch in todo[:64]))
    window = max(threads * _CHUNK, _WINDOW_BYTES // each // _CHUNK * _CHUNK)
    with ThreadPoolExecutor(threads, thread_name_prefix="snapdb-read") as pool:
        for start in range(0, len(todo), window):
            some = todo[start : start + window]
            size = max(1, min(_CHUNK, len(some) // (2 * threads)))
            read = pool.map(lambda pair: _read(pair[1], ask, store), some, chunksize=size)
            yield from zip([index for index, _ in some], read, strict=True)


def choose_threads(epochs: Sequence[Epoch], ask: Ask) -> int:
    """Say in how many threads to read: the lock is let go while bytes are read and tiles decoded.

    Parameters
    ----------
    epochs : sequence of Epoch
        What there is to read.
    ask : Ask
        Its `threads` wins.
    """
    if ask.threads is not None:
        return ask.threads
    if len(epochs) < _CHUNK:
        return 1
    heavy = sum(_is_heavy(epoch, ask) for epoch in epochs)
    if heavy < _CHUNK:
        return 1
    return max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0))))


def _is_heavy(epoch: Epoch, ask: Ask) -> bool:
    """Say whether reading an epoch takes long without the interpreter's lock."""
    box = epoch.place.source
    return any(_work_px(layout, box) >= _LARGE_PX for layout in _layouts(epoch, ask))


def _work_px(layout: PlaneLayout, box: Box) -> int:
    """Count the pixels that are decoded for a box."""
    if layout.container is not Container.PLAIN:
        return layout.width * layout.height
    if layout.codec is not Codec.FITS_TILES or layout.tile_shape is None:
        return box.width * box.height
    rows, columns = layout.tile_shape
    down = (box.y1 - 1) // rows - box.y0 // rows + 1
    across = (box.x1 - 1) // columns - box.x0 // columns + 1
    return down * rows * across * columns


def _layouts(epoch: Epoch, ask: Ask) -> list[PlaneLayout]:
    """Give the layouts of the wanted planes."""
    return [plane.layout for plane in epoch.planes if plane.layout.name in ask.planes]


def _bytes_of(epoch: Epoch, ask: Ask) -> int:
    """Tell how much memory an epoch's cutout takes."""
    box = epoch.place.result
    return box.width * box.height * sum(np.dtype(layout.dtype).itemsize for layout in _layouts(epoch, ask))


def count_bytes(epochs: Sequence[Epoch], ask: Ask) -> int:
    """Tell how much memory the cutouts of epochs take together."""
    return sum(_bytes_of(epoch, ask) for epoch in epochs if epoch.error is None)


def _read(epoch: Epoch, ask: Ask, store: "LocalStore") -> Parts | None:
    """Read one epoch; its error is an answer too."""
    try:
        parts = FilePlanes(epoch.planes, store).read(epoch.names(ask.planes), epoch.place.source)
    except (StorageError, FormatError, NotFoundError, ShapeError) as err:
        note_error(epoch, err, ask)
        return None
    epoch.is_read = True
    return parts


def note_error(epoch: Epoch, err: SnapdbError, ask: Ask) -> None:
    """Keep why an epoch gives no cutout, or raise it where that was asked for.

    Parameters
    ----------
    epoch : Epoch
        The one.
    err : SnapdbError
        Why.
    ask : Ask
        Its `on_error` decides.
    """
    epoch.error = err
    if ask.on_error == "raise":
        raise err
