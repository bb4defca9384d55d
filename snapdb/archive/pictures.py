"""Pictures of cutouts for people to look at."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snapdb.errors import UsageError
from snapdb.pixels.stretch import compute_limits, to_bytes
from snapdb.storage import write_atomically
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from snapdb.archive.image import Image

_GAP = 6
_LABEL = 18


def write_contact_sheet(
    path: Path | str,
    images: "Sequence[Image]",
    *,
    labels: Sequence[str] | None = None,
    columns: int | None = None,
    stamp_px: int = 128,
    title: str | None = None,
) -> Path:
    """Draw the data of images side by side as a PNG, y up, each labelled.

    Stamps of one band share their brightness scale, so that a change between epochs
    is a change in the picture.

    Parameters
    ----------
    path : Path or str
        Of the PNG; replaced if it exists.
    images : sequence of Image
        In reading order.
    labels : sequence of str, optional
        One an image; its band and date by default.
    columns : int, optional
        Stamps a row; about a square by default.
    stamp_px : int
        Width of a stamp in the picture, pixels.
    title : str, optional
        Above the stamps.

    Returns
    -------
    Path
        Of the PNG.

    Raises
    ------
    UsageError
        If there is no image, or not one label an image.
    """
    if not images:
        msg = "a contact sheet needs at least one image"
        raise UsageError(msg)
    texts = list(labels) if labels is not None else [label_of(image) for image in images]
    if len(texts) != len(images):
        msg = f"{len(texts)} labels for {len(images)} images; give one each"
        raise UsageError(msg)
    stamps = _stamps(images)
    across = columns or int(np.ceil(np.sqrt(len(images))))
    sheet = _draw(stamps, texts, across, stamp_px, title)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    target = Path(path)
    with write_atomically(target, overwrite=True) as out:
        out.write(buffer.getvalue())
    return target


def label_of(image: "Image") -> str:
    """Name an image by its band and date."""
    date = "" if image.mjd is None else f"MJD {image.mjd:.2f}"
    return "  ".join(part for part in (image.band or "", date) if part)


def _stamps(images: "Sequence[Image]") -> list[PixelArray]:
    """Scale the data of images to bytes, above each one's own sky and each band on one scale."""
    arrays = [image.data - middle_of(image.data) for image in images]
    limits: dict[str | None, tuple[float, float]] = {}
    for band in {image.band for image in images}:
        same = [a.ravel() for a, image in zip(arrays, images, strict=True) if image.band == band]
        limits[band] = compute_limits(np.concatenate(same))
    return [
        to_bytes(array, low=limits[image.band][0], high=limits[image.band][1])
        for array, image in zip(arrays, images, strict=True)
    ]


def middle_of(data: PixelArray) -> float:
    """Give the median of the finite pixels, 0 without any."""
    finite = data[np.isfinite(data)]
    return float(np.median(finite)) if finite.size else 0.0


def _draw(
    stamps: Sequence[PixelArray], texts: Sequence[str], columns: int, size: int, title: str | None
) -> "Picture":
    """Lay stamps and labels out."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    rows = -(-len(stamps) // columns)
    top = _GAP + (2 * _LABEL if title else 0)
    cell = size + _GAP
    sheet = Pictures.new("L", (columns * cell + _GAP, top + rows * (cell + _LABEL)), 255)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((_GAP, _GAP), title, fill=0, font_size=16)
    for index, (stamp, text) in enumerate(zip(stamps, texts, strict=True)):
        x = _GAP + index % columns * cell
        y = top + index // columns * (cell + _LABEL)
        height = max(1, round(size * stamp.shape[0] / stamp.shape[1]))
        picture = Pictures.fromarray(np.flipud(stamp)).resize(
            (size, min(height, size)), Pictures.Resampling.NEAREST
        )
        sheet.paste(picture, (x, y))
        pen.text((x, y + size + 1), text, fill=0, font_size=11)
    return sheet
