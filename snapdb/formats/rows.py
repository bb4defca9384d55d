"""The rows of a box of raw planes in a plain local file, which is what most cutouts are made of.

They are read without a plan and its checks, in little more than the time of the system's reads.
Whatever is unusual gives None and is left to :mod:`snapdb.formats.plan`, which also says what is wrong.
"""

import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from snapdb.formats.plan import LOCAL_GAP_BYTES, find_rows
from snapdb.formats.scaling import finish
from snapdb.model.layout import Codec, Container, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

ADVISED_BYTES = 4 * 2**20
"""Reads that span up to this much are announced to the system as one, others one by one."""
_MOST_BYTES = 2**30
"""Of one read; the system gives 2 GB at most."""
_PROBE = [bytearray(1)]
"""Takes a byte that nobody looks at."""

_RAW, _PLAIN = Codec.RAW, Container.PLAIN
"""Names of their own: to look up a member of an enumeration takes a fifth of a microsecond."""

Place = tuple[int, int, int]
"""Of the rows of a plane: byte of the first, bytes from one to the next, bytes of each."""


def find_places(layouts: Sequence[PlaneLayout], box: Box) -> list[Place] | None:
    """Say where the rows of a box lie in raw planes of a plain file.

    Parameters
    ----------
    layouts : sequence of PlaneLayout
        Planes of one file.
    box : Box
        Pixels wanted.

    Returns
    -------
    list of tuple, or None
        One a plane; None where one is of another kind, or the box reaches beyond it.
    """
    x1, y1 = box.x1, box.y1
    if box.x0 < 0 or box.y0 < 0:
        return None
    places = []
    for layout in layouts:
        is_raw = layout.codec is _RAW and layout.container is _PLAIN
        if not is_raw or x1 > layout.width or y1 > layout.height:
            return None
        places.append(find_rows(layout, box))
    return places


def read_rows(fd: int, layout: PlaneLayout, box: Box, place: Place) -> PixelArray | None:
    """Read a box of a raw plane.

    Parameters
    ----------
    fd : int
        Descriptor of the file.
    layout : PlaneLayout
        The plane.
    box : Box
        Pixels wanted.
    place : tuple
        Where its rows lie.

    Returns
    -------
    ndarray or None
        As :meth:`snapdb.formats.plan.ReadPlan.decode` gives it; None where the file ends
        before the rows do, the disk fails, or the system gives less than it was asked for.
    """
    begin, stride, length = place
    shape = height, _ = box.shape
    is_joined = stride - length <= LOCAL_GAP_BYTES
    expected = (height - 1) * stride + length if is_joined else height * length
    if expected > _MOST_BYTES:
        return None
    pread = os.pread
    try:
        if is_joined:
            content = pread(fd, expected, begin)
        else:
            end = begin + height * stride
            content = b"".join([pread(fd, length, at) for at in range(begin, end, stride)])
    except OSError:
        return None
    if len(content) < expected:
        return None
    strides = (stride, layout.stored_bytes) if is_joined else None
    return finish(np.ndarray(shape, layout.stored_dtype, content, 0, strides), layout)


def announce_rows(fd: int, places: Sequence[Place], height: int) -> None:
    """Tell the system which rows of several planes will be read, unless they are in memory already.

    Parameters
    ----------
    fd : int
        Descriptor of the file.
    places : sequence of tuple
        Where the rows of each plane lie.
    height : int
        Rows of each.
    """
    last_begin, last_stride, _ = places[-1]
    if is_cached(fd, places[0][0]) and is_cached(fd, last_begin + (height - 1) * last_stride):
        return
    for begin, stride, length in places:
        announce(fd, [(at, length) for at in range(begin, begin + height * stride, stride)])


def announce(fd: int, ranges: Sequence[tuple[int, int]]) -> None:
    """Tell the system what will be read, so that it fetches it at once (sixfold faster off the cache).

    Parameters
    ----------
    fd : int
        Descriptor of the file.
    ranges : sequence of (begin, length)
        Ascending.
    """
    begin = ranges[0][0]
    span = sum(ranges[-1]) - begin
    with suppress(OSError):  # reading says what is wrong
        for at, length in ((begin, span),) if span <= ADVISED_BYTES else ranges:
            os.posix_fadvise(fd, at, length, os.POSIX_FADV_WILLNEED)


def is_cached(fd: int, at: int) -> bool:
    """Say whether a byte is in memory already; a sixth of what announcing a span that is costs."""
    try:
        return os.preadv(fd, _PROBE, at, os.RWF_NOWAIT) == 1
    except OSError:  # it would have to wait, or the filesystem cannot tell
        return False
