"""Outlines of cutouts on other images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snapdb.archive.placed import PlacedImage
from snapdb.archive.stamps.skipped import Skipper
from snapdb.pixels.box import Box
from snapdb.sky.wcs import BaseWCS
from snapdb.types import FloatArray

_SIDE = 5
"""Points along a side of a cutout that are mapped, the corners among them: distortion bends sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Where a cutout lies on another image."""

    index: int
    """Of the cutout, in the sequence that was mapped."""
    box: Box
    """The least one that encloses its outline and the pixels around."""
    position: tuple[float, float]
    """Of its source."""


def map_outlines(cutouts: Sequence[PlacedImage], wcs: BaseWCS, pad: float, skip: Skipper) -> list[Outline]:
    """Map cutouts to another image, all in one call for each image that they are from.

    Parameters
    ----------
    cutouts : sequence of PlacedImage
        In any frames.
    wcs : BaseWCS
        Coordinates of the other image.
    pad : float
        Pixels around the outline.
    skip : Skipper
        Told which do not project onto it.

    Returns
    -------
    list of Outline
        In the order of the cutouts.
    """
    found: dict[int, Outline] = {}
    for members in _groups(cutouts, skip):
        points = np.stack([_points(cutouts[i]) for i in members])
        ra, dec = cutouts[members[0]].parent.get_wcs().pixel_to_world(points[..., 0], points[..., 1])
        pixels = np.stack(wcs.world_to_pixel(ra, dec), axis=-1)
        for i, places in zip(members, pixels, strict=True):
            if not np.isfinite(places).all():
                skip(cutouts[i].src_id, "its outline does not project onto the image")
                continue
            low = np.floor(places[:-1].min(axis=0) - pad).astype(int).tolist()
            high = np.ceil(places[:-1].max(axis=0) + pad).astype(int).tolist()
            x, y = places[-1].tolist()
            with skip.if_refused(cutouts[i].src_id):
                box = Box(low[0], low[1], high[0] - low[0] + 1, high[1] - low[1] + 1)
                found[i] = Outline(index=i, box=box, position=(x, y))
    return [found[i] for i in sorted(found)]


def _groups(cutouts: Sequence[PlacedImage], skip: Skipper) -> Iterator[list[int]]:
    """Put together the cutouts of one image, which are mapped together."""
    groups: dict[int, list[int]] = {}
    for i, cutout in enumerate(cutouts):
        if cutout.parent.has_wcs:
            groups.setdefault(id(cutout.parent), []).append(i)
        else:
            skip(cutout.src_id, "it has no world coordinates")
    yield from groups.values()


def _points(cutout: PlacedImage) -> FloatArray:
    """Give points of a cutout's outer edges, and the position of its source, in its parent's pixels."""
    along = np.linspace(0.0, 1.0, _SIDE)[:-1]
    low, one = np.zeros(_SIDE - 1), np.ones(_SIDE - 1)
    sides = [(along, low), (one, along), (1.0 - along, one), (low, 1.0 - along)]
    unit = np.concatenate([np.stack(side, axis=1) for side in sides])
    edge = unit * (cutout.box.width, cutout.box.height) - 0.5
    offset = np.array([cutout.box.x0 - cutout.dx, cutout.box.y0 - cutout.dy])
    return np.asarray(np.concatenate([edge, [cutout.cutout_src_pos]]) + offset)
