"""Writing an image to files, each whole or not at all, never over a registered one."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import FormatError, ObjectExistsError, UsageError
from snapdb.storage import write_atomically
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image


def save_image(
    image: "Image",
    which: str | PurePath,
    imagepath: Path | None,
    noisepath: PathLike | None,
    flagspath: PathLike | None,
    *,
    overwrite: bool,
) -> tuple[Path, ...]:
    """Write planes of an image; see :meth:`snapdb.Image.save`.

    Everything is checked and read before the first byte is written.
    """
    names = _planes_to_write(image, which)
    files: dict[Path, list[str]] = {}
    for name in names:
        own = {"noise": noisepath, "flags": flagspath}.get(name)
        path = Path(own).absolute() if own is not None else imagepath
        if path is None:
            msg = f"{image.label} has no path to be saved to; give path"
            raise UsageError(msg)
        files.setdefault(path, []).append(name)
    for path in files:
        _check_target(image, path, overwrite=overwrite)
    arrays = dict(zip(names, image.read_planes(names), strict=True))
    contents = {path: {name: arrays[name] for name in inside} for path, inside in files.items()}
    if which != "all":
        contents = {path: {**_read_others(path), **planes} for path, planes in contents.items()}
    for path, planes in contents.items():
        _write_file(image, path, planes, overwrite=overwrite)
    return tuple(files)


def _read_others(path: Path) -> dict[str, PixelArray]:
    """Read the planes that a file holds already: saving one plane leaves the others as they are."""
    if not path.exists():
        return {}
    from snapdb.archive.image import Image

    held = Image(path)
    try:
        names = held.plane_names
    except FormatError as err:
        msg = f"{path} exists, and what it holds would be lost ({err}); give another path, or save 'all'"
        raise ObjectExistsError(msg, path=str(path)) from err
    return dict(zip(names, held.read_planes(names), strict=True))


def _planes_to_write(image: "Image", which: str | PurePath) -> list[str]:
    """Give the names of the planes that a call means."""
    have = image.plane_names
    if which == "all":
        if "data" not in have:
            msg = f"{image.label} has no data to save"
            raise UsageError(msg)
        return list(have)
    if not isinstance(which, str) or which not in have:
        msg = f"which={which!r}: {image.label} has {', '.join(have) or 'no planes'}"
        if isinstance(which, PurePath) or {".", "/"} & set(str(which)):
            msg += f"; give the file as path={str(which)!r}"
        raise UsageError(msg, which=which)
    return [which]


def _check_target(image: "Image", path: Path, *, overwrite: bool) -> None:
    """Refuse to write over what must stay."""
    if not path.exists():
        return
    if any(path.samefile(source) for source in image.all_source_paths() if source.exists()):
        what = "holds the pixels of this image or of its parent"
        msg = f"{path} {what} and is never written over; give another path"
        raise ObjectExistsError(msg, path=str(path))
    check_output(path, overwrite=overwrite)


def _write_file(image: "Image", path: Path, planes: Mapping[str, PixelArray], *, overwrite: bool) -> None:
    """Write one file."""
    from snapdb.formats.write import write_fits

    with write_atomically(path, overwrite=overwrite) as out:
        write_fits(out, planes, image.header_to_save(), flag_bits=image.flag_bits)
