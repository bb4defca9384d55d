"""PSF models: stamps of a point source, integrated over pixels.

- `protocol`: what a PSF is, and stamps of any of them (``render_stamps``).
- `gaussian`, `moffat`: models with a formula.
- `image`, `gridded`, `psfex`: models that are images, through `spline`.
- `stars`, `from_stars`: models from an image's own stars.
- `files`, `new_file`: reading and writing.
- `named`: models by the names that they have in snappl.
"""

from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.files import read_psf
from snapdb.photometry.psf.from_stars import build_psf
from snapdb.photometry.psf.gaussian import GaussianPSF
from snapdb.photometry.psf.gridded import GriddedPSF
from snapdb.photometry.psf.image import ImagePSF, UndersampledPSFWarning
from snapdb.photometry.psf.moffat import MoffatPSF
from snapdb.photometry.psf.named import get_psf_object
from snapdb.photometry.psf.protocol import PSF, render_stamps
from snapdb.photometry.psf.psfex import PSFExPSF

__all__ = [
    "PSF",
    "GaussianPSF",
    "GriddedPSF",
    "ImagePSF",
    "MoffatPSF",
    "PSFExPSF",
    "PSFModel",
    "UndersampledPSFWarning",
    "build_psf",
    "get_psf_object",
    "read_psf",
    "render_stamps",
]
