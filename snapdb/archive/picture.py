"""A picture of one image: PNG files, and what a notebook shows."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.avm import find_frame, make_tags, make_texts, make_xmp
from snapdb.archive.guard import check_output
from snapdb.archive.interop import ConvertibleImage
from snapdb.archive.paths import PathLike
from snapdb.archive.turning import turn_north_up
from snapdb.errors import UsageError
from snapdb.pixels.flags import bad_mask
from snapdb.pixels.stretch import Bytes, Stretch, find_limits, find_stretch, to_unit
from snapdb.storage import write_atomically
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

_SHOWN_PX = 512
TRANSPARENT = "transparent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How an image is shown."""

    stretch: str | Stretch = "asinh"
    interval: Any = "zscale"
    limits: tuple[float, float] | None = None
    cmap: Any = None
    size: int | None = None
    north_up: bool = False
    bad: str | None = TRANSPARENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Pixels for the eye, and what they are; a notebook shows it."""

    levels: Bytes
    """Red, green, blue and opacity, shape (rows, columns, 4), the *upper* row first."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What its file says besides; name -> text."""
    xmp: str = ""
    """The XMP packet of its file: Astronomy Visualization Metadata."""

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.levels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.levels.shape[0])

    def to_png(self) -> bytes:
        """Give the picture as a PNG file's bytes, its texts and XMP packet in them."""
        from PIL import Image as Pictures
        from PIL.PngImagePlugin import PngInfo

        known = PngInfo()
        for name, text in self.texts.items():
            known.add_itxt(name, text)
        if self.xmp:
            known.add_itxt("XML:com.adobe.xmp", self.xmp)
        buffer = io.BytesIO()
        Pictures.fromarray(self.levels).save(buffer, format="PNG", pnginfo=known)
        return buffer.getvalue()

    _repr_png_ = to_png

    def save(self, path: PathLike, *, overwrite: bool = False) -> Path:
        """Write the PNG, whole or not at all.

        Parameters
        ----------
        path : path
            Of the file.
        overwrite : bool
            Whether a file of that name is replaced; a registered one never is.

        Returns
        -------
        Path
            Absolute.

        Raises
        ------
        ObjectExistsError
            If it is there, and must stay.
        """
        target = Path(path).expanduser().absolute()
        check_output(target, overwrite=overwrite)
        content = self.to_png()
        with write_atomically(target, overwrite=overwrite) as out:
            out.write(content)
        return target

    def plot(self, axes: Any = None) -> Any:
        """Draw the picture with matplotlib.

        Parameters
        ----------
        axes : matplotlib.axes.Axes, optional
            Where; new ones by default.

        Returns
        -------
        matplotlib.axes.Axes
            With the picture, without ticks.

        Raises
        ------
        UsageError
            If matplotlib is not installed.
        """
        if axes is None:
            axes = _matplotlib("plot").pyplot.figure().add_axes((0.0, 0.0, 1.0, 1.0))
        axes.imshow(self.levels, origin="upper", interpolation="nearest")
        axes.set_axis_off()
        return axes


class PicturedImage(ConvertibleImage):
    """An image that can be looked at."""

    def to_png(
        self,
        path: PathLike,
        stretch: str | Stretch = "asinh",
        interval: Any = "zscale",
        *,
        limits: tuple[float, float] | None = None,
        cmap: Any = None,
        size: int | None = None,
        north_up: bool = False,
        bad: str | None = TRANSPARENT,
        overwrite: bool = False,
    ) -> Path:
        """Write a picture of the data as a PNG, y up.

        Parameters
        ----------
        path : path
            Of the file.
        stretch : str or callable
            ``asinh``, ``linear``, ``log``, ``sqrt``, ``squared``, ``sinh``, ``power:2.5``, or a
            stretch of astropy.visualization.
        interval : str or object
            Which values are black and white: ``zscale``, ``minmax``, ``percentile:99.5``,
            ``manual`` with `limits`, or an interval of astropy.visualization. Bad pixels and
            those that are not finite do not count.
        limits : tuple of float, optional
            Black and white in the data's units, in place of `interval`.
        cmap : str or matplotlib colour map, optional
            Colours; grey without it, and matplotlib is needed for it.
        size : int, optional
            Longer side of the picture; a picture pixel for each pixel by default.
        north_up : bool
            Turn, and flip where needed, so that north is up and east is left; nearest
            pixels, none invented.
        bad : str, optional
            What shows for pixels with a bad flag: ``transparent``, a colour such as ``red``
            or ``#ff8800``, or None for their data. Pixels that are NaN, and those outside
            the image, are always transparent.
        overwrite : bool
            Whether a file of that name is replaced; a registered one never is.

        Returns
        -------
        Path
            Of the file. Its text chunks hold id, band, time, parent, stretch and
            coordinates; its XMP packet is Astronomy Visualization Metadata.

        Raises
        ------
        UsageError
            If a parameter cannot be, or matplotlib is needed and not installed.
        ProjectionError
            If north is asked for without coordinates.
        ObjectExistsError
            If a file is there, and must stay.
        """
        target = Path(path).expanduser().absolute()
        check_output(target, overwrite=overwrite)
        look = Look(
            stretch=stretch,
            interval=interval,
            limits=limits,
            cmap=cmap,
            size=size,
            north_up=north_up,
            bad=bad,
        )
        return make_picture(self, look).save(target, overwrite=overwrite)

    def show(
        self,
        stretch: str | Stretch = "asinh",
        interval: Any = "zscale",
        *,
        limits: tuple[float, float] | None = None,
        cmap: Any = None,
        size: int | None = _SHOWN_PX,
        north_up: bool = False,
        bad: str | None = TRANSPARENT,
    ) -> Picture:
        """Give a picture that a notebook shows; ``show().plot()`` draws it with matplotlib.

        Parameters
        ----------
        stretch, interval, limits, cmap, size, north_up, bad
            As for :meth:`to_png`.

        Returns
        -------
        Picture
            Drawn once; ``save`` writes it.
        """
        look = Look(
            stretch=stretch,
            interval=interval,
            limits=limits,
            cmap=cmap,
            size=size,
            north_up=north_up,
            bad=bad,
        )
        return make_picture(self, look)


