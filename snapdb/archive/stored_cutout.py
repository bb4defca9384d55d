"""What a file keeps of a cutout besides its pixels, and a cutout's parts out of a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.array_source import make_parent
from snapdb.archive.keyed import PLANE_OF, given_names, name_planes
from snapdb.archive.loading import as_wcs, check_plane
from snapdb.archive.planar import HEADER_FACTS
from snapdb.archive.values import check_fact
from snapdb.errors import CorruptFileError, NotAnImageError, NotFoundError, ProjectionError
from snapdb.pixels.box import Box
from snapdb.types import Header

if TYPE_CHECKING:
    from snapdb.archive.cutout import Cutout
    from snapdb.formats.stamp_files import StampFile
    from snapdb.sky.wcs import BaseWCS

_FACTS = (*HEADER_FACTS, "flag_bits")


def state_of(cutout: "Cutout") -> dict[str, Any]:
    """Give a cutout's place, source and facts as numbers and text.

    Parameters
    ----------
    cutout : Cutout
        Any.
    """
    boxes = {name: getattr(cutout, f"{name}_box") for name in ("source", "target")}
    boxes["result"] = cutout.box
    try:
        size: list[int] | None = [cutout.parent.width, cutout.parent.height]
    except NotFoundError:
        size = None
    return {
        "version": 1,
        "boxes": {name: [b.x0, b.y0, b.width, b.height] for name, b in boxes.items()},
        "parent_size": size,
        "parent_id": None if cutout.parent_id is None else str(cutout.parent_id),
        "displacement": [cutout.dx, cutout.dy],
        "src_id": cutout.src_id,
        "src_pos": list(cutout.src_pos),
        "src_weight": cutout.src_weight,
        "facts": {name: cutout.fact(name) for name in _FACTS},
        "unsaid": sorted(cutout.unsaid),
    }


def read_cutout(path: Path) -> dict[str, Any]:
    """Read the attributes of a cutout from a file.

    Parameters
    ----------
    path : Path
        That snapdb or stdpipe wrote.

    Raises
    ------
    NotAnImageError
        If it holds no image plane.
    CorruptFileError, UnknownFormatError, ObjectMissingError, StorageError
        If it cannot be read.
    """
    from snapdb.formats.stamp_files import read_stamp

    found = read_stamp(path)
    image = found.planes.get("image")
    if image is None or image.ndim != 2:
        msg = f"{path} holds no image plane; it has {', '.join(found.planes) or 'no planes at all'}"
        raise NotAnImageError(msg, path=str(path))
    try:
        state = _place_of(found, image.shape) if found.state is None else found.state
        attributes = _restore(state, found.header)
    except (KeyError, TypeError, ValueError) as err:
        msg = f"{path} says of its place what cannot be: {err}"
        raise CorruptFileError(msg, path=str(path)) from err
    if attributes["box"].shape != image.shape:
        msg = f"{path} holds an image of shape {image.shape}, but its place has {attributes['box'].shape}"
        raise CorruptFileError(msg, path=str(path))
    planes, extras = _split(found.planes, image.shape)
    said = {"_extras": extras or None, "_said": found.meta, "_header": found.header}
    keys = name_planes([key for key in found.planes if key not in extras])
    names = {"_names": given_names(keys), "_unsaid": frozenset(state.get("unsaid", ()))}
    return {**attributes, **said, **names, "_own": planes}


def _restore(state: Mapping[str, Any], header: Header | None) -> dict[str, Any]:
    """Give the attributes that a state and a header say."""
    boxes = {name: Box(*state["boxes"][name]) for name in ("result", "source", "target")}
    _check_boxes(**boxes)
    dx, dy = (float(v) for v in state["displacement"])
    wcs = _wcs_of(header)
    if wcs is not None:
        from snapdb.sky.native import displace

        wcs = displace(wcs, dx - boxes["result"].x0, dy - boxes["result"].y0)
    size = state["parent_size"]
    whole = None if size is None else Box(0, 0, *size)
    parent = make_parent(wcs, *((None, None) if whole is None else (whole.width, whole.height)))
    parent.id = state["parent_id"]
    return {
        "parent": parent,
        "box": boxes["result"],
        "source_box": boxes["source"],
        "target_box": boxes["target"],
        "_dx": dx,
        "_dy": dy,
        "src_id": state["src_id"],
        "_src_pos": tuple(state["src_pos"]) if state["src_pos"] is not None else None,
        "_src_weight": state["src_weight"],
        "_facts": {**{n: check_fact(n, v) for n, v in state["facts"].items()}, "kind": "cutout"},
    }


def _check_boxes(result: Box, source: Box, target: Box) -> None:
    """See that the part that exists has one size in both images, and lies in the cutout."""
    if source.shape != target.shape or not target.within(result.width, result.height):
        msg = f"its boxes {result}, {source} and {target} do not fit together"
        raise ValueError(msg)


def _wcs_of(header: Header | None) -> "BaseWCS | None":
    """Give the coordinates of a header; None where there are none that can be evaluated."""
    try:
        return as_wcs(None, header)
    except ProjectionError:
        return None


def _place_of(found: "StampFile", shape: tuple[int, int]) -> dict[str, Any]:
    """Make the state of a cutout that another program wrote: its place is in CROP_X1 and CROP_Y1."""
    header = found.header if found.header is not None else {}
    x0, y0 = (int(header.get(f"CROP_{axis}1", 0)) for axis in "XY")
    size = [shape[1], shape[0]]
    boxes = {"result": [x0, y0, *size], "source": [x0, y0, *size], "target": [0, 0, *size]}
    known = {"boxes": boxes, "parent_size": None, "parent_id": None, "displacement": [0, 0]}
    return {**known, "src_id": None, "src_pos": None, "src_weight": None, "facts": {}}


def _split(planes: Mapping[str, Any], shape: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell planes of the cutout from other arrays of its file."""
    own: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for key, array in planes.items():
        name = PLANE_OF.get(key, key)
        if array.shape != shape:
            extras[key] = array
        elif name in ("data", "noise", "flags"):
            own[name] = check_plane(name, array, shape)
        else:
            own[name] = array.astype(bool) if name == "mask" else np.asarray(array)
    return own, extras
