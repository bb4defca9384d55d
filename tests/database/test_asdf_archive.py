"""ASDF files in an archive, on both databases; the oracle is what the package asdf wrote."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from snapdb.archive.archive import Archive
from snapdb.archive.ingest import Ingest, IngestPlan
from snapdb.archive.report import IngestReport
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

asdf = pytest.importorskip("asdf")
pytest.importorskip("gwcs")
MADE_BY = Provenance("ingest", 1, 0)


def write(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    from astropy import coordinates, units
    from astropy.modeling import models
    from gwcs import WCS, coordinate_frames  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(30.0, -10.0, 180)
    scale = models.Scale(-3e-5) & models.Scale(3e-5)
    detector = coordinate_frames.Frame2D(name="detector", unit=(units.pix, units.pix))
    world = coordinate_frames.CelestialFrame(
        reference_frame=coordinates.ICRS(), name="w", unit=(units.deg, units.deg)
    )
    shift = models.Shift(-100.0) & models.Shift(-80.0)
    gwcs = WCS([(detector, shift | scale | sky), (world, None)])
    data = np.random.default_rng(5).normal(size=(160, 200)).astype(np.float32)
    instrument = {"name": "WFI", "detector": "WFI03", "optical_element": "F087"}
    meta = {"telescope": "ROMAN", "wcs": gwcs, "instrument": instrument}
    tree = {"roman": {"meta": meta, "data": data, "err": np.abs(data) + 1}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asdf.AsdfFile(tree).write_to(path, **options)
    return data


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_found_and_cut_like_any_other(registry: Registry, tmp_path: Path, compression: str | None) -> None:
    data = write(tmp_path / "wfi03.asdf", all_array_compression=compression)
    registry.add_provenance(MADE_BY)
    archive = Archive(registry, LocalStore(tmp_path / "store"))
    report = Ingest(registry, archive.store, IngestPlan(provenance_id=MADE_BY.id), IngestReport()).run(
        [tmp_path / "wfi03.asdf"]
    )
    assert not report.refused
    (image,) = archive.find_images(ra=30.0, dec=-10.0)
    assert (image.band, image.sca, image.width, image.height) == ("F087", 3, 200, 160)
    (cutout,) = archive.cutouts(30.0, -10.0, 21)
    np.testing.assert_array_equal(cutout.data, data[70:91, 90:111])
    np.testing.assert_array_equal(cutout.noise, np.abs(data[70:91, 90:111]) + 1)
    archive.export(tmp_path / "o.ecsv")
    (row,) = Table.read(tmp_path / "o.ecsv")  # oracle: what was written into the tree
    names = (row["facility_name"], row["instrument_name"], row["obs_collection"], row["access_format"])
    assert names == ("ROMAN", "WFI", "ROMAN/WFI", "application/x-asdf")
    assert not archive.find_images(ra=30.01, dec=-10.0)


def test_a_remote_file_is_read_by_ranges(registry: Registry, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    from snapdb.storage.remote import close_connections
    from snapdb.testing.range_server import RangeServer

    (tmp_path / "served").mkdir()
    data = write(tmp_path / "served" / "wfi03.asdf")
    archive = Archive(registry, LocalStore(tmp_path / "store"))
    with RangeServer(tmp_path / "served") as server:
        report = archive.ingest(server.url_of("wfi03.asdf"))
        assert not report.refused
        (cutout,) = archive.cutouts(30.0, -10.0, 21)
        np.testing.assert_array_equal(cutout.data, data[70:91, 90:111])
        (image,) = archive.find_images()
        assert image.header["ROMAN.META.INSTRUMENT.DETECTOR"] == "WFI03"
        close_connections()
