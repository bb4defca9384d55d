"""Many targets on many images: what is asked together is read and measured image by image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.light_curves.kept import Keeping, measure_kept
from snapdb.archive.light_curves.light_curve import check_sigmas, make_ask, make_keeping, read_criteria
from snapdb.archive.light_curves.outputs import make_flux_table, write_table
from snapdb.archive.light_curves.psf_choice import choose_psf
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.spots import Spots
from snapdb.archive.match import MatchResult, OnBadRow, match
from snapdb.archive.paths import PathLike
from snapdb.archive.positions import take_positions
from snapdb.errors import UsageError
from snapdb.model.provenance import Provenance
from snapdb.sky.vectors import wrap_ra
from snapdb.types import FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import QTable

    from snapdb.archive.archive import Archive

_PAIRS = 20_000
"""Positions on images that are measured before the next are planned."""


@dataclass(frozen=True, slots=True, eq=False)
class CatalogPhotometry:
    """Fluxes of many targets, a row a target on an image; from :meth:`snapdb.Archive.phot`."""

    table: "QTable"
    """Columns: ``row`` of the target (from 0), ``name``, and those of a light curve."""
    targets: int = 0
    """How many rows the table of targets has."""
    skipped: tuple[int, ...] = ()
    """Rows that hold no position."""
    new: int = 0
    """How many rows were measured by this call; the others were known."""

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        used = self.targets - len(self.skipped)
        return f"<CatalogPhotometry of {used} targets: {len(self)} fluxes>"

    def write(self, path: PathLike, *, overwrite: bool = False) -> Path:
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


def find_phot(
    archive: "Archive",
    table: Any,
    *,
    ra: str = "ra",
    dec: str = "dec",
    name: str | None = None,
    on_bad_row: str = "raise",
    psf: Any = None,
    method: str | None = None,
    ap_r: float | None = None,
    fit_shape: Any = (11, 11),
    annulus: Any = (15, 25),
    estimator: str = "clipped",
    weights: str = "sky",
    bad_bits: Any = None,
    bands: str | Sequence[str] | None = None,
    sigmas: Sequence[float] = (3.0, 5.0),
    keep: bool = True,
    provenance: Provenance | UUID | str | None = None,
    tag: str | None = None,
    threads: int | None = None,
    on_error: str = "report",
    progress: Callable[[int, int], None] | None = None,
    **criteria: Any,
) -> CatalogPhotometry:
    """Measure the flux of each target of a table on every image that holds it.

    Fluxes are kept under the same provenance as those of :meth:`snapdb.Archive.light_curve`, so that
    each finds what the other has measured. Targets are measured one by one: neighbours in one
    another's light are not told apart.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    table : Table, path, SkyCoord or pair of arrays
        The targets, as :meth:`snapdb.Archive.match` takes them.
    ra, dec : str
        Names of its columns of positions, ICRS degrees where they have no unit.
    name : str, optional
        Name of its column of names.
    on_bad_row : str
        What becomes of rows that hold no position: ``raise`` or ``skip``.
    psf, method, ap_r, fit_shape, annulus, estimator, weights, bad_bits : object
        How to measure; see :meth:`snapdb.Archive.light_curve`.
    bands : str or sequence of str, optional
        Only images of these bands.
    sigmas : sequence of float
        For how many standard deviations the table has limits.
    keep, provenance, tag : object
        What becomes of the fluxes; see :meth:`snapdb.Archive.light_curve`.
    threads : int, optional
        To read with; decided by what there is to read by default.
    on_error : str
        ``report`` gives a row with its reason for what cannot be read, ``raise`` raises it.
    progress : callable, optional
        Told how many of the pairs of target and image are done, and of how many.
    **criteria : object
        Which images; see :meth:`snapdb.Archive.find_images`. Kept cutouts are left out unless ``kind``
        asks for them.

    Returns
    -------
    CatalogPhotometry
        Sorted by target, then by time.

    Raises
    ------
    UsageError, SearchError
        If a value cannot be.
    """
    shape: Any = {"ap_r": ap_r, "fit_shape": fit_shape, "annulus": annulus, "estimator": estimator}
    recipe = Recipe.make(psf=choose_psf(psf), method=method, weights=weights, bad_bits=bad_bits, **shape)
    keeping = make_keeping(archive, keep=keep, provenance=provenance, tag=tag)
    ask = make_ask(recipe, threads=threads, on_error=on_error)
    asked, sigmas = read_criteria(bands, criteria), check_sigmas(sigmas)
    if on_bad_row not in get_args(OnBadRow):
        msg = f"on_bad_row={on_bad_row!r}: expected one of {', '.join(get_args(OnBadRow))}"
        raise UsageError(msg, on_bad_row=on_bad_row)
    if wrong := [n for n in ("limit", "offset", "after", "order_by") if asked.get(n) is not None]:
        msg = f"{wrong[0]}: the table says which targets; leave it out"
        raise UsageError(msg, name=wrong[0])
    try:
        found: Any = match(archive, table, ra=ra, dec=dec, on_error=on_bad_row, **asked)  # type: ignore[arg-type]  # checked
    except UsageError as err:
        if "on_error=" not in str(err):
            raise
        msg = str(err).replace("on_error=", "on_bad_row=")
        raise UsageError(msg, rows=getattr(err, "rows", None)) from err
    right, up = take_positions(table, ra, dec)
    names = None if name is None else read_names(table, name)
    work = _Work(archive, recipe, ask, keeping, wrap_ra(np.nan_to_num(right)), up, names, sigmas)
    tables, new = work.run(found, kinds=asked.get("kind"), progress=progress)
    return CatalogPhotometry(
        _stack(tables), targets=found.rows, skipped=tuple(found.skipped.tolist()), new=new
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all parts of a catalogue."""

    archive: "Archive"
    recipe: Recipe
    ask: Ask
    keeping: Keeping
    ra: FloatArray
    dec: FloatArray
    names: list[str] | None
    sigmas: Sequence[float]

    def run(
        self, found: MatchResult, *, kinds: Any, progress: Callable[[int, int], None] | None
    ) -> tuple[list["QTable"], int]:
        """Measure all pairs, part by part: their tables, and how many fluxes are new."""
        rows, images, ids = _gather_pairs(found)
        tables: list[QTable] = []
        new = done = 0
        for some in _split(images):
            spots = self._make_spots(rows[some], images[some], ids, kinds)
            done += len(some)
            if len(spots) or not tables:
                tables.append(self._measure(spots))
                new += int(tables[-1].meta.pop("new"))
            if progress is not None:
                progress(done, len(rows))
        return tables or [self._measure(Spots(epochs=[], ra=np.zeros(0), dec=np.zeros(0)))], new

    def _make_spots(self, rows: IntArray, images: IntArray, ids: list[UUID], kinds: Any) -> Spots:
        """Give the pairs of some images."""
        asked = [ids[n] for n in np.unique(images).tolist()]
        records = {record.id: record for record in self.archive.find_records(id=asked)}
        chosen = [
            (row, records[ids[image]])
            for row, image in zip(rows.tolist(), images.tolist(), strict=True)
            if ids[image] in records and (kinds is not None or records[ids[image]].kind != "cutout")
        ]
        mine = np.array([row for row, _ in chosen], dtype=np.int64)
        epochs = [Epoch(record=record) for _, record in chosen]
        return Spots(epochs=epochs, ra=self.ra[mine], dec=self.dec[mine], rows=mine)

    def _measure(self, spots: Spots) -> "QTable":
        """Measure the pairs of some images, and make their table."""
        names = None if self.names is None else [self.names[row] for row in spots.rows.tolist()]
        measured = measure_kept(self.archive, spots, self.recipe, self.ask, self.keeping, names)
        table = make_flux_table(measured, self.sigmas)
        table.add_column(spots.rows, name="row", index=0)
        table.add_column(np.array(names or [""] * len(spots), dtype=str), name="name", index=1)
        table.meta = {"method": self.recipe.name, "new": int(measured.is_new.sum())}
        return table


