"""Coverage of an archive on both databases.

Oracles: for depths, the archive's own search at the centre of one cell after another (which has winding
numbers as its own, tests/contracts/test_spatial.py), cells and centres from astropy-healpix, an
independent implementation; for areas, the closed form of a spherical polygon's.
"""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from snapdb.archive.archive import Archive
from snapdb.archive.coverage.counting import compute_depth
from snapdb.archive.coverage.depth import DepthMap
from snapdb.archive.coverage.moc import compute_moc, format_moc, write_moc
from snapdb.errors import ObjectExistsError, SearchError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

mocpy = pytest.importorskip("mocpy")
astropy_healpix = pytest.importorskip("astropy_healpix")

Ring = tuple[tuple[float, float], ...]

PLACES: dict[str, Ring] = {
    "seam": ((359.4, -0.5), (0.6, -0.5), (0.6, 0.5), (359.4, 0.5)),
    "north": ((10.0, 89.0), (100.0, 88.5), (190.0, 89.0), (280.0, 89.0)),
    "south": ((0.0, -89.0), (270.0, -89.0), (180.0, -89.0), (90.0, -89.0)),
    "ell": ((50.0, 0.0), (52.0, 0.0), (52.0, 1.0), (51.0, 1.0), (51.0, 2.0), (50.0, 2.0)),
    "five": ((60.0, 0.0), (62.0, 0.0), (63.0, 1.0), (61.0, 2.5), (59.5, 1.0)),
    "beside": ((61.0, 0.5), (63.0, 0.5), (63.0, 2.0), (61.0, 2.0)),
    "arrow": ((200.0, 40.0), (203.0, 39.0), (201.0, 40.5), (203.0, 42.0)),
}
EPOCHS = {"seam": 4, "north": 2, "south": 1, "ell": 3, "five": 5, "beside": 2, "arrow": 1}
BANDS = ("r", "i", None)


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Archive]:
    """An archive of images whose files nobody asks for."""
    module_registry.add_provenance(ingest)
    images = [
        make_image(
            f"{name}{n}.fits",
            ra=PLACES[name][0][0],
            dec=PLACES[name][0][1],
            footprint=PLACES[name],
            band=BANDS[n % 3],
            exptime=30.0 + n if n != 2 else None,
            mjd=60000.0 + n,
        )
        for name, count in EPOCHS.items()
        for n in range(count)
    ]
    module_registry.add_images(images, files_of(*images))
    with Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store"))) as made:
        yield made


def all_cells(order: int) -> tuple[Any, Any]:
    """Centres of all cells of the sky, degrees, in the nested order."""
    grid = astropy_healpix.HEALPix(nside=2**order, order="nested")
    lon, lat = grid.healpix_to_lonlat(np.arange(grid.npix))
    return lon.to_value("deg"), lat.to_value("deg")


def near_any(ra: Any, dec: Any, reach: float) -> Any:
    """Cells near a vertex: only these are worth a search."""
    near = np.zeros(len(ra), dtype=bool)
    for ring in PLACES.values():
        for lon, lat in ring:
            cosine = np.sin(np.radians(dec)) * np.sin(np.radians(lat)) + np.cos(np.radians(dec)) * np.cos(
                np.radians(lat)
            ) * np.cos(np.radians(ra - lon))
            near |= cosine > np.cos(np.radians(reach))
    return np.flatnonzero(near)


@pytest.mark.parametrize("criteria", [{}, {"band": "r", "mjd_min": 60001}, {"order_by": "-mjd", "limit": 4}])
def test_depth_is_what_single_searches_count(archive: Archive, criteria: dict[str, Any]) -> None:
    depth = compute_depth(archive, order=7, **criteria)
    ids = {record.id for record in archive.iter_records(**criteria)}
    ra, dec = all_cells(7)
    wanted: dict[int, dict[str | None, int]] = {}
    for cell in near_any(ra, dec, 3.5).tolist():
        for record in archive.find_records(ra=float(ra[cell]), dec=float(dec[cell])):
            if record.id in ids:
                bands = wanted.setdefault(cell, {})
                bands[record.band] = bands.get(record.band, 0) + 1
    assert len(wanted) > 4
    assert depth.cells.tolist() == sorted(wanted)
    found = {
        cell: {band: int(n) for band, n in zip(depth.bands, column, strict=True) if n}
        for cell, column in zip(depth.cells.tolist(), depth.values.T.tolist(), strict=True)
    }
    assert found == wanted
    assert depth.images == len(ids)


