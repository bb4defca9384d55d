"""Three images on one grid as a colour picture, after Lupton et al. 2004 (PASP 116, 133)."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.avm import find_frame, make_tags, make_texts, make_xmp
from snapdb.archive.picture import Picture, check_size, resize
from snapdb.errors import ProjectionError, ShapeError, UsageError
from snapdb.pixels.stretch import Bytes
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image

_COLOURS = ("Red", "Green", "Blue")
_SAME_PX = 0.1
"""Images share a grid where no pixel is further off."""
_SIGMAS = 10.0
"""How far above the sky, in its own scatter, the default turns from linear to logarithmic."""
_FALLBACK = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """How far an image is from sharing another's grid."""

    pixels: float
    """Greatest offset, in pixels of the first image; infinite where it does not project."""
    shape: tuple[int, int]
    """Of the image: rows, columns."""
    expected: tuple[int, int]

    @property
    def is_none(self) -> bool:
        """Whether both share one grid."""
        return self.shape == self.expected and self.pixels <= _SAME_PX

    def __str__(self) -> str:
        off = f"up to {self.pixels:.3g} pixels off"
        shapes = f"of shape {self.shape}, not {self.expected}, and "
        return off if self.shape == self.expected else shapes + off


def make_colour(
    images: "Sequence[Image]",
    stretch: float | None = None,
    Q: float = 8.0,  # noqa: N803  # the formula's own name
    *,
    minimum: float | Sequence[float] | None = None,
    weights: Sequence[float] | None = None,
    align: bool = False,
    size: int | None = None,
) -> Picture:
    """Make a colour picture of three images: red, green, blue.

    Colours are those of the sources, whatever their brightness: the three share one
    stretch of their mean, as astropy's ``make_lupton_rgb`` does it.

    Parameters
    ----------
    images : sequence of Image
        Three, the longest wavelength first; on one grid, as cutouts of images that were
        resampled alike are.
    stretch : float, optional
        Brightness above the minimum up to which the picture is about linear; ten times the
        scatter of the sky by default.
    Q : float
        How strongly what is brighter is dimmed.
    minimum : float or three floats, optional
        What is black, after weighting; the median of each image by default.
    weights : three floats, optional
        Factors of the images. By default the zero points make them fluxes on one scale, that
        of the first image, where all three are known; else 1.
    align : bool
        Resample the second and third to the first's grid, by interpolation and with the area
        of pixels taken into account; needs the package `reproject`.
    size : int, optional
        Longer side of the picture; a picture pixel for each pixel by default.

    Returns
    -------
    Picture
        Transparent where one of the three has no number. It names the three images.

    Raises
    ------
    ShapeError
        If they do not share a grid within 0.1 pixel; the message says by how much.
    UsageError
        If there are not three, a parameter cannot be, or `reproject` is not installed.
    ProjectionError
        If one has no world coordinates.
    """
    if len(images) != len(_COLOURS):
        msg = f"{len(images)} images: a colour picture is made of three, red, green and blue"
        raise UsageError(msg, count=len(images))
    check_size(size)
    _check_numbers(stretch, Q)
    factors = _find_weights(images) if weights is None else _take_three("weights", weights)
    planes = _planes(images, align=align)
    weighted = [plane * factor for plane, factor in zip(planes, factors, strict=True)]
    darkest = [_middle(p) for p in weighted] if minimum is None else _take_three("minimum", minimum)
    above = [plane - least for plane, least in zip(weighted, darkest, strict=True)]
    scale = _find_stretch(above) if stretch is None else float(stretch)
    levels = _mix(above, scale, Q)
    drawn = resize(np.ascontiguousarray(levels[::-1]), size)
    frame = find_frame(images[0])
    if frame is not None:
        frame = frame.resized(drawn.shape[1], drawn.shape[0])
    said = {
        "stretch": f"lupton {scale!r}",
        "Q": repr(float(Q)),
        "minimum": _join(darkest),
        "weights": _join(factors),
    }
    return Picture(levels=drawn, texts=_texts(images, said), xmp=make_xmp(frame, _tags(images)))


lupton = make_colour


def find_mismatch(image: "Image", first: "Image") -> Mismatch:
    """Measure how far an image is from sharing another's grid.

    Parameters
    ----------
    image, first : Image
        With world coordinates.

    Returns
    -------
    Mismatch
        From the corners, the middles of the sides and the centre.

    Raises
    ------
    ProjectionError
        If one has no world coordinates.
    """
    for one in (image, first):
        if not one.has_wcs:
            msg = f"{one.label} has no world coordinates that could say whether the images share a grid"
            raise ProjectionError(msg)
    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(0, n - 1, 3) for n in (image.width, image.height))))
    px, py = first.world_to_pixel(*image.pixel_to_world(x, y))
    off = np.hypot(px - x, py - y)
    largest = float(off.max()) if np.isfinite(off).all() else np.inf
    return Mismatch(pixels=largest, shape=image.image_shape, expected=first.image_shape)


def _planes(images: "Sequence[Image]", *, align: bool) -> list[FloatArray]:
    """Give the data of all three on the first one's grid."""
    first = images[0]
    planes = [np.asarray(first.data, dtype=np.float64)]
    for colour, image in zip(_COLOURS[1:], images[1:], strict=True):
        mismatch = find_mismatch(image, first)
        if mismatch.is_none:
            planes.append(np.asarray(image.data, dtype=np.float64))
        elif align:
            planes.append(_resample(image, first, mismatch))
        else:
            msg = (
                f"{colour.lower()} ({image.label}) does not share the grid of red ({first.label}): it is "
                f"{mismatch}, where {_SAME_PX} are allowed; cut images of one grid, or give align=True "
                "(--align)"
            )
            raise ShapeError(msg, colour=colour.lower(), pixels=mismatch.pixels)
    return planes


