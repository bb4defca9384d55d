"""Eight processes write overlapping lists while eight ask; another is killed in the middle of its work."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry

WRITERS = READERS = 8
IMAGES = 320
BATCH = 40
SEED = 11

# What each process runs: the images of some numbers, made in the same way by all.
COMMON = textwrap.dedent(
    """
    import random, sys, time
    from snapdb.model.file import FileRecord
    from snapdb.model.image import ImageFacts, NewImage, NewPlane
    from snapdb.model.layout import PlaneLayout
    from snapdb.model.provenance import Provenance
    from snapdb.model.search import CORNERS, make_search
    from snapdb.registry import Registry

    url, number = sys.argv[1], int(sys.argv[2])
    made_by = Provenance("many", 1, 0)
    layouts = [
        PlaneLayout(name=n, hdu=h, width=9, height=9, stored_dtype=">f4", dtype="float32", offset=2880)
        for h, n in enumerate(("data", "noise", "flags"))
    ]

    def make(n):
        ra, dec = (n * 7.3) % 360, (n % 120) - 60.0
        corners = {c: ra if c.startswith("ra") else dec for c in CORNERS}
        ring = tuple(((ra + x) % 360, dec + y) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
        facts = ImageFacts(width=9, height=9, ra=ra, dec=dec, band="r", mjd=float(n), **corners)
        planes = tuple(NewPlane(layout=layout, path=f"{n}.fits") for layout in layouts)
        return NewImage(facts=facts, footprint=ring, planes=planes, provenance_id=made_by.id)

    def files(numbers):
        return {
            f"{n}.fits": FileRecord(key=f"{n}.fits", size=1, mtime_ns=1, sha256=f"{n:064}", format="fits")
            for n in numbers
        }
    """
)
WRITER = COMMON + textwrap.dedent(
    f"""
    random.seed({SEED} + number)
    wanted = list(range({IMAGES}))
    random.shuffle(wanted)
    with Registry.open(url) as registry:
        for start in range(0, len(wanted), {BATCH}):
            some = wanted[start : start + {BATCH}]
            added = registry.add_images([make(n) for n in some], files(some))
            found = {{r.id: r.filepath for r in registry.find_images(make_search(id=[a.id for a in added]))}}
            assert [found[a.id] for a in added] == [f"{{n}}.fits" for n in some]
    """
)
READER = COMMON + textwrap.dedent(
    """
    most = asked = 0
    with Registry.open(url) as registry:
        print("ready", flush=True)
        while most < int(sys.argv[3]) and asked < 100_000:
            found = registry.find_images(make_search())
            assert len({r.filepath for r in found}) == len(found) >= most, "one was lost, or is there twice"
            planes = registry.get_planes([r.id for r in found])
            assert all(len(planes[r.id]) == 3 for r in found), "half an image is seen"
            one = random.randrange(int(sys.argv[3]))
            at = registry.find_images(make_search(ra=(one * 7.3) % 360, dec=(one % 120) - 60.0))
            assert len(at) == len({r.id for r in at})
            most, asked = len(found), asked + 1
    """
)
KILLED = COMMON + textwrap.dedent(
    """
    from snapdb.registry.adding import add

    def stop(*_):
        print("writing", flush=True)
        time.sleep(60)

    add._Adding._write_parts = stop  # in the middle: the images are written, their planes are not
    with Registry.open(url) as registry:
        registry.add_images([make(n) for n in range(1000, 1050)], files(range(1000, 1050)))
    """
)


def start(script: str, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    path = folder / f"{random.randrange(10**9)}.py"
    path.write_text(script)
    command = [sys.executable, str(path), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err


def test_overlapping_writers_and_readers(registry_url: str, tmp_path: Path) -> None:
    with Registry.open(registry_url) as registry:
        registry.add_provenance(Provenance("many", 1, 0))
    readers = [start(READER, tmp_path, registry_url, n, IMAGES) for n in range(READERS)]
    writers = [start(WRITER, tmp_path, registry_url, n) for n in range(WRITERS)]
    try:
        for process in (*writers, *readers):
            finish(process)
    finally:
        for process in (*writers, *readers):
            process.kill()
            process.wait()
    with Registry.open(registry_url) as registry:
        found = registry.find_images(make_search())
        assert sorted(r.filepath for r in found) == sorted(f"{n}.fits" for n in range(IMAGES))
        for n in range(0, IMAGES, 50):
            at = registry.find_images(make_search(ra=(n * 7.3) % 360, dec=(n % 120) - 60.0))
            assert f"{n}.fits" in {r.filepath for r in at}


def test_a_killed_writer_leaves_nothing(registry_url: str, tmp_path: Path) -> None:
    with Registry.open(registry_url) as registry:
        registry.add_provenance(Provenance("many", 1, 0))
        process = start(KILLED, tmp_path, registry_url, 0)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert registry.count_images(make_search()) == 0  # nobody sees what is not complete
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert registry.find_files(["1000.fits"]) == {}
        next_one = start(WRITER, tmp_path, registry_url, 0)
        finish(next_one)  # and nobody waits for the dead
        assert registry.count_images(make_search()) == IMAGES
        assert registry.count_images(make_search(mjd_min=1000)) == 0


@pytest.mark.postgis
@pytest.mark.parametrize("registry_url", ["postgis"], indirect=True)  # SQLite has one writer at a time
def test_a_transaction_that_another_undid_is_tried_again(
    registry_url: str, ingest: Provenance, make_image: Any, files_of: Any
) -> None:
    """Two files are locked by the two sides in opposite order; the server undoes one, and both end well."""
    images = [make_image(f"{n}.fits") for n in range(2)]
    files = files_of(*images)
    with Registry.open(registry_url) as registry:
        registry.add_provenance(ingest)
        plain = make_url(registry_url).set(drivername="postgresql").render_as_string(hide_password=False)
        values = "gen_random_uuid(), %s, 8640, 1600000000000000000, repeat('0', 64), 'fits', 'in_place'"
        insert = f"INSERT INTO file VALUES ({values})"
        with psycopg.connect(plain) as other, ThreadPoolExecutor(1) as pool:
            other.execute("SET deadlock_timeout = '10min'")  # the other side finds it
            other.execute(insert, ["store/1.fits"])
            waiting = pool.submit(registry.add_images, images, files)
            while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                time.sleep(0.01)
            other.execute(insert, ["store/0.fits"])
            other.commit()
            added = waiting.result()
        assert len({one.id for one in added}) == 2
        assert registry.count_images(make_search()) == 2
