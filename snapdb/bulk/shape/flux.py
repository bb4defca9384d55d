"""Factors that turn counts of a given zero point into flux."""

from snapdb.errors import UnitError, UsageError

AB_ZERO_JY = 3631.0
"""Flux of magnitude 0 on the AB system, Jy (Oke and Gunn 1983, ApJ 266, 713)."""

UNITS = {"Jy": 1.0, "mJy": 1e3, "uJy": 1e6, "nJy": 1e9}
"""Name -> how many make one Jy."""


def flux_factor(zeropoint: float, unit: str = "Jy") -> float:
    """Give the number that turns counts into flux.

    Parameters
    ----------
    zeropoint : float
        AB magnitude of one count.
    unit : {'Jy', 'mJy', 'uJy', 'nJy'}
        Of the flux; ``µJy`` is uJy.

    Returns
    -------
    float
        ``3631 Jy * 10 ** (-0.4 * zeropoint)`` in the unit.

    Raises
    ------
    UnitError
        If there is no such unit.
    UsageError
        If the zero point is not finite, or so far off that the factor is not a number above 0.
    """
    name = {"µJy": "uJy", "μJy": "uJy"}.get(unit, unit)
    if name not in UNITS:
        msg = f"flux in {unit!r}: expected one of {', '.join(UNITS)}"
        raise UnitError(msg, unit=unit)
    if not -100.0 < zeropoint < 100.0:
        msg = f"zero point {zeropoint}: expected an AB magnitude of one count, such as 25.3"
        raise UsageError(msg, zeropoint=zeropoint)
    return float(10.0 ** (-0.4 * zeropoint) * AB_ZERO_JY * UNITS[name])
