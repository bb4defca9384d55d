"""Writing an image to files, each whole or not at all, never over a registered one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.archive.paths import PathLike
from snapdb.errors import ObjectExistsError, UsageError
from snapdb.storage import write_atomically
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image


def save_image(
    image: "Image",
    which: str,
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
    for path, inside in files.items():
        _write_file(image, path, {name: arrays[name] for name in inside}, overwrite=overwrite)
    return tuple(files)


def _planes_to_write(image: "Image", which: str) -> list[str]:
    """Give the names of the planes that a call means."""
    have = image.plane_names
    if which == "all":
        if "data" not in have:
            msg = f"{image.label} has no data to save"
            raise UsageError(msg)
        return list(have)
    if which not in have:
        msg = f"which={which!r}: {image.label} has {', '.join(have) or 'no planes'}"
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
    if image.archive is not None and not image.archive.closed and image.archive.is_registered(path):
        msg = f"{path} is registered in {image.archive.url} and is never written over; give another path"
        raise ObjectExistsError(msg, path=str(path))
    if not overwrite:
        msg = f"{path} exists already; choose another name, or give overwrite=True"
        raise ObjectExistsError(msg, path=str(path))


def _write_file(image: "Image", path: Path, planes: Mapping[str, PixelArray], *, overwrite: bool) -> None:
    """Write one file."""
    from snapdb.formats.write import write_fits

    with write_atomically(path, overwrite=overwrite) as out:
        write_fits(out, planes, image.header_to_save(), flag_bits=image.flag_bits)
