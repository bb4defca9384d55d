"""Cutouts of the sources of a catalogue, mapped from image to image: subpixal's functions.

Sources that give no cutout are left out, never the others with them. Which these are, and why,
is appended to the list given as ``report``, and logged.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snapdb.archive.array_source import ArraySource, flagged, make_source
from snapdb.archive.cutout import Cutout
from snapdb.archive.loading import as_wcs
from snapdb.archive.stamps.outlines import map_outlines
from snapdb.archive.stamps.skipped import Report, Skipper
from snapdb.archive.stamps.source_columns import SourceColumns
from snapdb.errors import ProjectionError, ShapeError, UsageError
from snapdb.photometry.lengths import to_number
from snapdb.pixels.box import Box
from snapdb.pixels.segments import as_labels, find_segments
from snapdb.types import IntArray, PixelArray

_MOST_PAD_PX = 2.0**31


def create_primary_cutouts(
    catalog: Any,
    segmentation_image: PixelArray,
    imdata: PixelArray,
    imwcs: Any,
    imdq: PixelArray | None = None,
    imweight: PixelArray | None = None,
    data_units: str = "counts",
    exptime: float = 1,
    pad: float = 1,
    *,
    dqbitmask: Any = 0,
    report: Report | None = None,
) -> list[Cutout]:
    """Cut the sources of a catalogue from the image whose segments they are.

    Parameters
    ----------
    catalog : Table, mapping of arrays, or an object whose ``catalog`` is one
        With a column ``id``; ``x`` and ``y`` (0-based pixels) and ``weight`` are used where there are
        any. The first of several rows of one id counts.
    segmentation_image : array of int, shape (ny, nx)
        Id of the source that each pixel belongs to, 0 for none.
    imdata : array, shape (ny, nx)
        Pixels ``[y, x]``.
    imwcs : astropy.wcs.WCS or BaseWCS
        Coordinates of the image.
    imdq, imweight : array, optional
        Data quality flags and weights.
    data_units : {'counts', 'rate'}
        What one unit of the data is.
    exptime : float
        Exposure time, seconds.
    pad : float
        Pixels added around a segment, rounded away from 0. Where they lie beyond the image
        they are 0, and masked.
    dqbitmask : int, str or list, optional
        The bits of `imdq` that are good, as in :mod:`astropy.nddata.bitmask`; the others mask
        pixels. By default all do, with None none.
    report : list, optional
        Gets a :class:`~snapdb.archive.stamps.skipped.SkippedSource` for each source that was left out.

    Returns
    -------
    list of Cutout
        By ascending id. Pixels of other segments are masked. Sources that touch the edge of
        the segmentation image, which may go on beyond it, and those without a good pixel
        are left out.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    UsageError
        If the catalogue has no ids, ids are not whole numbers, or `pad` is no finite number.
    """
    source = _make_source(imdata, imwcs, imdq, imweight, data_units, exptime, dqbitmask)
    labels = _labels_of(segmentation_image, source)
    ids, boxes = find_segments(labels)
    columns = SourceColumns.read(catalog)
    around = _whole_pad(pad)
    skip = Skipper(report, "primary")
    for src_id in np.setdiff1d(columns.ids, ids):
        skip(int(src_id), "it is not in the segmentation image")
    shared, rows, found = np.intersect1d(columns.ids, ids, return_indices=True)
    cutouts = []
    for src_id, row, number in zip(shared.tolist(), rows, found, strict=True):
        box = boxes[number]
        if box.x0 <= 0 or box.y0 <= 0 or box.x1 >= labels.shape[1] or box.y1 >= labels.shape[0]:
            skip(src_id, "it touches the edge of the segmentation image")
            continue
        with skip.if_refused(src_id):
            grown = Box(box.x0 - around, box.y0 - around, box.width + 2 * around, box.height + 2 * around)
            cutout = _cut(source, grown, "fill", dqbitmask, labels, src_id)
            cutout.src_pos, cutout.src_weight = columns.position(row), columns.weight(row)
            cutouts.append(cutout)
    return cutouts


def create_input_image_cutouts(
    primary_cutouts: Sequence[Cutout],
    imdata: PixelArray,
    imwcs: Any,
    imdq: PixelArray | None = None,
    imweight: PixelArray | None = None,
    data_units: str = "counts",
    exptime: float = 1,
    pad: float = 1,
    *,
    dqbitmask: Any = 0,
    report: Report | None = None,
) -> tuple[list[Cutout], list[Cutout]]:
    """Cut from another image what cutouts show, where that lies wholly inside it.

    Parameters
    ----------
    primary_cutouts : sequence of Cutout
        With coordinates, each in any frame.
    imdata, imwcs, imdq, imweight, data_units, exptime, dqbitmask, report
        Of the other image; as for :func:`create_primary_cutouts`.
    pad : float
        Pixels added around the least box that encloses the mapped outline of a cutout.

    Returns
    -------
    cutouts, primaries : list of Cutout
        New cutouts, and those of `primary_cutouts` that they belong to, one by one.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    UsageError
        If `pad` is no finite number.
    ProjectionError
        If the other image has no coordinates.
    """
    source = _make_source(imdata, imwcs, imdq, imweight, data_units, exptime, dqbitmask)
    around = _check_pad(pad)
    return _cut_mapped(primary_cutouts, source, around, dqbitmask, None, Skipper(report, "input"))


def drz_from_input_cutouts(
    input_cutouts: Sequence[Cutout],
    segmentation_image: PixelArray | None,
    imdata: PixelArray,
    imwcs: Any,
    imdq: PixelArray | None = None,
    imweight: PixelArray | None = None,
    data_units: str = "counts",
    exptime: float = 1,
    pad: float = 1,
    *,
    dqbitmask: Any = 0,
    report: Report | None = None,
) -> tuple[list[Cutout], list[Cutout]]:
    """Cut from a drizzled image what cutouts show, where that lies at least partly inside it.

    Parameters
    ----------
    input_cutouts : sequence of Cutout
        With coordinates, each in any frame.
    segmentation_image : array of int or None
        Of the drizzled image: pixels of other segments are masked.
    imdata, imwcs, imdq, imweight, data_units, exptime, dqbitmask, report
        Of the drizzled image; as for :func:`create_primary_cutouts`.
    pad : float
        Pixels added around the mapped outline of a cutout, rounded away from 0. Pixels beyond
        the image are 0, and masked.

    Returns
    -------
    cutouts, inputs : list of Cutout
        New cutouts, and those of `input_cutouts` that they belong to, one by one.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    UsageError
        If `pad` is no finite number.
    ProjectionError
        If the drizzled image has no coordinates.
    """
    source = _make_source(imdata, imwcs, imdq, imweight, data_units, exptime, dqbitmask)
    labels = None if segmentation_image is None else _labels_of(segmentation_image, source)
    around = _whole_pad(pad)
    return _cut_mapped(input_cutouts, source, around, dqbitmask, labels, Skipper(report, "drizzled"))


def create_cutouts(
    primary_cutouts: Sequence[Cutout],
    segmentation_image: PixelArray | None,
    drz_data: PixelArray,
    drz_wcs: Any,
    flt_data: PixelArray,
    flt_wcs: Any,
    drz_dq: PixelArray | None = None,
    drz_weight: PixelArray | None = None,
    drz_data_units: str = "rate",
    drz_exptime: float = 1,
    flt_dq: PixelArray | None = None,
    flt_weight: PixelArray | None = None,
    flt_data_units: str = "counts",
    flt_exptime: float = 1,
    pad: float = 2,
    *,
    drz_dqbitmask: Any = 0,
    flt_dqbitmask: Any = 0,
    report: Report | None = None,
) -> tuple[list[Cutout], list[Cutout]]:
    """Map cutouts to an input (distorted) image, and what is found there to a drizzled one.

    :func:`create_input_image_cutouts`, then :func:`drz_from_input_cutouts`.

    Parameters
    ----------
    primary_cutouts : sequence of Cutout
        As :func:`create_primary_cutouts` gives them.
    segmentation_image : array of int or None
        Of the drizzled image.
    drz_data, drz_wcs, drz_dq, drz_weight, drz_data_units, drz_exptime, drz_dqbitmask
        The drizzled image, which may be that of the primary cutouts.
    flt_data, flt_wcs, flt_dq, flt_weight, flt_data_units, flt_exptime, flt_dqbitmask
        The input image.
    pad : float
        Pixels of the input image added around an outline; in the drizzled image as many as
        span the same angle.
    report : list, optional
        As for :func:`create_primary_cutouts`.

    Returns
    -------
    flt_cutouts, drz_cutouts : list of Cutout
        One by one.

    Raises
    ------
    ShapeError, UsageError, ProjectionError
        As the two functions.
    """
    scale_deg = _scale_of(drz_wcs)
    inputs, _ = create_input_image_cutouts(
        primary_cutouts,
        flt_data,
        flt_wcs,
        flt_dq,
        flt_weight,
        flt_data_units,
        flt_exptime,
        pad,
        dqbitmask=flt_dqbitmask,
        report=report,
    )
    if not inputs:
        return [], []
    drizzled, matching = drz_from_input_cutouts(
        inputs,
        segmentation_image,
        drz_data,
        drz_wcs,
        drz_dq,
        drz_weight,
        drz_data_units,
        drz_exptime,
        pad * inputs[0].pscale / scale_deg,
        dqbitmask=drz_dqbitmask,
        report=report,
    )
    return matching, drizzled


def _check_pad(pad: Any) -> float:
    """Take pixels to be added around a box."""
    what = "a finite number of pixels"
    number = to_number(pad, "pad", what)
    if not abs(number) < _MOST_PAD_PX:
        msg = f"pad={pad!r}: expected {what}"
        raise UsageError(msg, pad=pad)
    return number


def _whole_pad(pad: Any) -> int:
    """Take pixels to be added around a box, rounded away from 0."""
    number = _check_pad(pad)
    return math.ceil(number) if number >= 0 else math.floor(number)


def _scale_of(wcs: Any) -> float:
    """Give the size of a pixel on the sky, degrees, whatever other axes the coordinates have."""
    from snapdb.sky.native import pixel_scale_deg

    known = as_wcs(wcs, None)
    if known is None:
        msg = "drz_wcs=None: the drizzled image has no world coordinates; give its WCS"
        raise ProjectionError(msg)
    sky = known.get_astropy_wcs()
    return pixel_scale_deg(sky if sky.naxis == 2 else sky.celestial)


def _labels_of(segmentation_image: PixelArray, source: ArraySource) -> IntArray:
    """Take the labels of an image."""
    labels = as_labels(segmentation_image, name="segmentation_image")
    if labels.shape != source.shape:
        msg = f"segmentation_image has shape {labels.shape}, but the image has {source.shape}"
        raise ShapeError(msg, shape=labels.shape)
    return labels


def _cut(
    source: ArraySource, box: Box, mode: str, dqbitmask: Any, labels: IntArray | None, src_id: Any
) -> Cutout:
    """Cut one source, and mask what is not it."""
    placement = source.place(box, mode)
    cutout = Cutout.from_source(source, placement, 0.0, dqbitmask=dqbitmask)
    cutout.src_id = src_id
    if labels is not None:
        cutout.mask[placement.target.slices] |= labels[placement.source.slices] != src_id
    if cutout.mask.all():
        msg = "none of its pixels is good"
        raise UsageError(msg)
    return cutout


def _cut_mapped(
    cutouts: Sequence[Cutout],
    source: ArraySource,
    pad: float,
    dqbitmask: Any,
    labels: IntArray | None,
    skip: Skipper,
) -> tuple[list[Cutout], list[Cutout]]:
    """Cut from an image what cutouts show; from an input image, where it lies wholly inside."""
    made, origins = [], []
    mode = "fill" if skip.step == "drizzled" else "strict"
    for outline in map_outlines(cutouts, source.parent.get_wcs(), pad, skip):
        origin = cutouts[outline.index]
        with skip.if_refused(origin.src_id):
            cutout = _cut(source, outline.box, mode, dqbitmask, labels, origin.src_id)
            cutout.src_pos, cutout.src_weight = outline.position, origin.src_weight
            made.append(cutout)
            origins.append(origin)
    return made, origins


def _make_source(
    data: PixelArray,
    wcs: Any,
    flags: PixelArray | None,
    weight: PixelArray | None,
    data_units: str,
    exptime: float,
    dqbitmask: Any,
) -> ArraySource:
    """Check what all sources share, so that what is wrong with it is not taken for a fault of each."""
    facts = {"data_units": data_units, "exptime": exptime}
    source = make_source({"data": data, "flags": flags, "weight": weight}, wcs, facts=facts)
    if flags is not None:
        flagged(np.asarray(flags)[:1, :1], dqbitmask)
    return source
