"""Postage stamps of a candidate from arrays, and their files: stdpipe's functions."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.archive.array_source import ArraySource, make_source
from snapdb.archive.cutout import Cutout
from snapdb.archive.guard import check_output
from snapdb.archive.keyed import name_planes
from snapdb.archive.loading import as_wcs, check_plane
from snapdb.archive.paths import PathLike
from snapdb.archive.planar import PLANES
from snapdb.archive.saving import write_bytes
from snapdb.archive.stored_cutout import state_of
from snapdb.errors import ObjectExistsError, ProjectionError, UsageError
from snapdb.photometry.lengths import to_number, to_pixels
from snapdb.pixels.crops import center_box
from snapdb.sky.units import to_degrees
from snapdb.types import Header, PixelArray

_NOT_PLANES = ("meta", "header", "wcs")


def get_cutout(
    image: PixelArray,
    candidate: Any,
    radius: float,
    header: Header | None = None,
    wcs: Any = None,
    time: Any = None,
    filename: str | None = None,
    name: str | None = None,
    **kwargs: PixelArray | None,
) -> Cutout:
    """Cut the square around a candidate from an image and its further planes.

    Parameters
    ----------
    image : array, shape (ny, nx)
        Pixels ``[y, x]``.
    candidate : mapping or table row
        With ``x`` and ``y``, its position in 0-based pixels, numbers or Quantities of pixels; all it
        says goes into the meta.
    radius : float
        Half the side, pixels: the square has ``2 * ceil(radius) + 1`` a side, and the candidate
        lies in its middle pixel.
    header : astropy.io.fits.Header, optional
        Of the image; left as it is.
    wcs : astropy.wcs.WCS or BaseWCS, optional
        Of the image; those of `header` by default.
    time : Time, datetime or str, optional
        Of the observation; ``meta["time"]``.
    filename : str, optional
        Of the image; ``meta["filename"]``.
    name : str, optional
        Of the object; by default made of ``ra`` and ``dec`` where the candidate has them, as numbers
        (degrees), Quantities or sexagesimal text. Where they are no position there is no name.
    **kwargs : array
        Further planes of the image's shape, such as ``mask``, ``err``, ``template``,
        ``convolved``, ``diff``, ``flags``; None is left out. ``noise`` is another name of ``err``, and
        ``dq`` of ``flags``: a plane is listed and written by the name that you give it, and is
        found by both, so that a pair of names is refused.

    Returns
    -------
    Cutout
        Usable as a dictionary, though it is no ``dict``: ``cutout["image"]``, ``["mask"]``,
        ``["template"]``, ``["meta"]``, ``["header"]``, ``["wcs"]``. Outside the image, floating-point
        planes are NaN, others 0, the mask True, flags carry the bit NO_DATA.

    Raises
    ------
    NoOverlapError
        If the candidate's position is not finite, or the square does not touch the image.
    ShapeError
        If a plane has not the image's shape, or the radius is no number of at least 0.
    UsageError
        If the candidate has no ``x`` or ``y``, or they are no numbers of pixels, a further
        parameter is no array, or two name one plane.

    Notes
    -----
    As stdpipe's, mended: ``wcs`` is that of the cutout and not the image's own; a mask is True
    outside; a plane of another shape, and what is no plane, are refused. A square that lies
    wholly outside is refused too, where stdpipe gives filling: a loop over candidates that may lie
    outside catches ``snapdb.NoOverlapError``.

    ``"mask" in cutout`` and ``"header" in cutout`` say whether they were given; ``cutout["mask"]`` gives one
    in any case (True where a pixel is outside or not finite), and so does ``cutout["header"]``. ``pop``,
    ``setdefault``, ``update`` and ``|`` work (``|`` gives a plain ``dict``); where a ``dict`` itself is
    wanted, take ``dict(cutout)``.
    """
    said = _as_dict(candidate)
    for axis in "xy":
        if axis not in said:
            msg = f"the candidate has no {axis!r}; it has {', '.join(map(str, said))}"
            raise UsageError(msg, candidate=list(said))
    box = center_box(_as_pixel(said["x"], "x"), _as_pixel(said["y"], "y"), radius)
    planes = {key: plane for key, plane in kwargs.items() if plane is not None}
    names = name_planes({"image": image, **planes})
    source = _make_source(image, header, wcs, {names[key]: plane for key, plane in planes.items()})
    placement = source.place(box, "fill")
    fill = np.nan if np.asanyarray(image).dtype.kind == "f" else 0
    cutout = Cutout.from_source(source, placement, fill)
    if header is not None:
        cutout["header"] = _cropped_header(cutout, header, given=wcs is not None)
    cutout["meta"] = _make_meta(said, time, filename, name)
    given = {"mask": "mask" in source.planes, "header": header is not None}
    cutout.name_keys(names, unsaid=[key for key, is_given in given.items() if not is_given])
    return cutout


def write_cutout(cutout: Any, filename: PathLike) -> None:
    """Write a cutout to a FITS file that :func:`load_cutout` and stdpipe read.

    The primary header holds the meta as keywords, each plane has an extension of its name,
    and the table SNAPMETA keeps the meta, the types and the place without loss.

    Parameters
    ----------
    cutout : Cutout or mapping
        As :func:`get_cutout` gives it, or a plain dictionary of that form.
    filename : path
        Replaced if it exists, as stdpipe does; a file that is registered, or that the cutout's
        parents are read from, never is. ``.gz`` or ``.bz2`` at its end compresses.

    Raises
    ------
    UsageError
        If a value of the meta cannot be kept, there is no plane ``image``, two keys mean one plane,
        or a plane is of a type that FITS has not.
    ShapeError
        If ``image`` or ``err`` holds no real numbers (bools among others), or ``flags`` no integers.
    ObjectExistsError
        If the file must not be replaced.
    StorageError
        If it cannot be written.
    """
    from snapdb.formats.stamp_files import write_stamp

    path = Path(filename).absolute()
    state = state_of(cutout) if isinstance(cutout, Cutout) else None
    sources = cutout.all_source_paths() if isinstance(cutout, Cutout) else ()
    if path.exists() and any(path.samefile(source) for source in sources if source.exists()):
        msg = f"{path} holds the pixels of the cutout's parent and is never written over; give another path"
        raise ObjectExistsError(msg, path=str(path))
    check_output(path, overwrite=True)
    named = dict(cutout.items())
    if isinstance(cutout, Cutout):  # what it does not list for want of a giver is kept all the same
        named |= {"mask": cutout.mask, "header": cutout.header}
    planes = _planes_to_write(named)
    buffer = io.BytesIO()
    write_stamp(buffer, planes, named.get("header"), named.get("meta") or {}, state)
    write_bytes(path, buffer.getvalue(), overwrite=True)


def load_cutout(filename: PathLike) -> Cutout:
    """Read a cutout that :func:`write_cutout`, :meth:`Cutout.save` or stdpipe wrote.

    Parameters
    ----------
    filename : path
        The file. Nothing in it is ever run as code.

    Returns
    -------
    Cutout
        As :meth:`Cutout.load` gives it.

    Raises
    ------
    NotAnImageError
        If the file holds no plane named IMAGE.
    UsageError
        If two of its planes have names that mean one, such as FLAGS and DQ.
    CorruptFileError, UnknownFormatError, ObjectMissingError, StorageError
        If it cannot be read.
    """
    return Cutout.load(Path(filename))


def _planes_to_write(named: Mapping[str, Any]) -> dict[str, PixelArray]:
    """Take what has two axes, and see that it can be read back."""
    kept = {key: value for key, value in named.items() if key not in _NOT_PLANES}
    planes = {key: np.asarray(value) for key, value in kept.items() if np.ndim(value) == 2}
    if "image" not in planes:
        msg = f"the cutout has no plane 'image'; it has {', '.join(planes) or 'no planes'}"
        raise UsageError(msg, planes=list(planes))
    for key, name in name_planes(planes).items():
        if name in PLANES:
            check_plane(name, planes[key], None)
    return planes


def _make_source(
    image: PixelArray, header: Header | None, wcs: Any, planes: Mapping[str, Any]
) -> ArraySource:
    """Check the planes and find the coordinates."""
    arrays: dict[str, Any] = {"data": image}
    for key, plane in planes.items():
        if np.ndim(plane) != 2:
            msg = f"{key} is a {type(plane).__name__}; expected a plane, an array with two axes"
            raise UsageError(msg, name=key)
        arrays[key] = plane
    coordinates = wcs
    if wcs is None and header is not None:
        try:
            coordinates = as_wcs(None, header)
        except ProjectionError as err:
            warnings.warn(f"the cutout has no world coordinates: {err}", stacklevel=3)
    return make_source(arrays, coordinates, header=header)


def _cropped_header(cutout: Cutout, header: Header, *, given: bool) -> Header:
    """Make the cutout's header; coordinates that were given replace the header's."""
    from snapdb.formats.header import with_facts
    from snapdb.formats.regrid import crop_cards

    box = cutout.box
    cropped = crop_cards(header, box.x0, box.y0, box.width, box.height)
    return with_facts(cropped, {}, cutout.wcs_header()) if given else cropped


def _make_meta(said: dict[str, Any], time: Any, filename: str | None, name: str | None) -> dict[str, Any]:
    """Give what the candidate says, with what the caller adds."""
    meta = dict(said)
    if time is not None:
        meta["time"] = _as_time(time)
    if filename is not None:
        meta["filename"] = filename
    if name is not None:
        meta["name"] = name
    elif "name" not in meta and "ra" in meta and "dec" in meta:
        made = make_name(meta["ra"], meta["dec"])
        if made is not None:
            meta["name"] = made
    return meta


def _as_time(time: Any) -> Any:
    """Give a Time."""
    from astropy.time import Time

    try:
        return Time(time)
    except (ValueError, TypeError) as err:
        msg = f"time={time!r} is no time: expected a Time, a datetime or ISO text"
        raise UsageError(msg, time=time) from err


def _as_dict(candidate: Any) -> dict[str, Any]:
    """Give a mapping or a row of a table as a dictionary."""
    try:
        return {str(key): candidate[key] for key in candidate.keys()}  # noqa: SIM118  # rows of tables too
    except (AttributeError, TypeError, KeyError) as err:
        what = "a mapping or a row of a table, with x and y"
        msg = f"candidate is a {type(candidate).__name__}; expected {what}"
        raise UsageError(msg) from err


def _as_pixel(value: Any, name: str) -> float:
    """Take a number of pixels; NaN where it is masked."""
    if np.any(getattr(value, "mask", False)):
        return float("nan")
    plain = to_pixels(getattr(value, "unmasked", value), None, name)
    return to_number(plain, name, "a number of pixels")


def make_name(ra: Any, dec: Any) -> str | None:
    """Name an object by its position: ``J`` with hhmmss.ss and ddmmss.s, both cut to the nearest.

    Parameters
    ----------
    ra, dec : float, Quantity or str
        Degrees where without unit; see :func:`~snapdb.sky.units.to_degrees`.

    Returns
    -------
    str or None
        Such as ``J004200.00-201500.0``; None where they are no finite position.
    """
    if np.any(getattr(ra, "mask", False)) or np.any(getattr(dec, "mask", False)):
        return None
    try:
        ra, dec = to_degrees(ra, name="ra"), to_degrees(dec, name="dec")
    except UsageError:
        return None
    if np.ndim(ra) or np.ndim(dec) or not (np.isfinite(ra) and np.isfinite(dec)):
        return None
    hundredths = round(float(ra) % 360.0 / 15.0 * 3600.0 * 100) % (24 * 360_000)
    tenths = round(abs(float(dec)) * 3600.0 * 10)
    hours, minutes, seconds = hundredths // 360_000, hundredths // 6000 % 60, hundredths % 6000 / 100
    degrees, arcmin, arcsec = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10
    sign = "-" if float(dec) < 0 else "+"
    return f"J{hours:02d}{minutes:02d}{seconds:05.2f}{sign}{degrees:02d}{arcmin:02d}{arcsec:04.1f}"
