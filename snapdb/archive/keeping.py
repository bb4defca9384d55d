"""Cutouts kept as products: a file, a row, what they were cut from, and what made them.

1. The cutout's place is found in the nearest image that is registered.
2. Unless the caller says what made it, its pixels and facts are compared with that image:
   what was changed in memory is no plain cutout, and is not registered as one.
3. Its id is a hash of what is asked: parent, box, pixels, facts, provenance. The same
   request has the same id and the same file's name, whoever makes it.
4. The file is written whole, and then the row; a crash between leaves a file that the
   next request takes as it is.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.cutout import INHERITED, Cutout
from snapdb.archive.kept_files import (
    Content,
    describe_file,
    ensure_file,
    has_parents_places,
    make_cards,
    make_exact_header,
    same_pixels,
)
from snapdb.archive.paths import PathLike
from snapdb.errors import ConflictError, UsageError
from snapdb.model.canonical import to_canonical_json, to_json_value
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.image import Image

PROCESS = "cutout"
VERSION = (1, 0)
"""Of the process: raised when the same request would give other pixels."""

_FROM_PARENT = tuple(name for name in INHERITED if name != "properties")
_KEPT = (*_FROM_PARENT, "kind", "flag_bits", "properties")
"""What the row says besides what follows from the written file: size, corners, WCS, layouts."""
_OF_FILE = frozenset({"wcs_needs_file"})
"""Properties that speak of the parent's own file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a cutout lies in the nearest registered image."""

    parent_id: UUID
    box: Box
    """In the parent's pixels; may reach beyond it."""
    source: Box
    """The part of it that is the parent's."""

    @property
    def is_whole(self) -> bool:
        """Whether every pixel is the parent's."""
        return self.box == self.source


def make_cutout_provenance(
    upstreams: "Provenance | list[Provenance]",
    *,
    size: int | str,
    ysize: int | str | None = None,
    mode: str = "strict",
    fill_value: float = math.nan,
    planes: tuple[str, ...] | None = None,
) -> Provenance:
    """Say what makes cutouts of one kind: the process `cutout` with its parameters.

    Where a cutout lies is not part of it, so that one provenance, and one tag, holds
    for the same cut from many images; the box and the parent are in each image's row.

    Parameters
    ----------
    upstreams : Provenance or list of Provenance
        Of the images that are cut.
    size, ysize : int or str
        Edges in pixels, or as an angle such as ``20arcsec``; `ysize` is `size` when None.
    mode : str
        ``strict``, ``partial`` or ``trim``.
    fill_value : float
        Outside the image; counts in mode ``partial`` only.
    planes : tuple of str, optional
        Planes that were kept; None says all.

    Returns
    -------
    Provenance
        Not yet registered.
    """
    params: dict[str, Any] = {"size": size, "ysize": size if ysize is None else ysize, "mode": mode}
    if mode == "partial":
        params["fill_value"] = fill_value if math.isfinite(fill_value) else str(float(fill_value))
    if planes is not None:
        params["planes"] = sorted(planes)
    return Provenance(PROCESS, *VERSION, params, upstreams=upstreams)


