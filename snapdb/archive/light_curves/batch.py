"""Squares of pixels about positions, gathered into arrays that are measured in one go."""

import numpy as np

from snapdb.archive.epochs.plan import Epoch
from snapdb.archive.epochs.reading import Parts
from snapdb.pixels.flag_names import BadFlags
from snapdb.types import BoolArray, FloatArray, IntArray

BATCH_BYTES = 48 * 2**20
"""What the pixels of one batch take."""
_BYTES_PX = 8 + 8 + 3


def choose_room(size: int) -> int:
    """Say how many squares a batch holds.

    Parameters
    ----------
    size : int
        Edge of a square, pixels.
    """
    return max(16, BATCH_BYTES // (_BYTES_PX * size * size))


class Batch:
    """Squares about positions, N of them at most.

    Parameters
    ----------
    room : int
        How many.
    size : int
        Edge of a square, pixels, odd.
    inner_size : int
        Edge of the part about the position whose flags are told, pixels, odd.
    """

    def __init__(self, room: int, size: int, inner_size: int) -> None:
        shape = (room, size, size)
        self.data: FloatArray = np.full(shape, np.nan)
        self.variance: FloatArray = np.full(shape, np.nan)
        self.bad: BoolArray = np.zeros(shape, dtype=bool)
        self.inside: BoolArray = np.zeros(shape, dtype=bool)
        self.saturated: BoolArray = np.zeros(shape, dtype=bool)
        self.has_noise: BoolArray = np.zeros(room, dtype=bool)
        self.flags: IntArray = np.zeros(room, dtype=np.int64)
        self.epochs: list[Epoch] = []
        self.places: list[int] = []
        half = inner_size // 2
        self.inner = (slice(size // 2 - half, size // 2 + half + 1),) * 2

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def is_full(self) -> bool:
        """Whether there is no room left."""
        return len(self) == len(self.data)

    @property
    def x(self) -> FloatArray:
        """Column of each position in its image, 0-based."""
        return np.array([epoch.x for epoch in self.epochs], dtype=np.float64)

    @property
    def y(self) -> FloatArray:
        """Row of each position in its image."""
        return np.array([epoch.y for epoch in self.epochs], dtype=np.float64)

    def add(self, place: int, epoch: Epoch, parts: Parts, bad: BadFlags, full: BadFlags) -> None:
        """Put in the pixels about one position.

        Parameters
        ----------
        place : int
            By which the caller knows it.
        epoch : Epoch
            Its image, with the square's place in it.
        parts : dict
            The planes that were read.
        bad : BadFlags
            Flags that make a pixel bad.
        full : BadFlags
            Flags that say that a pixel is saturated.
        """
        n = len(self.epochs)
        target = epoch.place.target.slices
        self.data[n][target] = parts["data"]
        self.inside[n][target] = True
        if (noise := parts.get("noise")) is not None:
            spread = noise.astype(np.float64)
            self.variance[n][target] = np.where(spread > 0.0, spread * spread, np.nan)
            self.has_noise[n] = True
        if (flags := parts.get("flags")) is not None and flags.any():
            self.bad[n][target] = bad.mask(flags)
            if full:
                self.saturated[n][target] = full.mask(flags)
            whole = np.zeros(self.data.shape[1:], dtype=flags.dtype)
            whole[target] = flags
            joined = int(np.bitwise_or.reduce(whole[self.inner], axis=None))
            self.flags[n] = joined - 2**64 if joined >= 2**63 else joined
        self.epochs.append(epoch)
        self.places.append(place)

    def good(self) -> BoolArray:
        """Say which pixels can be used: shape (N, S, S)."""
        n = len(self)
        good = np.isfinite(self.data[:n]) & ~self.bad[:n]
        noisy = self.has_noise[:n]
        good[noisy] &= np.isfinite(self.variance[:n][noisy])
        return good
