"""The images that stamps are cut from: where their planes lie and how their pixels lie on the sky.

A file that is not registered is scanned once. Where its coordinates are of a common kind that
needs no mending, nothing of astropy is loaded; else :func:`snapdb.formats.describe.describe` reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.archive.flagging import bad_flags_of
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.zeropoints import Zeropoint, find_registered, find_zeropoint, flux_factor
from snapdb.errors import NotAnImageError, UsageError
from snapdb.formats.frame import HduFrame
from snapdb.formats.layouts import make_layout
from snapdb.formats.source import FitsSource, name_contents, open_source
from snapdb.formats.wcs import needs_tables, to_header_text
from snapdb.model.image import PlaneRecord
from snapdb.model.layout import PlaneLayout
from snapdb.model.url import is_url
from snapdb.pixels.flag_names import BadFlags
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.wcs import BaseWCS

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

PRIMARY = "PRIMARY"
"""The first image of a file, whatever its HDU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFile:
    """One plane in its file."""

    path: str
    """Path or address."""
    layout: PlaneLayout
    record: PlaneRecord | None = None
    """What the registry knows of the file; None where it is not registered."""
    store: str = ""
    """Base folder of the registered file's store."""
    stamp: tuple[int, int] | None = None
    """Size and time (ns) of the file when it was described; None of an address."""


def stamp_of(path: str) -> tuple[int, int] | None:
    """Tell a file from one that takes its place: by size and time (ns); None where no file is there.

    Parameters
    ----------
    path : str
        Path or address.
    """
    if is_url(path):
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None  # which is said when it is read
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One image that stamps are cut from: plain values that travel to workers."""

    label: str
    """What channel weights call it: the file's stem, with the extension's name where it has one."""
    data: PlaneFile
    wcs_text: str
    """Mended cards of the coordinates."""
    has_tables: bool = False
    """Whether lookup tables in the file belong to them."""
    scale_arcsec: float
    """Size of a pixel at the image's centre."""
    factor: float = 1.0
    """What flux conversion multiplies pixels by."""
    zeropoint: Zeropoint | None = None
    """What that comes from; None where flux is not converted."""
    image_id: str = ""
    """Of a registered image."""
    planes: Mapping[str, PlaneFile] = field(default_factory=dict)
    """Further planes, by name."""
    bad_bits: int = 0
    """Bits of the flags that make a pixel bad; 0 counts all."""
    bad: BadFlags = field(default_factory=lambda: BadFlags(bits=-1))
    """The same as a choice, of codes where the flags are codes."""
    flag_bits: Mapping[str, int] = field(default_factory=dict)
    is_first: bool = True
    """Whether it is the first image of its file."""
    is_alone: bool = True
    """Whether it is the only image of its file."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.data.layout.width, self.data.layout.height


@lru_cache(maxsize=512)
def evaluate(text: str, path: str, hdu: int, has_tables: bool) -> BaseWCS:  # noqa: FBT001  # a key of the cache
    """Give coordinates, the quick kind where it serves; kept for the next call.

    Parameters
    ----------
    text : str
        Mended cards.
    path : str
        The file, opened only where lookup tables belong to the coordinates.
    hdu : int
        Of the image in it.
    has_tables : bool
        Whether there are such tables.
    """
    if has_tables:
        from snapdb.formats.wcs import read_wcs

        return read_wcs(path, hdu)
    quick = FastWCS.from_text(text)
    if quick is not None:
        return quick
    from snapdb.sky.wcs import AstropyWCS

    return AstropyWCS.from_text(text)


def get_wcs(channel: Channel) -> BaseWCS:
    """Give the coordinates of a channel, kept for the next call.

    Parameters
    ----------
    channel : Channel
        An image.

    Raises
    ------
    ProjectionError
        If they cannot be evaluated.
    """
    return evaluate(channel.wcs_text, channel.data.path, channel.data.layout.hdu, channel.has_tables)


def read_channels(path: str, recipe: Recipe, archive: "Archive | None" = None) -> tuple[Channel, ...]:
    """Find the channels of one file.

    Parameters
    ----------
    path : str
        A local FITS file, registered or not.
    recipe : Recipe
        Which extensions, and whether flux is converted.
    archive : Archive, optional
        Whose zero points count where the file is registered.

    Returns
    -------
    tuple of Channel
        In the order of the recipe's extensions.

    Raises
    ------
    NotAnImageError
        If an extension that is asked for is not there, or is no image.
    MissingKeywordError
        If flux shall be converted and no zero point is known.
    UsageError
        If it is an address.
    ObjectMissingError, UnknownFormatError, CorruptFileError, ProjectionError
        If the file cannot be read.
    """
    if is_url(path):
        msg = (
            f"{path} is an address, and fits_file_paths names local files: register it "
            f"(snapdb ingest {path}) and leave the column out, so that the archive's images are cut"
        )
        raise UsageError(msg, path=path)
    if Path(path).is_dir():
        msg = f"{path} is a folder: expected a FITS file in fits_file_paths"
        raise NotAnImageError(msg, path=path)
    source = open_source(path)
    chosen = [_find_frame(source, name) for name in recipe.extensions]
    named = [_find_selected(source, name) for name in recipe.selected if not _is_label_of_first(name)]
    wanted = dict.fromkeys(f.index for f in (*chosen, *(f for f in named if f is not None)))
    registered = find_registered(archive, path) if archive is not None and recipe.convert_flux else {}
    return tuple(_make_channel(path, source, source.frames[i], registered.get(i), recipe) for i in wanted)


def _find_frame(source: FitsSource, name: Any) -> HduFrame:
    """Give the HDU of an extension's name or number; PRIMARY is the first image."""
    found = _find_selected(source, name)
    if found is None:
        msg = f"{source.path}: no image in extension {name!r}; {say_what_there_is(source.frames)}"
        raise NotAnImageError(msg, path=str(source.path), extension=str(name))
    return found


