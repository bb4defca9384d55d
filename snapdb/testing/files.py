"""FITS files of the synthetic survey, sound ones and broken ones, the same bytes for the same seed."""

import gzip
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.testing.detectors import FLAG_BITS, READ_NOISE, SATURATION, ImageTruth
from snapdb.testing.rendering import Planes

NOISE_STEP = 0.01
"""Counts to which the noise plane of a tile-compressed file is rounded; all else is exact."""
_UNIX_EPOCH_MJD = 40_587.0


def write_images(path: Path, images: Sequence[tuple[ImageTruth, Planes]]) -> None:
    """Write one file with the planes of one or more images: SCI, ERR and DQ of each.

    The name decides the container: ``.fits`` plain, ``.fits.gz`` gzipped,
    ``.fits.fz`` tile-compressed. The file's time is that of the
    exposure, so that a file made again is the same in every respect.

    Parameters
    ----------
    path
        Where; its folder must exist.
    images
        All of the same exposure.
    """
    from astropy.io import fits

    tiled = path.name.endswith(".fz")
    hdus: list[Any] = [fits.PrimaryHDU(header=_primary_header(images[0][0]))]
    for version, (image, planes) in enumerate(images, start=1):
        hdus += _plane_hdus(image, planes, version=version, tiled=tiled)
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    content = buffer.getvalue()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=4, mtime=0)
    _write_whole(path, content, mjd=images[0][0].mjd)


def write_broken(folder: Path, sound: Path) -> tuple[Path, ...]:
    """Write files that look like images and are none, of the kinds that real folders hold.

    Parameters
    ----------
    folder
        Where; it must exist.
    sound
        A plain FITS file to cut short.

    Returns
    -------
    tuple of Path
        A file cut short, an error page, a table, a header that claims 149 GB, and an empty file.
    """
    content = sound.read_bytes()
    broken = {
        "cut_short.fits": content[: len(content) * 2 // 5],
        "error_page.fits": b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n",
        "table_only.fits": _table(),
        "claims_149_gb.fits": _boasting_header(),
        "empty.fits": b"",
    }
    for name, data in broken.items():
        _write_whole(folder / name, data, mjd=60_000.0)
    return tuple(folder / name for name in broken)


def _primary_header(image: ImageTruth) -> Any:
    """Cards that all detectors of an exposure share."""
    from astropy.io.fits import Header
    from astropy.time import Time

    exposure = image.exposure
    header = Header()
    header["TELESCOP"] = ("Synthetic 1 m", "Made by snapdb.testing, no real sky")
    header["INSTRUME"] = "SkyCam"
    header["OBSID"] = (exposure.observation_id, "Name of the exposure")
    header["EXPNUM"] = (exposure.number, "Number of the exposure")
    header["OBJECT"] = exposure.field
    header["FILTER"] = exposure.band
    header["TIMESYS"] = "UTC"
    header["DATE-OBS"] = (Time(exposure.mjd, format="mjd", scale="utc").isot, "Start of the exposure")
    header["MJD-OBS"] = (exposure.mjd, "[d] Start of the exposure")
    header["EXPTIME"] = (exposure.exptime, "[s]")
    return header


def _plane_hdus(image: ImageTruth, planes: Planes, *, version: int, tiled: bool) -> list[Any]:
    """Make the SCI, ERR and DQ of one detector."""
    return [
        _hdu(planes.data, _science_header(image), ("SCI", version), tiled=tiled),
        _hdu(planes.noise, _noise_header(image), ("ERR", version), tiled=tiled),
        _hdu(planes.flags, _flags_header(image), ("DQ", version), tiled=tiled),
    ]


def _hdu(pixels: "np.ndarray[Any, Any]", header: Any, name: tuple[str, int], *, tiled: bool) -> Any:
    """Wrap one plane, tile-compressed when asked."""
    from astropy.io import fits

    if not tiled:
        return fits.ImageHDU(pixels, header=header, name=name[0], ver=name[1])
    if name[0] == "SCI":  # whole counts below 65536 fit into scaled 16-bit integers
        pixels = pixels.astype(np.uint16)
    # A negative level is the step itself. GZIP would be exact, but stamps the time of day into each tile.
    hdu = fits.CompImageHDU(
        pixels,
        header=header,
        name=name[0],
        compression_type="RICE_1",
        quantize_level=-NOISE_STEP,
        quantize_method=fits.hdu.compressed.SUBTRACTIVE_DITHER_1,
        dither_seed=1,
    )
    hdu.header["EXTVER"] = name[1]
    return hdu


def _common_header(image: ImageTruth, unit: str) -> Any:
    """Cards that the planes of one detector share: which detector it is, and where it looks."""
    from astropy.io.fits import Header

    header = Header.fromstring(image.wcs_text, sep="\n")
    header["CCDNUM"] = (image.sca, "Number of the detector")
    header["DETECTOR"] = f"D{image.sca}"
    header["BUNIT"] = unit
    return header


def _science_header(image: ImageTruth) -> Any:
    """Cards of the data plane."""
    header = _common_header(image, "adu")
    header["MAGZERO"] = (image.zeropoint, "[mag] AB magnitude of one count")
    header["MAGSYS"] = "AB"
    header["SKYLEVEL"] = (image.exposure.sky_level, "[adu] Level of the sky")
    header["GAIN"] = (1.0, "Electrons a count")
    header["RDNOISE"] = (READ_NOISE, "[adu] Read noise")
    header["SATURATE"] = (SATURATION, "[adu] Full well")
    return header


def _noise_header(image: ImageTruth) -> Any:
    """Cards of the noise plane."""
    return _common_header(image, "adu")


def _flags_header(image: ImageTruth) -> Any:
    """Cards of the flags plane: MP_name gives the number of each bit, as LSST's mask planes do."""
    header = _common_header(image, "")
    for name, value in FLAG_BITS.items():
        header[f"HIERARCH MP_{name}"] = value.bit_length() - 1
    return header


def _table() -> bytes:
    """Make a sound FITS file that holds a catalogue and no image."""
    from astropy.io import fits

    columns = [
        fits.Column(name="ra", format="D", unit="deg", array=np.linspace(0.0, 0.1, 15)),
        fits.Column(name="dec", format="D", unit="deg", array=np.linspace(-17.5, -17.4, 15)),
    ]
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="CATALOG")]).writeto(buffer)
    return buffer.getvalue()


def _boasting_header() -> bytes:
    """Make a header of 193 000 x 193 000 floats with a few pixels behind it."""
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        "NAXIS1  =               193000",
        "NAXIS2  =               193000",
        "CTYPE1  = 'RA---TAN'",
        "CTYPE2  = 'DEC--TAN'",
        "CRVAL1  =                  0.0",
        "CRVAL2  =                -17.5",
        "CRPIX1  =              96500.0",
        "CRPIX2  =              96500.0",
        "CDELT1  =               -1E-06",
        "CDELT2  =                1E-06",
        "END",
    ]
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode("ascii") + bytes(2880)


def _write_whole(path: Path, content: bytes, *, mjd: float) -> None:
    """Write a file under another name first, so that a broken run leaves no half file behind."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    seconds = (mjd - _UNIX_EPOCH_MJD) * 86_400.0
    os.utime(temporary, (seconds, seconds))
    temporary.replace(path)
