"""Wavelengths of well-known bands: where the response falls to half, metres in vacuum.

Nominal: cameras differ by some percent of a width. Where a source gives a centre and a
width, the ends are half a width to either side. A band that is not listed is not known.

Sources: [F96] Fukugita et al. 1996, AJ 111, 1748, table 2 (effective wavelength, width);
[B05] Bessell 2005, ARA&A 43, 293, table 1 (the same); [T12] Tonry et al. 2012, ApJ 750, 99,
table 4 (edges); [C03] Cohen et al. 2003, AJ 126, 1090, table 2 (isophotal wavelength, width);
[H06] Hewett et al. 2006, MNRAS 367, 454 (edges); [J11] Jarrett et al. 2011, ApJ 735, 112,
table 1 (isophotal wavelength, width); [I21] IRAC Instrument Handbook 4.0, table 2.2 (nominal
wavelength, width); [M07] Morrissey et al. 2007, ApJS 173, 682, table 1 (edges); [R23] Roman
Wide Field Instrument, element names and edges as NASA publishes them.
"""

Span = tuple[float, float]


def _about(center: float, width: float, unit: float) -> Span:
    """Give the ends of a band from its centre and width."""
    return ((center - width / 2) * unit, (center + width / 2) * unit)


_ANGSTROM, _NANOMETRE, _MICRON = 1e-10, 1e-9, 1e-6

_SDSS = {  # [F96]
    "u": _about(3557, 599, _ANGSTROM),
    "g": _about(4825, 1379, _ANGSTROM),
    "r": _about(6261, 1382, _ANGSTROM),
    "i": _about(7672, 1535, _ANGSTROM),
    "z": _about(9097, 1370, _ANGSTROM),
}
_JOHNSON_COUSINS = {  # [B05]
    "U": _about(3663, 650, _ANGSTROM),
    "B": _about(4361, 890, _ANGSTROM),
    "V": _about(5448, 840, _ANGSTROM),
    "R": _about(6407, 1580, _ANGSTROM),
    "I": _about(7980, 1540, _ANGSTROM),
}
_PAN_STARRS = {  # [T12]
    "g": (414 * _NANOMETRE, 551 * _NANOMETRE),
    "r": (550 * _NANOMETRE, 689 * _NANOMETRE),
    "i": (690 * _NANOMETRE, 819 * _NANOMETRE),
    "z": (818 * _NANOMETRE, 922 * _NANOMETRE),
    "y": (918 * _NANOMETRE, 1001 * _NANOMETRE),
}
_2MASS = {  # [C03]
    "J": _about(1.235, 0.162, _MICRON),
    "H": _about(1.662, 0.251, _MICRON),
    "Ks": _about(2.159, 0.262, _MICRON),
}
_WFCAM = {  # [H06]
    "Y": (0.97 * _MICRON, 1.07 * _MICRON),
    "J": (1.17 * _MICRON, 1.33 * _MICRON),
    "H": (1.49 * _MICRON, 1.78 * _MICRON),
    "K": (2.03 * _MICRON, 2.37 * _MICRON),
}
_WISE = {  # [J11]
    "W1": _about(3.3526, 0.66256, _MICRON),
    "W2": _about(4.6028, 1.0423, _MICRON),
    "W3": _about(11.5608, 5.5069, _MICRON),
    "W4": _about(22.0883, 4.1013, _MICRON),
}
_IRAC = {  # [I21]
    "IRAC1": _about(3.550, 0.750, _MICRON),
    "IRAC2": _about(4.493, 1.015, _MICRON),
    "IRAC3": _about(5.731, 1.425, _MICRON),
    "IRAC4": _about(7.872, 2.905, _MICRON),
}
_GALEX = {  # [M07]
    "FUV": (1344 * _ANGSTROM, 1786 * _ANGSTROM),
    "NUV": (1771 * _ANGSTROM, 2831 * _ANGSTROM),
}
_ROMAN = {  # [R23]; each under the name of its wavelength and under that of simulations
    **dict.fromkeys(("F062", "R062"), (0.480 * _MICRON, 0.760 * _MICRON)),
    **dict.fromkeys(("F087", "Z087"), (0.760 * _MICRON, 0.977 * _MICRON)),
    **dict.fromkeys(("F106", "Y106"), (0.927 * _MICRON, 1.192 * _MICRON)),
    **dict.fromkeys(("F129", "J129"), (1.131 * _MICRON, 1.454 * _MICRON)),
    **dict.fromkeys(("F158", "H158"), (1.380 * _MICRON, 1.774 * _MICRON)),
    "F184": (1.683 * _MICRON, 2.000 * _MICRON),
    **dict.fromkeys(("F213", "K213"), (1.950 * _MICRON, 2.300 * _MICRON)),
    **dict.fromkeys(("F146", "W146"), (0.927 * _MICRON, 2.000 * _MICRON)),
}

_ANY: dict[str, Span] = {**_SDSS, **_JOHNSON_COUSINS, **_2MASS, **_WISE, **_IRAC, **_GALEX, **_ROMAN}
_OWN: dict[str, dict[str, Span]] = {"ps1": _PAN_STARRS, "wfcam": _WFCAM}
"""Header map -> bands that mean something else there."""


def find_wavelengths(band: str | None, instrument: str | None) -> Span | None:
    """Find where a band begins and ends.

    Parameters
    ----------
    band : str
        Its name, as the registry has it.
    instrument : str
        Name of the header map that read the image.

    Returns
    -------
    tuple of float, or None
        Metres; None for a band that is not well known.
    """
    if band is None:
        return None
    return _OWN.get(instrument or "", {}).get(band) or _ANY.get(band)
