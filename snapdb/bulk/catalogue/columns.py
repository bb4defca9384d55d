"""Which column of a table is what, and in which unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snapdb.bulk.catalogue.problem import CatalogueValidationError
from snapdb.errors import UnitError

SOURCE_ID, RA, DEC = "SourceID", "RA", "Dec"
PIXELS, ARCSEC, FILES = "diameter_pixel", "diameter_arcsec", "fits_file_paths"
NEEDED = (SOURCE_ID, RA, DEC)
"""Columns that every catalogue has."""
ALL = (*NEEDED, PIXELS, ARCSEC, FILES)
"""Columns that are read, in Cutana's spelling."""

_UNIT_OF = {RA: "deg", DEC: "deg", ARCSEC: "arcsec"}
_DEGREES = ("deg", "degree", "degrees")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a table has what is read."""

    spelled: Mapping[str, str]
    """Cutana's name -> the table's, for those that are there."""
    factors: Mapping[str, float]
    """Cutana's name -> what numbers are multiplied by, where their unit is another."""

    def has(self, name: str) -> bool:
        """Tell whether the table has a column.

        Parameters
        ----------
        name
            In Cutana's spelling.
        """
        return name in self.spelled


def find_columns(name: str, there: Sequence[str], units: Mapping[str, str]) -> Columns:
    """Find the columns; neither case nor underscores count.

    Parameters
    ----------
    name
        Of the catalogue, for messages.
    there
        The table's columns.
    units
        Table's column -> unit, where it has one.

    Returns
    -------
    Columns
        Where they are.

    Raises
    ------
    CatalogueValidationError
        If one that is needed is missing, or is there twice.
    UnitError
        If a unit cannot be converted.
    """
    spelled: dict[str, str] = {}
    for wanted in ALL:
        same = [c for c in there if _fold(c) == _fold(wanted)]
        if len(same) > 1:
            msg = f"catalogue {name}: the columns {', '.join(same)} are all {wanted}; leave one of them"
            raise CatalogueValidationError(msg, problems=(), column=wanted)
        if same:
            spelled[wanted] = same[0]
    missing = [wanted for wanted in NEEDED if wanted not in spelled]
    if missing:
        known = ", ".join(there) or "none"
        msg = f"catalogue {name}: no column {', '.join(missing)}; there are {known}{_hint(missing, there)}"
        raise CatalogueValidationError(msg, problems=(), column=missing[0])
    factors = {w: _find_factor(name, w, units[c]) for w, c in spelled.items() if w in _NUMBERS and c in units}
    return Columns(spelled=spelled, factors=factors)


_NUMBERS = (RA, DEC, PIXELS, ARCSEC)


_OTHER_NAMES = {
    SOURCE_ID: ("id", "objectid", "objid", "name", "source", "objectname", "number"),
    RA: ("raj2000", "rightascension", "alpha", "alphaj2000", "radeg", "lon"),
    DEC: ("decj2000", "dej2000", "declination", "delta", "deltaj2000", "decdeg", "decl", "lat"),
}
"""What others call the columns, folded."""


def _hint(missing: Sequence[str], there: Sequence[str]) -> str:
    """Say which columns may be meant by those that are missing."""
    meant = {w: next((c for c in there if _fold(c) in _OTHER_NAMES[w]), None) for w in missing}
    pairs = ", ".join(f"{column!r} to {wanted}" for wanted, column in meant.items() if column is not None)
    return f"; did you mean to rename {pairs}?" if pairs else ""


def _fold(name: str) -> str:
    """Drop what does not count."""
    return name.strip().lstrip("\ufeff").lower().replace("_", "")


def _find_factor(name: str, wanted: str, unit: str) -> float:
    """Give what numbers in a unit are multiplied by."""
    if wanted in (RA, DEC) and unit.strip().lower() in _DEGREES:
        return 1.0
    from astropy import units as u

    expected = _UNIT_OF.get(wanted, "pixel")
    try:
        given = u.Unit(unit)
        if wanted == RA and given in (u.hour, u.hourangle):
            return 15.0
        if wanted == PIXELS and given in (u.pix, u.dimensionless_unscaled):
            return 1.0
        return float(given.to(u.Unit(expected)))
    except (ValueError, TypeError) as err:
        hint = f"; name the column {ARCSEC}" if wanted == PIXELS else ""
        msg = f"catalogue {name}: {wanted} is in {unit!r}, expected {expected}{hint}"
        raise UnitError(msg, column=wanted, unit=unit) from err
