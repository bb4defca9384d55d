"""Measurements of an archive: keeping them, and finding them by what a user knows."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.archive.lineage import as_provenance_id
from snapdb.archive.values import as_uuid
from snapdb.errors import SearchError, UsageError
from snapdb.model.provenance import Provenance
from snapdb.sky.time import to_mjd
from snapdb.sky.units import split_coordinates, to_degrees
from snapdb.sky.vectors import wrap_ra

if TYPE_CHECKING:
    from astropy.table import QTable

    from snapdb.model.measurement import MeasurementTable
    from snapdb.registry import Registry


class Measurements:
    """What was measured on the images of an archive."""

    registry: "Registry"

    def add_measurements(self, table: "MeasurementTable") -> int:
        """Keep measurements; see :meth:`snapdb.registry.measurements.Measurements.add_measurements`.

        Parameters
        ----------
        table : MeasurementTable
            From :func:`snapdb.model.measurement.make_measurements`; its provenances and images must
            be registered.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        NotFoundError
            If an image or a provenance is not registered.
        UsageError
            If a value cannot be stored.
        """
        return self.registry.add_measurements(table)

    def find_measurements(
        self,
        ra: Any = None,
        dec: Any = None,
        *,
        radius: Any = None,
        provenance: "Provenance | UUID | str | Iterable[Provenance | UUID | str] | None" = None,
        image: Any = None,
        name: str | Iterable[str] | None = None,
        band: str | Iterable[str] | None = None,
        mjd_min: Any = None,
        mjd_max: Any = None,
        limit: int | None = None,
    ) -> "MeasurementTable":
        """Find measurements that match all that is asked; no file is opened.

        Parameters
        ----------
        ra, dec : float, str, Quantity, SkyCoord or arrays of these, optional
            Positions, ICRS: only what was measured at one of them, to 1e-4 arcsec. One position with
            `radius`: only what lies in the circle.
        radius : float or Quantity, optional
            Degrees.
        provenance : Provenance, UUID, str, or several of them, optional
            Only measurements of one of these: an id, its first 4 or more digits, or ``TAG:PROCESS``.
        image : Image, ImageRecord, UUID, str, or several of them, optional
            Only what was measured on one of these.
        name, band : str, or several, optional
            Only targets of these names; only images of these bands.
        mjd_min, mjd_max : float, str or Time, optional
            Start of the image's exposure, ends included.
        limit : int, optional
            At most so many.

        Returns
        -------
        MeasurementTable
            In the order of time, with the images' ``mjd`` and ``band``.

        Raises
        ------
        SearchError, UsageError
            If a value cannot be.
        """
        asked: dict[str, Any] = {
            "provenance_ids": _each(provenance, self._find_provenance_id),
            "image_ids": _each(image, _as_image_id),
            "names": _each(name, str),
            "bands": _each(band, str),
            "mjd_min": None if mjd_min is None else to_mjd(mjd_min),
            "mjd_max": None if mjd_max is None else to_mjd(mjd_max),
            "limit": limit,
        }
        return self.registry.find_measurements(**asked, **_take_place(ra, dec, radius))

    def _find_provenance_id(self, name: "Provenance | UUID | str") -> UUID:
        """Give the id that a name of a provenance means; an id needs no search."""
        if not isinstance(name, str) or _is_whole_id(name):
            return as_provenance_id(name)
        archive: Any = self  # an archive has its lineage too
        found: Provenance = archive.find_provenance(name)
        return found.id


def _is_whole_id(text: str) -> bool:
    """Tell whether a text is an id, all of it."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def make_measurement_table(table: "MeasurementTable") -> "QTable":
    """Make an astropy table of measurements.

    Parameters
    ----------
    table : MeasurementTable
        As :meth:`Measurements.find_measurements` gives it.

    Returns
    -------
    astropy.table.QTable
        Columns with units, as those of light curves; numbers that are not known are NaN, texts are
        empty, ids and times are text.
    """
    import numpy as np
    from astropy import units
    from astropy.table import Column, QTable

    from snapdb.archive.light_curves.outputs import COLUMNS

    made = QTable()
    for name, column in table.to_columns().items():
        unit, text = COLUMNS.get(name, (None, ""))
        values = column
        if column.dtype.kind == "M":
            values = np.where(np.isnat(column), "", np.datetime_as_string(column))
        elif column.dtype.kind == "O":
            values = np.array(["" if value is None else str(value) for value in column], dtype=np.str_)
        made[name] = Column(values, description=text) if unit is None else values * units.Unit(unit)
        made[name].info.description = text
    return made


def _take_place(ra: Any, dec: Any, radius: Any) -> dict[str, Any]:
    """Take the positions, or the circle, that a search asks for."""
    if ra is None and dec is None:
        if radius is not None:
            msg = "radius without ra and dec; give the centre of the circle too"
            raise SearchError(msg, parameter="radius")
        return {}
    right, up = split_coordinates(ra, dec)
    if radius is None:
        return {"positions": (right, up)}
    if not isinstance(right, float) or not isinstance(up, float):
        msg = "radius with several positions; ask for one circle at a time, or leave out the radius"
        raise SearchError(msg, parameter="radius")
    around = to_degrees(radius, name="radius")
    return {"cone": (float(wrap_ra(right)), up, around)}


def _each(value: Any, convert: Callable[[Any], Any]) -> list[Any] | None:
    """Convert several values, or one; None where nothing is asked."""
    if value is None:
        return None
    if isinstance(value, str | UUID | Provenance) or not isinstance(value, Iterable):
        return [convert(value)]
    return [convert(one) for one in value]


def _as_image_id(value: Any) -> UUID:
    """Give the id of an image, or of what names one."""
    found = as_uuid(getattr(value, "id", value), "image")
    if found is None:
        msg = "image=None among several, or one that is not registered; leave it out"
        raise UsageError(msg)
    return found