def test_no_cell_outside_what_was_looked_at_is_left_out(archive: Archive) -> None:
    """At an order where every cell can be asked, by `match`, over the whole sky."""
    ra, dec = all_cells(6)
    table = archive.match((ra, dec)).to_table()
    counts = np.bincount(table["row"], minlength=len(ra))
    depth = compute_depth(archive, order=6)
    assert depth.cells.tolist() == np.flatnonzero(counts).tolist()
    assert depth.total.tolist() == counts[counts > 0].tolist()


def test_seconds_are_added_up_and_images_without_are_told(archive: Archive) -> None:
    depth = compute_depth(archive, order=7, quantity="exptime")
    assert depth.bands == ("i", "r", None)
    at = depth.at([0.0, 51.0, 120.0], [0.0, 0.6, -50.0])
    # seam: epochs 0 and 3 are r, 1 is i, 2 has no time; ell: 0 is r, 1 is i, 2 has no time
    assert at.tolist() == [[31.0, 31.0, 0.0], [63.0, 30.0, 0.0], [0.0, 0.0, 0.0]]
    assert depth.left_out == 3
    assert archive.count_images(exptime_min=0) == depth.images - 3


def test_default_cells_are_well_below_a_footprint(archive: Archive) -> None:
    depth = compute_depth(archive)
    assert depth.missed == 0
    area = depth.area / len(depth)
    assert 0.0005 < area < 0.06  # of footprints of 1.2, 2 and 3 square degrees
    assert compute_depth(archive, band="nothing").images == 0


def test_images_between_the_centres_are_told(archive: Archive) -> None:
    depth = compute_depth(archive, order=0)
    assert depth.images == sum(EPOCHS.values())
    ra, dec = all_cells(0)
    seen = {
        r.id for a, d in zip(ra, dec, strict=True) for r in archive.find_records(ra=float(a), dec=float(d))
    }
    assert depth.missed == depth.images - len(seen)


def ring_area(ring: Ring) -> float:
    """Area of a spherical polygon, square degrees: the angles' excess, from l'Huilier's triangles."""
    from snapdb.sky.vectors import to_vectors

    v = to_vectors(*np.array(ring).T)
    total = 0.0
    for n in range(1, len(v) - 1):
        a, b, c = v[0], v[n], v[n + 1]
        total += 2.0 * np.arctan2(np.dot(a, np.cross(b, c)), 1.0 + a @ b + b @ c + c @ a)
    return float(abs(total) * np.degrees(1.0) ** 2)


@pytest.mark.parametrize("name", ["seam", "north", "south", "ell", "arrow"])
def test_moc_covers_each_kind_of_footprint(archive: Archive, name: str) -> None:
    files = [r.filepath for r in archive.iter_records() if name in r.filepath]
    moc = compute_moc(archive, max_order=12, filepath=files)
    area = moc.sky_fraction * 360.0**2 / np.pi
    wanted = ring_area(PLACES[name])
    # Cells that the outline crosses are in it: at most two cells' width (0.86 arcmin) about 12 degrees of it.
    assert wanted < area < wanted + 0.35


def test_moc_holds_what_depth_holds_and_no_more_than_its_neighbours(archive: Archive) -> None:
    moc, depth = compute_moc(archive, max_order=9), compute_depth(archive, order=12)
    flat = set(moc.flatten().tolist())
    touched = np.unique(depth.cells >> 6)  # by one of 64 centres in each
    assert set(touched.tolist()) <= flat
    grid = astropy_healpix.HEALPix(nside=2**9, order="nested")
    around = set(grid.neighbours(touched).ravel().tolist()) | set(touched.tolist())
    assert flat <= around
    assert len(flat) < 1.1 * len(touched)


