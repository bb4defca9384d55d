"""Curves of growth of an image's own stars."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.photometry.ap_phot import ap_phot
from snapdb.errors import UsageError
from snapdb.photometry.curve_of_growth import GrowthCurve, measure_growth
from snapdb.photometry.lengths import to_number, to_pixels
from snapdb.photometry.quality import Quality

if TYPE_CHECKING:
    from snapdb.archive.planar import PlanarImage

_HARMLESS = int(Quality.NO_NOISE | Quality.NO_ZEROPOINT)


def curve_of_growth(
    image: "PlanarImage", coords: Any, radii: Sequence[float], *, method: str = "exact", **settings: Any
) -> GrowthCurve:
    """Measure how the light of an image's stars grows with the radius.

    Parameters
    ----------
    image : Image
        Whose pixels.
    coords : Table, mapping, array or SkyCoord
        Bright stars that stand alone, as for :func:`~snapdb.archive.photometry.ap_phot.ap_phot`.
    radii : sequence of float
        Pixels or angles, ascending; the last one is taken to hold all of the light.
    method : {'exact', 'subpixel', 'center'}
        How the overlap with pixels is found.
    **settings : object
        Further parameters of ``ap_phot``, such as ``annulus``.

    Returns
    -------
    GrowthCurve
        Its ``correction(r)`` is the ``apcor`` of a radius. Stars with any quality bit within the
        last radius, a neighbour too, do not count.

    Raises
    ------
    NotFoundError
        If no star is left.
    UsageError, ShapeError, ProjectionError, ConfigError
        As for ``ap_phot``.
    """
    sizes = _read_radii(image, radii)
    table = ap_phot(image, coords, sizes, method, **settings)
    last = len(sizes) - 1
    good = (np.asarray(table[f"quality_{last}"]) & ~_HARMLESS) == 0
    columns = [
        np.stack([np.asarray(table[f"{name}_{n}"])[good] for n in range(len(sizes))], axis=1)
        for name in ("aperture_sum", "aperture_sum_err")
    ]
    return measure_growth(sizes, *columns)


def _read_radii(image: "PlanarImage", radii: Any) -> list[float]:
    """Take radii, pixels or angles."""
    given = to_pixels(radii, image.pixel_scale, "radii")
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        msg = f"radii={radii!r:.80}: expected ascending radii, such as [2, 4, 8]"
        raise UsageError(msg)
    return [to_number(radius, "radii", "ascending numbers of pixels") for radius in given]
