"""Arrays with their headers, cropped and made coarser: stdpipe's functions."""

from typing import Any, overload

from snapdb.pixels.crops import as_whole, center_box, crop_array
from snapdb.pixels.downscale import check_scale, downscale_array
from snapdb.types import Header, PixelArray


@overload
def crop_image(
    data: PixelArray, x1: int, y1: int, width: int, height: int, header: None = None
) -> PixelArray: ...
@overload
def crop_image(
    data: PixelArray, x1: int, y1: int, width: int, height: int, header: Header
) -> tuple[PixelArray, Header]: ...
def crop_image(
    data: PixelArray, x1: int, y1: int, width: int, height: int, header: Any = None
) -> PixelArray | tuple[PixelArray, Header]:
    """Crop a rectangle from an image; it may lie partly or wholly outside.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Pixels ``[y, x]``.
    x1, y1 : int
        First column and row, 0-based.
    width, height : int
        Size in pixels.
    header : astropy.io.fits.Header, optional
        Of the image; left as it is.

    Returns
    -------
    array or tuple
        The pixels, of the type of `data`: NaN outside the image for floating-point types, 0
        for others. With `header`, a pair of them and the header of the rectangle; see
        :func:`snapdb.formats.regrid.crop_cards`.

    Raises
    ------
    ShapeError
        If `data` has not two axes, or a number is not whole, or a size negative.

    Notes
    -----
    As stdpipe's, mended: alternate coordinates move too, ``CROP_*`` of a second crop lead to
    the first image, and masked arrays stay masked.
    """
    cropped = crop_array(data, x1, y1, width, height)
    if header is None:
        return cropped
    from snapdb.formats.regrid import crop_cards

    return cropped, crop_cards(header, as_whole(x1, name="x1"), as_whole(y1, name="y1"), *cropped.shape[::-1])


@overload
def crop_image_centered(
    data: PixelArray, x0: float, y0: float, r0: float, header: None = None
) -> PixelArray: ...
@overload
def crop_image_centered(
    data: PixelArray, x0: float, y0: float, r0: float, header: Header
) -> tuple[PixelArray, Header]: ...
def crop_image_centered(
    data: PixelArray, x0: float, y0: float, r0: float, header: Any = None
) -> PixelArray | tuple[PixelArray, Header]:
    """Crop the square whose middle pixel holds a position.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Pixels ``[y, x]``.
    x0, y0 : float
        Position, 0-based pixels. It falls into the pixel ``floor(x0 + 0.5)``.
    r0 : float
        Half the side: the square has ``2 * ceil(r0) + 1`` pixels a side.
    header : astropy.io.fits.Header, optional
        Of the image; left as it is.

    Returns
    -------
    array or tuple
        As :func:`crop_image`.

    Raises
    ------
    NoOverlapError
        If the position is not finite.
    ShapeError
        If the radius is not a finite number of at least 0.

    Notes
    -----
    A position on the edge of two pixels belongs to the upper one always; stdpipe's goes to the
    even one. A square that lies wholly outside is all filling, as in stdpipe; a position that is no
    number is refused. :func:`snapdb.get_cutout` refuses both, so a loop over candidates that may
    lie outside catches ``snapdb.NoOverlapError`` there.
    """
    box = center_box(x0, y0, r0)
    cropped: PixelArray | tuple[PixelArray, Header]
    cropped = crop_image(data, box.x0, box.y0, box.width, box.height, header)
    return cropped


@overload
def downscale_image(
    image: PixelArray, scale: int = 1, mode: str = "sum", header: None = None
) -> PixelArray: ...
@overload
def downscale_image(
    image: PixelArray, scale: int = 1, mode: str = "sum", *, header: Header
) -> tuple[PixelArray, Header]: ...
@overload
def downscale_image(
    image: PixelArray, scale: int, mode: str, header: Header
) -> tuple[PixelArray, Header]: ...
def downscale_image(
    image: PixelArray, scale: int = 1, mode: str = "sum", header: Any = None
) -> PixelArray | tuple[PixelArray, Header]:
    """Make an image of blocks of ``scale x scale`` pixels.

    Parameters
    ----------
    image : array, shape (ny, nx)
        Pixels ``[y, x]``; rows and columns that fill no block are left out.
    scale : int
        Pixels of a block's side.
    mode : {'sum', 'mean', 'and', 'or'}
        How a block becomes one pixel; ``and`` and ``or`` are for flags.
    header : astropy.io.fits.Header, optional
        Of the image; left as it is.

    Returns
    -------
    array or tuple
        The blocks; with `header`, a pair of them and their header, whose coordinates are
        exact; see :func:`snapdb.formats.regrid.bin_cards`.

    Raises
    ------
    ShapeError
        If `scale` is no whole number from 1 to the image's size.
    UsageError
        If there is no such mode, or bits of floating-point numbers are asked for.

    Notes
    -----
    As stdpipe's, mended: CD matrices and SIP terms scale, NAXIS follows, cards such as MAGZEROP
    stay, and an unknown mode is refused instead of summing.
    """
    blocks = downscale_array(image, scale, mode)
    if header is None:
        return blocks
    from snapdb.formats.regrid import bin_cards

    return blocks, bin_cards(header, check_scale(image, scale), *blocks.shape[::-1])
