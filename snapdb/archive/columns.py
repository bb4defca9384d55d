"""What is listed of an image: the columns of a listing, in order, with their units."""

from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from snapdb.model.image import ImageRecord

Row: TypeAlias = dict[str, Any]
"""Column -> plain value, None where it is not known."""

UNITS: dict[str, str | None] = {
    "id": None,
    "ra": "deg",
    "dec": "deg",
    "band": None,
    "mjd": "d",
    "exptime": "s",
    "observation_id": None,
    "sca": None,
    "kind": None,
    "instrument": None,
    "width": "pix",
    "height": "pix",
    "position_angle": "deg",
    "pixel_scale": "arcsec / pix",
    "zeropoint": "mag",
    "sky_level": None,
    "data_units": None,
    "ra_corner_00": "deg",
    "dec_corner_00": "deg",
    "ra_corner_01": "deg",
    "dec_corner_01": "deg",
    "ra_corner_10": "deg",
    "dec_corner_10": "deg",
    "ra_corner_11": "deg",
    "dec_corner_11": "deg",
    "provenance_id": None,
    "filepath": None,
    "hdu": None,
}
"""Column -> unit, None where it has none."""

TYPES: dict[str, str] = {
    name: "int"
    if name in ("sca", "width", "height", "hdu")
    else "float"
    if unit or name == "sky_level"
    else "str"
    for name, unit in UNITS.items()
}
"""Column -> ``int``, ``float`` or ``str``."""


def make_row(record: "ImageRecord") -> Row:
    """Give the columns of one image as plain values; None where it is not known.

    Parameters
    ----------
    record
        What the registry says.
    """
    return {name: _plain(getattr(record, name)) for name in UNITS}


def _plain(value: Any) -> Any:
    """Turn an id into text."""
    return str(value) if isinstance(value, UUID) else value
