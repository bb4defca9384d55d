"""HEALPix cells on the sky (Gorski et al. 2005, ApJ 622, 759), in nested numbers; by optional packages."""

from typing import Any

import numpy as np

from snapdb.errors import ConfigError, UsageError
from snapdb.types import FloatArray, IntArray

GREATEST_ORDER = 29
"""Of cells whose numbers fit into 64 bits; they are 0.4 milliarcsec wide."""


def load_mocpy() -> Any:
    """Load mocpy, which is optional.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import mocpy  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        raise _describe_missing("mocpy") from err
    return mocpy


def load_nested() -> Any:
    """Load the nested numbering of cdshealpix, which is optional.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from cdshealpix import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
            nested,
        )
    except ImportError as err:
        raise _describe_missing("cdshealpix") from err
    return nested


def _describe_missing(package: str) -> ConfigError:
    """Make the error that names a package to install."""
    msg = f"this needs the package {package}, which is not installed: pip install 'snapdb[coverage]'"
    return ConfigError(msg, package=package)


def check_order(order: object, name: str = "order") -> int:
    """Take the order of cells: each is a quarter of one of the order before.

    Raises
    ------
    UsageError
        If it is no whole number from 0 to 29.
    """
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or not 0 <= order <= GREATEST_ORDER:
        msg = f"{name}={order!r}: expected a whole number n from 0 to {GREATEST_ORDER} (58.6 / 2**n degrees)"
        raise UsageError(msg, order=order)
    return int(order)


def cell_area(order: int) -> float:
    """Give the area of a cell, square degrees; all cells of an order have the same."""
    return float(4.0 * np.pi * np.degrees(1.0) ** 2 / (12.0 * 4.0**order))


def find_centers(cells: IntArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Find the centres of cells.

    Parameters
    ----------
    cells : array of int
        Nested numbers.
    order : int
        Of the cells.

    Returns
    -------
    ra, dec : array
        ICRS degrees.
    """
    if not len(cells):
        return np.empty(0), np.empty(0)
    ra, dec = load_nested().healpix_to_lonlat(cells.astype(np.uint64), order)
    return np.asarray(ra.to_value("deg")), np.asarray(dec.to_value("deg"))


def find_cells(ra: FloatArray, dec: FloatArray, order: int) -> IntArray:
    """Find the cells in which positions lie.

    Parameters
    ----------
    ra, dec : array, shape (n,)
        ICRS degrees.
    order : int
        Of the cells.

    Returns
    -------
    array of int
        Nested numbers.
    """
    if not len(ra):
        return np.empty(0, dtype=np.int64)
    from astropy.coordinates import Latitude, Longitude

    cells = load_nested().lonlat_to_healpix(Longitude(ra, "deg"), Latitude(dec, "deg"), order)
    return np.asarray(cells, dtype=np.int64)
