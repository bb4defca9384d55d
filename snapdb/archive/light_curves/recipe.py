"""How fluxes are measured: everything that decides their values, checked, and said in their provenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.model.provenance import Provenance
from snapdb.photometry.background import Estimator, annulus_stamp_size, check_ring
from snapdb.photometry.fitting.linear import Weights

Method = Literal["psf", "aperture"]
BadBits = int | str | tuple[int | str, ...] | None

PROCESS = "lightcurve"
"""Of the provenance of forced fluxes, whoever asked for them: the same work is found again."""
VERSION = (1, 0)
DEFAULT_RADIUS_PX = 5.0
_LEAST_STAMP = 41
"""Pixels along an edge without an annulus: what the scatter of the sky is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a flux is measured at a position on an image."""

    method: Method
    psf: Any = None
    """A PSF of :mod:`snapdb.photometry.psf`, or an object with snappl's ``get_stamp``."""
    radius_px: float = DEFAULT_RADIUS_PX
    """Of the aperture."""
    fit_size: int = 11
    """Edge of the square that is fitted, pixels, odd."""
    annulus: tuple[float, float] | None = (15.0, 25.0)
    """Radii of the ring that tells the background, pixels; None subtracts none."""
    estimator: Estimator = "clipped"
    weights: Weights = "sky"
    bad_bits: BadBits = None
    """Flags that make a pixel bad; None takes each image's own."""

    @classmethod
    def make(
        cls,
        *,
        psf: Any = None,
        method: str | None = None,
        ap_r: float | None = None,
        fit_shape: Any = (11, 11),
        annulus: Any = (15, 25),
        estimator: str = "clipped",
        weights: str = "sky",
        bad_bits: Any = None,
    ) -> Self:
        """Check what a caller asks for; see :meth:`snapdb.Archive.light_curve`.

        Raises
        ------
        UsageError
            If a choice there is not, or choices contradict each other.
        ShapeError
            If `fit_shape` is no odd square.
        """
        chosen = method or ("psf" if psf is not None and ap_r is None else "aperture")
        _check_choice("method", chosen, get_args(Method))
        _check_choice("estimator", estimator, get_args(Estimator))
        _check_choice("weights", weights, get_args(Weights))
        if chosen == "psf" and psf is None:
            msg = "method='psf' needs a psf: an object of snapdb.photometry.psf, or leave method out"
            raise UsageError(msg, method=method)
        if chosen == "psf" and ap_r is not None:
            msg = f"ap_r={ap_r} is the radius of an aperture; give method='aperture', or leave it out"
            raise UsageError(msg, ap_r=ap_r)
        radius = DEFAULT_RADIUS_PX if ap_r is None else ap_r
        if not (isinstance(radius, int | float | np.number) and 0.0 < float(radius) <= 500.0):
            msg = f"ap_r={radius!r}: expected a radius above 0 and up to 500 pixels"
            raise UsageError(msg, ap_r=radius)
        made: Any = {"method": chosen, "estimator": estimator, "weights": weights}
        return cls(
            **made,
            psf=psf,
            radius_px=float(radius),
            fit_size=_check_square(fit_shape),
            annulus=_check_annulus(annulus),
            bad_bits=tuple(bad_bits) if isinstance(bad_bits, list | set) else bad_bits,
        )

    @property
    def inner_size(self) -> int:
        """Edge of the square whose pixels make the flux, pixels, odd."""
        return self.fit_size if self.method == "psf" else 2 * int(np.ceil(self.radius_px + 0.5)) + 1

    @property
    def stamp_size(self) -> int:
        """Edge of the square that is read of each image, pixels, odd."""
        ring = _LEAST_STAMP if self.annulus is None else annulus_stamp_size(self.annulus[1])
        return max(ring, self.inner_size)

    @property
    def name(self) -> str:
        """Short text: the method with its size."""
        return f"psf {self.fit_size}" if self.method == "psf" else f"ap {self.radius_px:g}"

    def parameters(self) -> dict[str, Any]:
        """Give all that decides the values, as JSON has it."""
        made: dict[str, Any] = {
            "method": self.method,
            "annulus": None if self.annulus is None else list(self.annulus),
            "background": None if self.annulus is None else self.estimator,
            "bad_bits": list(self.bad_bits) if isinstance(self.bad_bits, tuple) else self.bad_bits,
        }
        made["psf"] = None if self.psf is None else describe_psf(self.psf)
        if self.method == "psf":
            return made | {"fit_size": self.fit_size, "weights": self.weights}
        return made | {"radius_px": self.radius_px}

    def make_provenance(self, upstream: Provenance) -> Provenance:
        """Make the provenance of what is measured on images of one provenance.

        Parameters
        ----------
        upstream : Provenance
            Of the images.
        """
        return Provenance(PROCESS, *VERSION, self.parameters(), upstreams=upstream)


def describe_psf(psf: Any) -> dict[str, Any]:
    """Give what tells a PSF from others, as JSON has it.

    Parameters
    ----------
    psf : object
        With ``parameters()``, or an object of another package.

    Raises
    ------
    UsageError
        If it does not say what it is: what was measured with it could not be told apart.
    """
    tell = getattr(psf, "parameters", None)
    said = tell() if callable(tell) else getattr(psf, "provenance_parameters", None)
    if not isinstance(said, Mapping):
        msg = (
            f"the psf, a {type(psf).__name__}, has no parameters() that say what it is; "
            "give keep=False, or a provenance"
        )
        raise UsageError(msg, psf=type(psf).__name__)
    return dict(said)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of a few."""
    if value not in choices:
        msg = f"{name}={value!r}: expected one of {', '.join(choices)}"
        raise UsageError(msg, name=name)


def _check_square(shape: Any) -> int:
    """Take one odd number, or two that are the same."""
    sides = {shape} if isinstance(shape, int | np.integer) else set(np.atleast_1d(shape).tolist())
    side = sides.pop() if len(sides) == 1 else None
    if not isinstance(side, int | np.integer) or not 1 <= side <= 999 or side % 2 == 0:
        msg = f"fit_shape={shape!r}: expected one odd number of pixels, or the same twice, such as (11, 11)"
        raise ShapeError(msg, fit_shape=shape)
    return int(side)


def _check_annulus(annulus: Any) -> tuple[float, float] | None:
    """Take two radii, or None."""
    if annulus is None:
        return None
    try:
        inner, outer = (float(radius) for radius in annulus)
    except (TypeError, ValueError) as err:
        msg = f"annulus={annulus!r}: expected two radii in pixels, such as (15, 25), or None"
        raise UsageError(msg, annulus=annulus) from err
    check_ring(inner, outer)
    if outer > 1000.0:
        msg = f"annulus={annulus!r}: expected radii up to 1000 pixels"
        raise UsageError(msg, annulus=annulus)
    return inner, outer
