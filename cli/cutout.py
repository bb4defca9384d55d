"""`snapdb cutout`: cut a position out of images."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .commands import Command
from .criteria import check_tag, make_criteria, search_options
from .failures import PART_FAILED
from .keeping import Keeping, check_options, choose_provenances, find_sources, name_reason
from .outputs import STDOUT, refuse_terminal, write_stdout
from .session import Session, archive_option, pass_session, say
from .targets import choose_targets, list_candidates
from .values import SIZE, Size

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.image import Image


@click.command("cutout", cls=Command)
@search_options
@click.option("--image", "image_id", type=click.UUID, metavar="ID", help="Cut from this image.")
@click.option("--size", type=SIZE, required=True, help="Edge: 51 pixels, or an angle such as 30arcsec.")
@click.option("--ysize", type=SIZE, help="Edge along y, when it differs.")
@click.option("--mode", type=click.Choice(["strict", "partial", "trim"]), default="strict", show_default=True)
@click.option("--fill-value", type=float, default=float("nan"), show_default=True, help="Outside the image.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="NAME.fits or NAME.png, may hold {id}, {band}, {mjd:.2f} ...; a folder; - for stdout.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option("--save", is_flag=True, help="Keep the cutouts in the archive instead; prints their ids.")
@click.option("--tag", metavar="TAG", help="With --save: name for the provenance of the cutouts.")
@click.option(
    "--save-provenance",
    metavar="ID|TAG:PROCESS",
    help="With --save: the registered provenance that made them; by default `cutout` with these options.",
)
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, image_id: UUID | None, **options: Any) -> None:
    """Cut a square about --ra --dec out of an image, or out of every image that matches.

    All planes of the image come along (data, noise, flags), in one FITS file with its own
    WCS; a name that ends in .png gets a picture of the data. When several images match, -o
    must be a folder or hold placeholders that tell them apart:
    {id} {band} {mjd} {sca} {observation_id} {kind} {instrument}.

    With --save the cutouts become images of the archive, with their provenance and the image that
    they were cut from, and `snapdb find --kind cutout` finds them. Saving the same again changes
    nothing, and prints the same id. Kept cutouts are cut again only where --image, --kind,
    --process, --provenance or --provenance-tag asks for them.

    \b
    For example:
      snapdb cutout --ra 0.0216 --dec -17.496 --size 51 --image ID -o sn.fits
      snapdb cutout --ra 0.0216 --dec -17.496 --size 20arcsec --band r -o 'sn_{band}_{mjd}.fits'
      snapdb cutout --ra 0.0216 --dec -17.496 --size 51 --band r --save --tag sn-stamps
    """  # noqa: D301  # \b is click's mark for lines that stay
    if options["ra"] is None or options["dec"] is None:
        msg = "a cutout needs --ra and --dec"
        raise click.UsageError(msg)
    check_options(options)
    with session.connect() as archive:
        images = _find(archive, image_id, make_criteria(options))
        if options["output"] == STDOUT:
            _pour(images, options)
            return
        failed = _save(archive, images, options) if options["save"] else _write(images, options)
    if failed:
        ctx.exit(PART_FAILED)


def _write(images: "list[Image]", options: dict[str, Any]) -> int:
    """Write a file an image, and give how many failed."""
    targets = choose_targets(images, options["output"], overwrite=options["overwrite"])
    return sum(not _cut(image, path, options, alone=len(targets) == 1) for image, path in targets)


def _save(archive: "Archive", images: "list[Image]", options: dict[str, Any]) -> int:
    """Keep a cutout an image, and give how many failed."""
    made_by = choose_provenances(archive, images, options)
    keep = Keeping(archive=archive, provenances=made_by, tag=options["tag"])
    alone = len(images) == 1
    return sum(not keep.keep(image, lambda one: _make(one, options), alone=alone) for image in images)


def _find(archive: "Archive", image_id: UUID | None, criteria: dict[str, Any]) -> "list[Image]":
    """Give the image that was named, or those that match."""
    from snapdb.errors import NotFoundError

    if image_id is not None:
        others = sorted(set(criteria) - {"ra", "dec"})
        if others:
            options = ", ".join("--" + name.replace("_", "-") for name in others)
            msg = f"--image names the image; leave out {options}"
            raise click.UsageError(msg)
        return [archive.get_image(image_id)]
    check_tag(archive, criteria)
    images = find_sources(archive, {"order_by": "mjd", **criteria})
    if not images:
        msg = (
            "no image matches; `snapdb find` with the same criteria says what is there, and --image ID "
            "cuts from an image that contains the position's surroundings only"
        )
        raise NotFoundError(msg, criteria=criteria)
    return images


def _pour(images: "list[Image]", options: dict[str, Any]) -> None:
    """Write the cutout of one image to standard output, as FITS."""
    if len(images) > 1:
        raise click.UsageError(list_candidates(images))
    refuse_terminal("FITS")
    with tempfile.TemporaryDirectory(prefix="snapdb-") as folder:
        path = Path(folder) / "cutout.fits"
        _make(images[0], options).save(path=path)
        write_stdout([path.read_bytes()])


def _cut(image: "Image", path: Path, options: dict[str, Any], *, alone: bool) -> bool:
    """Cut one image and write it; a failure among several is reported and passed over."""
    from snapdb.errors import FormatError, NoOverlapError, PartialOverlapError, StorageError

    try:
        cutout = _make(image, options)
        if path.suffix.lower() == ".png":
            from snapdb.archive.pictures import write_contact_sheet

            write_contact_sheet(path, [cutout])
        else:
            cutout.save(path=path, overwrite=options["overwrite"])
    except (NoOverlapError, PartialOverlapError, FormatError, StorageError) as err:
        if alone:
            raise
        say(f"no cutout of image {image.id}: {name_reason(image.id, err)}")
        return False
    click.echo(path)
    return True


def _make(image: "Image", options: dict[str, Any]) -> "Image":
    """Cut one image as the options ask."""
    return image.get_ra_dec_cutout(
        options["ra"],
        options["dec"],
        _pixels(image, options["size"]),
        None if options["ysize"] is None else _pixels(image, options["ysize"]),
        mode=options["mode"],
        fill_value=options["fill_value"],
    )


def _pixels(image: "Image", size: Size) -> int:
    """Give a size in the pixels of an image."""
    from snapdb.errors import UsageError

    pixels = size.to_pixels(image.pixel_scale)
    if pixels is None:
        msg = f"image {image.id} has no known pixel scale; give --size in pixels"
        raise UsageError(msg, image_id=image.id)
    return pixels
