"""What follows from an image's size and world coordinates: centre, corners, angle, scale."""

from typing import Any

import numpy as np

from snapdb.sky.wcs import BaseWCS


def derive_geometry(wcs: BaseWCS, width: int, height: int) -> dict[str, Any]:
    """Compute the facts that a WCS and a size determine.

    Parameters
    ----------
    wcs : BaseWCS
        Of the image.
    width, height : int
        Pixels.

    Returns
    -------
    dict
        The fields ``ra``, ``dec``, eight corners, ``position_angle`` and
        ``pixel_scale`` of :class:`snapdb.model.image.ImageFacts`; NaN where a
        position does not project.
    """
    right, top = width - 1, height - 1
    xs = [right / 2, 0, 0, right, right]
    ys = [top / 2, 0, top, 0, top]
    ra, dec = (np.asarray(v) for v in wcs.pixel_to_world(xs, ys))
    facts: dict[str, Any] = {"width": width, "height": height, "ra": float(ra[0]), "dec": float(dec[0])}
    for index, corner in enumerate(("00", "01", "10", "11"), start=1):
        facts[f"ra_corner_{corner}"] = float(ra[index])
        facts[f"dec_corner_{corner}"] = float(dec[index])
    facts["position_angle"] = wcs.position_angle(width, height)
    facts["pixel_scale"] = wcs.pixel_scale_arcsec(xs[0], ys[0])
    return facts
