"""Registering many images: snapdb beside the object-relational mapper's ``add_all``, in one run.

Both write the same rows (file, image, plane) into the same tables with all their constraints and indexes.
``SNAPDB_BENCH_IMAGES`` (1,000,000) images go through :meth:`Registry.add_images`, less the last half of
``SNAPDB_BENCH_ORM_IMAGES`` (20,000). The mapper writes these after them, and the first half into an empty
registry: its rate for the whole lies between the two.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, registry

from snapdb.model.image import FACT_NAMES, NewImage
from snapdb.model.search import make_search
from snapdb.registry import Registry
from snapdb.registry.ewkb import write_polygon
from snapdb.registry.ids import make_id
from snapdb.registry.tables import file, image, plane

pytestmark = [pytest.mark.benchmark, pytest.mark.postgis]

ORM_IMAGES = int(os.environ.get("SNAPDB_BENCH_ORM_IMAGES", "20000"))
BATCH = 2_000
"""Images that the mapper's session flushes at once."""
SAMPLE = 500


class FileRow:
    """A row of ``file``."""


class ImageRow:
    """A row of ``image``."""


class PlaneRow:
    """A row of ``plane``."""


mapper = registry()
for kind, table in ((FileRow, file), (ImageRow, image), (PlaneRow, plane)):
    mapper.map_imperatively(kind, table)


def make(row_type: type[Any], /, **values: Any) -> Any:
    row = row_type()
    for name, value in values.items():
        setattr(row, name, value)
    return row


def add_all(url: str, images: Sequence[NewImage], files: dict[str, Any]) -> None:
    """Write images as a user of the mapper would: objects, and one flush for some thousands."""
    engine = create_engine(url)
    now = datetime.now(UTC)
    with Session(engine) as session:
        for start in range(0, len(images), BATCH):
            for kind in (FileRow, ImageRow, PlaneRow):
                session.add_all(_rows_of(kind, images[start : start + BATCH], files, now))
                session.flush()
            session.expunge_all()
        session.commit()
    engine.dispose()


def _rows_of(kind: type[Any], images: Sequence[NewImage], files: dict[str, Any], now: datetime) -> list[Any]:
    if kind is FileRow:
        for new in images:
            files[new.planes[0].path + "#id"] = make_id()
    rows = []
    for new in images:
        path = new.planes[0].path
        record, file_id = files[path], files[path + "#id"]
        if kind is FileRow:
            names = ("key", "size", "mtime_ns", "sha256", "format", "state")
            rows.append(make(FileRow, id=file_id, **{n: getattr(record, n) for n in names}))
        elif kind is ImageRow:
            facts = {name: getattr(new.facts, name) for name in FACT_NAMES}
            outline = write_polygon(new.footprint).hex()
            keys = {"id": new.id, "provenance_id": new.provenance_id, "file_id": file_id, "hdu": 1}
            rows.append(make(ImageRow, **facts, **keys, footprint=outline, registered_at=now))
        else:
            layout = new.planes[0].layout.to_dict()
            rows.append(
                make(PlaneRow, image_id=new.id, number=0, name="data", file_id=file_id, layout=layout)
            )
    return rows


def test_registering_beside_the_mapper(databases: Any, roman_sky: Any, roman_provenances: Any) -> None:
    images, files = list(roman_sky.make_images()), roman_sky.make_files()
    half = ORM_IMAGES // 2
    most, first, last = images[:-half], images[:half], images[-half:]
    ours, theirs = databases.clone(), databases.clone()
    try:
        for url in (ours, theirs):
            with Registry.open(url) as opened:
                for provenance in roman_provenances:
                    opened.add_provenance(provenance)
        mapper = _time(lambda: add_all(theirs, first, dict(files)))
        with Registry.open(ours) as opened:
            spent = _time(lambda: opened.add_images(most, _files_of(most, files)))
        later = _time(lambda: add_all(ours, last, dict(files)))
        rate, peer = len(most) / spent, 2 * half / (mapper + later)
        sys.stdout.write(
            f"\n{len(most)} images: {rate:.0f} a second; add_all of {half} into an empty registry and after "
            f"them: {half / mapper:.0f} and {half / later:.0f} a second; {rate / peer:.1f} times\n"
        )
        _compare(ours, theirs, images, first)
    finally:
        for url in (ours, theirs):
            databases.drop(url)


def _time(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _files_of(images: Sequence[NewImage], files: dict[str, Any]) -> dict[str, Any]:
    return {path: files[path] for path in (new.planes[0].path for new in images)}


def _compare(ours: str, theirs: str, images: Sequence[NewImage], some: Sequence[NewImage]) -> None:
    """See that both have written the same."""
    with Registry.open(ours) as left, Registry.open(theirs) as right:
        assert left.count_images(make_search()) == len(images)
        assert right.count_images(make_search()) == len(some)
        ids = [new.id for new in some[:: max(1, len(some) // SAMPLE)] if new.id is not None]
        search = make_search(id=ids)
        assert left.find_images(search) == right.find_images(search)
        assert left.get_planes(ids) == right.get_planes(ids)
        assert [left.get_footprint(i) for i in ids] == [right.get_footprint(i) for i in ids]
