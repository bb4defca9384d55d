"""Aperture photometry of one image, as its users call it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.photometry.aperture_fluxes import measure
from snapdb.archive.photometry.aperture_settings import ApertureSettings, ImagePlanes
from snapdb.archive.photometry.aperture_table import make_table
from snapdb.archive.photometry.positions import Positions, read_positions
from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.apertures import read_shapes
from snapdb.photometry.lengths import to_pixels
from snapdb.photometry.psf.protocol import check_psf
from snapdb.pixels.box import Box

if TYPE_CHECKING:
    from astropy.table import QTable

    from snapdb.archive.planar import PlanarImage


def ap_phot(
    image: "PlanarImage",
    coords: Any = None,
    ap_r: Any = 9,
    method: str = "subpixel",
    subpixels: int = 5,
    bgsize: int = 511,
    *,
    background: str | None = None,
    annulus: Sequence[float] | None = None,
    estimator: str = "clipped",
    masked: str | None = None,
    psf: Any = None,
    apcor: float | None = None,
    bad_bits: Any = None,
    error: Any = None,
    mask: Any = None,
    limit_sigma: float = 5.0,
) -> "QTable":
    """Measure fluxes within apertures.

    Parameters
    ----------
    image : Image
        Whose pixels.
    coords : Table, mapping, array, SkyCoord or path
        Positions, as :func:`~snapdb.archive.photometry.positions.read_positions` takes them:
        ``x`` and ``y`` (0-based pixels), or ``ra`` and ``dec`` (ICRS). None where `ap_r` is
        a photutils aperture, whose positions are meant.
    ap_r : float, shape or list
        Radius of a circle, pixels or a Quantity of an angle; an ``Ellipse(a, b, angle_deg)``, a
        ``Rectangle(width, height, angle_deg)``, a photutils aperture (its shape, and its positions
        where there are no `coords`); or a list of these, for which columns are numbered ``aperture_sum_0``...
    method : {'subpixel', 'exact', 'center'}
        How the overlap with pixels is found.
    subpixels : int
        Points a side for ``subpixel``.
    bgsize : int
        Side of the boxes of the image's background, pixels; 0 or less for none.
    background : {'global', 'annulus', 'none'}, optional
        ``global`` is a smooth sky of the image with its sources masked, found once and kept
        until the image is freed; ``annulus`` a ring around each position.
    annulus : pair of float, optional
        Radii of the ring, pixels or angles; giving them chooses ``annulus``. By default 15 and 25.
    estimator : {'clipped', 'median', 'mode', 'mmm'}
        Of the ring; see :func:`~snapdb.photometry.background.annulus_background`. Where the sky
        has fewer than about 10 counts a pixel, ``clipped`` is 0.03 to 0.06 counts too low: take
        ``median`` or ``mmm`` there.
    masked : {'scale', 'psf', 'sum', 'exclude'}, optional
        What stands for bad pixels: the mean of the good ones within the aperture; the PSF,
        scaled to them (the default with `psf`); their own values; nothing. By default, without
        a `psf`, it is the mean, but not where a bad pixel lies within half of the aperture's
        size: light is not the same there, and the flux is NaN with ``MASKED_PEAK`` and
        ``FAILED``. Whatever it is, `bad_fraction` and `quality` say that there were some.
    psf : PSF, optional
        Gives the aperture correction of each position.
    apcor : float, optional
        Correction to all of the light, in place of the PSF's.
    bad_bits : int, str or list, optional
        Flags that make a pixel bad, by number or name; those of the instrument by default.
    error : array, optional
        One standard deviation of each pixel, in place of the image's noise.
    mask : array of bool, optional
        True for further bad pixels.
    limit_sigma : float
        Standard deviations of `mag_limit`.

    Returns
    -------
    QTable
        A row a position, in their order; ``meta`` says how it was measured. ``aperture_sum``
        and its error are in the data's units and not corrected; ``flux_njy`` and ``mag`` are,
        by ``apcor``. What cannot be measured is NaN, and ``quality`` says why. Errors count a
        pixel's variance by the fraction that lies within, as photutils does; for pixels that
        are independent this is 2 % too much at 9 pixels and 5 % at 4.

    Raises
    ------
    UsageError
        If a parameter or a flag is not known, or the positions have no columns that are.
    ShapeError
        If `error` or `mask` has another shape than the image.
    ProjectionError
        If sky positions are given and the image has no world coordinates.
    NotFoundError
        If the image has no pixels.
    ConfigError
        If photutils is not installed.

    Notes
    -----
    Of the parameters of photutils' ``aperture_photometry``, which snappl hands on, ``method``,
    ``subpixels``, ``error`` and ``mask`` are here under their names; ``wcs`` is the image's own
    (positions as ``ra`` and ``dec``, or a sky aperture as `ap_r`), and apertures are `ap_r`. Where
    nothing tells the noise, neither a plane nor `error` nor a ring, the fluxes stand and their
    errors are NaN, with ``FAILED`` and ``NO_NOISE`` in `quality`.
    """
    if hasattr(ap_r, "to_pixel"):
        ap_r = ap_r.to_pixel(image.get_wcs("AstropyWCS").get_astropy_wcs())
    if coords is None and hasattr(ap_r, "positions"):
        coords = np.atleast_2d(ap_r.positions)
    scale = image.pixel_scale
    if psf is not None:
        check_psf(psf)
    shapes, several = read_shapes(ap_r, scale)
    settings = ApertureSettings(
        shapes=tuple(shapes),
        several=several,
        method=method,
        subpixels=subpixels,
        bgsize=bgsize,
        background=_choose_background(background, annulus, bgsize),
        annulus=_as_ring(to_pixels(annulus, scale, "annulus")),
        estimator=estimator,
        shuns_core=masked is None and psf is None,
        masked=masked if masked is not None else "scale" if psf is None else "psf",
        psf=psf.at(image) if callable(getattr(psf, "at", None)) else psf,
        apcor=apcor,
        bad_bits=bad_bits,
        limit_sigma=limit_sigma,
    )
    positions = read_positions(image, coords)
    planes = _take_planes(image, error, mask) if error is not None or mask is not None else None
    planes = planes or _read_planes(image, positions, settings)
    return make_table(image, positions, measure(image, planes, positions, settings), settings)


def _choose_background(background: str | None, annulus: Any, bgsize: Any) -> str:
    """Say which background is meant by what was given."""
    if background is not None:
        return background
    if annulus is not None:
        return "annulus"
    if isinstance(bgsize, bool) or not isinstance(bgsize, int | np.integer):
        msg = f"bgsize={bgsize!r}: expected a whole number of pixels, or 0 for no background"
        raise UsageError(msg, bgsize=bgsize)
    return "global" if bgsize > 0 else "none"


def _as_ring(annulus: Any) -> tuple[float, float]:
    """Take the radii of a ring."""
    if annulus is None:
        return 15.0, 25.0
    try:
        inner, outer = (float(r) for r in annulus)
    except (TypeError, ValueError) as err:
        msg = f"annulus={annulus!r}: expected two radii in pixels, (inner, outer)"
        raise UsageError(msg, annulus=annulus) from err
    return inner, outer


def _take_planes(image: "PlanarImage", error: Any, mask: Any) -> ImagePlanes:
    """Give the arrays to measure, with what the caller puts in their place."""
    data = image.data
    return ImagePlanes(
        data=data,
        noise=image.noise if error is None else _like(data, error, "error", float),
        flags=image.flags,
        mask=None if mask is None else _like(data, mask, "mask", bool),
        is_own=False,
    )


def _read_planes(image: "PlanarImage", positions: Positions, settings: ApertureSettings) -> ImagePlanes:
    """Give the image's arrays; only the box that is needed where the background is not the image's."""
    rows = np.flatnonzero(positions.inside(image.width, image.height))
    if settings.background == "global" or not len(rows):
        return ImagePlanes(data=image.data, noise=image.noise, flags=image.flags, mask=None)
    half = max(settings.stamp_sizes) // 2
    lows, highs = [], []
    for values, length in ((positions.x[rows], image.width), (positions.y[rows], image.height)):
        lows.append(max(0, int(np.floor(values.min() + 0.5)) - half))
        highs.append(min(length, int(np.floor(values.max() + 0.5)) + half + 1))
    box = Box(lows[0], lows[1], highs[0] - lows[0], highs[1] - lows[1])
    names = [name for name in ("data", "noise", "flags") if name in image.plane_names]
    parts = image.read_box(names, box)
    origin = (box.x0, box.y0)
    return ImagePlanes(
        data=parts["data"], noise=parts.get("noise"), flags=parts.get("flags"), mask=None, origin=origin
    )


def _like(data: Any, given: Any, name: str, kind: type) -> Any:
    """Take an array, or one number, of the image's shape."""
    try:
        return np.broadcast_to(np.asarray(getattr(given, "value", given), dtype=kind), data.shape)
    except (TypeError, ValueError) as err:
        msg = f"{name} of shape {np.shape(given)}: expected {data.shape}, as the data have"
        raise ShapeError(msg, name=name, shape=np.shape(given)) from err
