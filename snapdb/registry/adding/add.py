"""Images into the database: everything is checked, then whole tables are written."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, update

from snapdb.errors import ConflictError, NotFoundError, RegistryUnavailableError
from snapdb.model.file import FileRecord
from snapdb.model.image import FACT_NAMES, NewImage
from snapdb.model.outcome import OutcomeKind
from snapdb.registry.adding import known
from snapdb.registry.adding.batch import Batch, prepare
from snapdb.registry.adding.checks import Problems, check_files, check_twice
from snapdb.registry.adding.first_load import FirstLoad
from snapdb.registry.adding.known import Key
from snapdb.registry.adding.rows import (
    INPUT_COLUMNS,
    JSON_FACTS,
    PLANE_COLUMNS,
)
from snapdb.registry.files import ensure_files, find_images_in, insert_files
from snapdb.registry.ids import make_ids
from snapdb.registry.loaders import CopierBehind, Loader, choose_loader
from snapdb.registry.spatial import Spatial
from snapdb.registry.tables import image, image_input, plane

BATCH = 50_000
"""Images that are held as columns at once, and written in the order of the sky."""
_KEY = ("provenance_id", "file_id", "hdu")


class AddedImage(NamedTuple):
    """What became of one image that was to be registered."""

    id: UUID
    outcome: OutcomeKind
    """Registered, unchanged or updated."""
    twin: str | None = None
    """Key of another file that holds the same exposure, detector and band, if there is one."""


def add_images(
    connection: Connection,
    spatial: Spatial,
    images: Iterable[NewImage],
    files: Mapping[str, FileRecord],
    *,
    update_known: bool,
) -> list[AddedImage]:
    """Register images inside the connection's transaction; see :meth:`Registry.add_images`."""
    check_files(files.values())
    rest = iter(images)
    begin, following = list(islice(rest, BATCH)), list(islice(rest, BATCH))
    first_load = FirstLoad.begin(connection) if following else None
    with _uncollected(), _open_loader(connection, behind=first_load is not None) as loader:
        first = first_load is not None
        adding = _Adding(connection, spatial, loader, files, update_known=update_known, first=first)
        for batch in _prepare_ahead(begin, following, rest, files):
            adding.take(batch)
        adding.problems.raise_any(adding.count)
        adding.check_other_files()
        adding.check_other_images()
    if first_load is not None:
        first_load.finish()
    return adding.added


@contextmanager
def _open_loader(connection: Connection, *, behind: bool) -> Iterator[Loader]:
    """Give the loader, which in a first load, where hardly anything has to be asked, works behind."""
    if not behind:
        yield choose_loader(connection)
        return
    with CopierBehind(connection) as loader:
        yield loader


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the search for cycles rest: among millions of live objects it takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _prepare_ahead(
    some: list[NewImage], following: list[NewImage], rest: Iterator[NewImage], files: Mapping[str, FileRecord]
) -> Iterator[Batch]:
    """Prepare the next images while the database writes the last ones."""
    if not following:
        yield prepare(some, files, 0)
        return
    first = 0
    with ThreadPoolExecutor(1, "snapdb-prepare") as worker:
        waiting = worker.submit(prepare, some, files, first)
        while some:
            batch = waiting.result()
            first += len(some)
            some, following = following, list(islice(rest, BATCH))
            if some:
                waiting = worker.submit(prepare, some, files, first)
            yield batch


