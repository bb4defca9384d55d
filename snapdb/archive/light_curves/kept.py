"""Measuring what is not measured yet, and keeping it: asking again reads no pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.light_curves.forced import Columns, measure_spots
from snapdb.archive.light_curves.plan import locate, settle
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.spots import Spots
from snapdb.errors import ReadOnlyStoreError, RegistryError, UsageError
from snapdb.model.measurement import MeasurementTable, make_measurements, position_keys
from snapdb.model.provenance import Provenance
from snapdb.photometry.calibration import to_njy
from snapdb.photometry.quality import Quality
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_NOBODY = UUID(int=0)
"""Stands for the provenance of what is not kept and says of itself nothing."""
_STORED = (
    "x",
    "y",
    "flux",
    "flux_err",
    "background",
    "background_err",
    "chi2",
    "ndof",
    "coverage",
    "n_pixels",
    "bad_fraction",
    "quality",
    "flags",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What becomes of measurements in the registry."""

    keep: bool = True
    """Whether they are looked for, and kept there."""
    provenance: Provenance | None = None
    """Of all of them; None makes one of the recipe for each provenance of images."""
    tag: str | None = None
    """Name for the provenance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Fluxes at positions on images, a row each, measured now or before."""

    spots: Spots
    table: MeasurementTable
    reasons: Sequence[str]
    """Why a row has no flux; empty where it has one."""
    is_new: BoolArray
    """Whether a row was measured by this call."""


def measure_kept(
    archive: "Archive",
    spots: Spots,
    recipe: Recipe,
    ask: Ask,
    keeping: Keeping,
    names: Sequence[str | None] | None = None,
) -> Measured:
    """Give the fluxes at positions on images: those that are kept, and the rest measured and kept.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    spots : Spots
        Positions on images.
    recipe : Recipe
        How to measure.
    ask : Ask
        Planes, threads, progress.
    keeping : Keeping
        Whether, and under which provenance.
    names : sequence of str, optional
        Of the targets, a row each.

    Returns
    -------
    Measured
        In the order of the positions.

    Raises
    ------
    UsageError
        If what was measured could not be told apart, or a tag would name several provenances.
    ReadOnlyStoreError, RegistryError
        If the fluxes shall be kept, and the registry does not let them.
    SnapdbError
        The first that came up, where `ask.on_error` is ``raise``.
    """
    made_by = _choose_provenances(archive, spots, recipe, keeping)
    ids = [made_by[epoch.record.provenance_id].id if made_by else _NOBODY for epoch in spots.epochs]
    known = _recall(archive, spots, ids) if keeping.keep else {}
    todo = np.array([n for n in range(len(spots)) if n not in known], dtype=np.int64)
    rest = spots.take(todo)
    locate(archive, rest)
    settle(archive, rest, recipe.stamp_size)
    measured = measure_spots(archive, rest, recipe, ask)
    if ask.on_error == "raise":
        raise_first(rest)
    columns = _merge(len(spots), known, todo, measured)
    table = _make_table(spots, columns, ids, recipe, names)
    is_new = np.zeros(len(spots), dtype=bool)
    is_new[todo] = True
    if keeping.keep:
        _keep(archive, table, spots, todo, made_by, keeping)
    told = zip(spots.epochs, table.quality.tolist(), table.n_pixels.tolist(), strict=True)
    reasons = [_explain(*one) for one in told]
    return Measured(spots=spots, table=table, reasons=reasons, is_new=is_new)


def raise_first(spots: Spots) -> None:
    """Raise the first reason why a position could not be read.

    Raises
    ------
    SnapdbError
        If there is one.
    """
    for epoch in spots.epochs:
        if epoch.error is not None:
            raise epoch.error


def _choose_provenances(
    archive: "Archive", spots: Spots, recipe: Recipe, keeping: Keeping
) -> dict[UUID, Provenance]:
    """Give the provenance of measurements for each provenance of images; none where nothing is kept."""
    of_images = {epoch.record.provenance_id: None for epoch in spots.epochs}
    if keeping.provenance is not None:
        return dict.fromkeys(of_images, keeping.provenance)
    if not keeping.keep:
        return {}
    made = {one.id: recipe.make_provenance(one) for one in archive.registry.get_provenances(list(of_images))}
    if keeping.tag is not None and len(made) > 1:
        msg = (
            f"tag {keeping.tag!r}: the images have {len(made)} provenances, and so have the fluxes; "
            "search images of one (provenance=..., process=...), or give the fluxes' provenance"
        )
        raise UsageError(msg, tag=keeping.tag)
    return made


