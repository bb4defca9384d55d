"""The PSF that a caller means: an object, a formula, a file, or the seeing that each image names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.errors import NotFoundError, UsageError
from snapdb.photometry.psf.protocol import check_psf

if TYPE_CHECKING:
    from snapdb.archive.image import Image

FORMS = "gaussian:FWHM and moffat:FWHM:BETA (pixels), property:NAME (FWHM in arcsec), or a file"
"""How a PSF is named in words."""


class SeeingPSF:
    """A round Gaussian as wide as each image says, not a guess: an image that does not say so has none.

    Parameters
    ----------
    name : str
        Property of the images that holds the full width at half maximum, arcseconds.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def parameters(self) -> dict[str, Any]:
        """Give what tells this PSF from others."""
        return {"class": "SeeingPSF", "property": self.name, "unit": "arcsec"}

    def at(self, image: "Image") -> Any:
        """Give the PSF of an image.

        Parameters
        ----------
        image : Image
            With its properties and its pixel scale.

        Raises
        ------
        NotFoundError
            If the image does not say its seeing, or has no pixel scale.
        """
        from snapdb.photometry.psf.gaussian import GaussianPSF

        seeing, scale = image.properties.get(self.name), image.pixel_scale
        known = isinstance(seeing, int | float) and np.isfinite(seeing) and seeing > 0
        if not known or not scale:
            msg = f"image {image.id} has {self.name}={seeing!r}, pixel scale {scale}: no PSF without both"
            raise NotFoundError(msg, image_id=image.id, property=self.name)
        return GaussianPSF(fwhm=float(seeing) / scale)  # type: ignore[arg-type]  # checked above


def choose_psf(given: Any) -> Any:
    """Give the PSF that a caller means.

    Parameters
    ----------
    given : object, str or path
        A PSF as it is; in words, see :data:`FORMS`.

    Returns
    -------
    object
        A PSF, or None for None.

    Raises
    ------
    UsageError
        If the words mean nothing, or the object is no PSF.
    ObjectMissingError, FormatError
        If there is no such file, or it holds no PSF.
    """
    if not isinstance(given, str | Path):
        if given is not None:
            check_psf(given)
        return given
    kind, _, rest = str(given).partition(":")
    if isinstance(given, Path) or kind not in ("gaussian", "moffat", "property"):
        from snapdb.photometry.psf import read_psf

        return read_psf(Path(given))
    if kind == "property" and rest:
        return SeeingPSF(rest)
    try:
        numbers = [float(part) for part in rest.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) != {"gaussian": 1, "moffat": 2}.get(kind, -1) or not all(n > 0 for n in numbers):
        msg = f"psf={given!r}: expected {FORMS}"
        raise UsageError(msg, psf=str(given))
    from snapdb.photometry.psf import GaussianPSF, MoffatPSF

    return GaussianPSF(fwhm=numbers[0]) if kind == "gaussian" else MoffatPSF(fwhm=numbers[0], beta=numbers[1])