@pytest.mark.parametrize("suffix", [".fits", ".json", ".txt"])
def test_moc_files_are_read_back(archive: Archive, tmp_path: Path, suffix: str) -> None:
    moc = compute_moc(archive, max_order=8)
    path = tmp_path / f"m{suffix}"
    write_moc(moc, path)
    form = {".fits": "fits", ".json": "json", ".txt": "ascii"}[suffix]
    assert mocpy.MOC.load(path, form) == moc
    if suffix == ".fits":
        with fits.open(path, checksum=True) as hdus:
            header, uniq = hdus[1].header, np.asarray(hdus[1].data.field(0), dtype=np.int64)
        assert (header["MOCVERS"], header["ORDERING"], header["COORDSYS"]) == ("2.0", "NUNIQ", "C")
        orders = (np.log2(uniq / 4).astype(int)) // 2  # IVOA MOC 2.0, section 4.3.2
        assert np.sum(1.0 / (12.0 * 4.0**orders)) == pytest.approx(moc.sky_fraction, rel=1e-12)
    if suffix == ".json":
        cells = json.loads(path.read_text())
        assert sum(len(c) / (12 * 4 ** int(o)) for o, c in cells.items()) == pytest.approx(moc.sky_fraction)
    with pytest.raises(ObjectExistsError):
        write_moc(moc, path)
    with pytest.raises(UsageError, match=r"\.fits, \.json, \.txt"):
        write_moc(moc, tmp_path / "m.png")


def test_depth_file_is_what_other_readers_expect(archive: Archive, tmp_path: Path) -> None:
    depth = compute_depth(archive, order=8)
    path = tmp_path / "depth.fits"
    depth.write(path)
    header = fits.getheader(path, 1)
    assert {k: header[k] for k in ("PIXTYPE", "ORDERING", "NSIDE", "INDXSCHM", "OBJECT", "COORDSYS")} == {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED",
        "NSIDE": 256,
        "INDXSCHM": "EXPLICIT",
        "OBJECT": "PARTIAL",
        "COORDSYS": "C",
    }
    table = Table.read(path, hdu=1)
    assert table.colnames == ["PIXEL", "i", "r", "unknown"]
    grid = astropy_healpix.HEALPix(nside=header["NSIDE"], order="nested")
    lon, lat = (c.to_value("deg") for c in grid.healpix_to_lonlat(np.asarray(table["PIXEL"])))
    rows = np.random.default_rng(4).choice(len(table), 60, replace=False)
    for n in rows.tolist():
        epochs = archive.find_epochs(float(lon[n]), float(lat[n]))
        wanted = [len(epochs.get(band, ())) for band in ("i", "r", None)]
        assert [table[c][n] for c in ("i", "r", "unknown")] == wanted
    again = DepthMap.read(path)
    assert again.bands == depth.bands
    assert np.array_equal(again.values, depth.values)
    assert np.array_equal(again.cells, depth.cells)
    assert (again.images, again.missed, again.order, again.quantity) == (
        depth.images,
        depth.missed,
        8,
        "epochs",
    )


def test_nothing_found_is_an_empty_map(archive: Archive, tmp_path: Path) -> None:
    depth = compute_depth(archive, band="u", order=5)
    assert (len(depth), depth.bands, depth.area) == (0, (), 0.0)
    depth.write(tmp_path / "none.fits")
    assert len(DepthMap.read(tmp_path / "none.fits")) == 0
    moc = compute_moc(archive, band="u")
    assert moc.sky_fraction == 0.0
    assert mocpy.MOC.from_fits(io.BytesIO(format_moc(moc, ".fits"))).sky_fraction == 0.0


@pytest.mark.parametrize("order", [-1, 30, 2.5, True, "7"])
def test_orders_that_cannot_be_are_refused(archive: Archive, order: Any) -> None:
    with pytest.raises(UsageError, match="whole number"):
        compute_depth(archive, order=order)
    with pytest.raises(UsageError, match="max_order"):
        compute_moc(archive, max_order=order)


def test_what_cannot_be_is_said(archive: Archive) -> None:
    with pytest.raises(UsageError, match="ask for a lower order"):
        compute_depth(archive, order=18)
    with pytest.raises(UsageError, match="epochs, exptime"):
        compute_depth(archive, quantity="visits")  # type: ignore[arg-type]
    for compute in (compute_depth, compute_moc):
        with pytest.raises(SearchError, match="did you mean 'band'"):
            compute(archive, bands="r")
