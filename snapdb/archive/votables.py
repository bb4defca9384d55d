"""Tables as VOTables that say in which scale their times are and in which frame their positions.

What :mod:`astropy.io.votable` leaves to its callers: ``TIMESYS`` and ``COOSYS`` (VOTable 1.4,
sections 3.2 and 3.3), text as ``arraysize="*"`` also where all of it is one letter long, and
facts as PARAMs with types and units. ``refposition`` is ``UNKNOWN``: headers seldom tell where a
clock stood.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from astropy.io.votable.tree import Param, VOTableFile
    from astropy.table import Table

UTC, ICRS = "utc", "icrs"
"""IDs of the systems that columns refer to."""

_OF_A_TARGET = ("ra", "dec", "name")
"""Facts that would be named as columns are."""
_UNITS = {"ra": "deg", "dec": "deg"}
_UCDS = {"ra": "pos.eq.ra", "dec": "pos.eq.dec", "name": "meta.id;src"}


def write_votable(
    table: "Table", stream: BinaryIO, *, facts: Mapping[str, str | float] | None = None, binary: bool = False
) -> None:
    """Write a table as a VOTable.

    Parameters
    ----------
    table : Table
        Times are UTC, positions are ICRS degrees. Masked values are empty.
    stream : binary file
        It stays open.
    facts : mapping, optional
        Name -> value of PARAMs; ``ra``, ``dec`` and ``name`` become ``target_ra``...
    binary : bool
        Whether rows are written as BINARY2, which alone can say that an integer is not known.
    """
    from astropy.io.votable import from_table

    plain = table.copy()
    for column in plain.itercols():
        if column.dtype.kind == "U":
            _let_vary(column)
    made = from_table(plain)
    _name_systems(made)
    made.get_first_table().params.extend(_to_param(made, *fact) for fact in (facts or {}).items())
    if binary:
        made.set_all_tables_format("binary2")
    made.to_xml(stream)


def _let_vary(column: Any) -> None:
    """Have a column of text written in any length, as ASCII where it is; astropy reads this in its meta."""
    plain = all(map(str.isascii, np.ma.getdata(column).ravel().tolist()))
    column.meta = {
        **column.meta,
        "_votable_string_dtype": "char" if plain else "unicodeChar",
        "_votable_arraysize": "*",
    }


def _name_systems(made: "VOTableFile") -> None:
    """Say what times and positions are measured in, where there are some."""
    from astropy.io.votable.tree import CooSys, TimeSys

    resource = made.resources[0]
    for field in resource.tables[0].fields:
        unit = str(field.unit or "")
        if unit == "d" and field.name.startswith(("mjd", "t_min", "t_max")):
            field.ref = UTC
        elif unit == "deg" and field.name.removeprefix("s_").startswith(("ra", "dec")):
            field.ref = ICRS
    named = {field.ref for field in resource.tables[0].fields}
    if UTC in named:
        version = {"version": made.version, "version_1_4_or_later": True}
        system = TimeSys(
            ID=UTC, timescale="UTC", timeorigin="MJD-origin", refposition="UNKNOWN", config=version
        )
        resource.time_systems.append(system)
    if ICRS in named:
        resource.coordinate_systems.append(CooSys(ID=ICRS, system="ICRS"))


def _to_param(made: "VOTableFile", name: str, value: str | float) -> "Param":
    """Make the PARAM of a fact."""
    from astropy.io.votable.tree import Param

    if isinstance(value, str):
        kind = {"datatype": "char" if value.isascii() else "unicodeChar", "arraysize": "*"}
    else:
        kind = {"datatype": "double" if isinstance(value, float) else "long"}
    param = Param(made, name=f"target_{name}" if name in _OF_A_TARGET else name, value=value, **kind)
    param.unit, param.ucd = _UNITS.get(name), _UCDS.get(name)
    if name in _UNITS:
        param.ref = ICRS
    return param
