"""`snapdb demo`: an archive at work, on a sky of its own making."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .commands import Command
from .ingest import list_refused
from .outputs import check_file
from .session import say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.image import Image
    from snapdb.testing.skies import Survey

_SIZE_PIX = 41
_RESULTS = ("supernova.png", "supernova.fits")
_SURVEY_MARK = "truth.json"
"""What a survey has when it is complete."""


@click.command("demo", cls=Command)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
def command(folder: Path) -> None:
    """Show an archive at work: make a small survey, register it, find a supernova, cut every epoch.

    Everything goes into FOLDER (./demo by default): no server, no network. A second run finds
    all in place and changes nothing.
    """
    import snapdb

    started = time.monotonic()
    _refuse_foreign(folder)
    survey = _make_survey(folder / "survey")
    with snapdb.init(folder / "archive") as archive:
        _register(archive, survey)
        images = _find(archive, survey)
        _write_pictures(images, survey, folder)
    say(f"done in {time.monotonic() - started:.1f} s")
    for line in _next_steps(folder, survey):
        click.echo(line)


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder whose files are not of an earlier demonstration, before anything is written."""
    from snapdb.errors import ObjectExistsError

    if (folder / "survey" / _SURVEY_MARK).is_file():
        return
    for name in ("survey", "archive", *_RESULTS):
        path = folder / name
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            msg = f"{path} exists, and is not of a finished demonstration; remove it, or name another folder"
            raise ObjectExistsError(msg, path=str(path))


def _make_survey(folder: Path) -> "Survey":
    """Make the survey, or recognise it."""
    from snapdb.testing.skies import make_survey

    survey = make_survey(folder)
    state = f"{survey.written} files written" if survey.written else "unchanged"
    say(
        f"1. a survey of {len(survey.images)} images in {len(survey.files)} files, and "
        f"{len(survey.bad_files)} broken ones: {folder} ({state})"
    )
    return survey


def _register(archive: "Archive", survey: "Survey") -> None:
    """Ingest the sound and the broken files."""
    from snapdb import Provenance

    provenance = Provenance("demo_survey", 1, 0, {"seed": survey.seed})
    report = archive.ingest([*survey.files, *survey.bad_files], provenance=provenance)
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count)
    say(f"2. ingested into {archive.url}: {counts}; the broken ones are refused, each with its reason:")
    list_refused(report.outcomes)


def _find(archive: "Archive", survey: "Survey") -> "list[Image]":
    """Find every image that contains the supernova."""
    nova = survey.supernova
    images = archive.find_images(ra=nova.ra, dec=nova.dec, order_by="mjd")
    bands = ", ".join(sorted({str(image.band) for image in images}))
    say(
        f"3. {len(images)} of {archive.count_images()} images contain {nova.ra:.5f}, {nova.dec:.5f} ({bands})"
    )
    return images


def _write_pictures(images: "list[Image]", survey: "Survey", folder: Path) -> None:
    """Cut every epoch for the contact sheet, and save the brightest one as FITS."""
    from snapdb.archive.pictures import write_contact_sheet

    nova = survey.supernova
    cutouts = [image.get_ra_dec_cutout(nova.ra, nova.dec, _SIZE_PIX, mode="partial") for image in images]
    sheet, target = (folder / name for name in _RESULTS)
    if _is_new(sheet):
        labels = [f"{image.band}  MJD {image.mjd:.2f}" for image in images]
        write_contact_sheet(sheet, cutouts, labels=labels, columns=6)
    say(f"4. {len(cutouts)} cutouts of {_SIZE_PIX} x {_SIZE_PIX} pixels, in order of time: {sheet}")
    mags = [nova.mag(str(image.band), float(image.mjd or 0.0)) for image in images]
    if _is_new(target):
        cutouts[mags.index(min(mags))].save(path=target)
    say(f"5. the brightest epoch, data, noise and flags with their WCS: {target}")


def _is_new(path: Path) -> bool:
    """Whether a file is still to be written; what an earlier run left is the same, and stays."""
    if path.is_file():
        return False
    check_file(path, overwrite=False)
    return True


def _next_steps(folder: Path, survey: "Survey") -> list[str]:
    """Give commands that work as they are printed."""
    archive = shlex.quote(str(folder / "archive"))
    where = f"--ra {survey.supernova.ra:.6f} --dec {survey.supernova.dec:.6f}"
    pattern = shlex.quote(str(folder / "stamps" / "sn_{mjd}.fits"))
    return [
        "Next:",
        f"  snapdb -a {archive} find {where} --band r --order-by mjd",
        f"  snapdb -a {archive} cutout {where} --band r --size 20arcsec --overwrite -o {pattern}",
        f"  snapdb -a {archive} info",
        "and with your own images:",
        "  snapdb init my-archive",
        "  snapdb -a my-archive ingest PATH...",
    ]
