"""Colour pictures of three images. The oracles are astropy's make_lupton_rgb, numpy and reproject."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image as Pictures

import snapdb
from snapdb.archive.colour import find_mismatch, make_colour
from snapdb.errors import ProjectionError, ShapeError, UsageError

WIDTH, HEIGHT = 40, 30
STAR = (10.0, 41.0)
DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def make_wcs(dx: float = 0.0, *, scale: float = 1.0, angle_deg: float = 0.0) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = list(STAR)
    wcs.wcs.crpix = [21.0 + dx, 16.0]
    t, step = np.radians(angle_deg), 1e-4 * scale
    wcs.wcs.cd = step * np.array([[-np.cos(t), np.sin(t)], [np.sin(t), np.cos(t)]])
    return wcs


def make_band(seed: int, wcs: WCS | None = None, **facts: Any) -> snapdb.Image:
    """A star of 1000 times `seed` counts a unit area at STAR, on a sky of its own."""
    random = np.random.default_rng(seed)
    given = wcs if wcs is not None else make_wcs()
    x0, y0 = given.wcs_world2pix([STAR], 0)[0]
    y, x = np.indices((HEIGHT, WIDTH))
    data = random.normal(50.0 * seed, 1.0, (HEIGHT, WIDTH))
    data += 100.0 * seed * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8.0)
    return snapdb.Image(data=data.astype(np.float32), wcs=given, **facts)


def mix(planes: Any, **options: float) -> NDArray[np.uint8]:
    """Mix planes as astropy does; where all are 0 it divides by 0, and drops the result."""
    with np.errstate(invalid="ignore"):
        return np.asarray(make_lupton_rgb(*planes, **options))


def rgb(picture: Any) -> NDArray[np.uint8]:
    return np.asarray(picture.levels)[::-1, :, :3]


def test_colours_are_astropys() -> None:
    images = [make_band(n) for n in (3, 2, 1)]
    picture = make_colour(images, 5.0, 6.0, minimum=(150.0, 100.0, 50.0))
    above = [i.data.astype(float) - m for i, m in zip(images, (150.0, 100.0, 50.0), strict=True)]
    expected = mix(above, stretch=5.0, Q=6.0)
    np.testing.assert_array_equal(rgb(picture), expected)
    assert expected.max() > 200
    assert (picture.levels[..., 3] == 255).all()


def test_what_is_not_said_comes_from_the_images() -> None:
    images = [make_band(n, zeropoint=z) for n, z in ((3, 25.0), (2, 26.0), (1, 24.5))]
    picture = make_colour(images)
    weighted = [
        i.data.astype(float) * 10 ** (0.4 * (25.0 - z))
        for i, z in zip(images, (25.0, 26.0, 24.5), strict=True)
    ]
    above = [w - np.median(w) for w in weighted]
    mean = np.mean(above, axis=0)
    stretch = 10 * 1.4826 * np.median(np.abs(mean - np.median(mean)))
    np.testing.assert_array_equal(rgb(picture), mix(above, stretch=stretch, Q=8.0))
    assert float(picture.texts["snapdb:stretch"].split()[1]) == pytest.approx(stretch, rel=1e-12)


def test_one_unknown_zero_point_leaves_all_counts_alone() -> None:
    images = [make_band(3, zeropoint=25.0), make_band(2, zeropoint=20.0), make_band(1)]
    assert make_colour(images).texts["snapdb:weights"] == "1.0 1.0 1.0"


def test_what_has_no_number_is_transparent() -> None:
    images = [make_band(n) for n in (3, 2, 1)]
    images[1].data[4, 5] = np.nan
    images[2].data[6, 7] = np.inf
    levels = make_colour(images).levels[::-1]
    assert [tuple(p) for p in np.argwhere(levels[..., 3] == 0)] == [(4, 5), (6, 7)]


def test_grids_that_differ_are_refused_with_the_distance() -> None:
    first = make_band(3)
    for dx, fits in ((0.05, True), (-0.09, True), (0.2, False), (3.2, False)):
        images = [first, make_band(2), make_band(1, make_wcs(dx))]
        assert find_mismatch(images[2], first).pixels == pytest.approx(abs(dx), rel=1e-3)
        if fits:
            make_colour(images)
            continue
        with pytest.raises(ShapeError, match=rf"blue .* up to {abs(dx):.3g} pixels off") as caught:
            make_colour(images)
        assert caught.value.colour == "blue"
    turned = [first, make_band(2, make_wcs(angle_deg=2.0)), make_band(1)]
    with pytest.raises(ShapeError, match="green"):
        make_colour(turned)


def test_another_size_or_side_of_the_sky_is_refused() -> None:
    first = make_band(3)
    with pytest.raises(ShapeError, match="of shape"):
        make_colour([first, first.get_cutout(20, 15, 9), first])
    far = make_wcs()
    far.wcs.crval = [190.0, -41.0]
    with pytest.raises(ShapeError, match="inf"):
        make_colour([first, first, make_band(1, far)])
    with pytest.raises(ProjectionError, match="no world coordinates"):
        make_colour([first, first, snapdb.Image(data=first.data)])


def test_cutouts_of_one_grid_need_no_resampling() -> None:
    images = [make_band(n).get_cutout(20, 15, 11) for n in (3, 2, 1)]
    picture = make_colour(images, size=110)
    assert (picture.width, picture.height) == (110, 110)
    middle, corner = picture.levels[55, 55, :3], picture.levels[2, 2, :3]
    assert middle[0] > middle[1] > middle[2]  # the star is brightest in red
    assert middle.max() > corner.max()


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (1.0, 30.0), (2.0, 0.0), (0.7, 75.0)])
def test_aligned_images_are_on_the_first_grid(scale: float, angle: float) -> None:
    reproject = pytest.importorskip("reproject")
    images = [make_band(2), make_band(2, make_wcs(4.0, scale=scale, angle_deg=angle)), make_band(2)]
    picture = make_colour(images, 5.0, minimum=0.0, weights=(1, 1, 1), align=True)
    other = images[1]
    plane = reproject.reproject_interp(
        (other.data.astype(float), make_wcs(4.0, scale=scale, angle_deg=angle)),
        make_wcs(),
        shape_out=(HEIGHT, WIDTH),
        return_footprint=False,
    )
    plane = plane / scale**2  # counts of smaller pixels
    whole = np.isfinite(plane)
    expected = mix([np.where(whole, p, 0.0) for p in (images[0].data, plane, images[2].data)], stretch=5.0)
    assert whole.sum() > 300
    np.testing.assert_array_equal(picture.levels[::-1, :, 3] == 255, whole)
    difference = np.abs(rgb(picture).astype(int) - expected.astype(int))[whole]
    assert (difference <= 1).all()


def test_aligning_without_the_package_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reproject", None)  # as Python does where a package is not installed
    with pytest.raises(ImportError):
        importlib.import_module("reproject")
    images = [make_band(3), make_band(2, make_wcs(4.0)), make_band(1)]
    with pytest.raises(UsageError, match=r"reproject.*up to 4 pixels off") as caught:
        make_colour(images, align=True)
    assert caught.value.missing == "reproject"
    make_colour([images[0], images[0], images[2]], align=True)  # it is not needed here


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stretch": 0.0}, "stretch"),
        ({"stretch": float("nan")}, "stretch"),
        ({"Q": -1.0}, "Q="),
        ({"minimum": (1.0, 2.0)}, "minimum"),
        ({"weights": (1.0, float("inf"), 1.0)}, "weights"),
        ({"size": 0}, "size"),
    ],
)
def test_wrong_calls(options: dict[str, Any], words: str) -> None:
    images = [make_band(n) for n in (3, 2, 1)]
    with pytest.raises(UsageError, match=words):
        make_colour(images, **options)


def test_two_images_are_no_colours() -> None:
    with pytest.raises(UsageError, match="three"):
        make_colour([make_band(1), make_band(2)])


def test_the_file_names_all_three(tmp_path: Path) -> None:
    images = [make_band(n, band=band, mjd=60000.0 + n) for n, band in ((3, "i"), (2, "r"), (1, "g"))]
    path = make_colour(images).save(tmp_path / "rgb.png")
    with Pictures.open(path) as png:
        texts = dict(png.text)  # type: ignore[attr-defined]
        assert png.mode == "RGBA"
    assert [texts[f"snapdb:{c}:band"] for c in ("red", "green", "blue")] == ["i", "r", "g"]
    assert "snapdb:band" not in texts
    avm = pytest.importorskip("pyavm").AVM.from_image(str(path))
    assert [b.decode() if isinstance(b, bytes) else b for b in avm.Spectral.Bandpass] == ["i", "r", "g"]
    there = avm.to_wcs().pixel_to_world(3.0, 7.0)
    assert there.separation(make_wcs().pixel_to_world(3.0, 7.0)).arcsec < 1e-3


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_2mass_in_colour() -> None:
    folder = DATA / "sn2010H_multiband"
    images = [snapdb.Image(folder / f"2MASS_{band}.fits") for band in "KHJ"]
    weights = [10 ** (0.4 * (images[0].zeropoint - i.zeropoint)) for i in images]  # type: ignore[operator]
    above = [i.data.astype(float) * w for i, w in zip(images, weights, strict=True)]
    above = [a - np.nanmedian(a) for a in above]
    picture = make_colour(images, 20.0)
    whole = np.isfinite(above).all(axis=0)
    expected = mix([np.where(whole, a, 0.0) for a in above], stretch=20.0, Q=8)
    np.testing.assert_array_equal(rgb(picture)[whole], expected[whole])
    assert expected.max() > 150
