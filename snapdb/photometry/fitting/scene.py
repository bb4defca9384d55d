"""Sources whose light overlaps: which belong together, and the linear equations of all at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.photometry.fitting.linear import Weights, weigh
from snapdb.photometry.fitting.stamps import crop_stamps
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import BoolArray, FloatArray, IntArray

FAINT = 1e-4
"""Share of a PSF's peak below which its light on another stamp does not join two sources."""
_LARGEST_REACH = 100


def find_reach(psf: Any, x: float, y: float) -> int:
    """Say how far from its centre a PSF is above 1e-4 of its peak.

    Parameters
    ----------
    psf : PSF
        Any object with the names of the protocol.
    x, y : float
        Position on the image, pixels.

    Returns
    -------
    int
        Pixels along x or y, at most half the PSF's stamp.
    """
    half = min(int(psf.stamp_size) // 2, _LARGEST_REACH)
    stamp = np.abs(render_stamps(psf, np.array([x]), np.array([y]), 2 * half + 1)[0])
    rows, columns = np.nonzero(stamp > FAINT * stamp.max())
    return int(max(np.abs(rows - half).max(initial=0), np.abs(columns - half).max(initial=0)))


def link_sources(column: IntArray, row: IntArray, distance: int) -> IntArray:
    """Put sources into groups: those whose centre pixels are near, and those near to these.

    Parameters
    ----------
    column, row : array of int
        Centre pixels, shape (N,).
    distance : int
        Pixels along x and along y up to which two sources are joined.

    Returns
    -------
    array of int
        Group of each source, from 0 in the order of first members, shape (N,).
    """
    return _label(np.stack((column, row), axis=1), float(distance) + 0.25, np.inf)


def link_within(x: FloatArray, y: FloatArray, separation: float) -> IntArray:
    """Put sources into groups by a separation that a caller chose.

    Parameters
    ----------
    x, y : array
        Positions, pixels, shape (N,).
    separation : float
        Pixels up to which two sources are joined.

    Returns
    -------
    array of int
        As :func:`link_sources`.

    Raises
    ------
    UsageError
        If the separation is negative or no number.
    """
    if not separation >= 0:
        msg = f"group={separation}: expected True, False, or a separation in pixels of at least 0"
        raise UsageError(msg, group=separation)
    return _label(np.stack((x, y), axis=1), separation, 2.0)


def _label(places: Any, distance: float, norm: float) -> IntArray:
    """Give numbers to the connected components of sources within a distance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    number = len(places)
    if number == 0:
        return np.zeros(0, dtype=np.int64)
    pairs = cKDTree(places).query_pairs(distance, p=norm, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), (number, number))
    labels = connected_components(links, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The good pixels of the stamps of groups of sources, each pixel of a group once."""

    place: IntArray
    """Which pixel of the scene each pixel of each stamp is, -1 where it is not good; shape (N, S * S)."""
    near: IntArray
    """The same for wider stamps, which hold each source's light on its neighbours; shape (N, R * R)."""
    pixels: FloatArray
    """Data above the mean level of the stamps that a pixel is on."""
    variance: FloatArray
    """Of each pixel."""
    weight: FloatArray
    """Of each pixel."""
    level: FloatArray
    """What was subtracted from each pixel."""
    level_err: FloatArray
    """Mean standard deviation of that."""
    group: IntArray
    """Of each source, from 0."""

    @property
    def number(self) -> int:
        """How many pixels there are."""
        return len(self.pixels)

    def to_stamps(self, values: FloatArray) -> FloatArray:
        """Give values of pixels as rows of stamps, 0 where a pixel is not good: (N, S * S)."""
        return np.asarray(np.where(self.place >= 0, np.append(values, 0.0)[self.place], 0.0))

    def to_design(self, model: FloatArray, column: IntArray, number: int) -> Any:
        """Give the matrix (pixels, parameters) that holds wide stamps as some of its columns."""
        from scipy.sparse import csr_array

        used = self.near >= 0
        entries = np.broadcast_to(column[:, None], used.shape)[used]
        values = model.reshape(len(model), -1)[used]
        return csr_array((values, (self.near[used], entries)), (self.number, number))


def make_scene(
    stamps: tuple[FloatArray, FloatArray, BoolArray],
    wide: FloatArray,
    centre: tuple[IntArray, IntArray],
    group: IntArray,
    *,
    weights: Weights,
    sky: FloatArray,
    sky_err: FloatArray,
) -> Scene:
    """Put the stamps of sources together.

    Parameters
    ----------
    stamps : tuple of array
        Data, variance and good pixels, (N, S, S).
    wide : array
        Unit-flux PSFs, (N, R, R) with R >= S odd, about the same centres.
    centre : tuple of array
        Column and row of each stamp's middle.
    group : array of int
        Which sources share their pixels, from 0.
    weights : str
        As for :func:`~snapdb.photometry.fitting.linear.fit_forced`. A pixel on several stamps has the
        largest of their weights.
    sky, sky_err : array
        Level and its error of each source, (N,).

    Returns
    -------
    Scene
        Of all groups.
    """
    data, variance, good = stamps
    number, size = len(data), data.shape[-1]
    psf = crop_stamps(wide, size).reshape(number, -1)
    with np.errstate(invalid="ignore"):
        use = (good & np.isfinite(data) & np.isfinite(variance) & (variance > 0)).reshape(number, -1)
    use &= np.isfinite(psf)
    var = np.where(use, variance.reshape(number, -1), 1.0)
    weight = weigh(var, use, np.where(use, psf, 0.0), weights)
    keys = _keys(centre, size, wide.shape[-1], group)
    known, first, inverse = np.unique(keys[use], return_index=True, return_inverse=True)
    place = np.full(keys.shape, -1, dtype=np.int64)
    place[use] = inverse
    share = np.maximum(np.bincount(inverse, minlength=len(known)), 1)
    source = np.broadcast_to(np.arange(number)[:, None], use.shape)[use]
    level, level_err = (np.bincount(inverse, v[source], len(known)) / share for v in (sky, sky_err))
    strongest = np.zeros(len(known))
    np.maximum.at(strongest, inverse, weight[use])
    return Scene(
        place=place,
        near=_look_up(known, _keys(centre, wide.shape[-1], wide.shape[-1], group)),
        pixels=data.reshape(number, -1)[use][first] - level,
        variance=var[use][first],
        weight=strongest,
        level=level,
        level_err=level_err,
        group=group,
    )


def _keys(centre: tuple[IntArray, IntArray], size: int, widest: int, group: IntArray) -> IntArray:
    """Give numbers to the pixels of stamps, so that equal numbers are the same pixel of the same group."""
    column, row = (c - c.min(initial=0) + widest for c in centre)
    wide, high = (int(c.max(initial=0)) + widest for c in (column, row))
    reach = np.arange(-(size // 2), size // 2 + 1)
    rows, columns = row[:, None] + reach, column[:, None] + reach
    keys = (group[:, None, None] * high + rows[:, :, None]) * wide + columns[:, None, :]
    return np.asarray(keys.reshape(len(group), -1))


def _look_up(known: IntArray, keys: IntArray) -> IntArray:
    """Find keys among sorted ones; -1 where there is none."""
    if len(known) == 0:
        return np.full(keys.shape, -1, dtype=np.int64)
    found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[found] == keys, found, -1)
