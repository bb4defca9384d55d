"""Cutouts of one position as files: a stack, a picture, an animation, or a file each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.archive.epochs import animation, stack_files
from snapdb.archive.guard import check_output
from snapdb.archive.pictures import write_contact_sheet
from snapdb.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from snapdb.archive.cutout import Cutout
    from snapdb.archive.epochs.cutout_set import CutoutSet

SUFFIXES: tuple[str, ...] = (*stack_files.SUFFIXES, ".png", *animation.SUFFIXES)
"""What several cutouts are written as."""
_NARROW_PX, _MANY = 64, 100


def write_cutouts(cutouts: "CutoutSet", path: Path, *, overwrite: bool, **options: Any) -> Path:
    """Write cutouts to one file; see :meth:`CutoutSet.write`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        msg = f"{path}: cutouts are written as {', '.join(SUFFIXES)}; end the name so"
        raise UsageError(msg, path=str(path))
    check_output(path, overwrite=overwrite)
    if suffix in stack_files.SUFFIXES:
        return cutouts.stack(**options).write(path, overwrite=overwrite)
    images = list(cutouts)
    if not images:
        msg = f"none of {cutouts.image_count} images gives a cutout; the table says why"
        raise NotFoundError(msg)
    if suffix in animation.SUFFIXES:
        return animation.write_animation(path, images, overwrite=overwrite, **options)
    small = {"stamp_px": _NARROW_PX} if len(images) > _MANY else {}
    return write_contact_sheet(path, images, **{**small, **options})


def write_each(cutouts: "CutoutSet", folder: Path, *, overwrite: bool) -> list[Path]:
    """Write a file a cutout; see :meth:`CutoutSet.write_each`."""
    paths: list[Path] = []
    for cutout in cutouts:
        path = folder / _name(cutout)
        check_output(path, overwrite=overwrite)
        cutout.save(path=path, overwrite=overwrite)
        paths.append(path)
    return paths


def _name(cutout: "Cutout") -> str:
    """Name a cutout's file by time, band and the image it is from."""
    time = "none" if cutout.mjd is None else f"{cutout.mjd:.5f}"
    band = (cutout.band or "none").replace("/", "_")
    return f"cutout_{time}_{band}_{cutout.parent_id}.fits"