def make_picture(image: PicturedImage, look: Look) -> Picture:
    """Draw an image.

    Parameters
    ----------
    image : Image
        Its data, and flags if it has any, are read.
    look : Look
        How.

    Raises
    ------
    UsageError, ProjectionError
        As :meth:`PicturedImage.to_png`.
    """
    check_size(look.size)
    find_stretch(look.stretch)
    colour = None if look.bad in (None, TRANSPARENT) else _find_colour(str(look.bad))
    data, flags = image.data, image.flags
    bad = bad_mask(flags, image.bad_bits) if flags is not None and look.bad is not None else None
    low, high = find_limits(data if bad is None else data[~bad], look.interval, look.limits)
    outside: BoolArray | None = None
    frame = find_frame(image)
    if look.north_up:
        frame, data, bad, outside = turn_north_up(image, frame, data, bad)
    levels = _to_levels(to_unit(data, low=low, high=high, stretch=look.stretch), look.cmap)
    hidden = np.isnan(data) if data.dtype.kind == "f" else np.zeros(data.shape, dtype=bool)
    if outside is not None:
        hidden |= outside
    if bad is not None and look.bad == TRANSPARENT:
        hidden |= bad
    elif bad is not None and colour is not None:
        levels[bad, :3] = colour
    levels[hidden] = 0
    drawn = resize(np.ascontiguousarray(levels[::-1]), look.size)
    if frame is not None:
        frame = frame.resized(drawn.shape[1], drawn.shape[0])
    texts = make_texts(image, {"stretch": _name(look.stretch), "limits": f"{low!r} {high!r}"})
    texts |= {"snapdb:north_up": "yes"} if look.north_up else {}
    return Picture(levels=drawn, texts=texts, xmp=make_xmp(frame, make_tags(image)))


def _name(stretch: str | Stretch) -> str:
    """Name a stretch."""
    return stretch if isinstance(stretch, str) else type(stretch).__name__


def resize(levels: Bytes, size: int | None) -> Bytes:
    """Give a picture another size, its proportions kept.

    Parameters
    ----------
    levels : array of uint8, shape (rows, columns, 4)
        Red, green, blue, opacity.
    size : int, optional
        Longer side; None leaves it as it is. Pixels are repeated when it grows, averaged
        when it shrinks, transparent ones without weight.
    """
    longer = max(levels.shape[:2])
    if size is None or size == longer:
        return levels
    from PIL import Image as Pictures

    width, height = (max(1, round(n * size / longer)) for n in (levels.shape[1], levels.shape[0]))
    method = Pictures.Resampling.NEAREST if size > longer else Pictures.Resampling.BOX
    drawn: Pixels = Pictures.fromarray(levels).resize((width, height), method)
    return np.asarray(drawn)


def check_size(size: int | None) -> None:
    """Refuse a size that no picture has.

    Raises
    ------
    UsageError
        If it is no whole number of pixels from 1 to 16384; None is a size.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 2**14):
        msg = f"size={size!r}: expected a whole number of pixels from 1 to {2**14}"
        raise UsageError(msg, size=size)


def _to_levels(values: FloatArray, cmap: Any) -> Bytes:
    """Turn brightness into red, green, blue and opacity."""
    levels: Bytes
    if cmap is None:
        grey = np.floor(values * 255.0 + 0.5).astype(np.uint8)
        levels = np.empty((*values.shape, 4), dtype=np.uint8)
        levels[..., :3] = grey[..., None]
        levels[..., 3] = 255
        return levels
    if isinstance(cmap, str):
        known = _matplotlib(f"cmap={cmap!r}").colormaps
        if cmap not in known:
            msg = f"cmap={cmap!r} is unknown to matplotlib; expected such as viridis, magma or gray_r"
            raise UsageError(msg, cmap=cmap)
        cmap = known[cmap]
    levels = np.array(cmap(values, bytes=True), dtype=np.uint8)
    return levels


def _matplotlib(what: str) -> Any:
    """Load matplotlib, or say what it is needed for."""
    try:
        import matplotlib.pyplot  # the package itself is given
    except ImportError as err:
        msg = f"{what} needs matplotlib, which is not installed; `pip install matplotlib`, or leave it out"
        raise UsageError(msg, missing="matplotlib") from err
    return matplotlib


def _find_colour(name: str) -> tuple[int, int, int]:
    """Give the red, green and blue of a colour's name."""
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as err:
        msg = f"bad={name!r} is no colour; expected transparent, None, a name such as red, or #rrggbb"
        raise UsageError(msg, bad=name) from err
