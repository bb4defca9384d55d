"""PSFs from FITS files, whoever wrote them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.errors import (
    CorruptFileError,
    NotFoundError,
    ObjectMissingError,
    SnapdbError,
    StorageError,
    UnknownFormatError,
    UsageError,
)
from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.gridded import GriddedPSF
from snapdb.photometry.psf.image import ImagePSF
from snapdb.photometry.psf.psfex import PSFExPSF
from snapdb.types import FloatArray, Header

_STPSF_IMAGES = ("OVERDIST", "OVERSAMP")
"""Where STPSF puts one PSF: with the detector's distortion if it was asked for, else without."""

_DAMAGE = (OSError, TypeError, ValueError, LookupError, AttributeError, NameError)
"""What astropy raises on damaged cards and tables; they have no class of their own."""


def read_psf(
    path: Path | str,
    *,
    ccd: str | int | None = None,
    hdu: str | int | None = None,
    oversampling: int | None = None,
    is_prf: bool | None = None,
    captured: float | None = 1.0,
) -> PSFModel:
    """Read a PSF from a FITS file.

    What the file is, is seen from its content:

    - what :meth:`ImagePSF.write` wrote;
    - PSFEx (``.psf``: a table with PSF_MASK), also with one extension or one row a CCD;
    - a grid of STPSF or WebbPSF (DET_YX and OVERSAMP): pixels are integrated over;
    - one PSF of STPSF or WebbPSF (HDUs OVERDIST, OVERSAMP): pixels are not;
    - another image, where `is_prf` says which, with DET_SAMP or OVERSAMP, or `oversampling`.

    Parameters
    ----------
    path : Path or str
        The file.
    ccd : str or int, optional
        Which of the PSFs of a PSFEx file with several: a CCD's name, an extension's name or
        number.
    hdu : str or int, optional
        The HDU of an image, where it is not the first with pixels.
    oversampling : int, optional
        Samples along a pixel of an image that does not say so.
    is_prf : bool, optional
        Whether pixels of an image are integrated over already, where its format leaves it open.
    captured : float, optional
        The part of a source's flux that falls on an image or a PSFEx model, to which it is
        scaled; None takes what the file says. Grids and own files say it themselves.

    Returns
    -------
    PSFModel
        An :class:`ImagePSF`, :class:`GriddedPSF` or :class:`PSFExPSF`.

    Raises
    ------
    ObjectMissingError
        If there is no such file.
    StorageError
        If it cannot be read.
    UnknownFormatError
        If it is no FITS file, or holds no PSF.
    CorruptFileError
        If it is damaged, or its numbers contradict each other.
    NotFoundError
        If it has no such CCD or HDU.
    UsageError
        If it has PSFs of several CCDs and none is named, or an image needs `is_prf` or
        `oversampling`.
    """
    path = Path(path)
    with _open(path) as hdus:
        tables = _psfex_tables(hdus)
        if tables:
            return _read_psfex(path, tables, ccd, captured)
        image = _find_image(path, hdus, hdu)
        header = image.header
        if "SNAPPSF" in header:
            return _read_own(image)
        if any(key.startswith("DET_YX") for key in header):
            return _read_grid(path, image)
        named = image.name in {*_STPSF_IMAGES, "DET_DIST", "DET_SAMP"}
        known = False if named and is_prf is None else is_prf
        return _read_image(path, image, is_prf=known, oversampling=oversampling, captured=captured)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a FITS file, and say what is wrong with it in snapdb's words."""
    from astropy.io import fits  # noqa: TID251  # the layer stands beside formats and cannot use it
    from astropy.utils.exceptions import AstropyWarning

    try:
        content = path.open("rb")
    except FileNotFoundError as err:
        msg = f"{path} is not there: expected a PSF's FITS file"
        raise ObjectMissingError(msg, path=str(path)) from err
    except OSError as err:
        msg = f"{path} cannot be read ({err.strerror or err})"
        raise StorageError(msg, path=str(path)) from err
    with content:
        if content.read(6) != b"SIMPLE":
            msg = f"{path} is no FITS file: PSFs are read from PSFEx, STPSF and image files"
            raise UnknownFormatError(msg, path=str(path))
        content.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                with fits.open(content, memmap=False) as hdus:
                    yield hdus
        except SnapdbError:
            raise
        # What astropy raises on damaged cards and tables has no common class.
        except (
            OSError,
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            NameError,
            fits.VerifyError,
        ) as err:
            msg = f"{path} holds no PSF that can be read ({err}): make the file again"
            raise CorruptFileError(msg, path=str(path)) from err