def save_cutout(
    archive: "Archive",
    cutout: "Image",
    provenance: Provenance | UUID | str | None = None,
    *,
    path: PathLike | None = None,
    tag: str | None = None,
) -> "Image":
    """Keep a cutout: write its file and register it; see :meth:`snapdb.Archive.save`.

    Parameters
    ----------
    archive : Archive
        Where it is kept; its registry holds the image that was cut.
    cutout : Cutout
        From :meth:`Image.get_cutout` or :meth:`Image.get_ra_dec_cutout`, or a cutout of such.
    provenance : Provenance, UUID or str, optional
        What made it; an id or ``TAG:PROCESS`` must be registered. By default the process
        `cutout` with this cutout's size, fill and planes, upstream the parent's.
    path : path, optional
        Of the file; by default ``cutouts/<aa>/<id>.fits`` in the store.
    tag : str, optional
        Name that the provenance gets.

    Returns
    -------
    Image
        As the registry has it. The same request again gives the same image; its file
        stays where it is, also when another `path` is given.

    Raises
    ------
    UsageError
        If it was cut from no registered image, has no world coordinates, or was changed
        since it was cut and no provenance says by what.
    NotFoundError
        If the archive does not have its parent, or no such provenance.
    ObjectExistsError
        If another file is at `path`.
    ConflictError
        If the tag points to another provenance.
    """
    origin = find_origin(cutout)
    parent = archive.get_image(origin.parent_id)
    planes = _planes_of(cutout)
    made_by = _find_provenance(archive, cutout, parent, origin, planes, provenance)
    facts = _facts_of(cutout, origin)
    moved = has_parents_places(cutout, parent, origin.box)
    id_ = _make_id(origin, planes, facts, made_by, wcs="" if moved else str(cutout.wcs_header()))
    archive.add_provenance(made_by, tag=tag)
    if _is_registered(archive, id_):
        return archive.get_image(id_)
    key = f"cutouts/{id_.hex[:2]}/{id_}.fits"
    target = archive.store.path_of(key) if path is None else Path(path).expanduser().absolute()
    header = make_exact_header(cutout, parent, origin.box) if moved else cutout.header_to_save()
    content = Content(planes=planes, header=header, flag_bits=facts["flag_bits"])
    ensure_file(target, content, make_cards(id_, made_by, origin.parent_id))
    found, files = describe_file(archive.store, target)
    facts["properties"] = {**found.facts.properties, **facts["properties"]}
    new = NewImage(
        facts=replace(found.facts, **facts),
        footprint=found.footprint,
        planes=found.planes,
        provenance_id=made_by.id,
        id=id_,
        inputs=(origin.parent_id,),
    )
    try:
        archive.registry.add_images([new], files)
    except ConflictError:  # another process that saves the same may have been first
        if not _is_registered(archive, id_):
            raise
    return archive.get_image(id_)


def find_origin(cutout: Any) -> Origin:
    """Find where a cutout lies in the nearest registered image that it was cut from.

    Parameters
    ----------
    cutout : Cutout
        Of an image, or of another cutout.

    Raises
    ------
    UsageError
        If it is no cutout, or none of its parents is registered.
    """
    if not isinstance(cutout, Cutout) or getattr(cutout, "parent", None) is None:
        what = "a cutout without parent" if isinstance(cutout, Cutout) else f"a {type(cutout).__name__}"
        msg = (
            f"{what} cannot be saved as a cutout; expected one that an image of the archive was cut to. "
            "Save other images with Image.save, and register them with save_to_db"
        )
        raise UsageError(msg)
    node, box, source = cutout, cutout.box, cutout.source_box
    while isinstance(node.parent, Cutout) and node.parent.id is None and node.parent.parent is not None:
        node = node.parent
        inside = source.intersect(node.source_box.shifted(-node.box.x0, -node.box.y0))
        if inside is None:
            msg = f"{cutout!r} holds no pixel of an image, only what a cutout was filled with"
            raise UsageError(msg)
        box, source = (one.shifted(node.box.x0, node.box.y0) for one in (box, inside))
    if node.parent.id is None:
        msg = (
            f"{cutout!r} was cut from {node.parent.label}, which is not registered; "
            "ingest its file, and cut from the image that find_images gives"
        )
        raise UsageError(msg)
    return Origin(parent_id=node.parent.id, box=box, source=source)


# What it is


def _planes_of(cutout: "Image") -> dict[str, PixelArray]:
    """Give the planes, data first."""
    names = cutout.plane_names
    if "data" not in names or not cutout.has_wcs:
        what = "data" if "data" not in names else "world coordinates"
        msg = f"{cutout.label} has no {what}; a product needs them to be found again"
        raise UsageError(msg)
    return dict(zip(names, cutout.read_planes(names), strict=True))


def _facts_of(cutout: "Image", origin: Origin) -> dict[str, Any]:
    """Give what the row shall say: the parent's facts, and where it was cut."""
    facts = {name: cutout.fact(name) for name in _KEPT}
    kept = {name: value for name, value in facts["properties"].items() if name not in _OF_FILE}
    place = {
        "cutout_parent": str(origin.parent_id),
        "cutout_x0": origin.box.x0,
        "cutout_y0": origin.box.y0,
    }
    return {**facts, "properties": {**kept, **place}, "flag_bits": dict(facts["flag_bits"])}


