"""ObsCore rows of what a registry holds, on both databases, a block at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
import pytest

from snapdb.archive.archive import Archive
from snapdb.archive.moving import exporting, obscore
from snapdb.archive.moving.exporting import export
from snapdb.archive.moving.obscore import Publisher
from snapdb.errors import ObjectExistsError, SearchError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

COUNT, BLOCK = 2_000, 300


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., Any],
    ingest: Provenance,
) -> Archive:
    """An archive of many images all over the sky; their files are not there, and nobody asks for them."""
    random = np.random.default_rng(5)
    ra, dec = random.uniform(0, 360, COUNT), np.degrees(np.arcsin(random.uniform(-0.99, 0.99, COUNT)))
    images = [
        make_image(f"f{n}.fits", ra=r, dec=d, mjd=60000.0 + n, exptime=30.0, band="gri"[n % 3])
        for n, (r, d) in enumerate(zip(ra.tolist(), dec.tolist(), strict=True))
    ]
    module_registry.add_provenance(ingest)
    module_registry.add_images(images, files_of(*images))
    return Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store")))


def test_every_image_is_exported_once_a_block_at_a_time(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_BLOCK", BLOCK)
    held: list[int] = []
    made = obscore.make_rows

    def make_rows(*arguments: Any) -> Any:
        rows = made(*arguments)
        held.append(len(rows))
        return rows

    monkeypatch.setattr(exporting, "make_rows", make_rows)
    target = tmp_path / "all.parquet"
    assert export(archive, target) == COUNT
    assert max(held) == BLOCK
    assert sum(held) == COUNT
    file = pq.ParquetFile(target)
    assert file.num_row_groups == -(-COUNT // BLOCK)
    rows = file.read().to_pylist()
    records = {f"ivo://snapdb.local/images?{r.id}": r for r in archive.find_records()}
    assert {row["obs_publisher_did"] for row in rows} == set(records)
    for row in rows[:: COUNT // 20]:
        record = records[row["obs_publisher_did"]]
        numbers = [float(text) for text in row["s_region"].split()[2:]]
        ring = list(zip(numbers[::2], numbers[1::2], strict=True))
        assert sorted(ring) == sorted(archive.registry.get_footprint(record.id))
        assert (row["s_ra"], row["s_dec"], row["t_min"]) == (record.ra, record.dec, record.mjd)
        assert row["t_max"] == pytest.approx(row["t_min"] + 30.0 / 86400.0, abs=1e-10)
        assert row["access_url"] == archive.store.path_of(record.filepath).as_uri()
        assert row["access_estsize"] == 9  # of 8640 bytes


def test_searches_choose_and_order_what_is_exported(archive: Archive, tmp_path: Path) -> None:
    target = tmp_path / "some.csv"
    asked: dict[str, Any] = {"band": "g", "mjd_min": 60100.0, "order_by": "-mjd", "limit": 7}
    assert export(archive, target, publisher=Publisher(authority="org.example"), **asked) == 7
    ids = [line.split(",")[4] for line in target.read_text().splitlines()[1:]]
    assert ids == [f"ivo://org.example?{r.id}" for r in archive.find_records(**asked)]
    assert export(archive, tmp_path / "none.vot", band="nothing") == 0


def test_nothing_is_written_where_a_call_is_wrong(archive: Archive, tmp_path: Path) -> None:
    target = tmp_path / "o.csv"
    with pytest.raises(SearchError):
        export(archive, target, wavelength=3)
    with pytest.raises(UsageError, match="not known by its name"):
        export(archive, tmp_path / "o.fits")
    assert list(tmp_path.iterdir()) == []
    target.write_text("precious")
    with pytest.raises(ObjectExistsError):
        export(archive, target)
    assert target.read_text() == "precious"
    assert export(archive, target, overwrite=True, limit=1) == 1
