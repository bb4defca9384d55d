"""The zero point that converts an image's pixels to flux, and where it was found.

With the default keyword what is known of the instrument comes first: pixels of some cameras are
rates, and their card speaks of counts. Any other keyword is the user's word, and comes first itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.bulk.planning.recipe import ZEROPOINT_KEY, Recipe
from snapdb.errors import MissingKeywordError, UsageError
from snapdb.formats.frame import HduFrame
from snapdb.formats.lookup import Lookup
from snapdb.formats.maps import GENERIC, load_maps
from snapdb.formats.source import FitsSource, choose_map, open_source
from snapdb.model.url import is_url

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Zeropoint:
    """A zero point and its origin."""

    value: float
    """AB magnitude of one unit of the data."""
    origin: str
    """Such as ``registry``, ``header: MAGZERO of HDU 0``, or header map, card and what was added."""


def find_zeropoint(
    source: FitsSource, frame: HduFrame, pixel_scale: float, registered: Zeropoint | None, recipe: Recipe
) -> Zeropoint | None:
    """Find the zero point of an image, or None.

    Parameters
    ----------
    source : FitsSource
        The file.
    frame : HduFrame
        The image in it; the primary header is asked where its own says nothing.
    pixel_scale : float
        Arcseconds.
    registered : Zeropoint or None
        What an archive has of it.
    recipe : Recipe
        With the keyword; ``KEY@image`` and ``KEY@primary`` ask one header alone.
    """
    if not recipe.convert_flux:
        return None
    is_named = recipe.zeropoint_key != ZEROPOINT_KEY
    if not is_named and registered is not None:
        return registered
    header_map = choose_map(source, load_maps())
    lookup = Lookup(
        map_file=header_map.file, image=frame.cards, primary=source.primary, hdu=frame.index, path=source.name
    )
    value, where = lookup.get_number(recipe.zeropoint_key)
    card = None if value is None else Zeropoint(value=value, origin=f"header: {where}")
    if is_named or (card is not None and header_map.name == GENERIC):
        return card
    from snapdb.formats.facts import find_photometry  # most runs never need it

    _, _, photometry = find_photometry(lookup, header_map, pixel_scale)
    if photometry.zeropoint is None:
        return card
    origin = next(f.source for f in lookup.findings if f.field == "zeropoint")
    return Zeropoint(value=photometry.zeropoint, origin=origin)


def find_zeropoint_of(record: "ImageRecord", path: str, hdu: int, recipe: Recipe) -> Zeropoint | None:
    """Find the zero point of an image of an archive, or None.

    Parameters
    ----------
    record : ImageRecord
        The image.
    path : str
        Of its file.
    hdu : int
        Of its data.
    recipe : Recipe
        With the keyword; of the default one the registry's zero point comes first.

    Raises
    ------
    UsageError
        If a keyword is asked for of a remote file.
    ObjectMissingError, UnknownFormatError, CorruptFileError
        If the file's header cannot be read.
    """
    known = None if record.zeropoint is None else Zeropoint(value=record.zeropoint, origin="registry")
    is_named = recipe.zeropoint_key != ZEROPOINT_KEY
    if not recipe.convert_flux:
        return None
    if not is_named and (known is not None or is_url(path)):
        return known
    if is_url(path):
        msg = (
            f"{path}: flux_conversion_keywords.AB_zeropoint = {recipe.zeropoint_key!r} asks for a card, and "
            f"headers of remote files are not read here; leave it at {ZEROPOINT_KEY}, for the registry's"
        )
        raise UsageError(msg, path=path)
    source = open_source(path)
    return find_zeropoint(source, source.frames[hdu], record.pixel_scale or 1.0, known, recipe)


def flux_factor(zeropoint: Zeropoint | None, recipe: Recipe, where: str) -> float:
    """Give what pixels are multiplied by to be in the recipe's unit of flux.

    Parameters
    ----------
    zeropoint : Zeropoint or None
        Of the image.
    recipe : Recipe
        Whether flux is converted, and to what.
    where : str
        What errors call the file.

    Returns
    -------
    float
        1 where flux is not converted.

    Raises
    ------
    MissingKeywordError
        If flux shall be converted and the zero point is not known.
    """
    if not recipe.convert_flux:
        return 1.0
    if zeropoint is None:
        other = " and no other zero point is known" if recipe.zeropoint_key == ZEROPOINT_KEY else ""
        msg = (
            f"{where}: flux shall be converted, but there is no {recipe.zeropoint_key} in the header{other}; "
            "set flux_conversion_keywords.AB_zeropoint, or apply_flux_conversion to false"
        )
        raise MissingKeywordError(msg, path=where, keyword=recipe.zeropoint_key)
    from snapdb.bulk.shape.flux import flux_factor as compute

    return float(compute(zeropoint.value, recipe.flux_unit))


def find_registered(archive: "Archive", path: str) -> dict[int, Zeropoint]:
    """Give the zero points that an archive has of a file's images, by HDU.

    Parameters
    ----------
    archive : Archive
        That may hold the file.
    path : str
        Path or address; a file that is not the one that was registered counts as unknown.
    """
    key = path if is_url(path) else archive.store.key_of(Path(path))
    record, ids = archive.registry.find_files([key]).get(key, (None, ()))
    if record is None or not (is_url(path) or _is_unchanged(archive, key, record.size, record.mtime_ns)):
        return {}
    found: dict[int, Zeropoint] = {}
    for one, planes in sorted(archive.registry.get_planes(ids).items()):
        value = archive.registry.get_image(one).zeropoint
        data = next((p for p in planes if p.layout.name == "data" and p.file_key == key), None)
        if data is not None and value is not None:
            found.setdefault(data.layout.hdu, Zeropoint(value=value, origin="registry"))
    return found


def _is_unchanged(archive: "Archive", key: str, size: int, mtime_ns: int) -> bool:
    """Tell whether a file is still the one that was registered."""
    now = archive.store.stat(key)
    return (now.size, now.mtime_ns) == (size, mtime_ns)
