"""What one unit of an image's data is, by its BUNIT: a count, or a count per second."""

import re

from snapdb.formats.lookup import Lookup

_COUNT = r"(counts?|cts?|cnts?|adus?|dns?|du|e-?|el|elec|electrons?|photons?|ph|photo-?electrons?)"
_SECOND = r"s(ec(onds?)?)?"
_PER_PIXEL = r"(\s*/\s*pix(els?)?)?"
_COUNTS = re.compile(rf"{_COUNT}{_PER_PIXEL}", re.IGNORECASE)
_RATE = re.compile(
    rf"{_COUNT}?{_PER_PIXEL}\s*((/|\bper\b)\s*{_SECOND}|[.*\s]?\s*{_SECOND}\s*(\*\*|\^)?\s*\(?-1\)?){_PER_PIXEL}"
    r"|[ce]ps|dn/s|1/s|hz|hertz",
    re.IGNORECASE,
)


def find_units(lookup: Lookup, unit: object, where: str) -> str:
    """Say whether data are counts or counts per second.

    Parameters
    ----------
    lookup : Lookup
        Takes up the finding, and a warning where the unit is neither.
    unit : object
        Value of the card, None where it is absent.
    where : str
        The card.

    Returns
    -------
    str
        ``rate`` or ``counts``; with a warning, ``counts`` stands for the units of
        the file: a flux density, a surface brightness, or what nothing says.
    """
    text = str("" if unit is None else unit).strip()
    if not text:
        lookup.warn("BUNIT is absent; the data are taken for counts")
        return "counts"
    if _RATE.fullmatch(text):
        return str(lookup.found("data_units", "rate", f"{where} = {text}"))
    if not _COUNTS.fullmatch(text):
        lookup.warn(f"{where} = {text!r} is neither counts nor a rate; 'counts' means the units of the file")
    return str(lookup.found("data_units", "counts", f"{where} = {text}"))
