"""Writing an image to files, each whole or not at all, never over a registered one."""

import bz2
import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import FormatError, ObjectExistsError, UsageError
from snapdb.storage import write_atomically
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image
    from snapdb.model.image import NewPlane

_PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, compresslevel=6, mtime=0),
    ".bz2": bz2.compress,
}
"""Last part of a file's name -> how it is compressed."""


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
    is_own = imagepath is None or imagepath == image.full_filepath
    others = {"noise": noisepath, "flags": flagspath}
    given = {name: Path(path).absolute() for name, path in others.items() if path is not None}
    files: dict[Path, list[str]] = {}
    for name in names:
        path = given.get(name) or (image.file_of(name) if is_own else imagepath)
        if path is None:
            msg = f"{image.label} has no path to be saved to; give path"
            raise UsageError(msg)
        files.setdefault(path, []).append(name)
    if is_own and which == "all":
        asked = given.values()
        files = {
            path: inside for path, inside in files.items() if path in asked or _is_due(image, path, inside)
        }
    for path in files:
        _check_target(image, path, overwrite=overwrite)
    arrays = dict(zip(names, image.read_planes(names), strict=True))
    contents = {path: {name: arrays[name] for name in inside} for path, inside in files.items()}
    if which != "all":
        contents = {path: {**_read_others(path), **planes} for path, planes in contents.items()}
    for path, planes in contents.items():
        _write_file(image, path, planes, overwrite=overwrite)
    if image.file_of("data") in files:
        image.take_file(n for path, inside in files.items() for n in inside if path == image.file_of(n))
    return tuple(files)


def _is_due(image: "Image", path: Path, names: Sequence[str]) -> bool:
    """Say whether a file of an image is to be written: one that nothing was read of is as it was."""
    return path == image.file_of("data") or not path.exists() or image.has_in_memory(names)


def write_bytes(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file whole or not at all, compressed as the end of its name says.

    Parameters
    ----------
    path : Path
        The name; ``.gz`` and ``.bz2`` at its end compress.
    content : bytes
        What it shall hold, uncompressed.
    overwrite : bool
        Whether a file of that name is replaced.

    Raises
    ------
    ObjectExistsError, StorageError
        As :func:`snapdb.storage.write_atomically`.
    """
    pack = _PACKED.get(path.suffix.lower())
    with write_atomically(path, overwrite=overwrite) as out:
        out.write(content if pack is None else pack(content))


def _read_others(path: Path) -> dict[str, PixelArray]:
    """Read the planes that a file holds already: saving one plane leaves the others as they are."""
    if not path.exists():
        return {}
    from snapdb.archive.image import Image
    from snapdb.formats.source import open_source
    from snapdb.formats.write import NAMES

    held = Image(path)
    try:
        planes = [plane.layout for plane in _planes_in(held, path)]
        found = open_source(path)
    except FormatError as err:
        msg = f"{path} exists, and what it holds would be lost ({err}); give another path, or save 'all'"
        raise ObjectExistsError(msg, path=str(path)) from err
    arrays = held.read_planes([layout.name for layout in planes])
    # A file with noise alone is read as an image of its own; what snapdb wrote says what it is.
    known = {extension: name for name, extension in NAMES.items()} if found.is_own else {}
    names = [known.get(found.frames[layout.hdu].name, layout.name) for layout in planes]
    return dict(zip(names, arrays, strict=True))


def _planes_in(image: "Image", path: Path) -> "Sequence[NewPlane]":
    """List the planes of an image that lie in one file."""
    planes = () if image.loader is None else image.loader.new_planes
    return [plane for plane in planes if Path(plane.path).samefile(path)]


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
    check_output(path, overwrite=True)  # what an archive guards stays in any case
    if any(path.samefile(source) for source in image.all_source_paths() if source.exists()):
        reason = _why_it_stays(image, path)
        if reason is not None:
            msg = f"{path} {reason} and is never written over; give another path"
            raise ObjectExistsError(msg, path=str(path))
    check_output(path, overwrite=overwrite)


def _why_it_stays(image: "Image", path: Path) -> str | None:
    """Say why a file that an image is read from must stay; None where what is written holds all of it."""
    from snapdb.formats.source import open_source
    from snapdb.model.layout import Meaning

    planes = _planes_in(image, path)
    if image.record is not None or not planes:
        return "holds the pixels of this image or of its parent"
    found = open_source(path)
    named = {image.file_of(plane.layout.name) for plane in planes}
    is_plain = all(plane.layout.meaning is Meaning.DIRECT for plane in planes)
    if named != {path} or not is_plain or any(frame.array is not None for frame in found.frames):
        return f"holds the {planes[0].layout.name} in a form of its own"
    held = {frame.index for frame in found.frames if frame.axes or frame.kind != "image"}
    if held != {plane.layout.hdu for plane in planes} or not (found.is_own or len(found.frames) == 1):
        return "holds more than this image (other HDUs or headers, which would be lost)"
    return None


def _write_file(image: "Image", path: Path, planes: Mapping[str, PixelArray], *, overwrite: bool) -> None:
    """Write one file."""
    from snapdb.formats.write import to_fits_bytes, write_fits

    header, bits = image.header_to_save(), image.flag_bits
    if path.suffix.lower() in _PACKED:
        write_bytes(path, to_fits_bytes(planes, header, flag_bits=bits), overwrite=overwrite)
        return
    with write_atomically(path, overwrite=overwrite) as out:
        write_fits(out, planes, header, flag_bits=bits)