def _psfex_tables(hdus: Any) -> list[Any]:
    """Find the tables that hold the images of PSFEx."""
    tables = [hdu for hdu in hdus if getattr(hdu, "columns", None) is not None]
    return [hdu for hdu in tables if "psf_mask" in {name.lower() for name in hdu.columns.names}]


def _read_psfex(path: Path, tables: list[Any], ccd: str | int | None, captured: float | None) -> PSFModel:
    """Choose one CCD of a PSFEx file, and read its numbers from the header or from the row."""
    found: dict[str, tuple[Any, int]] = {}
    for number, table in enumerate(tables, start=1):
        names = {name.lower() for name in table.columns.names}
        for row in range(len(table.data)):
            name = str(table.data["ccdname"][row]).strip() if "ccdname" in names else table.name
            # Several extensions are all called PSF_DATA: their numbers tell them apart.
            found[name if name and name not in found and len(tables) == 1 else str(number)] = (table, row)
    if not found:
        msg = f"{path} is a PSFEx table without a row: it holds no PSF"
        raise UnknownFormatError(msg, path=str(path))
    if ccd is None and len(found) > 1:
        msg = f"{path} has the PSFs of {len(found)} CCDs ({_some(found)}): say which with ccd="
        raise UsageError(msg, path=str(path), ccds=tuple(found))
    if ccd is not None and str(ccd) not in found:
        msg = f"{path} has no PSF of CCD {ccd!r}: it has {_some(found)}"
        raise NotFoundError(msg, path=str(path), ccd=ccd)
    table, row = found[str(ccd) if ccd is not None else next(iter(found))]
    return _psfex_model(path, table, row, captured)


def _some(names: dict[str, Any]) -> str:
    """List the first names."""
    return ", ".join([*list(names)[:8], *(["..."] if len(names) > 8 else [])])


def _psfex_model(path: Path, table: Any, row: int, captured: float | None) -> PSFExPSF:
    """Make the model of one row; its numbers are cards in PSFEx's files, columns in collections of them."""
    columns = {name.lower(): name for name in table.columns.names}

    def number(keyword: str, default: Any = None) -> Any:
        if keyword.lower() in columns:
            return table.data[columns[keyword.lower()]][row]
        value = table.header.get(keyword, default)
        if value is None:
            msg = f"{path} has no {keyword}: expected PSFEx's cards or columns"
            raise CorruptFileError(msg, path=str(path), keyword=keyword)
        return value

    axes = int(number("POLNAXIS", 0))
    names = [str(number(f"POLNAME{axis + 1}")).strip().upper() for axis in range(axes)]
    if not _are_coordinates(names) or (axes and int(number("POLNGRP", 1)) != 1):
        msg = (
            f"{path}: the PSF depends on {', '.join(names)} in groups: expected one group of X_IMAGE, Y_IMAGE"
        )
        raise UnknownFormatError(msg, path=str(path), names=tuple(names))
    terms = np.asarray(table.data[columns["psf_mask"]][row], dtype=np.float64)
    if terms.ndim == 2:
        terms = terms[None]
    axis_of = {name[0]: axis + 1 for axis, name in enumerate(names)}
    zero = [float(number(f"POLZERO{axis_of[name]}")) if axes else 0.0 for name in "XY"]
    scale = [float(number(f"POLSCAL{axis_of[name]}")) if axes else 1.0 for name in "XY"]
    return PSFExPSF(
        terms if names[:1] != ["Y_IMAGE"] else _transposed(terms, int(number("POLDEG1"))),
        float(number("PSF_SAMP")),
        degree=int(number("POLDEG1")) if axes else 0,
        zero=(zero[0], zero[1]),
        scale=(scale[0], scale[1]),
        captured=captured,
    )


def _are_coordinates(names: list[str]) -> bool:
    """Say whether a PSF depends on nothing, or on x and y of some system that counts pixels."""
    known = [{f"{axis}{suffix}" for axis in "XY"} for suffix in ("_IMAGE", "WIN_IMAGE", "PSF_IMAGE")]
    return not names or (len(names) == 2 and set(names) in known)


