"""Files of products that are kept: written whole, recognised when they are there already, described."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.errors import ObjectExistsError, ProjectionError
from snapdb.model.file import FileRecord, FileState
from snapdb.model.provenance import Provenance
from snapdb.pixels.box import Box
from snapdb.sky.moved_cards import move_cards
from snapdb.sky.vectors import to_vectors
from snapdb.sky.wcs import AstropyWCS
from snapdb.storage import LocalStore, fingerprint, write_atomically
from snapdb.types import FloatArray, Header, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image
    from snapdb.formats.describe import Described


def make_cards(id_: UUID, made_by: Provenance, parent_id: UUID) -> dict[str, Any]:
    """Give the cards that say what a product is.

    Parameters
    ----------
    id_ : UUID
        Of the product.
    made_by : Provenance
        Of the product.
    parent_id : UUID
        Of the image that it was made from.
    """
    process = f"{made_by.process} {made_by.major}.{made_by.minor}".encode("ascii", "replace").decode()
    return {
        "SDBID": (str(id_), "Id of the image"),
        "SDBPROV": (str(made_by.id), "Id of its provenance"),
        "SDBPROC": (process[:60], "What made it"),
        "SDBINPUT": (str(parent_id), "Id of the image it was cut from"),
    }


_SAME_PLACE = 1e-13
"""Radians: 2e-8 arcsec, some hundred times the rounding of positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a product's file holds."""

    planes: Mapping[str, PixelArray]
    header: Header
    flag_bits: Mapping[str, int]


def make_exact_header(cutout: "Image", parent: "Image", box: Box) -> Header:
    """Make the header of a cutout, with coordinates as exact as its parent's cards where these can be moved.

    astropy writes 12 to 14 digits, which is up to 1e-7 of a small pixel; the parent's own cards
    lose nothing. Lookup tables and plate polynomials cannot be moved; they are fitted.

    Parameters
    ----------
    cutout : Image
        With the parent's coordinates, shifted.
    parent : Image
        Of the registry.
    box : Box
        Where the cutout lies in its pixels.
    """
    from snapdb.formats.header import to_header, with_facts

    header = cutout.header_to_save()
    cards = to_header(move_cards(parent.fact("wcs_header"), box))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parent's dialect was told when it was registered
            moved = AstropyWCS.from_header(cards)
    except ProjectionError:
        return header
    x, y = _grid(box)
    exact = _same_places(moved.pixel_to_world(x, y), parent.pixel_to_world(x + box.x0, y + box.y0))
    return with_facts(header, {}, cards) if exact else header


def has_parents_places(cutout: "Image", parent: "Image", box: Box) -> bool:
    """Tell whether a cutout's pixels lie on the sky where its parent's do.

    Parameters
    ----------
    cutout, parent : Image
        With world coordinates.
    box : Box
        Where the one lies in the other's pixels.
    """
    x, y = _grid(box)
    return _same_places(cutout.pixel_to_world(x, y), parent.pixel_to_world(x + box.x0, y + box.y0))


def _grid(box: Box) -> tuple[FloatArray, FloatArray]:
    """Give nine pixels of a cutout: corners, middles of the sides, centre."""
    x, y = np.meshgrid(np.linspace(0, box.width - 1, 3), np.linspace(0, box.height - 1, 3))
    return x.ravel(), y.ravel()


def _same_places(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Tell whether positions are the same but for rounding; where neither projects, they are."""
    off = np.abs(to_vectors(*one) - to_vectors(*other))
    lost = np.isnan(one[0]) & np.isnan(other[0])
    return bool((off[~lost] < _SAME_PLACE).all())


def ensure_file(path: Path, content: Content, cards: Mapping[str, Any]) -> None:
    """Write a product's file, unless an earlier or a simultaneous request has written it.

    Parameters
    ----------
    path : Path
        Its name.
    content : Content
        What it holds.
    cards : mapping
        From :func:`make_cards`.

    Raises
    ------
    ObjectExistsError
        If the file is there, and is not this product's with these pixels.
    """
    from snapdb.formats.write import write_fits

    if not path.exists():
        try:
            with write_atomically(path) as out:
                write_fits(out, content.planes, content.header, flag_bits=content.flag_bits, extra=cards)
        except ObjectExistsError:
            if not path.exists():
                raise
        else:
            return
    if not _holds(path, content.planes, cards["SDBID"][0]):
        msg = f"{path} exists, and is not the file of this cutout; give another path, or remove it"
        raise ObjectExistsError(msg, path=str(path))


def _holds(path: Path, planes: Mapping[str, PixelArray], id_: str) -> bool:
    """Tell whether a file is a product's, with its pixels."""
    from snapdb.archive.image import Image
    from snapdb.errors import FormatError
    from snapdb.formats.header import read_header

    try:
        if read_header(path, 0).get("SDBID") != id_:
            return False
        held = Image(path, instrument="standard")
        there = held.read_planes([name for name in planes if name in held.plane_names])
    except FormatError:
        return False
    return len(there) == len(planes) and all(map(same_pixels, planes.values(), there))


def describe_file(store: LocalStore, path: Path) -> "tuple[Described, dict[str, FileRecord]]":
    """Read what the row of a written product says, and the record of its file.

    Parameters
    ----------
    store : LocalStore
        What keys are relative to.
    path : Path
        The file. No other file's planes are taken for its own, whatever their names.

    Returns
    -------
    described : Described
        Size, corners, coordinates, footprint, layouts.
    files : dict
        Path, as the planes have it -> record.
    """
    from snapdb.formats.describe import describe

    (found,) = describe(path, instrument="standard")
    stamp, key = fingerprint(path), store.key_of(path)
    record = FileRecord(
        key=key,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        sha256=stamp.sha256,
        format="fits",
        state=FileState.IN_PLACE if key.startswith("/") else FileState.STORED,
    )
    return found, {plane.path: record for plane in found.planes}


def same_pixels(one: PixelArray, other: PixelArray) -> bool:
    """Compare pixels, NaN equal to NaN, whatever the types that hold them."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" and other.dtype.kind == "f")
