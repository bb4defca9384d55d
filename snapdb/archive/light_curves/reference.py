"""The flux of a target on a template, to be taken off all others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.epochs.plan import Ask
from snapdb.archive.light_curves.combine import LEFT_OUT
from snapdb.archive.light_curves.ephemeris import Track
from snapdb.archive.light_curves.kept import Keeping, measure_kept
from snapdb.archive.light_curves.plan import find_spots
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.spots import Spots
from snapdb.errors import NotFoundError, UsageError
from snapdb.model.provenance import Provenance
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The flux of a target in each band of a template."""

    image_ids: frozenset[UUID]
    """Images of the template."""
    by_band: Mapping[str | None, tuple[float, float]]
    """Band -> flux and error, nanojansky."""

    def fluxes_of(self, spots: Spots) -> tuple[FloatArray, FloatArray]:
        """Give flux and error for each position's band, nanojansky; NaN where the template has none."""
        nothing = (np.nan, np.nan)
        found = [self.by_band.get(epoch.record.band, nothing) for epoch in spots.epochs]
        both = np.array(found, dtype=np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]


def find_reference(
    archive: "Archive", track: Track, given: Any, recipe: Recipe, ask: Ask, keeping: Keeping
) -> Reference:
    """Measure a target on its template.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    track : Track
        Where the target is.
    given : Image, ImageRecord, UUID, str or Provenance
        One image or its id, or the provenance of several; several of one band count together.
    recipe : Recipe
        How to measure: as on all images.
    ask : Ask
        Planes, threads, progress.
    keeping : Keeping
        As for all images.

    Raises
    ------
    UsageError
        If the target moves.
    NotFoundError
        If no image of the template holds the target and gives a calibrated flux.
    """
    if track.moves:
        msg = "reference: a target that moves is not on its template; leave out the one or the other"
        raise UsageError(msg)
    spots = find_spots(archive, track, _read(archive, given))
    kinds = {epoch.record.kind for epoch in spots.epochs}
    measured = measure_kept(archive, spots, recipe, ask, keeping).table
    sound = np.isfinite(measured.flux_njy) & (measured.flux_njy_err > 0)
    sound &= (measured.quality & int(LEFT_OUT)) == 0
    by_band = {}
    for band in dict.fromkeys(measured.band[sound].tolist()):
        mine = sound & (measured.band == band)
        weight = 1.0 / measured.flux_njy_err[mine] ** 2
        by_band[band] = (
            float((weight * measured.flux_njy[mine]).sum() / weight.sum()),
            float(weight.sum() ** -0.5),
        )
    if not by_band:
        said = f"{len(spots)} images of it ({', '.join(sorted(kinds)) or 'none'}) hold the target"
        msg = f"reference {given!r:.80}: {said}, and none gives a sound calibrated flux"
        raise NotFoundError(msg, images=len(spots))
    ids = frozenset(epoch.record.id for epoch in spots.epochs)
    return Reference(image_ids=ids, by_band=by_band)


def _read(archive: "Archive", given: Any) -> dict[str, Any]:
    """Give the criteria of the template's images."""
    if isinstance(given, Provenance):
        return {"provenance": given}
    known = getattr(given, "id", given)
    if not isinstance(known, UUID):
        try:
            known = UUID(str(known))
        except ValueError:
            return {"provenance": archive.find_provenance(str(given))}
    try:
        return {"id": [archive.registry.get_image(known).id]}
    except NotFoundError:
        return {"provenance": archive.get_provenance(known)}