def _transposed(terms: FloatArray, degree: int) -> FloatArray:
    """Put terms in the order of x within y that were written in the order of y within x."""
    place: dict[tuple[int, int], int] = {}
    for j in range(degree + 1):
        for i in range(degree + 1 - j):
            place[i, j] = len(place)
    order = [place[j, i] for j in range(degree + 1) for i in range(degree + 1 - j)]
    return terms[order]


def _find_image(path: Path, hdus: Any, hdu: str | int | None) -> Any:
    """Find the HDU with the pixels of the PSF."""
    images = [unit for unit in hdus if unit.is_image and unit.header.get("NAXIS", 0) >= 2]
    if hdu is not None:
        try:
            return hdus[hdu]
        except (KeyError, IndexError) as err:
            msg = f"{path} has no HDU {hdu!r}"
            raise NotFoundError(msg, path=str(path), hdu=hdu) from err
    for name in _STPSF_IMAGES:
        for image in images:
            if image.name == name:
                return image
    if not images:
        msg = f"{path} holds no PSF: expected a table with PSF_MASK, or an image"
        raise UnknownFormatError(msg, path=str(path))
    return images[0]


def _read_own(image: Any) -> ImagePSF:
    """Read what ImagePSF.write wrote."""
    header = image.header
    return ImagePSF(
        image.data,
        (int(header["OVERSAMY"]), int(header["OVERSAMX"])),
        is_prf=bool(header["ISPRF"]),
        captured=None,
        centre=(float(header["CENTREX"]), float(header["CENTREY"])),
        x=float(header["IMAGEX"]),
        y=float(header["IMAGEY"]),
        stamp_size=int(header["STAMPSIZ"]),
    )


def _read_grid(path: Path, image: Any) -> GriddedPSF:
    """Read a grid of STPSF or WebbPSF, whose effective PSFs say their flux themselves."""
    header = image.header
    nodes: list[tuple[float, float]] = []
    while f"DET_YX{len(nodes)}" in header:
        text = str(header[f"DET_YX{len(nodes)}"])
        try:
            y, x = (float(part) for part in text.strip("() ").split(","))
        except ValueError as err:
            msg = f"{path}: DET_YX{len(nodes)} is {text!r}: expected '(y, x)'"
            raise CorruptFileError(msg, path=str(path), keyword=f"DET_YX{len(nodes)}") from err
        nodes.append((x, y))
    data = np.asarray(image.data)
    stack = data[None] if data.ndim == 2 else data
    if len(stack) != len(nodes):
        msg = f"{path} has {len(stack)} images and the positions of {len(nodes)}: expected one for each"
        raise CorruptFileError(msg, path=str(path))
    if _is_sorted(header):
        nodes.sort(key=lambda node: (node[1], node[0]))
    return GriddedPSF(stack, np.array(nodes), _oversampling_of(path, header, None), is_prf=True)


def _is_sorted(header: Header) -> bool:
    """Say whether a grid's images were sorted by y, then x, when the file was written.

    WebbPSF 1.3 and all of STPSF write the images as photutils sorts them, and the positions
    still in the order in which they were asked for. Before, both had the same order.
    """
    parts = str(header.get("VERSION", "")).split(".")
    if not all(part.isdigit() for part in parts[:2]) or len(parts) < 2:
        return False
    return (int(parts[0]), int(parts[1])) >= (1, 3)


def _read_image(
    path: Path, image: Any, *, is_prf: bool | None, oversampling: int | None, captured: float | None
) -> ImagePSF:
    """Read an image of which the caller says what the file does not."""
    if is_prf is None:
        msg = (
            f"{path} does not say whether its PSF is integrated over pixels: give is_prf=True if it is "
            "(an effective PSF), False if not (an optical PSF)"
        )
        raise UsageError(msg, path=str(path))
    sampling = _oversampling_of(path, image.header, oversampling)
    return ImagePSF(image.data, sampling, is_prf=is_prf, captured=captured)


def _oversampling_of(path: Path, header: Header, given: int | None) -> int:
    """Find how many samples there are to a pixel."""
    if given is not None:
        return given
    for keyword in ("DET_SAMP", "OVERSAMP"):
        value = header.get(keyword)
        if isinstance(value, int | float) and float(value).is_integer():
            return int(value)
    msg = f"{path} has neither DET_SAMP nor OVERSAMP: give oversampling=, the samples along a pixel"
    raise UsageError(msg, path=str(path))
