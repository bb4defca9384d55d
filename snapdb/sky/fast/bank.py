"""World coordinates of many images at one position, in one evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from snapdb.pixels.box import is_inside
from snapdb.sky.fast.evaluator import FastWCS, Plane, project
from snapdb.sky.fast.pixels import PixelMap
from snapdb.sky.fast.polynomial import Coefficients, Warp
from snapdb.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class _Group:
    """Those images of a bank that are of one kind: the numbers of each are arrays, shape (m,)."""

    index: IntArray
    plane: Plane
    pixels: PixelMap


class WcsBank:
    """The coordinates of many images, laid side by side.

    Parameters
    ----------
    wcs : sequence of FastWCS
        One an image; what comes out is in their order.
    """

    __slots__ = ("_groups", "_size")

    def __init__(self, wcs: Sequence[FastWCS]) -> None:
        self._size = len(wcs)
        kinds = [(one.pixels.sip is not None, one.pixels.tpv is not None) for one in wcs]
        self._groups = tuple(
            _make_group([i for i, other in enumerate(kinds) if other == kind], wcs)
            for kind in dict.fromkeys(kinds)
        )

    def __len__(self) -> int:
        return self._size

    def world_to_pixel(self, ra: float, dec: float) -> tuple[FloatArray, FloatArray]:
        """Give the pixel of one position in every image.

        Parameters
        ----------
        ra, dec : float
            ICRS degrees.

        Returns
        -------
        x, y : array, shape (n,)
            0-based pixels, NaN in images where the position does not project.
        """
        x, y = np.full(self._size, np.nan), np.full(self._size, np.nan)
        for group in self._groups:
            plane = project(group.plane, float(ra), float(dec))
            x[group.index], y[group.index] = group.pixels.all_from_plane(*plane)
        return x, y

    def includes(self, ra: float, dec: float, width: IntArray, height: IntArray) -> BoolArray:
        """Tell which images a position lies in, up to their pixels' outer edges.

        Parameters
        ----------
        ra, dec : float
            ICRS degrees.
        width, height : array, shape (n,), or int
            Sizes of the images, pixels.
        """
        x, y = self.world_to_pixel(ra, dec)
        return np.asarray(is_inside(x, y, width, height))  # type: ignore[call-overload]


def _make_group(chosen: list[int], wcs: Sequence[FastWCS]) -> _Group:
    """Lay images of one kind side by side."""
    planes, pixels = [wcs[i].plane for i in chosen], [wcs[i].pixels for i in chosen]
    plane = Plane(
        np.array([one.ra_deg for one in planes]),
        _columns([one.east for one in planes]),
        _columns([one.north for one in planes]),
        _columns([one.out for one in planes]),
    )
    sip, tpv = [one.sip for one in pixels if one.sip], [one.tpv for one in pixels if one.tpv]
    together = PixelMap(
        reference=_columns([one.reference for one in pixels]),
        matrix=_columns([one.matrix for one in pixels]),
        inverse=_columns([one.inverse for one in pixels]),
        scale=np.array([one.scale for one in pixels]),
        sip=_stack(sip) if sip else None,
        tpv=_stack(tpv) if tpv else None,
    )
    return _Group(np.array(chosen), plane, together)


def _columns(rows: Sequence[Sequence[float]]) -> Any:
    """Lay the numbers of each image into a column."""
    return np.ascontiguousarray(np.array(rows, dtype=np.float64).T)


def _stack(warps: Sequence[Warp]) -> Warp:
    """Lay distortions side by side, all with the terms of the highest order."""
    order = max(warp.order for warp in warps)
    first = _columns([_padded(warp.first, warp.order, order) for warp in warps])
    second = _columns([_padded(warp.second, warp.order, order) for warp in warps])
    radial = None
    if any(warp.radial is not None for warp in warps):
        none = (0.0,) * 4, (0.0,) * 4
        each = np.array([none if warp.radial is None else warp.radial for warp in warps])
        radial = np.ascontiguousarray(each[:, 0].T), np.ascontiguousarray(each[:, 1].T)
    return Warp(order, first, second, radial, np.array([warp.unit for warp in warps]))


def _padded(terms: Coefficients, own: int, order: int) -> Sequence[float]:
    """Give one image's coefficients their places in a polynomial of a higher order."""
    if own == order:
        return tuple(terms)
    padded = np.zeros((order + 1) * (order + 2) // 2)
    padded[_triangle(own, order)] = terms
    return tuple(padded.tolist())


@lru_cache(maxsize=64)
def _triangle(own: int, order: int) -> BoolArray:
    """Tell which terms of a polynomial are in one of a lower order too."""
    return np.array([p + q <= own for p in range(order + 1) for q in range(order + 1 - p)])
