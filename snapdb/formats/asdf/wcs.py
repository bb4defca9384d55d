"""Coordinates of an ASDF image as FITS cards: those of its ``wcsinfo``, or a fit to its gwcs."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.errors import ConfigError, ProjectionError
from snapdb.formats.quiet import caught_warnings
from snapdb.sky.fit import fit_tan_sip

if TYPE_CHECKING:
    from astropy.io.fits import Header

BEARABLE_PX = 0.01
"""How far a fit may be off."""


class TransformedSky:
    """A gwcs as a thing that maps pixels to the sky, ICRS degrees.

    Parameters
    ----------
    gwcs : gwcs.WCS
        From detector pixels, 0-based, to a celestial frame.
    """

    def __init__(self, gwcs: Any) -> None:
        self._gwcs = gwcs
        frame = getattr(gwcs.output_frame, "reference_frame", None)
        self._frame = None if frame is None or frame.name == "icrs" else frame

    def pixel_to_world(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Map pixels to the sky, those outside the bounding box too.

        Parameters
        ----------
        x, y : array
            0-based pixels.

        Returns
        -------
        ra, dec : array
            ICRS degrees.
        """
        lon, lat = self._gwcs(np.asarray(x, float), np.asarray(y, float), with_bounding_box=False)[:2]
        lon, lat = (np.asarray(getattr(a, "value", a), float) for a in (lon, lat))
        if self._frame is None:
            return lon, lat
        from astropy.coordinates import SkyCoord

        sky = SkyCoord(lon, lat, unit="deg", frame=self._frame).icrs
        return sky.ra.deg, sky.dec.deg


def load_gwcs(stream: BinaryIO, where: tuple[str, ...], name: str) -> Any:
    """Load the gwcs of a file.

    Parameters
    ----------
    stream : binary file
        The file, seekable.
    where : tuple of str
        Keys that lead to it.
    name : str
        What errors call the file.

    Raises
    ------
    ConfigError
        gwcs is not installed.
    ProjectionError
        It cannot be made.
    """
    try:
        import asdf  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        import gwcs  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = f"{name}: its coordinates are a gwcs; pip install 'snapdb[gwcs]'"
        raise ConfigError(msg, package="gwcs") from err
    stream.seek(0)
    with caught_warnings():
        try:
            with asdf.open(stream, lazy_load=True, memmap=False, ignore_unrecognized_tag=True) as file:
                node = file.tree
                for key in where:
                    node = node[key]
                if not isinstance(node, gwcs.WCS):
                    msg = f"{name}: {'.'.join(where)} is no gwcs that the installed packages can read"
                    raise ProjectionError(msg, path=name)
                _ = node.forward_transform(0.0, 0.0)  # what it needs of the file is read now
                return node
        except (ValueError, TypeError, KeyError, OSError, RuntimeError, AttributeError) as err:
            msg = f"{name}: its coordinates cannot be read ({str(err).splitlines()[0][:200]})"
            raise ProjectionError(msg, path=name) from err


def fit_header(gwcs: Any, shape: tuple[int, int], name: str) -> "tuple[Header, float]":
    """Fit a TAN-SIP header to a gwcs.

    Parameters
    ----------
    gwcs : gwcs.WCS
        The coordinates.
    shape : (int, int)
        Height and width of the image.
    name : str
        What errors call the file.

    Returns
    -------
    header : astropy.io.fits.Header
        In ICRS.
    residual_px : float
        Greatest difference over the image, pixels.

    Raises
    ------
    ProjectionError
        No cards follow the coordinates to 0.01 pixel, or they cannot be evaluated.
    """
    with caught_warnings():
        try:
            header, residual = fit_tan_sip(TransformedSky(gwcs), shape[1], shape[0])  # type: ignore[arg-type]  # all that it asks of coordinates
        except (ValueError, TypeError, NotImplementedError, np.linalg.LinAlgError) as err:
            msg = f"{name}: its coordinates cannot be evaluated ({str(err)[:200]})"
            raise ProjectionError(msg, path=name) from err
    if not residual < BEARABLE_PX:
        msg = f"{name}: no FITS cards follow its coordinates: the best fit is off by {residual:.3g} pixels"
        raise ProjectionError(msg, path=name, residual_px=residual)
    return header, residual


def read_info(info: Mapping[str, Any]) -> "Header | None":
    """Give the FITS cards that a ``wcsinfo`` node holds; None where they are no whole coordinates."""
    from astropy.io.fits import Header

    header = Header()
    for key, value in info.items():
        if re.fullmatch(
            r"(crpix|crval|cdelt|ctype|cunit)\d|(cd|pc)\d_\d|[ab]p?_(order|\d_\d)|(lon|lat)pole|radesys", key
        ):
            header[key.upper()] = getattr(value, "data", value)
    return header if {"CTYPE1", "CTYPE2", "CRPIX1", "CRVAL1", "CRPIX2", "CRVAL2"} <= set(header) else None
