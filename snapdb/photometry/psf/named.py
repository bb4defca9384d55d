"""PSFs by the names that they have in snappl."""

from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.gaussian import GaussianPSF
from snapdb.photometry.psf.image import ImagePSF, check_image, middle

_IGNORED = {"band", "observation_id", "sca", "image", "seed"}
"""What snappl hands to every class, and these do not depend on."""


def get_psf_object(psfclass: str, x: float | None = None, y: float | None = None, **kwargs: Any) -> PSFModel:
    """Make a PSF with the class name and the arguments that snappl takes.

    Parameters
    ----------
    psfclass : {'gaussian', 'OversampledImagePSF', 'photutilsImagePSF'}
        The class. ``gaussian`` takes sigmax, sigmay, theta (degrees) and stamp_size; the others
        oversample_factor, data and normalize, where the data sum to the captured part of the
        flux. Both are integrated over pixels: that snappl does not do so for
        ``photutilsImagePSF`` is a defect that it names.
    x, y : float, optional
        Position on the image, in pixels.
    **kwargs : object
        Arguments of the class. band, observation_id, sca, image and seed are accepted and not
        used.

    Returns
    -------
    PSFModel
        A :class:`GaussianPSF` or :class:`ImagePSF`.

    Raises
    ------
    UsageError
        If the class is another one, or does not take an argument.
    """
    arguments = {name: value for name, value in kwargs.items() if name not in _IGNORED}
    if psfclass == "gaussian":
        sigma_x, sigma_y = float(arguments.pop("sigmax", 1.0)), float(arguments.pop("sigmay", 1.0))
        theta, size = float(arguments.pop("theta", 0.0)), arguments.pop("stamp_size", None)
        _check_rest(psfclass, arguments)
        return GaussianPSF(sigma_x, sigma_y, theta, x=x, y=y, stamp_size=size)
    if psfclass in {"OversampledImagePSF", "photutilsImagePSF"}:
        data, factor = arguments.pop("data", None), arguments.pop("oversample_factor", 1)
        captured = 1.0 if arguments.pop("normalize", False) else None
        arguments.pop("enforce_odd", None)  # any side will do
        _check_rest(psfclass, arguments)
        if data is None:
            msg = f"PSF class {psfclass!r}: expected data=, the image of the PSF"
            raise UsageError(msg, psfclass=psfclass)
        whole = int(factor) if factor == int(factor) else factor
        centre = None
        if psfclass == "OversampledImagePSF":
            # Its image holds the PSF as it lies within its pixel; the other's is centred.
            mid_x, mid_y = middle(check_image(data).shape)
            centre = (mid_x + whole * _within(x), mid_y + whole * _within(y))
        return ImagePSF(data, whole, is_prf=False, captured=captured, centre=centre, x=x, y=y)
    msg = f"PSF class {psfclass!r}: expected gaussian, OversampledImagePSF or photutilsImagePSF"
    raise UsageError(msg, psfclass=psfclass)


def _within(position: float | None) -> float:
    """Say where a position is from the middle of its pixel."""
    return 0.0 if position is None else float(position - np.floor(position + 0.5))


def _check_rest(psfclass: str, arguments: dict[str, Any]) -> None:
    """Refuse what would be left unused in silence."""
    if arguments:
        msg = f"PSF class {psfclass!r} does not take {', '.join(sorted(arguments))}"
        raise UsageError(msg, psfclass=psfclass, arguments=tuple(sorted(arguments)))
