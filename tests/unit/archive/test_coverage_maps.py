"""Cells, projections and pictures of the sky, without an archive.

Oracles: astropy-healpix for cells, astropy's WCS for projections (MOL and TAN of wcslib).
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS
from PIL import Image as Pictures

from snapdb.archive.coverage.cells import cell_area, find_cells, find_centers, load_mocpy, load_nested
from snapdb.archive.coverage.counting import find_near
from snapdb.archive.coverage.depth import DepthMap
from snapdb.archive.coverage.picture import choose_view, draw_coverage, make_picture, paint
from snapdb.archive.coverage.projection import Gnomonic, Mollweide
from snapdb.errors import ConfigError, CorruptFileError, ObjectMissingError, UnknownFormatError, UsageError
from snapdb.sky.matching import SortedPositions, cut_footprints

pytest.importorskip("mocpy")
astropy_healpix = pytest.importorskip("astropy_healpix")


def make_wcs(kind: str, ra: float, dec: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [0.0, 0.0]
    wcs.wcs.cdelt = [1.0, 1.0]
    if kind == "TAN":
        wcs.wcs.lonpole = 180.0  # wcslib takes 0 at the pole itself
    return wcs


def make_map(cells: list[int], order: int = 9, depth: int = 1) -> DepthMap:
    numbers = np.array(sorted(cells), dtype=np.int64)
    return DepthMap(
        order=order, cells=numbers, bands=("r",), values=np.full((1, len(numbers)), depth, dtype=np.int32)
    )


def cells_about(ra: float, dec: float, radius: float, order: int = 9) -> list[int]:
    from astropy import units as u

    grid = astropy_healpix.HEALPix(nside=2**order, order="nested")
    found: list[int] = grid.cone_search_lonlat(ra * u.deg, dec * u.deg, radius * u.deg).tolist()
    return found


@pytest.mark.parametrize("order", [0, 3, 10, 18, 29])
def test_cells_are_those_of_another_implementation(order: int) -> None:
    random = np.random.default_rng(5)
    ra, dec = random.uniform(0, 360, 500), np.degrees(np.arcsin(random.uniform(-1, 1, 500)))
    from astropy import units as u

    grid = astropy_healpix.HEALPix(nside=2**order, order="nested")
    cells = find_cells(ra, dec, order)
    if order < 29:  # at 0.4 mas, rounding decides about some
        assert np.array_equal(cells, grid.lonlat_to_healpix(ra * u.deg, dec * u.deg))
    lon, lat = grid.healpix_to_lonlat(cells)
    got = find_centers(cells, order)
    assert np.allclose(got[0], lon.to_value("deg"), rtol=0, atol=1e-10)
    assert np.allclose(got[1], lat.to_value("deg"), rtol=0, atol=1e-10)
    assert cell_area(order) == pytest.approx(grid.pixel_area.to_value("deg2"), rel=1e-12)


def test_no_cell_in_a_footprint_is_passed_over() -> None:
    random = np.random.default_rng(6)
    grid = astropy_healpix.HEALPix(nside=2**7, order="nested")
    lon, lat = (c.to_value("deg") for c in grid.healpix_to_lonlat(np.arange(grid.npix)))
    positions = SortedPositions(lon, lat)
    rings = []
    for _ in range(300):
        ra, dec, size = random.uniform(0, 360), random.uniform(-89, 89), 10.0 ** random.uniform(-1.5, 1)
        center = Gnomonic(ra, dec)
        x, y = center.to_sky(np.array([-1, 1, 1.2, -1]) * size, np.array([-1, -1, 1, 1.1]) * size)
        rings.append(np.stack((x, y), axis=1))
    block = cut_footprints(np.concatenate(rings), np.full(300, 4, dtype=np.int64))
    inside = np.unique(np.concatenate([rows for rows, _ in positions.match(block)]))
    near = np.concatenate(list(find_near(block, 7)))
    assert np.all(np.diff(near) > 0)
    assert len(inside) > 1000
    assert np.all(np.isin(inside, near))


def test_mollweide_is_wcslibs() -> None:
    random = np.random.default_rng(7)
    ra = np.concatenate((random.uniform(-179, 179, 400), [0.0, 10.0, 20.0]))
    dec = np.concatenate((np.degrees(np.arcsin(random.uniform(-1, 1, 400))), [90.0, -90.0, 0.0]))
    x, y = make_wcs("MOL", 0.0, 0.0).wcs_world2pix(ra % 360.0, dec, 0)
    scale = np.sqrt(2.0) * np.degrees(1.0)  # of wcslib's plane: the sphere's radius is one radian
    got = Mollweide().to_plane(ra, dec)
    assert np.allclose(got[0] * scale, x + 1.0, rtol=0, atol=1e-6)
    assert np.allclose(got[1] * scale, y + 1.0, rtol=0, atol=1e-6)
    back = Mollweide().to_sky(*got)
    assert np.allclose(back[1], dec, rtol=0, atol=1e-5)
    low = np.abs(dec) < 80.0
    assert np.allclose(((back[0] - ra + 180.0) % 360.0 - 180.0)[low], 0.0, rtol=0, atol=1e-9)
    assert np.isnan(Mollweide().to_sky(np.array([1.9]), np.array([0.9]))[0]).all()


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (150.1, 2.2), (359.9, -89.0), (10.0, 90.0)])
def test_gnomonic_is_wcslibs(ra: float, dec: float) -> None:
    random = np.random.default_rng(8)
    x, y = random.uniform(-30, 30, (2, 200))
    projection = Gnomonic(ra, dec)
    lon, lat = projection.to_sky(x, y)
    wcs = make_wcs("TAN", ra, dec)
    wanted = wcs.wcs_pix2world(x - 1.0, y - 1.0, 0)
    assert np.allclose(lat, wanted[1], rtol=0, atol=1e-9)
    turned = (lon - wanted[0] + 180.0) % 360.0 - 180.0
    assert np.allclose(turned * np.cos(np.radians(lat)), 0.0, rtol=0, atol=1e-9)
    again = projection.to_plane(lon, lat)
    assert np.allclose(again, (x, y), rtol=0, atol=1e-9)
    assert np.isnan(projection.to_plane(np.array([ra + 180.0]), np.array([-dec]))[0]).all()


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 20.0), (123.0, -45.0), (0.0, 90.0), (0.0, -90.0)])
def test_a_field_is_shown_by_itself_and_whole(ra: float, dec: float) -> None:
    cells = cells_about(ra, dec, 2.0)
    depth = make_map(cells)
    view = choose_view(depth)
    assert isinstance(view.projection, Gnomonic)
    raster, (left, right, low, high) = paint(depth, view)
    assert left > right
    assert not np.any(raster[[0, -1]])
    assert not np.any(raster[:, [0, -1]])
    pixel = (left - right) / raster.shape[1] * (high - low) / raster.shape[0]
    # 0.1 percent for the projection's stretching at 2 degrees, and the pixels' own grain.
    assert np.count_nonzero(raster) * pixel == pytest.approx(depth.area, rel=0.01)


def test_what_is_spread_is_shown_on_the_whole_sky_and_nothing_is_lost() -> None:
    places = np.array([(10.0, 0.0), (100.0, 50.0), (200.0, -60.0), (300.0, 10.0)])
    depth = make_map(find_cells(places[:, 0], places[:, 1], 12).tolist(), order=12)
    view = choose_view(depth)
    assert view.is_whole
    raster, extent = paint(depth, view)
    columns, rows = raster.shape[1], raster.shape[0]
    for ra, dec in places.tolist():
        x, y = Mollweide().to_plane(np.array([ra]), np.array([dec]))
        column = int((extent[0] - x[0]) / (extent[0] - extent[1]) * columns)
        row = int((y[0] - extent[2]) / (extent[3] - extent[2]) * rows)
        assert np.any(raster[row - 6 : row + 7, column - 6 : column + 7] == 1)
    assert np.count_nonzero(raster) < 0.01 * raster.size


def test_east_is_to_the_left_and_north_up() -> None:
    depth = make_map(
        cells_about(100.0, 30.0, 0.5) + cells_about(103.0, 30.0, 0.5) + cells_about(100.0, 33.0, 0.5)
    )
    raster, _ = paint(depth, choose_view(depth))
    row, column = np.nonzero(raster)
    upper = column[row > 0.7 * raster.shape[0]]
    lower = column[row < 0.3 * raster.shape[0]]
    assert upper.min() > 0.6 * raster.shape[1]  # the northern field is the western one
    assert lower.min() < 0.3 * raster.shape[1]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    depth = make_map(cells_about(0.0, 88.5, 3.0), depth=5)
    path = draw_coverage(depth, tmp_path / "a.png", title="about the $pole^")
    with Pictures.open(path) as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    dark = np.all(
        np.abs(colours.astype(int) - (68, 1, 84)) < 8, axis=1
    )  # viridis' darkest: the greatest depth
    assert 0.1 < dark.mean() < 0.7
    empty = make_picture(make_map([]))
    with Pictures.open(io.BytesIO(empty)) as picture:
        assert picture.size[0] > picture.size[1]


def test_larger_cells_are_as_deep_as_their_deepest() -> None:
    depth = DepthMap(
        order=5,
        cells=np.array([0, 3, 4, 9], dtype=np.int64),
        bands=("g", None),
        values=np.array([[1, 2, 3, 0], [4, 0, 1, 7]], dtype=np.int32),
    )
    coarse = depth.degrade(4)
    assert coarse.cells.tolist() == [0, 1, 2]
    assert coarse.values.tolist() == [[2, 3, 0], [4, 1, 7]]
    assert depth.degrade(5).values.tolist() == depth.values.tolist()
    with pytest.raises(UsageError, match="at most 5"):
        depth.degrade(6)
    assert depth.to_table().colnames == ["cell", "ra", "dec", "g", "unknown"]


def test_names_that_fits_cannot_tell_apart_come_back(tmp_path: Path) -> None:
    names = ("R", "pixel", "r", "ü λ", "", None)
    depth = DepthMap(
        order=3,
        cells=np.array([7], dtype=np.int64),
        bands=names,
        values=np.arange(6, dtype=np.int32)[:, None],
    )
    depth.write(tmp_path / "m.fits")
    again = DepthMap.read(tmp_path / "m.fits")
    assert again.bands == names
    assert again.values.tolist() == depth.values.tolist()


def test_the_unit_of_a_map_stands_with_its_columns_and_long_names_are_announced(tmp_path: Path) -> None:
    """As astropy's Table reads it; BUNIT is for arrays alone (FITS Standard 4.0, 4.4.2.5)."""
    from astropy.io import fits
    from astropy.table import Table

    path, bands = tmp_path / "s.fits", tuple(f"band {n} of a long name" for n in range(5))
    depth = DepthMap(
        order=3, cells=np.arange(4), bands=bands, values=np.full((5, 4), 30.0), quantity="exptime"
    )
    depth.write(path)
    table = Table.read(path)
    assert [str(table[name].unit) for name in table.colnames] == ["None", *["s"] * 5]
    with fits.open(path) as hdus:
        cards = [c.keyword for c in hdus[1].header.cards]
        assert "BUNIT" not in cards
        assert cards[0] == "XTENSION"
        assert cards.index("LONGSTRN") < cards.index("SDBBANDS")
    assert DepthMap.read(path).quantity == "exptime"


def test_files_that_are_no_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match="no such file"):
        DepthMap.read(tmp_path / "none.fits")
    (tmp_path / "text.fits").write_text("no map at all")
    with pytest.raises(UnknownFormatError, match="cannot be read"):
        DepthMap.read(tmp_path / "text.fits")
    make_map([1, 2, 3]).write(tmp_path / "m.fits")
    data = bytearray((tmp_path / "m.fits").read_bytes())
    data[-2880 + 3] ^= 1
    (tmp_path / "bad.fits").write_bytes(data)
    with pytest.raises(CorruptFileError, match="damaged"):
        DepthMap.read(tmp_path / "bad.fits")


@pytest.mark.parametrize(
    ("module", "extra", "load"),
    [
        ("mocpy", "coverage", load_mocpy),
        ("cdshealpix", "coverage", load_nested),
        ("matplotlib.figure", "plots", lambda: make_picture(make_map([1]))),
    ],
)
def test_packages_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str, load: Callable[[], object]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as import sees what is not there
    with pytest.raises(ConfigError, match=rf"pip install 'snapdb\[{extra}\]'"):
        load()
