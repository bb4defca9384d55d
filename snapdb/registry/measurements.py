"""The photometric side of a registry: what was measured at positions on images."""

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from snapdb.errors import RegistryUnavailableError, SearchError
from snapdb.model.measurement import MeasurementTable, empty_measurements
from snapdb.registry.connected import Connected
from snapdb.registry.errors import was_in_the_way
from snapdb.registry.measurement_answers import make_table
from snapdb.registry.measurement_queries import (
    Cone,
    cut_to_cone,
    make_find_statement,
    make_known_statement,
    mark_known,
    spread_pairs,
)
from snapdb.registry.measurement_rows import add_measurements
from snapdb.types import BoolArray

_ATTEMPTS = 5
"""How often rows are offered that another writer's transaction undoes."""


class Measurements(Connected):
    """What was measured: kept once for each provenance, image and position."""

    def add_measurements(self, table: MeasurementTable) -> int:
        """Keep measurements, all of them or none; what is there already stays as it is.

        Parameters
        ----------
        table : MeasurementTable
            Any number of rows, in any order. A row is there already if one has its provenance, image
            and position (to 1e-4 arcsec); of rows alike in these the first counts.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        NotFoundError
            If an image or a provenance is not registered; ``rows`` lists (row, reason).
        UsageError
            If a value cannot be stored; ``rows`` likewise.
        """
        self._check_open()
        if not len(table):
            return 0
        attempts = _ATTEMPTS
        while True:
            attempts -= 1
            try:
                with self._transaction(writes=True) as connection:
                    return add_measurements(connection, table)
            except RegistryUnavailableError as err:
                if attempts == 0 or not was_in_the_way(err):
                    raise

    def find_measurements(
        self,
        *,
        provenance_ids: Sequence[UUID] | None = None,
        image_ids: Sequence[UUID] | None = None,
        positions: tuple[Any, Any] | None = None,
        cone: Cone | None = None,
        names: Sequence[str] | None = None,
        bands: Sequence[str] | None = None,
        mjd_min: float | None = None,
        mjd_max: float | None = None,
        limit: int | None = None,
    ) -> MeasurementTable:
        """Find measurements that match all that is asked, with their images' times and bands: one query.

        Parameters
        ----------
        provenance_ids, image_ids : sequence of UUID, optional
            Only those of any of these.
        positions : pair of arrays, optional
            Right ascensions and declinations, ICRS degrees: only what was measured at one of these,
            to 1e-4 arcsec.
        cone : tuple of float, optional
            Right ascension, declination and radius in degrees: only what lies in the circle, edge
            included.
        names, bands : sequence of str, optional
            Only targets of these names; only images of these bands.
        mjd_min, mjd_max : float, optional
            Start of the image's exposure, MJD UTC, ends included.
        limit : int, optional
            At most so many.

        Returns
        -------
        MeasurementTable
            In the order of time, then of image and declination.

        Raises
        ------
        SearchError
            If the cone, a time or the limit cannot be.
        UsageError
            If a position cannot be.
        """
        self._check_open()
        _check_numbers(cone, mjd_min=mjd_min, mjd_max=mjd_max, limit=limit)
        one_of = {"provenance": provenance_ids, "image": image_ids, "name": names, "band": bands}
        if any(wanted is not None and not len(wanted) for wanted in one_of.values()):
            return empty_measurements()
        statement = make_find_statement(
            self.dialect,
            one_of=one_of,
            positions=positions,
            cone=cone,
            mjd_min=mjd_min,
            mjd_max=mjd_max,
            limit=limit,
        )
        return cut_to_cone(make_table(self._fetch(statement), self.dialect), cone, limit)

    def known_measurements(self, provenance_id: UUID, image_ids: Any, ra: Any, dec: Any) -> BoolArray:
        """Tell which positions on which images are measured already, in one query.

        Parameters
        ----------
        provenance_id : UUID
            Of the measurements.
        image_ids : UUID or array of UUID
            Images; broadcast together with the positions, so that images of shape (images, 1) and
            positions of shape (positions,) ask for each on each.
        ra, dec : float or array
            Positions, ICRS degrees.

        Returns
        -------
        array of bool
            Of the shape that images and positions have together.

        Raises
        ------
        ShapeError
            If images and positions do not fit together.
        UsageError
            If a position cannot be.
        """
        self._check_open()
        images, right, up = spread_pairs(image_ids, ra, dec)
        if not images.size:
            return mark_known(images.shape, [])
        statement = make_known_statement(
            self.dialect, provenance_id, images.ravel(), right.ravel(), up.ravel()
        )
        return mark_known(images.shape, self._fetch(statement))


def _check_numbers(cone: Cone | None, *, limit: int | None, **times: float | None) -> None:
    """Refuse numbers that no measurement can match, or that the database would misread."""
    if cone is not None:
        ra, dec, radius = cone
        if not (math.isfinite(ra) and 0.0 <= ra < 360.0 and abs(dec) <= 90.0 and 0.0 <= radius <= 180.0):
            msg = f"cone {cone}: expected 0 <= ra < 360, -90 <= dec <= 90 and 0 <= radius <= 180, degrees"
            raise SearchError(msg, parameter="cone", value=cone)
    for name, value in times.items():
        if value is not None and math.isnan(value):
            msg = f"{name} is not a number; expected an MJD"
            raise SearchError(msg, parameter=name, value=value)
    if limit is not None and limit < 0:
        msg = f"limit={limit}: expected 0 or more"
        raise SearchError(msg, parameter="limit", value=limit)
