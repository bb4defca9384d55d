"""The light curve of a target: its flux on every image that holds it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.epochs.plan import Ask
from snapdb.archive.light_curves.combine import combine_nights
from snapdb.archive.light_curves.ephemeris import Fixed, Track, make_track
from snapdb.archive.light_curves.kept import Keeping, Measured, measure_kept
from snapdb.archive.light_curves.outputs import make_flux_table, subtract, write_table
from snapdb.archive.light_curves.plan import PLANES, find_spots
from snapdb.archive.light_curves.psf_choice import choose_psf
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.reference import find_reference
from snapdb.archive.light_curves.refine import refine_position
from snapdb.archive.paths import PathLike
from snapdb.errors import UsageError
from snapdb.model.provenance import Provenance
from snapdb.photometry.lengths import to_number
from snapdb.sky.extent import Extent

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.table import QTable

    from snapdb.archive.archive import Archive


@dataclass(frozen=True, slots=True, eq=False)
class LightCurve:
    """Fluxes of one target, a row an image that holds it; from :meth:`snapdb.Archive.light_curve`."""

    table: "QTable"
    """Columns: see :data:`snapdb.archive.light_curves.outputs.COLUMNS`. Rows without a flux say why."""
    new: int = 0
    """How many rows were measured by this call; the others were known."""

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        flux = np.isfinite(np.asarray(self.table["flux"]))
        return f"<LightCurve of {len(self)} images, {int(flux.sum())} with a flux>"

    def nightly(self, *, days: float = 1.0, noon: float | None = None) -> "QTable":
        """Combine the fluxes of each night and band; see :func:`~.combine.combine_nights`."""
        return combine_nights(self.table, days=days, noon=noon)

    def write(self, path: PathLike, *, overwrite: bool = False) -> "Path":
        """Write the table to a file: its suffix is one of :data:`~.outputs.FORMATS`, as ``.ecsv``.

        Raises
        ------
        UsageError
            If the suffix is another.
        ConfigError
            If the format needs a package that is not installed.
        ObjectExistsError
            If the file must stay.
        """
        return write_table(self.table, path, overwrite=overwrite)

    def plot(self, path: PathLike | None = None, *, overwrite: bool = False, **options: Any) -> Any:
        """Draw the light curve: a colour a band, limits as arrows.

        Parameters
        ----------
        path : path, optional
            ``.png``, ``.pdf`` or ``.svg`` to write.
        overwrite : bool
            Whether a file that is there is replaced.
        **options : object
            As :func:`snapdb.archive.light_curves.plot.draw_light_curve` takes them.

        Returns
        -------
        matplotlib.figure.Figure
            The drawing.

        Raises
        ------
        ConfigError
            If matplotlib is not installed.
        UsageError
            If the suffix is another.
        ObjectExistsError
            If the file must stay.
        """
        from snapdb.archive.light_curves.plot import draw_light_curve, write_plot

        figure = draw_light_curve(self.table, **options)
        if path is not None:
            write_plot(figure, path, overwrite=overwrite)
        return figure


def find_light_curve(
    archive: "Archive",
    ra: Any = None,
    dec: Any = None,
    *,
    psf: Any = None,
    method: str | None = None,
    ap_r: float | None = None,
    fit_shape: Any = (11, 11),
    annulus: Any = (15, 25),
    estimator: str = "clipped",
    weights: str = "sky",
    bad_bits: Any = None,
    bands: str | Sequence[str] | None = None,
    proper_motion: Any = None,
    ephemeris: Any = None,
    refine: bool = False,
    reference: Any = None,
    sigmas: Sequence[float] = (3.0, 5.0),
    keep: bool = True,
    provenance: Provenance | UUID | str | None = None,
    tag: str | None = None,
    name: str | None = None,
    threads: int | None = None,
    on_error: str = "report",
    progress: Callable[[int, int], None] | None = None,
    **criteria: Any,
) -> LightCurve:
    """Measure a target's flux on every image that holds it, at the position that is given.

    Fluxes are forced: nothing is searched for, and they may be zero or negative. What was measured
    before, in the same way at the same place, is not measured again.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    ra, dec : float, str, Quantity or SkyCoord
        The position, ICRS; left out with an ephemeris.
    psf : object, str or path, optional
        A PSF of :mod:`snapdb.photometry.psf`, or in words: ``gaussian:FWHM``, ``moffat:FWHM:BETA`` in
        pixels, ``property:NAME`` (a Gaussian, as wide as each image's property says in arcseconds), or
        a file. Without one the flux is that of an aperture.
    method : str, optional
        ``psf`` or ``aperture``; by default the first where there is a psf. An aperture with a psf is
        corrected to the whole light.
    ap_r : float, optional
        Radius of the aperture, pixels; 5 by default.
    fit_shape : int or pair of int
        Edge of the square to which the psf is fitted, pixels, odd.
    annulus : pair of float or None
        Radii of the ring that tells the background, pixels; None subtracts none.
    estimator : str
        Of the background: ``clipped``, ``median``, ``mode`` or ``mmm``. The first is 0.03 to 0.06
        counts too low where the sky has fewer than about 10 counts a pixel: take ``median`` or
        ``mmm`` there.
    weights : str
        Of the pixels in the fit: ``sky``, ``uniform`` or ``variance``.
    bad_bits : int, str or sequence of str, optional
        Flags, or their names, that make a pixel bad; each image's own by default.
    bands : str or sequence of str, optional
        Only images of these bands.
    proper_motion : tuple, optional
        ``(pmra, pmdec, epoch)``: mas a year, the first with cos(dec) in it, and the Julian year
        (2016.0) of `ra`, `dec`, or a Time.
    ephemeris : Table, mapping or path, optional
        Columns ``mjd`` (UTC; or ``time``, also a Time, dates or ISO text), ``ra``, ``dec``: where the
        target is at the middle of each exposure. Images outside its times do not hold the target.
    refine : bool
        Whether the position is first fitted to all images together, starting from the one given; it
        needs a psf and a target that stands still. ``table.meta`` says where it went.
    reference : Image, UUID, Provenance or str, optional
        A template, or the images of a provenance: their flux of the target in each band is
        subtracted, and they have no row. Zero points must be known.
    sigmas : sequence of float
        For how many standard deviations the table has limits, ``mag_limit...``.
    keep : bool
        Whether fluxes are looked for in the registry, and kept there.
    provenance : Provenance, UUID or str, optional
        Under which fluxes are kept; by default one that says how they were measured, upstream of it
        that of the images. What is kept under one that is given counts as measured, whatever the
        other arguments. To choose images by provenance, say ``image_provenance``.
    tag : str, optional
        Name for the provenance.
    name : str, optional
        Of the target.
    threads : int, optional
        To read with; decided by what there is to read by default.
    on_error : str
        ``report`` gives a row with its reason for what cannot be read, ``raise`` raises it.
    progress : callable, optional
        Told after each image how many are read, and of how many.
    **criteria : object
        Which images; see :meth:`snapdb.Archive.find_images`. Kept cutouts are left out unless ``kind``
        asks for them.

    Returns
    -------
    LightCurve
        A row an image, in the order of time.

    Raises
    ------
    UsageError, SearchError
        If a value cannot be.
    NotFoundError
        If there is no such provenance or reference.
    """
    shape: Any = {"ap_r": ap_r, "fit_shape": fit_shape, "annulus": annulus, "estimator": estimator}
    recipe = Recipe.make(psf=choose_psf(psf), method=method, weights=weights, bad_bits=bad_bits, **shape)
    track = make_track(ra, dec, proper_motion=proper_motion, ephemeris=ephemeris)
    keeping = make_keeping(archive, keep=keep, provenance=provenance, tag=tag)
    ask = make_ask(recipe, threads=threads, on_error=on_error, progress=progress)
    criteria, sigmas = read_criteria(bands, criteria), check_sigmas(sigmas)
    moved: dict[str, Any] = {}
    if refine:
        track, moved = refine_position(archive, track, recipe, ask, criteria)
    spots = find_spots(archive, track, criteria)
    subtrahend = None
    if reference is not None:
        subtrahend = find_reference(archive, track, reference, recipe, ask, keeping)
        spots = spots.take([n for n, e in enumerate(spots.epochs) if e.record.id not in subtrahend.image_ids])
    measured = measure_kept(archive, spots, recipe, ask, keeping, [name] * len(spots))
    table = make_flux_table(measured, sigmas)
    if subtrahend is not None:
        subtract(table, *subtrahend.fluxes_of(measured.spots))
        moved["reference"] = [str(one) for one in sorted(subtrahend.image_ids)]
    table.meta = {**_describe(track, recipe, measured, name), **moved, **table.meta}
    return LightCurve(table, int(measured.is_new.sum()))


def make_keeping(
    archive: "Archive", *, keep: bool, provenance: Provenance | UUID | str | None, tag: str | None
) -> Keeping:
    """Check what becomes of measurements.

    Raises
    ------
    UsageError
        If a tag or a provenance is given for what is not kept.
    NotFoundError
        If there is no such provenance.
    """
    if not keep and (provenance is not None or tag is not None):
        msg = "keep=False keeps nothing; leave out provenance and tag"
        raise UsageError(msg)
    if provenance is not None and not isinstance(provenance, Provenance):
        provenance = archive.find_provenance(provenance)
    return Keeping(keep=keep, provenance=provenance, tag=tag)


def make_ask(recipe: Recipe, **rest: Any) -> Ask:
    """Say what is read of each image; the place is each position's own."""
    side = Extent(pixels=recipe.stamp_size)
    ask = Ask(ra=0.0, dec=0.0, xsize=side, ysize=side, planes=PLANES, **rest)
    ask.check()
    return ask


def check_sigmas(sigmas: Any) -> tuple[float, ...]:
    """Take numbers of standard deviations.

    Raises
    ------
    UsageError
        If one is not above 0.
    """
    expected = "numbers of standard deviations above 0, such as (3, 5)"
    if isinstance(sigmas, str | bytes) or not isinstance(sigmas, Iterable):
        msg = f"sigmas={sigmas!r:.80}: expected {expected}"
        raise UsageError(msg)
    made = tuple(to_number(sigma, "sigmas", expected) for sigma in sigmas)
    if not all(0.0 < sigma < np.inf for sigma in made):
        msg = f"sigmas={made}: expected {expected}"
        raise UsageError(msg, sigmas=made)
    return made


def read_criteria(bands: str | Sequence[str] | None, criteria: dict[str, Any]) -> dict[str, Any]:
    """Give the criteria of images under the names of a search.

    Raises
    ------
    UsageError
        If bands are given twice, or are no names.
    """
    made = dict(criteria)
    if "image_provenance" in made:
        made["provenance"] = made.pop("image_provenance")
    if bands is not None:
        if made.get("band") is not None:
            msg = "bands and band mean the same; give one of them"
            raise UsageError(msg)
        names = [bands] if isinstance(bands, str) else list(bands) if isinstance(bands, Iterable) else [bands]
        if not all(isinstance(one, str) for one in names):
            msg = f"bands={bands!r:.80}: expected the name of a band, or several"
            raise UsageError(msg, bands=bands)
        made["band"] = names
    return made


def _describe(track: Track, recipe: Recipe, measured: Measured, name: str | None) -> dict[str, Any]:
    """Give the facts of a light curve, for its table."""
    made: dict[str, Any] = {"method": recipe.name}
    if isinstance(track, Fixed):
        made |= {"ra": track.ra, "dec": track.dec}
    if name is not None:
        made["name"] = name
    ids = {str(one): None for one in measured.table.provenance_id.tolist() if one.int}
    made["provenance"] = list(ids)
    return made