def read_names(table: Any, name: str) -> list[str]:
    """Read the column of names of a table or of a file.

    Parameters
    ----------
    table : Table, path or mapping
        As :func:`find_phot` takes it.
    name : str
        Of the column.

    Raises
    ------
    UsageError
        If there is no such column.
    """
    from snapdb.archive.positions import _get_column, _read_table

    if isinstance(table, str | Path):
        table = _read_table(Path(table), (name, name))
    column = _get_column(table, name)
    values = column.to_pylist() if hasattr(column, "to_pylist") else np.ma.asarray(column).tolist()
    return ["" if value is None else _as_text(value) for value in values]


def _as_text(value: Any) -> str:
    """Give a name as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _gather_pairs(found: MatchResult) -> tuple[IntArray, IntArray, list[UUID]]:
    """Give the row and the image of each pair, and the images' ids; pairs of an image stand together."""
    rows, keys = [], []
    for block in found.iter_blocks():
        rows.append(block.row)
        keys.append(np.ascontiguousarray(block.images.ids[block.image]).view("V16").ravel())
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), []
    row, key = np.concatenate(rows), np.concatenate(keys)
    unique, images = np.unique(key, return_inverse=True)
    order = np.lexsort((row, images.ravel()))
    return row[order], images.ravel()[order], [UUID(bytes=bytes(one)) for one in unique]


def _split(images: IntArray) -> Iterator[IntArray]:
    """Give parts of bounded size, each of whole images."""
    starts = np.flatnonzero(np.diff(images, prepend=-1))
    ends = np.append(starts[1:], len(images))
    first = 0
    for n, end in enumerate(ends.tolist()):
        if end - first >= _PAIRS or n == len(ends) - 1:
            yield np.arange(first, end)
            first = end


def _stack(tables: Sequence["QTable"]) -> "QTable":
    """Put tables below each other, sorted by target and time."""
    from astropy.table import vstack

    joined = tables[0] if len(tables) == 1 else vstack(list(tables), metadata_conflicts="silent")
    return joined[np.lexsort((joined["mjd"].value, joined["row"]))]