def _make_id(
    origin: Origin,
    planes: Mapping[str, PixelArray],
    facts: Mapping[str, Any],
    made_by: Provenance,
    *,
    wcs: str,
) -> UUID:
    """Hash what is asked for into an id of version 8 (RFC 9562: what the maker defines)."""
    box = origin.box
    spec = {
        "parent": str(origin.parent_id),
        "box": [box.x0, box.y0, box.width, box.height],
        "provenance": str(made_by.id),
        "planes": {name: _digest(array) for name, array in planes.items()},
        "facts": facts,
        "wcs": wcs,
    }
    text = to_canonical_json(to_json_value(spec, "cutout"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)
    return UUID(int=number & ~(0x3 << 62) | (0x2 << 62))


def _digest(array: PixelArray) -> str:
    """Hash pixels with their type and shape, the same on every machine."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.dtype.str} {little.shape} ".encode())
    digest.update(little.data)
    return digest.hexdigest()


# What made it


def _find_provenance(
    archive: "Archive",
    cutout: "Image",
    parent: "Image",
    origin: Origin,
    planes: Mapping[str, PixelArray],
    given: Provenance | UUID | str | None,
) -> Provenance:
    """Give the provenance that the caller names, or that of a plain cutout."""
    if isinstance(given, Provenance):
        return given
    if given is not None:
        return archive.find_provenance(given)
    if (changed := find_change(cutout, parent, origin, planes)) is not None:
        msg = (
            f"{changed} of {cutout!r} differs from what image {origin.parent_id} has there now, so it is "
            "no plain cutout; give the provenance of what changed it, or cut it again"
        )
        raise UsageError(msg, parent_id=origin.parent_id, changed=changed)
    assert parent.provenance_id is not None  # noqa: S101  # a registered image has one
    return make_cutout_provenance(
        archive.get_provenance(parent.provenance_id),
        size=origin.box.width,
        ysize=origin.box.height,
        mode="strict" if origin.is_whole else "partial",
        fill_value=_find_fill(planes["data"], _target(origin)),
        planes=tuple(planes),
    )


def find_change(
    cutout: "Image", parent: "Image", origin: Origin, planes: Mapping[str, PixelArray]
) -> str | None:
    """Name what differs between a cutout and its parent as it is registered; None where nothing does.

    Parameters
    ----------
    cutout : Cutout
        With its facts.
    parent : Image
        As the registry has it: its pixels are read from its file.
    origin : Origin
        Where the cutout lies in it.
    planes : mapping
        The cutout's planes.
    """
    if (fact := _find_changed_fact(cutout, parent)) is not None:
        return fact
    if any(array.shape != origin.box.shape for array in planes.values()):
        return "the size"
    if missing := planes.keys() - set(parent.plane_names):
        return min(missing)
    if not has_parents_places(cutout, parent, origin.box):
        return "the WCS"
    slices = _target(origin).slices
    there = parent.read_box(tuple(planes), origin.source)
    return next((n for n, array in planes.items() if not same_pixels(array[slices], there[n])), None)


def _find_changed_fact(cutout: "Image", parent: "Image") -> str | None:
    """Name the first fact that a cutout does not have from its parent; None where there is none."""
    if cutout.kind != "cutout":
        return "kind"
    if any(parent.flag_bits.get(n, v) != v for n, v in cutout.flag_bits.items()):
        return "flag_bits"
    return next((name for name in _FROM_PARENT if cutout.fact(name) != parent.fact(name)), None)


def _target(origin: Origin) -> Box:
    """Give the part of the cutout, in its own pixels, that is the parent's."""
    return origin.source.shifted(-origin.box.x0, -origin.box.y0)


def _find_fill(data: PixelArray, target: Box) -> float:
    """Give what fills the pixels outside the parent; NaN where there are none."""
    outside = np.ones(data.shape, dtype=bool)
    outside[target.slices] = False
    return float(data[outside][0]) if outside.any() else math.nan


def _is_registered(archive: "Archive", id_: UUID) -> bool:
    """Tell whether the archive has an image."""
    return bool(archive.registry.find_images(make_search(id=id_)))