def _resample(image: "Image", first: "Image", mismatch: Mismatch) -> FloatArray:
    """Interpolate an image on another's grid, its pixels' values as those of the other's area."""
    try:
        reproject = importlib.import_module("reproject")
    except ImportError as err:
        msg = (
            f"align=True needs the package reproject, which is not installed ({image.label} is {mismatch}); "
            "`pip install reproject`, or cut images of one grid"
        )
        raise UsageError(msg, missing="reproject", pixels=mismatch.pixels) from err
    given = (np.asarray(image.data, dtype=np.float64), image.get_wcs().get_astropy_wcs())
    target = first.get_wcs().get_astropy_wcs()
    plane = reproject.reproject_interp(given, target, shape_out=first.image_shape, return_footprint=False)
    center = ((first.width - 1) / 2, (first.height - 1) / 2)
    there = image.world_to_pixel(*first.pixel_to_world(*center))
    mine, its = (
        first.get_wcs().pixel_scale_arcsec(*center),
        image.get_wcs().pixel_scale_arcsec(*map(float, there)),
    )
    return np.asarray(plane * (mine / its) ** 2, dtype=np.float64)


def _mix(above: Sequence[FloatArray], stretch: float, q: float) -> Bytes:
    """Mix three planes to red, green, blue and opacity."""
    from astropy.visualization import make_lupton_rgb

    whole = np.isfinite(above).all(axis=0)
    sound = [np.where(whole, plane, 0.0) for plane in above]
    levels = np.empty((*whole.shape, 4), dtype=np.uint8)
    with np.errstate(
        invalid="ignore", divide="ignore"
    ):  # where the brightness is 0, it divides, and drops the result
        levels[..., :3] = make_lupton_rgb(*sound, stretch=stretch, Q=q)
    levels[..., 3] = 255
    levels[~whole] = 0
    return levels


def _find_weights(images: "Sequence[Image]") -> list[float]:
    """Give the factors that put the counts of all on the first one's scale."""
    known = [image.zeropoint for image in images if image.zeropoint is not None]
    if len(known) < len(images):
        return [1.0, 1.0, 1.0]
    return [float(10.0 ** (0.4 * (known[0] - zeropoint))) for zeropoint in known]


def _find_stretch(above: Sequence[FloatArray]) -> float:
    """Give ten times the scatter of the sky in the mean of three planes."""
    mean = np.mean(above, axis=0)
    finite = mean[np.isfinite(mean)]
    if finite.size == 0:
        return _FALLBACK
    # 1.4826 times the median deviation is the standard deviation of normal noise.
    scatter = 1.4826 * float(np.median(np.abs(finite - np.median(finite))))
    return _SIGMAS * scatter if scatter > 0.0 else _FALLBACK


def _middle(plane: FloatArray) -> float:
    """Give the median of the finite pixels, 0 without any."""
    finite = plane[np.isfinite(plane)]
    return float(np.median(finite)) if finite.size else 0.0


def _take_three(name: str, given: float | Sequence[float]) -> list[float]:
    """Take three finite numbers, or one for all."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (3,)) or not np.isfinite(values).all():
        msg = f"{name}={given!r}: expected one finite number, or three"
        raise UsageError(msg, name=name)
    return [float(v) for v in np.broadcast_to(values, (3,))]


def _check_numbers(stretch: float | None, q: float) -> None:
    """Refuse a stretch that is none."""
    for name, value in (("stretch", stretch), ("Q", q)):
        if value is not None and not (np.isfinite(value) and value > 0.0):
            msg = f"{name}={value!r}: expected a number above 0"
            raise UsageError(msg, name=name)


def _join(values: Sequence[float]) -> str:
    """Write numbers in a row."""
    return " ".join(repr(v) for v in values)


def _texts(images: "Sequence[Image]", said: dict[str, str]) -> dict[str, str]:
    """Give the texts of the first image's grid, and what each colour is."""
    texts = make_texts(images[0], said)
    for name in ("id", "parent_id", "band", "mjd", "file", "observation_id", "exptime", "zeropoint"):
        texts.pop(f"snapdb:{name}", None)
    for colour, image in zip(_COLOURS, images, strict=True):
        mine = make_texts(image, {})
        for name in ("id", "parent_id", "band", "mjd", "file"):
            if f"snapdb:{name}" in mine:
                texts[f"snapdb:{colour.lower()}:{name}"] = mine[f"snapdb:{name}"]
    return texts | {"Title": " / ".join(make_texts(image, {})["Title"] for image in images)}


def _tags(images: "Sequence[Image]") -> dict[str, Any]:
    """Give the tags of all three; a list has a value for each where all have one."""
    tags = [make_tags(image) for image in images]
    joined: dict[str, Any] = {"Type": "Observation", "Spectral.ColorAssignment": list(_COLOURS)}
    joined["Title"] = " / ".join(str(one["Title"]) for one in tags)
    for name in ("Spectral.Bandpass", "Temporal.StartTime", "Temporal.IntegrationTime"):
        values: list[Any] = [one[name] for one in tags]
        joined[name] = None if None in values else [value[0] for value in values]
    return joined
