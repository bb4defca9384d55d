"""Cutouts one after the other, for the eye to see what changes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.guard import check_output
from snapdb.archive.pictures import label_of, middle_of
from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.stretch import compute_limits, to_bytes
from snapdb.storage import write_atomically
from snapdb.types import FloatArray, PixelArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from snapdb.archive.image import Image

SUFFIXES = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}
"""Suffix of a file -> what pillow calls its format."""
_LABEL = 18
_SMALLEST_PX = 256


def write_animation(
    path: Path | str,
    images: "Sequence[Image]",
    *,
    labels: Sequence[str] | None = None,
    frame_ms: int = 250,
    stretch: str = "asinh",
    percentile: float = 99.5,
    overwrite: bool = False,
) -> Path:
    """Show the data of images one after the other, y up, each labelled.

    All frames share one stretch. Each image's own sky (its median) is taken off, and where all have
    a zero point they are brought to that of the first, so that what changes in the picture changed
    on the sky.

    Parameters
    ----------
    path : Path or str
        ``.gif``, ``.apng`` or ``.webp``.
    images : sequence of Image
        In the order in which they are shown; all of one size.
    labels : sequence of str, optional
        One an image; its band and date by default.
    frame_ms : int
        How long each is shown, milliseconds; GIF knows hundredths of a second.
    stretch : str
        As :func:`snapdb.pixels.stretch.to_bytes` takes it.
    percentile : float
        Share of all pixels between black and white, percent.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError
        If there is no image, a label is missing, or the suffix or the time cannot be.
    ShapeError
        If the images differ in size.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    form = SUFFIXES.get(target.suffix.lower())
    if form is None or frame_ms < 10:
        msg = f"{path} with frame_ms={frame_ms}: expected {', '.join(SUFFIXES)}, and at least 10 milliseconds"
        raise UsageError(msg, path=str(path), frame_ms=frame_ms)
    texts = list(labels) if labels is not None else [label_of(image) for image in images]
    if not images or len(texts) != len(images):
        msg = f"{len(images)} images with {len(texts)} labels: an animation needs one for each"
        raise UsageError(msg)
    check_output(target, overwrite=overwrite)
    arrays = _to_one_scale(images)
    low, high = compute_limits(np.stack(arrays), percentile)
    frames = [
        _draw(to_bytes(array, low=low, high=high, stretch=stretch), text)
        for array, text in zip(arrays, texts, strict=True)
    ]
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(
        buffer, format=form, save_all=True, append_images=frames[1:], duration=frame_ms, loop=0, **options
    )
    with write_atomically(target, overwrite=overwrite) as out:
        out.write(buffer.getvalue())
    return target


def _to_one_scale(images: "Sequence[Image]") -> list[FloatArray]:
    """Take each image's sky off, and bring all to the first's zero point where all are known."""
    shapes = {image.image_shape for image in images}
    if len(shapes) > 1:
        msg = f"images of {len(shapes)} sizes make no animation; cut them in pixels with mode='partial'"
        raise ShapeError(msg, shapes=sorted(shapes))
    zeropoints = [image.zeropoint for image in images]
    first = zeropoints[0]
    arrays = []
    for image, zeropoint in zip(images, zeropoints, strict=True):
        known = None not in zeropoints and first is not None and zeropoint is not None
        factor = 10.0 ** (0.4 * (first - zeropoint)) if known else 1.0  # type: ignore[operator]
        data = np.asarray(image.data, dtype=np.float64)
        arrays.append((data - middle_of(image.data)) * factor)
    return arrays


def _draw(stamp: PixelArray, text: str) -> "Picture":
    """Make one frame: the stamp enlarged by a whole number, and its label below."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    height, width = stamp.shape
    factor = max(1, round(_SMALLEST_PX / max(height, width)))
    size = (width * factor, height * factor)
    frame = Pictures.new("L", (max(size[0], _SMALLEST_PX // 2), size[1] + _LABEL), 255)
    frame.paste(Pictures.fromarray(np.flipud(stamp)).resize(size, Pictures.Resampling.NEAREST), (0, 0))
    ImageDraw.Draw(frame).text((4, size[1] + 2), text, fill=0, font_size=12)
    return frame
