"""Registering many images: snapdb beside the object-relational mapper's ``add_all``, in one run.

Both write the same rows (file, image, plane) into the same tables with all their constraints and indexes.
``SNAPDB_BENCH_IMAGES`` (1,000,000) images go through :meth:`Registry.add_images`; the mapper writes
``SNAPDB_BENCH_ORM_IMAGES`` (20,000), its rate being the same for more.
"""

import os
import sys
import time
from collections.abc import Sequence
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
    rates = {}
    urls = {"snapdb": databases.clone(), "mapper": databases.clone()}
    try:
        for url in urls.values():
            with Registry.open(url) as opened:
                for provenance in roman_provenances:
                    opened.add_provenance(provenance)
        started = time.perf_counter()
        with Registry.open(urls["snapdb"]) as opened:
            opened.add_images(images, files)
        rates["snapdb"] = len(images) / (time.perf_counter() - started)
        some = images[:ORM_IMAGES]
        started = time.perf_counter()
        add_all(urls["mapper"], some, dict(files))
        rates["mapper"] = len(some) / (time.perf_counter() - started)
        ratio = rates["snapdb"] / rates["mapper"]
        sys.stdout.write(
            f"\n{len(images)} images: {rates['snapdb']:.0f} a second; add_all of {len(some)}: "
            f"{rates['mapper']:.0f} a second; {ratio:.1f} times\n"
        )
        with Registry.open(urls["snapdb"]) as ours, Registry.open(urls["mapper"]) as theirs:
            assert ours.count_images(make_search()) == len(images)
            assert theirs.count_images(make_search()) == len(some)
            ids = [new.id for new in some[:: max(1, len(some) // SAMPLE)]]
            search = make_search(id=ids)
            assert ours.find_images(search) == theirs.find_images(search)
            assert ours.get_planes(ids) == theirs.get_planes(ids)
            assert [ours.get_footprint(i) for i in ids] == [theirs.get_footprint(i) for i in ids]
    finally:
        for url in urls.values():
            databases.drop(url)