def _find_selected(source: FitsSource, name: Any) -> HduFrame | None:
    """Give the image that a name or a number means, or None; PRIMARY is the first."""
    if isinstance(name, Mapping):
        name = name.get("ext", name.get("name"))
    planes = _planes_of(source)
    if str(name).upper() == PRIMARY and planes:
        return planes[0]
    return _find_named(planes, name)


def _is_label_of_first(name: Any) -> bool:
    """Tell whether this is Cutana's way to name a band whose image goes without saying."""
    if not isinstance(name, Mapping):
        return False
    return str(name.get("ext")).upper() == PRIMARY != str(name.get("name", PRIMARY)).upper()


def _planes_of(source: FitsSource) -> list[HduFrame]:
    """Give the images of a file."""
    return [f for f in source.frames if f.is_plane]


def say_what_there_is(frames: Sequence[HduFrame]) -> str:
    """Say where a file has its images, or what it has instead.

    Parameters
    ----------
    frames : sequence of HduFrame
        Of the file.
    """
    planes = [f for f in frames if f.is_plane]
    if planes:
        return "its images are in " + ", ".join(f"{f.index} ({f.name or 'PRIMARY'})" for f in planes)
    odd = [f for f in frames if f.kind == "image" and len(f.axes) > 2]
    if not odd:
        return f"it has none: {name_contents(frames)}"
    cubes = ", ".join(f"HDU {f.index} is a cube {'x'.join(map(str, f.axes))}" for f in odd)
    return f"{cubes}; expected two dimensions: write the slice that is meant to a file of its own"


def _find_named(planes: Sequence[HduFrame], name: Any) -> HduFrame | None:
    """Give the image whose EXTNAME or number is meant, or None."""
    for frame in planes:
        same = frame.index == name if isinstance(name, int) else frame.name.upper() == str(name).upper()
        if same and not (frame.name == "" and name == ""):
            return frame
    return None


def _make_channel(
    path: str, source: FitsSource, frame: HduFrame, registered: Zeropoint | None, recipe: Recipe
) -> Channel:
    """Describe one image of a file, lightly where that serves."""
    from dataclasses import replace

    planes = _planes_of(source)
    text = to_header_text(frame, wcs_only=True)
    quick = None if needs_tables(frame) else FastWCS.from_text(text)
    if quick is None or recipe.planes:
        made = _describe(path, source, frame, registered, recipe)
    else:
        scale = quick.pixel_scale_arcsec((frame.axes[0] - 1) / 2, (frame.axes[1] - 1) / 2)
        zeropoint = find_zeropoint(source, frame, scale, registered, recipe)
        made = Channel(
            label="",
            data=PlaneFile(
                path=path, layout=make_layout(frame, "data", source.container), stamp=stamp_of(path)
            ),
            wcs_text=text,
            scale_arcsec=scale,
            factor=flux_factor(zeropoint, recipe, path),
            zeropoint=zeropoint,
        )
    is_first, is_alone = frame is planes[0], len(planes) == 1
    return replace(made, label=_label_of(source, frame), is_first=is_first, is_alone=is_alone)


def _label_of(source: FitsSource, frame: HduFrame) -> str:
    """Name a channel after its file, and its extension where it is none that goes without saying."""
    stem = source.path.name.split(".fits")[0].split(".fit")[0]
    primary = frame.index == 0 or (frame.name == "" and frame.index == 1) or frame.name.upper() == PRIMARY
    return stem if primary else f"{stem}_{frame.name or frame.index}"


def _describe(
    path: str, source: FitsSource, frame: HduFrame, registered: Zeropoint | None, recipe: Recipe
) -> Channel:
    """Describe one image of a file with all that header maps know."""
    from snapdb.formats.describe import describe, find_companions

    companions = find_companions(path) if recipe.planes else ()
    for found in describe(path, companions=companions):
        if found.planes[0].layout.hdu == frame.index:
            break
    else:
        msg = f"{path}: HDU {frame.index} holds no image of the sky with coordinates of its own"
        raise NotAnImageError(msg, path=path, hdu=frame.index)
    facts, scale = found.facts, found.facts.pixel_scale or 1.0
    files = {
        p.layout.name: PlaneFile(path=p.path, layout=p.layout, stamp=stamp_of(p.path)) for p in found.planes
    }
    zeropoint = find_zeropoint(source, frame, scale, registered, recipe)
    return Channel(
        label="",
        data=files["data"],
        wcs_text=facts.wcs_header,
        has_tables=needs_tables(frame),
        scale_arcsec=scale,
        factor=flux_factor(zeropoint, recipe, path),
        zeropoint=zeropoint,
        planes={name: files[name] for name in recipe.planes if name in files},
        bad_bits=facts.bad_bits,
        bad=bad_flags_of(facts),
        flag_bits=dict(facts.flag_bits),
    )