def _recall(archive: "Archive", spots: Spots, ids: Sequence[UUID]) -> dict[int, tuple[MeasurementTable, int]]:
    """Find what was measured before, in one query: place of the position -> table and row."""
    somewhere = np.flatnonzero(np.isfinite(spots.ra) & np.isfinite(spots.dec))
    if not len(somewhere):
        return {}
    spots, ids = spots.take(somewhere), [ids[n] for n in somewhere.tolist()]
    images = [epoch.record.id for epoch in spots.epochs]
    keys = position_keys(spots.ra, spots.dec)
    wanted: dict[Any, list[int]] = {}
    told = zip(ids, images, *(part.tolist() for part in keys), strict=True)
    for n, key in zip(somewhere.tolist(), told, strict=True):
        wanted.setdefault(key, []).append(n)
    _, first = np.unique(np.stack(keys), axis=1, return_index=True)
    found = archive.registry.find_measurements(
        provenance_ids=list(dict.fromkeys(ids)),
        image_ids=list(dict.fromkeys(images)),
        positions=(spots.ra[first], spots.dec[first]),
    )
    known = {}
    at = [part.tolist() for part in found.position_keys()]
    for row, key in enumerate(zip(found.provenance_id, found.image_id, *at, strict=True)):
        for n in wanted.get(key, ()):
            known[n] = (found, row)
    return known


def _merge(
    size: int, known: dict[int, tuple[MeasurementTable, int]], todo: Any, measured: Columns
) -> Columns:
    """Put what was known and what was measured into one set of columns."""
    columns: Columns = {}
    places = np.array(list(known), dtype=np.int64)
    rows = np.array([row for _, row in known.values()], dtype=np.int64)
    found = next((table for table, _ in known.values()), None)
    for name in _STORED:
        values = np.zeros(size, dtype=measured[name].dtype)
        values[todo] = measured[name]
        if found is not None:
            values[places] = getattr(found, name)[rows]
        columns[name] = values
    return columns


def zeropoints_of(spots: Spots) -> FloatArray:
    """Give the zero point of each position's image, NaN where it is not known."""
    zeropoints = [epoch.record.zeropoint for epoch in spots.epochs]
    return np.array([np.nan if one is None else one for one in zeropoints], dtype=np.float64)


def _make_table(
    spots: Spots,
    columns: Columns,
    ids: Sequence[UUID],
    recipe: Recipe,
    names: Sequence[str | None] | None,
) -> MeasurementTable:
    """Make the table, calibrated with the zero points that the images have now."""
    zeropoint = zeropoints_of(spots)
    silent = int(Quality.NO_ZEROPOINT)
    quality = np.where(np.isnan(zeropoint), columns["quality"] | silent, columns["quality"] & ~silent)
    # What has no position is never kept, and has none in the table either.
    nowhere = ~(np.isfinite(spots.ra) & np.isfinite(spots.dec))
    made = make_measurements(
        **{name: values for name, values in columns.items() if name != "quality"},
        quality=quality,
        image_id=[epoch.record.id for epoch in spots.epochs],
        provenance_id=list(ids),
        ra=np.where(nowhere, 0.0, spots.ra),
        dec=np.where(nowhere, 0.0, spots.dec),
        zeropoint=zeropoint,
        flux_njy=to_njy(columns["flux"], zeropoint),
        flux_njy_err=to_njy(columns["flux_err"], zeropoint),
        mjd=[np.nan if epoch.record.mjd is None else epoch.record.mjd for epoch in spots.epochs],
        band=[epoch.record.band for epoch in spots.epochs],
        method=[recipe.name] * len(spots),
        name=list(names) if names is not None else [None] * len(spots),
    )
    made.ra[nowhere] = made.dec[nowhere] = np.nan
    return made


def _keep(
    archive: "Archive",
    table: MeasurementTable,
    spots: Spots,
    todo: Any,
    made_by: dict[UUID, Provenance],
    keeping: Keeping,
) -> None:
    """Keep the rows that were measured, and those whose pixels say why they cannot be."""
    fresh = [n for n in todo.tolist() if spots.epochs[n].is_read and spots.epochs[n].error is None]
    try:
        if fresh or keeping.tag is not None:
            for one in {p.id: p for p in made_by.values()}.values():
                archive.add_provenance(one, tag=keeping.tag)
        if fresh:
            archive.registry.add_measurements(table[np.array(fresh, dtype=np.int64)])
    except (ReadOnlyStoreError, RegistryError) as err:
        if err.transient:
            raise
        msg = f"{err.message}; to measure without keeping anything, say --no-keep (keep=False)"
        raise type(err)(msg, **err.fields) from err


def _explain(epoch: Epoch, quality: int, n_pixels: int) -> str:
    """Say why there is no flux."""
    if epoch.error is not None:
        return str(epoch.error)
    if not quality & Quality.FAILED:
        return ""
    if quality & Quality.NO_BACKGROUND:
        return "fewer than 30 good pixels in the ring tell the background"
    if n_pixels:
        return "a pixel of the aperture is bad or not there; a psf would make up for it"
    return "no good pixel tells the flux"