class _Adding:
    """One call, from the first batch to the last."""

    def __init__(
        self,
        connection: Connection,
        spatial: Spatial,
        loader: Loader,
        files: Mapping[str, FileRecord],
        *,
        update_known: bool,
        first: bool,
    ) -> None:
        self.problems = Problems()
        self.added: list[AddedImage] = []
        self.count = 0
        self._connection = connection
        self._spatial = spatial
        self._files = files
        self._update_known = update_known
        self._first = first
        self._loader = loader
        self._kept = (
            insert_files(loader, files.values())
            if first
            else ensure_files(connection, files.values(), update_known=update_known)
        )
        self._twins = known.Twins(connection, alone=first)
        self._keys: set[Any] = set()
        self._ids: set[UUID] = set()
        self._provenances: set[UUID] = set()
        self._now = datetime.now(UTC)

    def take(self, batch: Batch) -> None:
        """Check some images against the database, and write them unless anything was wrong so far."""
        self.count += batch.count
        if batch.file_keys:
            self._check(batch)
        self.problems.found.update(batch.problems.found)
        if self.problems.found:
            return
        batch.twins = self._twins.find(batch.images, batch.file_keys)
        self._insert(batch)
        self._replace(batch)
        self.added += map(AddedImage, batch.ids, batch.outcomes, batch.twins)

    # Checking

    def _check(self, batch: Batch) -> None:
        """Find what the database makes wrong, and give images their keys, ids and outcomes."""
        ids = self._kept.ids
        batch.keys = [
            Key(new.provenance_id, ids[key], hdu)
            for new, key, hdu in zip(batch.images, batch.file_keys, batch.columns["hdu"], strict=True)
        ]
        check_twice(batch.keys, self._keys, batch.paths, batch.numbers, batch.problems)
        self._check_provenances(batch)
        self._check_inputs(batch)
        self._check_files(batch)
        self._match_known(batch)

    def _check_provenances(self, batch: Batch) -> None:
        """Find rows whose provenance is not registered."""
        named = {new.provenance_id for new in batch.images} - self._provenances
        if not named:
            return
        self._loader.settle()
        self._provenances |= known.find_provenances(self._connection, named)
        if named <= self._provenances:
            return
        for row, new in zip(batch.numbers, batch.images, strict=True):
            id_ = new.provenance_id
            if id_ not in self._provenances:
                msg = f"provenance {id_} is not registered; add it before its images"
                batch.problems.add(row, NotFoundError, msg, provenance_id=id_)

    def _check_inputs(self, batch: Batch) -> None:
        """Find rows made from images that are neither registered nor given."""
        named = {id_ for new in batch.images for id_ in new.inputs}
        if not named:
            return
        self._loader.settle()
        there = known.find_images(self._connection, named) | self._ids | {new.id for new in batch.images}
        for row, new in zip(batch.numbers, batch.images, strict=True):
            for id_ in new.inputs:
                if id_ not in there:
                    path = new.planes[0].path
                    msg = f"{path}: made from image {id_}, which is not registered; register that first"
                    batch.problems.add(row, ConflictError, msg, path=path, input_id=id_)

    def _check_files(self, batch: Batch) -> None:
        """Find rows whose files have changed since they were registered."""
        changed = self._kept.changed
        for row, new in zip(batch.numbers, batch.images, strict=True) if changed else ():
            for one in new.planes:
                if self._files[one.path].key in changed:
                    batch.problems.add(row, ConflictError, **changed[self._files[one.path].key])

    def check_other_files(self) -> None:
        """Refuse a changed file that no plane lies in: whoever gave it meant it."""
        for change in self._kept.changed.values():
            raise ConflictError(change["reason"], **{k: v for k, v in change.items() if k != "reason"})

    def check_other_images(self) -> None:
        """Refuse new bytes under an image that was not given: it would be read at the old places."""
        rewritten = self._kept.rewritten
        given = {one.id for one in self.added}
        for file_id, ids in find_images_in(self._connection, list(rewritten)).items():
            if left := sorted(set(ids) - given):
                msg = (
                    f"{rewritten[file_id]} has other bytes than when it was registered, and image {left[0]}"
                    " is not found in them any more; register the new file under another name"
                )
                raise ConflictError(msg, path=rewritten[file_id], image_ids=left)

    def _match_known(self, batch: Batch) -> None:
        """Give images that are registered already their ids and outcomes, the others new ids."""
        old = self._kept.old
        met = [key for key in batch.keys if key.file_id in old] if old else []
        registered = known.find_known(self._connection, met)
        given = [new.id for new in batch.images if new.id is not None]
        taken = known.find_images(self._connection, given) if given and not self._first else set()
        made = iter(make_ids(len(batch.images) - len(given)))
        fresh = set(given)
        if not registered and not taken and len(fresh) == len(given) and self._ids.isdisjoint(fresh):
            batch.ids = [next(made) if new.id is None else new.id for new in batch.images]
            batch.outcomes = [OutcomeKind.REGISTERED] * len(batch.ids)
            self._ids |= fresh
            return
        for row, (new, key) in enumerate(zip(batch.images, batch.keys, strict=True)):
            there = registered.get(key)
            if there is None:
                self._take_id(batch, row, new.id, taken, made)
                continue
            batch.ids.append(there)
            batch.outcomes.append(OutcomeKind.UPDATED if self._update_known else OutcomeKind.UNCHANGED)
            if new.id not in (None, there):
                path = batch.paths[row]
                msg = f"{path}: HDU {key.hdu} is registered as {there}, not as {new.id}"
                facts = {"path": path, "existing": there, "given": new.id}
                batch.problems.add(batch.numbers[row], ConflictError, msg, **facts)

    def _take_id(
        self, batch: Batch, row: int, given: UUID | None, taken: set[UUID], made: Iterator[UUID]
    ) -> None:
        """Give a new image its id, and note one that another image has."""
        if given is not None:
            if given in taken or given in self._ids:
                msg = f"{batch.paths[row]}: its id {given} is taken by another image; give another, or none"
                facts = {"path": batch.paths[row], "given": given}
                batch.problems.add(batch.numbers[row], ConflictError, msg, **facts)
            self._ids.add(given)
        batch.ids.append(given or next(made))
        batch.outcomes.append(OutcomeKind.REGISTERED)

    # Writing

    def _insert(self, batch: Batch) -> None:
        """Insert new images in the order of the sky, and then their parts.

        The order is the images' own, so that writers who offer the same ones cannot wait for each other.
        """
        fresh = batch.rows_with(OutcomeKind.REGISTERED)
        if not fresh:
            return
        met = [row for row in fresh if batch.keys[row].file_id in self._kept.old]
        if met:
            inserted = self._loader.insert_new(image, self._make_columns(batch, met), _KEY)
            if inserted < len(met):
                self._yield_to_winners(batch, met)
        # Nobody else can register an image of a file that only this transaction knows.
        alone = [row for row in fresh if batch.keys[row].file_id not in self._kept.old]
        if alone:
            self._loader.insert(image, self._make_columns(batch, alone))
        self._write_parts(batch, batch.rows_with(OutcomeKind.REGISTERED))

    def _yield_to_winners(self, batch: Batch, fresh: Sequence[int]) -> None:
        """Let images that another writer registered at the same moment have that writer's ids."""
        registered = known.find_known(self._connection, [batch.keys[row] for row in fresh])
        for row in fresh:
            there = registered.get(batch.keys[row])
            if there is None:
                msg = f"{batch.paths[row]}: another writer added and deleted it meanwhile; try again"
                raise RegistryUnavailableError(msg, path=batch.paths[row])
            if there != batch.ids[row]:
                batch.ids[row] = there
                batch.outcomes[row] = OutcomeKind.UPDATED if self._update_known else OutcomeKind.UNCHANGED

    def _make_columns(self, batch: Batch, rows: Sequence[int]) -> dict[str, Sequence[Any]]:
        """Give the values of images' rows, column by column."""
        provenance_ids, file_ids, hdus = zip(*(batch.keys[row] for row in rows), strict=True)
        facts = {name: batch.json.get(name) or batch.columns[name] for name in FACT_NAMES}
        given = {"id": batch.ids, **facts, "footprint": batch.footprints}
        return {
            **{name: [values[row] for row in rows] for name, values in given.items()},
            **dict(zip(_KEY, (provenance_ids, file_ids, hdus), strict=True)),
            "registered_at": [self._now] * len(rows),
        }

    def _write_parts(self, batch: Batch, rows: Sequence[int]) -> None:
        """Write planes, inputs and the spatial index of images."""
        if not rows:
            return
        self._loader.insert(plane, self._make_planes(batch, rows))
        inputs = [
            (batch.ids[row], number, id_)
            for row in rows
            for number, id_ in enumerate(batch.images[row].inputs)
        ]
        if inputs:
            columns = zip(*inputs, strict=True)
            self._loader.insert(image_input, dict(zip(INPUT_COLUMNS, columns, strict=True)))
        if batch.outlines is not None:
            self._spatial.index_footprints(self._connection, batch.ids, batch.outlines, rows)

    def _make_planes(self, batch: Batch, rows: Sequence[int]) -> dict[str, Sequence[Any]]:
        """Give the values of planes' rows, column by column."""
        files, ids = self._files, self._kept.ids
        planes = [
            (batch.ids[row], number, one.layout.name, ids[files[one.path].key], layout)
            for row in rows
            for number, (one, layout) in enumerate(
                zip(batch.images[row].planes, batch.layouts[row], strict=True)
            )
        ]
        return dict(zip(PLANE_COLUMNS, zip(*planes, strict=True), strict=True))

    def _replace(self, batch: Batch) -> None:
        """Write new facts over the rows of known images, and their parts anew."""
        rows = sorted(batch.rows_with(OutcomeKind.UPDATED), key=lambda row: batch.keys[row])
        if not rows:
            return
        values = {name: bindparam(name, type_=image.c[name].type) for name in (*FACT_NAMES, "footprint")}
        write = self._spatial.write_footprint
        given = [
            {
                "_id": batch.ids[row],
                "footprint": write(batch.footprints[row]),
                **{name: batch.columns[name][row] for name in FACT_NAMES},
                **{name: dict(batch.columns[name][row]) for name in JSON_FACTS},
            }
            for row in rows
        ]
        self._connection.execute(update(image).where(image.c.id == bindparam("_id")).values(values), given)
        for some in known.batches(batch.ids[row] for row in rows):
            for table in (plane, image_input):
                owner = table.c.image_id
                self._connection.execute(delete(table).where(known.is_any(self._connection, owner, some)))
        self._write_parts(batch, rows)
