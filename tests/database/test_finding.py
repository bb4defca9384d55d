"""What an archive's searches hand out: images, tables of them, epochs, the nearest in time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astropy.time import Time
from pyarrow import parquet

from snapdb.archive.archive import Archive
from snapdb.archive.columns import UNITS
from snapdb.archive.image import Image
from snapdb.errors import SearchError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Archive:
    """An archive of thirty images about two positions, in three bands and none."""
    images = [
        make_image(
            f"{n:02}.fits",
            ra=10.0 + 40.0 * (n % 2),
            band=("r", "g", None)[n % 3],
            mjd=None if n == 7 else 60010.0 - n,
            exptime=30.0 if n % 2 else None,
            sca=n if n % 4 else None,
        )
        for n in range(30)
    ]
    module_registry.add_provenance(ingest)
    module_registry.add_images(images, files_of(*images))
    return Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store")))


def test_epochs_are_grouped_by_band_and_sorted_by_time(archive: Archive) -> None:
    epochs = archive.find_epochs(10.0, 20.0)
    assert list(epochs) == ["g", "r", None]
    assert sum(map(len, epochs.values())) == archive.count_images(ra=10.0, dec=20.0) == 15
    for band, images in epochs.items():
        assert {image.band for image in images} == {band}
        times = [image.mjd for image in images if image.mjd is not None]
        assert times == sorted(times)
    assert list(archive.find_epochs(10.0, 20.0, band="g")) == ["g"]
    assert archive.find_epochs(200.0, 20.0) == {}


def test_the_nearest_in_time_by_any_kind_of_date(archive: Archive) -> None:
    time = Time(60004.6, format="mjd", scale="utc")
    for given in (60004.6, time, time.isot, time.to_datetime()):
        found = archive.find_nearest_in_time(given, limit=3)
        assert [image.mjd for image in found] == [60005.0, 60004.0, 60006.0]
    assert [i.mjd for i in archive.find_nearest_in_time(60004.6, band="g", ra=50.0, dec=20.0)] == [60009.0]
    assert archive.find_nearest_in_time(60004.6, limit=0) == []
    with pytest.raises(SearchError, match="order_by was given"):
        archive.find_nearest_in_time(60004.6, order_by="ra")


def test_pages_may_follow_an_image_a_record_or_an_id(archive: Archive) -> None:
    whole = archive.find_images(order_by=["band", "-mjd"])
    for after in (whole[11], whole[11].record, whole[11].id, str(whole[11].id)):
        page = archive.find_images(order_by=["band", "-mjd"], after=after, limit=5)
        assert [image.id for image in page] == [image.id for image in whole[12:17]]


def test_images_come_one_by_one_too(archive: Archive) -> None:
    found = list(archive.iter_images(order_by="mjd"))
    assert [image.id for image in found] == [image.id for image in archive.find_images(order_by="mjd")]
    assert all(isinstance(image, Image) for image in found)


def value_of(image: Image, name: str) -> Any:
    value = getattr(image.record, name)
    return str(value) if name in ("id", "provenance_id") else value


def test_tables_hold_what_the_images_know(archive: Archive) -> None:
    images = archive.find_images(order_by="filepath")
    table, frame, arrow = images.to_table(), images.to_pandas(), images.to_arrow()
    assert table.colnames == list(frame.columns) == arrow.column_names == list(UNITS)
    assert archive.find_table(order_by="filepath").values_equal(table)
    for name in UNITS:
        expected = [value_of(image, name) for image in images]
        mask = np.ma.getmaskarray(table[name])
        assert [None if m else v for m, v in zip(mask, table[name].tolist(), strict=True)] == expected
        assert arrow[name].to_pylist() == expected
        assert [None if pd.isna(v) else v for v in frame[name]] == expected
    assert str(table["pixel_scale"].unit) == "arcsec / pix"
    assert arrow.schema.field("exptime").metadata == {b"unit": b"s"}


def test_some_of_the_images_are_a_table_too(archive: Archive) -> None:
    images = archive.find_images(order_by="filepath")
    assert isinstance(images[0], Image)
    assert images[1:].to_table().values_equal(images.to_table()[1:])
    assert images[::-1].to_table()["id"].tolist() == [str(image.id) for image in reversed(images)]


def test_a_table_of_nothing_has_its_columns(archive: Archive) -> None:
    none = archive.find_images(band="nowhere")
    assert len(none.to_table()) == len(none.to_pandas()) == none.to_arrow().num_rows == 0
    assert none.to_table().colnames == list(UNITS)


@pytest.mark.parametrize("suffix", ["parquet", "ecsv", "csv", "fits", "vot"])
def test_listings_are_written_by_suffix(archive: Archive, tmp_path: Path, suffix: str) -> None:
    images = archive.find_images(order_by="filepath")
    path = tmp_path / f"found.{suffix}"
    assert images.write(path) == 30
    if suffix == "parquet":
        mjd = parquet.read_table(path)["mjd"].to_pylist()
    elif suffix == "vot":
        mjd = parse_single_table(path).to_table()["mjd"].tolist()
    else:
        mjd = Table.read(path)["mjd"].tolist()
    assert [image.mjd for image in images if image.mjd is not None] == [
        v for v in mjd if isinstance(v, float) and v == v
    ]
    with pytest.raises(FileExistsError):
        images.write(path)
    images.write(path, overwrite=True)


def test_an_unknown_suffix_is_refused(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected \.parquet, \.ecsv"):
        archive.find_images().write(tmp_path / "found.txt")
