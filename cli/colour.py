"""`snapdb colour`: three images as one colour picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .commands import Command
from .keeping import name_reason
from .pictures import check_png, write_picture
from .session import Session, archive_option, pass_session
from .values import DEC, RA, SIZE

if TYPE_CHECKING:
    from snapdb.archive.image import Image

_COLOURS = ("red", "green", "blue")


@click.command("colour", cls=Command)
@click.argument("red", type=click.UUID)
@click.argument("green", type=click.UUID)
@click.argument("blue", type=click.UUID)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Picture to write; - for stdout.",
)
@click.option("--ra", type=RA, help="With --dec and --size: only a square about this position (ICRS).")
@click.option("--dec", type=DEC, help="Degrees, or sexagesimal such as -20d10m30s.")
@click.option("--size", type=SIZE, help="Edge of the square: 51 pixels, or an angle such as 30arcsec.")
@click.option(
    "--stretch", type=float, help="Brightness up to which it is linear; 10 times the sky's scatter."
)
@click.option("--q", type=float, default=8.0, show_default=True, help="How strongly the bright is dimmed.")
@click.option("--minimum", type=float, help="What is black; by default the median of each image.")
@click.option("--align", is_flag=True, help="Resample to the first image's grid; needs reproject.")
@click.option("--longest", type=click.IntRange(1, 2**14), help="Longer side of the picture, pixels.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@archive_option
@pass_session
def command(session: Session, /, red: UUID, green: UUID, blue: UUID, output: Path, **options: Any) -> None:
    """Draw three images in red, green and blue, after Lupton et al. (2004).

    They must share a grid within 0.1 pixel, or be resampled with --align. Where all three have
    zero points these put them on one scale.

    \b
    For example:
      snapdb colour ID_I ID_R ID_G --ra 150.1 --dec 2.2 --size 30arcsec --align -o galaxy.png
    """  # noqa: D301  # \b is click's mark for lines that stay
    from snapdb.archive.colour import make_colour

    place = [options[name] is not None for name in ("ra", "dec", "size")]
    if any(place) and not all(place):
        msg = "a part of the images needs --ra, --dec and --size"
        raise click.UsageError(msg)
    with session.connect() as archive:
        target = check_png(output, overwrite=options["overwrite"])
        images = [archive.get_image(id_) for id_ in (red, green, blue)]
        if all(place):
            images = _cut(images, options)
        picture = make_colour(
            images,
            options["stretch"],
            options["q"],
            minimum=options["minimum"],
            align=options["align"],
            size=options["longest"],
        )
        write_picture(target, picture)


def _cut(images: "list[Image]", options: dict[str, Any]) -> "list[Image]":
    """Cut the square out of the first, and what covers it out of the others when they are resampled."""
    from snapdb.errors import NoOverlapError, UsageError

    cutouts: list[Image] = []
    for number, image in enumerate(images):
        pixels = options["size"].to_pixels(image.pixel_scale)
        if pixels is None:
            msg = f"image {image.id} has no known pixel scale; give --size in pixels"
            raise UsageError(msg, image_id=image.id)
        if number and options["align"]:
            ratio = (cutouts[0].pixel_scale or 1.0) / (image.pixel_scale or 1.0)
            pixels = int(1.5 * ratio * cutouts[0].width) + 4  # it may be turned by 45 degrees
        try:
            cutouts.append(image.get_ra_dec_cutout(options["ra"], options["dec"], pixels, mode="partial"))
        except NoOverlapError as err:
            place = f"ra={options['ra']:.6f}, dec={options['dec']:.6f}"
            reason = name_reason(image.id, err)
            msg = f"the square at {place} is off {_COLOURS[number]}, image {image.id}: {reason}"
            raise NoOverlapError(msg, **err.fields) from err
    return cutouts
