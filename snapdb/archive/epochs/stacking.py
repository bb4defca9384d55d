"""Reading the cutouts of many images into one array a plane."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.epochs.reading import read_epochs
from snapdb.archive.epochs.stack import CutoutStack
from snapdb.archive.epochs.table import join_flag_bits, make_epoch_table
from snapdb.errors import NotFoundError, ShapeError
from snapdb.pixels.crop import choose_dtype
from snapdb.pixels.flags import NO_DATA, no_data_bit
from snapdb.sky.wcs import BaseWCS
from snapdb.types import BoolArray, PixelArray

if TYPE_CHECKING:
    from snapdb.storage import LocalStore


def read_stack(epochs: Sequence[Epoch], ask: Ask, store: "LocalStore") -> CutoutStack:
    """Read all cutouts into arrays that were made for them.

    Parameters
    ----------
    epochs : sequence of Epoch
        Planned; each one's fate is kept in it.
    ask : Ask
        What is read.
    store : LocalStore
        Where files are.

    Returns
    -------
    CutoutStack
        A layer for each image that was read.

    Raises
    ------
    NotFoundError
        If no image could be read.
    ShapeError
        If the cutouts differ in size.
    """
    sound = [epoch for epoch in epochs if epoch.error is None]
    refuse_nothing(epochs, sound)
    shape = _common_shape(sound)
    names = [name for name in ask.planes if any(epoch.names((name,)) for epoch in sound)]
    planes = {name: _make_plane(name, sound, shape, ask) for name in names}
    done: BoolArray = np.zeros(len(sound), dtype=bool)
    for index, parts in read_epochs(sound, ask, store):
        if parts is None:
            continue
        target = sound[index].place.target.slices
        for name, part in parts.items():
            planes[name][(index, *target)] = part
        done[index] = True
    read = [epoch for epoch, there in zip(sound, done.tolist(), strict=True) if there]
    refuse_nothing(epochs, read)
    if not done.all():
        planes = {name: plane[done] for name, plane in planes.items()}
    flag_bits = join_flag_bits(read)
    if "flags" in planes:
        planes["flags"] = mark_outside(planes["flags"], read, flag_bits)
    return CutoutStack(
        planes=planes,
        table=make_epoch_table(read),
        missing=make_epoch_table([epoch for epoch in epochs if not epoch.is_read]),
        wcs=[wcs_of(epoch) for epoch in read],
        flag_bits=flag_bits,
        ra=ask.ra,
        dec=ask.dec,
    )


def _common_shape(epochs: Sequence[Epoch]) -> tuple[int, int]:
    """Give the one shape that all cutouts have."""
    shapes = {epoch.place.result.shape for epoch in epochs}
    if len(shapes) > 1:
        some = ", ".join(f"{width} x {height}" for height, width in sorted(shapes)[:4])
        msg = (
            f"cutouts of {len(shapes)} sizes ({some} ...) make no stack; "
            "give the size in pixels with mode='partial', or align=True"
        )
        raise ShapeError(msg, shapes=sorted(shapes))
    return shapes.pop()


def refuse_nothing(epochs: Sequence[Epoch], sound: Sequence[Epoch]) -> None:
    """Refuse a stack without a layer.

    Parameters
    ----------
    epochs : sequence of Epoch
        All that match.
    sound : sequence of Epoch
        Those that give a layer.

    Raises
    ------
    NotFoundError
        If there is none; the message has the first image's reason.
    """
    if sound:
        return
    reasons = [str(epoch.error) for epoch in epochs if epoch.error is not None]
    first = f"; the first of {len(reasons)} reasons: {reasons[0]}" if reasons else ""
    msg = f"{len(epochs)} images match and none of them gives a cutout{first}"
    raise NotFoundError(msg, images=len(epochs))


def _make_plane(name: str, epochs: Sequence[Epoch], shape: tuple[int, int], ask: Ask) -> PixelArray:
    """Make the array of a plane, filled where nothing will be read into it."""
    kinds = set()
    gaps = False
    for epoch in epochs:
        layout = next((p.layout for p in epoch.planes if p.layout.name == name), None)
        hole = layout is None or not epoch.place.is_whole
        gaps = gaps or hole
        if layout is not None:
            kinds.add(np.dtype(layout.dtype))
    kind = np.result_type(*kinds)
    size = (len(epochs), *shape)
    if not gaps:
        return np.empty(size, dtype=kind)
    if name == "flags":
        return np.zeros(size, dtype=kind)
    return np.full(size, ask.fill_value, dtype=choose_dtype(kind, ask.fill_value, name=name))


def mark_outside(flags: PixelArray, epochs: Sequence[Epoch], flag_bits: dict[str, int]) -> PixelArray:
    """Set the bit named NO_DATA in pixels outside their images; one bit for all.

    Parameters
    ----------
    flags : array, shape (n, h, w)
        Zero there.
    epochs : sequence of Epoch
        Of the layers.
    flag_bits : dict
        Gets the bit's name.
    """
    partial = [n for n, e in enumerate(epochs) if not e.place.is_whole and e.names(("flags",))]
    if not partial:
        return flags
    bit, dtype = choose_no_data(flags, flag_bits)
    flags = flags.astype(dtype, copy=False)
    for n in partial:
        outside = np.ones(flags.shape[1:], dtype=bool)
        outside[epochs[n].place.target.slices] = False
        flags[n][outside] = bit
    flag_bits[NO_DATA] = bit
    return flags


def choose_no_data(flags: PixelArray, flag_bits: dict[str, int]) -> "tuple[int, np.dtype[np.generic]]":
    """Choose the bit of NO_DATA, which no flag uses, and a type that holds it."""
    used = int(np.bitwise_or.reduce(flags, axis=None))
    unnamed = {f"bit {i}": 1 << i for i in range(used.bit_length()) if used >> i & 1} if used > 0 else {}
    if NO_DATA in flag_bits:
        unnamed = {}
    return no_data_bit({**unnamed, **flag_bits}, flags.dtype)


def wcs_of(epoch: Epoch) -> BaseWCS | None:
    """Give the world coordinates of an epoch's cutout."""
    box = epoch.place.result
    return None if epoch.wcs is None else epoch.wcs.shifted(box.x0, box.y0)
