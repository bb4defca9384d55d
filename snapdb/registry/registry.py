"""The registry as the rest of snapdb sees it."""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from snapdb.errors import NotFoundError, RegistryUnavailableError
from snapdb.model.file import FileRecord
from snapdb.model.image import ImageRecord, NewImage, PlaneRecord
from snapdb.model.search import Bound, Search, make_search
from snapdb.registry import files as file_rows
from snapdb.registry import reads, writes
from snapdb.registry.adding.add import AddedImage, add_images
from snapdb.registry.errors import was_in_the_way
from snapdb.registry.ewkb import Vertices
from snapdb.registry.footprints import FootprintBlock, read_footprints
from snapdb.registry.lineage import Lineage
from snapdb.registry.measurements import Measurements
from snapdb.registry.queries import make_statement
from snapdb.registry.records import make_records
from snapdb.registry.resolve import resolve

_ATTEMPTS = 5
"""How often images are offered that another writer's transaction undoes."""


class Registry(Lineage, Measurements):
    """What images there are, where they lie, and what made them.

    Open one with :meth:`open`; use it from any number of threads. Each method is
    one transaction: it happens as a whole or not at all. Whatever the database
    raises comes out as an error of :mod:`snapdb.errors`: besides those that a
    method names, any may raise RegistryClosedError and RegistryUnavailableError.
    """

    # Images

    def add_images(
        self, images: Iterable[NewImage], files: Mapping[str, FileRecord], *, update: bool = False
    ) -> list[AddedImage]:
        """Register images, all of them or none; doing it twice changes nothing.

        Everything that is wrong is found before anything is kept: the error's ``rows`` lists
        (row, reason), the rows of `images` being counted from 0.

        Parameters
        ----------
        images : iterable of NewImage
            Each is known by its provenance, the file of its data, and the HDU. Any number:
            a hundred thousand at a time are held as columns, and written in the order of the sky.
        files : mapping of str to FileRecord
            The files that the planes lie in, by the planes' paths.
        update : bool
            Whether images that are registered already get the new facts, planes
            and footprint, under the same id, and files their new checksums.

        Returns
        -------
        list of AddedImage
            In the order of `images`.

        Raises
        ------
        ConflictError
            If a file has other bytes than when it was registered, or an id is taken.
        NotFoundError
            If a provenance is not registered.
        UsageError
            If a value cannot be stored, or a plane's file is not given.
        """
        self._check_open()
        if isinstance(images, Sequence) and not images:
            return []
        attempts = _ATTEMPTS if isinstance(images, Sequence) else 1
        while True:
            attempts -= 1
            try:
                with self._transaction(writes=True) as connection:
                    return add_images(connection, self._spatial, images, files, update_known=update)
            except RegistryUnavailableError as err:
                if attempts == 0 or not was_in_the_way(err):
                    raise

    def get_image(self, id: UUID) -> ImageRecord:  # noqa: A002  # what every record calls it
        """Read one image.

        Raises
        ------
        NotFoundError
            If there is none of this id.
        """
        found = self.find_images(make_search(id=id))
        if not found:
            msg = f"no image {id} is registered"
            raise NotFoundError(msg, image_id=id)
        return found[0]

    def find_images(self, search: Search) -> list[ImageRecord]:
        """Find images, in the order that the search asks for.

        Parameters
        ----------
        search : Search
            From :func:`snapdb.model.search.make_search`.

        Returns
        -------
        list of ImageRecord
            Without footprints; see :meth:`get_footprint`.
        """
        if search.is_empty:
            self._check_open()
            return []
        search = resolve(search, self.dialect, self._fetch)
        if search.is_empty:
            return []
        return make_records(self._fetch(make_statement(search, self.dialect)), self.dialect)

    def find_nearest_in_time(self, search: Search, mjd: float) -> list[ImageRecord]:
        """Find the images begun nearest to a time: two walks along the index, one each way.

        Parameters
        ----------
        search : Search
            Which images, and in `limit` how many.
        mjd : float
            Days, UTC.

        Returns
        -------
        list of ImageRecord
            The nearest first; of two as near, the earlier.
        """
        least, greatest = search.ranges.get("mjd", (None, None))
        sides: list[Search] = []
        bound: Bound
        if greatest is None or greatest >= mjd:
            bound = (mjd if least is None else max(least, mjd), greatest)
            sides.append(replace(search, ranges={**search.ranges, "mjd": bound}, order_by=(("mjd", False),)))
        if least is None or least < mjd:
            below = math.nextafter(mjd, -math.inf)
            bound = (least, below if greatest is None else min(greatest, below))
            sides.append(replace(search, ranges={**search.ranges, "mjd": bound}, order_by=(("mjd", True),)))
        found = [record for side in sides for record in self.find_images(side)]
        found.sort(key=lambda r: (abs((r.mjd or 0.0) - mjd), r.mjd, r.id))
        return found[: search.limit]

    def count_images(self, search: Search) -> int:
        """Count the images that :meth:`find_images` would give."""
        if search.is_empty:
            self._check_open()
            return 0
        search = resolve(search, self.dialect, self._fetch)
        if search.is_empty:
            return 0
        return int(self._fetch(make_statement(search, self.dialect, counting=True))[0][0])

    def iter_images(self, search: Search, *, batch: int = 10_000) -> Generator[ImageRecord, None, None]:
        """Find images one by one, in bounded memory.

        Parameters
        ----------
        search : Search
            From :func:`snapdb.model.search.make_search`.
        batch : int
            How many are fetched at once.

        Yields
        ------
        ImageRecord
            In the order that the search asks for.
        """
        self._check_open()
        search = resolve(search, self.dialect, self._fetch)
        if search.is_empty:
            return
        statement = make_statement(search, self.dialect)
        with self._transaction() as connection:
            driver: Any = connection.connection.driver_connection
            cursor = driver.cursor("snapdb", binary=True) if self.dialect == "postgresql" else driver.cursor()
            try:
                cursor.execute(statement.sql, statement.values)
                while rows := cursor.fetchmany(batch):
                    yield from make_records(rows, self.dialect)
            finally:
                cursor.close()

    def iter_footprints(
        self, search: Search, *, batch: int = 500_000
    ) -> Generator[FootprintBlock, None, None]:
        """Find images by their footprints alone, many at once, in bounded memory.

        Parameters
        ----------
        search : Search
            From :func:`snapdb.model.search.make_search`.
        batch : int
            Most footprints in a block.

        Yields
        ------
        FootprintBlock
            Ids, bands, times, and footprints cut into convex pieces.
        """
        self._check_open()
        search = resolve(search, self.dialect, self._fetch)
        if search.is_empty:
            return
        with self._transaction() as connection:
            yield from read_footprints(connection, self.dialect, search, batch)

    def get_planes(self, image_ids: Sequence[UUID]) -> dict[UUID, tuple[PlaneRecord, ...]]:
        """Read the planes of images.

        Parameters
        ----------
        image_ids : sequence of UUID
            Which images.

        Returns
        -------
        dict
            Image -> its planes, ``data`` first; unknown images are left out.
        """
        if len(image_ids) == 1:
            rows = self._fetch(reads.make_planes_statement(image_ids[0], self.dialect))
            return {image_ids[0]: reads.make_planes(rows)} if rows else {}
        with self._transaction() as connection:
            return reads.read_planes(connection, image_ids)

    def get_footprint(self, image_id: UUID) -> Vertices:
        """Read the vertices (ra, dec) of an image's outline, in ring order, open.

        Raises
        ------
        NotFoundError
            If there is no such image.
        """
        found = self.get_footprints([image_id])
        if not found:
            msg = f"no image {image_id} is registered"
            raise NotFoundError(msg, image_id=image_id)
        return found[image_id]

    def get_footprints(self, ids: Sequence[UUID]) -> dict[UUID, Vertices]:
        """Read the outlines of images, as :meth:`get_footprint`; unknown images are left out."""
        with self._transaction() as connection:
            return self._spatial.read_footprints(connection, ids)

    def get_inputs(self, image_id: UUID) -> tuple[UUID, ...]:
        """Read the ids of the images that an image was made from; none for one that was not."""
        with self._transaction() as connection:
            return reads.read_inputs(connection, image_id)

    def get_input_edges(self, image_id: UUID) -> list[tuple[UUID, UUID]]:
        """Read (image, input) of an image and of all that it was made from, in the order given."""
        with self._transaction() as connection:
            return reads.read_input_edges(connection, image_id)

    def get_product_edges(self, image_id: UUID) -> list[tuple[UUID, UUID]]:
        """Read (image, product) of an image and of all that was made from it, by the products' ids."""
        with self._transaction() as connection:
            return reads.read_product_edges(connection, image_id)

    def find_products(self, image_id: UUID) -> list[UUID]:
        """Find the ids of all images that were made from one, directly or not."""
        with self._transaction() as connection:
            return reads.read_products(connection, image_id)

    def delete_images(self, ids: Sequence[UUID]) -> int:
        """Take images out, and give how many there were; files stay where they are.

        Raises
        ------
        ConflictError
            If another image was made from one of them.
        """
        with self._transaction(writes=True) as connection:
            return writes.delete_images(connection, ids)

    def values(self, column: str) -> list[Any]:
        """Read the distinct values of a column, such as all bands, sorted.

        Raises
        ------
        SearchError
            If there is no such column.
        """
        with self._transaction() as connection:
            return reads.read_values(connection, column)

    # Files

    def find_files(self, keys: Sequence[str]) -> dict[str, tuple[FileRecord, tuple[UUID, ...]]]:
        """Find what is known of files.

        Parameters
        ----------
        keys : sequence of str
            Of the store.

        Returns
        -------
        dict
            Key -> (record, ids of the images with planes in it); unknown files are
            left out.
        """
        with self._transaction() as connection:
            known = file_rows.find_files(connection, keys)
            ids = [record.id for record in known.values() if record.id is not None]
            images = file_rows.find_images_in(connection, ids)
        return {key: (record, images[record.id]) for key, record in known.items() if record.id is not None}

    def iter_files(self, *, batch: int = 100) -> Iterator[list[FileRecord]]:
        """Give all files that are known, some at a time, each time as the registry is then.

        Parameters
        ----------
        batch : int
            How many at a time.

        Yields
        ------
        list of FileRecord
            In the order in which they were registered, about.
        """
        after: UUID | None = None
        while True:
            with self._transaction() as connection:
                found = file_rows.list_files(connection, after, batch)
            if not found:
                return
            yield found
            after = found[-1].id

    def count_files(self) -> int:
        """Count the files that are known."""
        with self._transaction() as connection:
            return file_rows.count_files(connection)

    def refresh_file(self, key: str, *, size: int, mtime_ns: int, sha256: str) -> None:
        """Take note of a file's new size, time and checksum.

        Raises
        ------
        NotFoundError
            If no such file is registered.
        """
        with self._transaction(writes=True) as connection:
            file_rows.refresh_file(connection, key, size=size, mtime_ns=mtime_ns, sha256=sha256)
