"""Cutouts that `--save` keeps in the archive: under which provenance, and how each ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .session import say

if TYPE_CHECKING:
    from snapdb import Provenance
    from snapdb.archive.archive import Archive
    from snapdb.archive.image import Image

    from .values import Size


_NAMING = frozenset({"kind", "process", "provenance", "provenance_tag", "filepath", "filepath_glob"})
"""Criteria that say which images are meant, cutouts or not."""


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that do not go together.

    Parameters
    ----------
    options
        Of `snapdb cutout`.

    Raises
    ------
    click.UsageError
        Neither a file nor --save; or options that only one of both has.
    """
    output = options["output"]
    if not options["save"]:
        if output is None:
            msg = "where to? give -o FILE, or --save to keep the cutout in the archive"
            raise click.UsageError(msg)
        for name in ("tag", "save_provenance"):
            if options[name] is not None:
                msg = f"--{name.replace('_', '-')} goes with --save"
                raise click.UsageError(msg)
        return
    if output is not None:
        msg = "--save keeps the cutout in the archive's store; leave out -o, or cut twice"
        raise click.UsageError(msg)
    if options["overwrite"]:
        msg = "--save never writes over a file; leave out --overwrite"
        raise click.UsageError(msg)


def find_sources(archive: "Archive", criteria: Mapping[str, Any]) -> "list[Image]":
    """Find the images to cut from.

    Parameters
    ----------
    archive
        Where to look.
    criteria
        For :meth:`snapdb.Archive.find_images`.

    Returns
    -------
    list of Image
        Without cutouts that were kept, unless the criteria ask for kinds or for what made the
        images: else the second run of a command would cut what the first one kept.
    """
    if _NAMING & set(criteria):
        return list(archive.find_images(**criteria))
    asked = dict(criteria)
    start, limit = asked.pop("offset", None) or 0, asked.pop("limit", None)
    images = [image for image in archive.find_images(**asked) if image.kind != "cutout"]
    return images[start:] if limit is None else images[start : start + limit]


def name_reason(image_id: object, err: object) -> str:
    """Give what an error says where its image was named already.

    Parameters
    ----------
    image_id
        Of the image.
    err
        The error, or its text.

    Returns
    -------
    str
        Without the image's id.
    """
    return str(err).removesuffix(f" [image {image_id}]").replace(f"image {image_id}", "the image")


def choose_provenances(
    archive: "Archive", images: "list[Image]", options: Mapping[str, Any]
) -> "dict[UUID, Provenance]":
    """Say what makes the cutouts.

    Parameters
    ----------
    archive
        With the provenances of the images.
    images
        To be cut.
    options
        Of `snapdb cutout`.

    Returns
    -------
    dict
        Provenance of an image -> provenance of its cutout.

    Raises
    ------
    click.UsageError
        One tag for images of several provenances.
    """
    from snapdb.archive.keeping import make_cutout_provenance

    parents = {image.provenance_id: None for image in images if image.provenance_id is not None}
    if options["save_provenance"] is not None:
        given = archive.find_provenance(options["save_provenance"])
        return dict.fromkeys(parents, given)
    if options["tag"] is not None and len(parents) > 1:
        listed = ", ".join(map(str, parents))
        msg = (
            "--tag names one provenance, "
            f"but the images have {len(parents)}: {listed}; choose by --provenance"
        )
        raise click.UsageError(msg)
    size, ysize = options["size"], options["ysize"]
    return {
        id_: make_cutout_provenance(
            archive.get_provenance(id_),
            size=_write_size(size),
            ysize=None if ysize is None else _write_size(ysize),
            mode=options["mode"],
            fill_value=options["fill_value"],
        )
        for id_ in parents
    }


def _write_size(size: "Size") -> int | str:
    """Write a size as a parameter: pixels as a number, an angle with its unit."""
    return size.pixels if size.pixels is not None else f"{size.arcsec!r}arcsec"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """One run's saving of cutouts."""

    archive: "Archive"
    provenances: "Mapping[UUID, Provenance]"
    """Provenance of an image -> provenance of its cutout."""
    tag: str | None

    def keep(self, image: "Image", make: "Callable[[Image], Image]", *, alone: bool) -> bool:
        """Cut an image, keep what was cut, and print its id.

        Parameters
        ----------
        image
            To be cut.
        make
            Cuts it.
        alone
            Whether a failure ends the run; among several it is reported and passed over.

        Returns
        -------
        bool
            Whether it was kept.
        """
        from snapdb.archive.keeping import save_cutout
        from snapdb.errors import FormatError, NoOverlapError, PartialOverlapError, StorageError

        assert image.provenance_id is not None  # noqa: S101  # images of an archive have one
        made_by = self.provenances[image.provenance_id]
        try:
            saved = save_cutout(self.archive, make(image), made_by, tag=self.tag)
        except (NoOverlapError, PartialOverlapError, FormatError, StorageError) as err:
            if alone:
                raise
            say(f"no cutout of image {image.id}: {name_reason(image.id, err)}")
            return False
        click.echo(saved.id)
        return True
