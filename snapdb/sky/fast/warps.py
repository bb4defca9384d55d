"""SIP and TPV polynomials, from the cards that hold them."""

from functools import lru_cache

from snapdb.sky.fast.cards import numbers
from snapdb.sky.fast.polynomial import Warp

_MAX_ORDER = 9


def make_sip(values: dict[str, str]) -> Warp:
    """Read SIP polynomials (Shupe et al. 2005, equations 1 to 3).

    Parameters
    ----------
    values : dict of str to str
        Cards by keyword.

    Returns
    -------
    Warp
        From pixels, counted from the reference point, to undistorted ones.

    Raises
    ------
    ValueError
        If the orders are missing or are not from 2 to 9, CRPIX is missing, or a coefficient is no number.
    """
    orders = numbers(values, ("A_ORDER", "B_ORDER"))
    if not all(2 <= order <= _MAX_ORDER and order.is_integer() for order in orders):
        msg = f"A_ORDER and B_ORDER are {orders}: expected 2 to {_MAX_ORDER}"
        raise ValueError(msg)
    if "CRPIX1" not in values or "CRPIX2" not in values:
        msg = "SIP polynomials are counted from CRPIX1 and CRPIX2, which are missing"
        raise ValueError(msg)
    order = int(max(orders))
    first = numbers(values, _sip_terms("A", int(orders[0]), order))
    second = numbers(values, _sip_terms("B", int(orders[1]), order))
    first[_place(order, 1, 0)] += 1.0
    second[_place(order, 0, 1)] += 1.0
    return Warp(order, tuple(first), tuple(second))


def make_tpv(values: dict[str, str], unit: float) -> Warp:
    """Read TPV polynomials (the registry of FITS conventions, "The TPV World Coordinate System").

    Parameters
    ----------
    values : dict of str to str
        Cards by keyword.
    unit : float
        Size of a pixel, degrees.

    Returns
    -------
    Warp
        From degrees in the plane to degrees in the tangent plane.

    Raises
    ------
    ValueError
        If a coefficient is no number or of no term that the convention has, or PV1_1 or PV2_1
        is missing.
    """
    names = [name for name in values if name.startswith("PV")]
    found = dict(zip(map(_tpv_term, names), numbers(values, names), strict=True))
    if not {"PV1_1", "PV2_1"} <= set(values):
        msg = "PV1_1 or PV2_1 is missing: the convention takes it as 1, wcslib as 0"
        raise ValueError(msg)
    order = max(1, *(p + q for (_, p, q), value in found.items() if p >= 0 and value))
    count = (order + 1) * (order + 2) // 2
    polynomials = [0.0] * count, [0.0] * count
    radial = [0.0] * 4, [0.0] * 4
    for (axis, p, q), value in found.items():
        if p < 0:
            radial[axis][q] = value
        elif value:
            polynomials[axis][_place(order, p, q)] = value
    curved = (tuple(radial[0]), tuple(radial[1])) if any(radial[0]) or any(radial[1]) else None
    return Warp(order, tuple(polynomials[0]), tuple(polynomials[1]), curved, unit)


@lru_cache(maxsize=64)
def _sip_terms(letter: str, own: int, order: int) -> tuple[str, ...]:
    """Give the keywords of a polynomial's terms as :class:`Warp` has them, "" above its own order."""
    powers = ((p, q) for p in range(order + 1) for q in range(order + 1 - p))
    return tuple(f"{letter}_{p}_{q}" if p + q <= own else "" for p, q in powers)


@lru_cache(maxsize=128)
def _tpv_term(name: str) -> tuple[int, int, int]:
    """Give a term's axis (0 or 1) and its powers; for a power of the radius -1 and which it is."""
    axis, k = int(name[2]) - 1, int(name[4:])
    if k in _RADIAL:
        return axis, -1, _RADIAL.index(k)
    if k not in _TPV:
        msg = f"{name}: the convention has no term of this number"
        raise ValueError(msg)
    p, q = _TPV[k]
    return (axis, q, p) if axis else (axis, p, q)


def _place(order: int, p: int, q: int) -> int:
    """Where the coefficient of ``x**p * y**q`` stands among those of a polynomial."""
    return p * (order + 1) - p * (p - 1) // 2 + q


_RADIAL = (3, 11, 23, 39)
"""Numbers of the terms in r, r**3, r**5 and r**7."""


def _tpv_powers() -> dict[int, tuple[int, int]]:
    """Powers of the terms by their numbers: degree after degree, falling in the first variable."""
    numbers = (k for k in range(40) if k not in _RADIAL)
    powers = ((degree - q, q) for degree in range(8) for q in range(degree + 1))
    return dict(zip(numbers, powers, strict=True))


_TPV = _tpv_powers()
