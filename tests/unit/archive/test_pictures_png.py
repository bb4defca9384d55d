"""Pictures of images. The oracles are astropy.visualization, PIL, matplotlib, pyavm and astropy's WCS."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.visualization import (
    AsinhStretch,
    LinearStretch,
    LogStretch,
    ManualInterval,
    MinMaxInterval,
    PercentileInterval,
    PowerStretch,
    SinhStretch,
    SqrtStretch,
    SquaredStretch,
    ZScaleInterval,
)
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image as Pictures

import snapdb
from snapdb.errors import ObjectExistsError, ProjectionError, UsageError

AVM = pytest.importorskip("pyavm").AVM
WIDTH, HEIGHT = 50, 40
STRETCHES = {
    "asinh": AsinhStretch(0.1),
    "linear": LinearStretch(),
    "log": LogStretch(1000.0),
    "sqrt": SqrtStretch(),
    "squared": SquaredStretch(),
    "sinh": SinhStretch(1.0 / 3.0),
    "power:2.5": PowerStretch(2.5),
}
INTERVALS = {
    "zscale": ZScaleInterval(),
    "minmax": MinMaxInterval(),
    "percentile:98": PercentileInterval(98.0),
    "percentile": PercentileInterval(99.5),
}


def make_wcs(angle_deg: float = 0.0, *, mirrored: bool = False) -> WCS:
    """A TAN WCS whose +y points `angle_deg` east of north."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10.0, 41.0]
    wcs.wcs.crpix = [21.0, 33.0]
    t, step = np.radians(angle_deg), 1e-4
    x_axis = np.array([-np.cos(t), np.sin(t)]) * (-1.0 if mirrored else 1.0)
    wcs.wcs.cd = step * np.array([[x_axis[0], np.sin(t)], [x_axis[1], np.cos(t)]])
    return wcs


def make_image(wcs: WCS | None = None, **facts: Any) -> snapdb.Image:
    random = np.random.default_rng(11)
    data = random.normal(100.0, 3.0, (HEIGHT, WIDTH))
    y, x = np.indices(data.shape)
    data += 900.0 * np.exp(-((x - 31) ** 2 + (y - 9) ** 2) / 8.0)
    return snapdb.Image(data=data, wcs=wcs or make_wcs(), band="r", mjd=60000.25, exptime=30.0, **facts)


def read(path: Path) -> NDArray[np.uint8]:
    """Read a PNG as rows from below, red, green, blue, opacity."""
    return np.asarray(Pictures.open(path).convert("RGBA"))[::-1]


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("interval", INTERVALS)
def test_levels_are_astropys(tmp_path: Path, stretch: str, interval: str) -> None:
    image = make_image()
    levels = read(image.to_png(tmp_path / "a.png", stretch, interval))
    low, high = INTERVALS[interval].get_limits(image.data)
    # Its own sequence: to [0, 1], clipped, stretched.
    unit = STRETCHES[stretch](np.clip((image.data - low) / (high - low), 0, 1))
    exact = unit * 255.0
    assert np.abs(levels[..., 0] - exact).max() <= 0.5 + 1e-6
    assert np.ptp(levels[..., 0]) > 100
    assert (levels[..., 3] == 255).all()
    assert (levels[..., 0] == levels[..., 2]).all()


def test_astropys_objects_are_taken_as_they_are(tmp_path: Path) -> None:
    image = make_image()
    by_name = image.to_png(tmp_path / "a.png", "log", limits=(95.0, 400.0))
    for n, (stretch, interval, limits) in enumerate(
        [
            (LogStretch(1000.0), ManualInterval(95.0, 400.0), None),
            ("log", "manual", (95.0, 400.0)),
        ]
    ):
        other = image.to_png(tmp_path / f"{n}.png", stretch, interval, limits=limits)
        np.testing.assert_array_equal(read(by_name), read(other))


def test_y_points_up_and_nothing_is_resampled(tmp_path: Path) -> None:
    data = np.arange(6.0).reshape(2, 3)
    path = snapdb.Image(data=data).to_png(tmp_path / "a.png", "linear", limits=(0.0, 5.0))
    rows = np.asarray(Pictures.open(path))[..., 0]
    assert rows.tolist() == [[153, 204, 255], [0, 51, 102]]


def test_what_has_no_number_or_is_bad_is_seen(tmp_path: Path) -> None:
    data = np.full((4, 5), 10.0)
    data[0, :] = np.arange(5.0)
    data[1, 1], data[1, 2], data[1, 3] = np.nan, np.inf, -np.inf
    flags = np.zeros((4, 5), dtype=np.uint8)
    flags[2, 2], flags[3, 3] = 1, 2
    image = snapdb.Image(data=data, flags=flags, flag_bits={"HOT": 1, "EDGE": 2}, bad_bits=1)
    levels = read(image.to_png(tmp_path / "a.png", "linear", "minmax"))
    assert [tuple(p) for p in np.argwhere(levels[..., 3] == 0)] == [(1, 1), (2, 2)]
    assert levels[1, 2].tolist() == [255, 255, 255, 255]
    assert levels[1, 3].tolist() == [0, 0, 0, 255]
    red = read(image.to_png(tmp_path / "b.png", "linear", "minmax", bad="red"))
    assert red[2, 2].tolist() == [255, 0, 0, 255]
    assert red[1, 1, 3] == 0
    plain = read(image.to_png(tmp_path / "c.png", "linear", "minmax", bad=None))
    assert plain[2, 2].tolist() == [255, 255, 255, 255]


def test_bad_pixels_do_not_set_the_limits(tmp_path: Path) -> None:
    data = np.linspace(0.0, 1.0, 20).reshape(4, 5)
    data[0, 0] = 1e6
    flags = np.zeros((4, 5), dtype=np.uint8)
    flags[0, 0] = 1
    image = snapdb.Image(data=data, flags=flags)
    path = image.to_png(tmp_path / "a.png", "linear", "minmax")
    low, high = map(float, Pictures.open(path).text["snapdb:limits"].split())  # type: ignore[attr-defined]
    assert (low, high) == (data[0, 1], 1.0)


@pytest.mark.parametrize("value", [np.nan, 7.0])
@pytest.mark.parametrize("interval", ["zscale", "minmax", "percentile:99"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (30, 40)])
def test_an_image_of_one_value_is_drawn(tmp_path: Path, value: float, interval: str, shape: Any) -> None:
    levels = read(snapdb.Image(data=np.full(shape, value)).to_png(tmp_path / "a.png", interval=interval))
    assert levels.shape[:2] == shape
    assert len(np.unique(levels.reshape(-1, 4), axis=0)) == 1
    assert levels[0, 0, 3] == (0 if np.isnan(value) else 255)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "float32"])
def test_types(tmp_path: Path, dtype: str) -> None:
    data = np.arange(12).reshape(3, 4).astype(dtype)
    levels = read(snapdb.Image(data=data).to_png(tmp_path / "a.png", "linear", "minmax"))
    np.testing.assert_array_equal(levels[..., 0], np.floor(data / 11 * 255 + 0.5))


def test_colours_are_matplotlibs(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    image = make_image()
    levels = read(image.to_png(tmp_path / "a.png", "linear", limits=(90.0, 300.0), cmap="viridis"))
    expected = matplotlib.colormaps["viridis"](np.clip((image.data - 90) / 210, 0, 1), bytes=True)
    np.testing.assert_array_equal(levels, expected)
    with pytest.raises(UsageError, match="unknown to matplotlib"):
        image.to_png(tmp_path / "b.png", cmap="no such map")


def test_sizes(tmp_path: Path) -> None:
    image = make_image()
    plain = read(image.to_png(tmp_path / "a.png"))
    twice = read(image.to_png(tmp_path / "b.png", size=100))
    np.testing.assert_array_equal(twice, plain.repeat(2, axis=0).repeat(2, axis=1))
    half = read(image.to_png(tmp_path / "c.png", size=25)).astype(float)
    blocks = plain[..., 0].reshape(20, 2, 25, 2).mean(axis=(1, 3))
    assert np.abs(half[..., 0] - blocks).max() <= 1.0
    for size in (0, -3, 2.5, True, 10**6):
        with pytest.raises(UsageError, match="size="):
            image.to_png(tmp_path / "d.png", size=size)  # type: ignore[arg-type]


def test_transparent_pixels_have_no_weight_when_a_picture_shrinks(tmp_path: Path) -> None:
    data = np.full((4, 4), 200.0)
    data[:, 1] = np.nan
    image = snapdb.Image(data=data)
    half = read(image.to_png(tmp_path / "a.png", "linear", limits=(0.0, 255.0), size=2))
    assert np.abs(half[..., 0].astype(int) - 200).max() <= 1
    assert np.abs(half[:, 0, 3].astype(int) - 128).max() <= 1


@pytest.mark.parametrize("angle", [0.0, 33.0, 90.0, 180.0, 271.5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_north_is_up_and_east_is_left(tmp_path: Path, angle: float, mirrored: bool) -> None:
    wcs = make_wcs(angle, mirrored=mirrored)
    image = make_image(wcs)
    path = image.to_png(tmp_path / "a.png", "linear", "minmax", north_up=True)
    levels = read(path).astype(float)
    frame = AVM.from_image(str(path)).to_wcs()
    # Each pixel of the picture is the one of the image that lies nearest to its place on the sky.
    y, x = np.indices(levels.shape[:2])
    nearest = np.rint(wcs.world_to_pixel(frame.pixel_to_world(x, y))).astype(int)
    inside = (nearest[0] >= 0) & (nearest[0] < WIDTH) & (nearest[1] >= 0) & (nearest[1] < HEIGHT)
    plain = read(image.to_png(tmp_path / "b.png", "linear", "minmax"))
    expected = np.where(inside[..., None], plain[nearest[1] % HEIGHT, nearest[0] % WIDTH], 0)
    assert (levels == expected).all(axis=-1).mean() > 0.99  # the rest lies on the edge between two
    middle = levels.shape[1] / 2, levels.shape[0] / 2
    centre, up, left = (
        frame.pixel_to_world(middle[0] - dx, middle[1] + dy) for dx, dy in ((0, 0), (0, 9), (9, 0))
    )
    assert up.dec > centre.dec
    assert left.ra > centre.ra
    assert centre.position_angle(up).wrap_at("180d").deg == pytest.approx(0.0, abs=0.01)
    # No pixel is lost.
    assert (levels[..., 3] == 255).sum() == pytest.approx(WIDTH * HEIGHT, rel=0.03)


@pytest.mark.parametrize(("angle", "mirrored"), [(0.0, False), (33.0, False), (200.0, False), (70.0, True)])
@pytest.mark.parametrize("size", [None, 150, 25])
def test_avm_says_where_the_pixels_lie(
    tmp_path: Path, angle: float, mirrored: bool, size: int | None
) -> None:
    wcs = make_wcs(angle, mirrored=mirrored)
    path = make_image(wcs).to_png(tmp_path / "a.png", size=size)
    avm = AVM.from_image(str(path))
    factor = 1.0 if size is None else size / WIDTH
    for x, y in ((0.0, 0.0), (49.0, 0.0), (20.0, 39.0)):
        expected = wcs.pixel_to_world(x, y)
        there = avm.to_wcs().pixel_to_world((x + 0.5) * factor - 0.5, (y + 0.5) * factor - 0.5)
        assert there.separation(expected).arcsec < 0.36 * 1e-3
    assert avm.Spatial.Quality in (b"Full", "Full")


def test_texts_say_what_it_is(tmp_path: Path) -> None:
    cutout = make_image(observation_id="x7").get_cutout(30, 10, 11)
    path = cutout.to_png(tmp_path / "a.png", "log", limits=(1.0, 2.0))
    with Pictures.open(path) as png:
        texts = dict(png.text)  # type: ignore[attr-defined]
    assert (texts["snapdb:band"], float(texts["snapdb:mjd"])) == ("r", 60000.25)
    assert (texts["snapdb:kind"], texts["snapdb:observation_id"]) == ("cutout", "x7")
    assert (texts["snapdb:box"], texts["snapdb:stretch"]) == ("25 5 11 11", "log")
    from astropy.io import fits

    wcs = WCS(fits.Header.fromstring(texts["snapdb:wcs"], sep="\n"))
    assert wcs.pixel_to_world(3.0, 4.0).separation(make_wcs().pixel_to_world(28.0, 9.0)).arcsec < 1e-6
    avm = AVM.from_image(str(path))
    assert [str(b, "utf-8") if isinstance(b, bytes) else b for b in avm.Spectral.Bandpass] == ["r"]


def test_special_signs_survive(tmp_path: Path) -> None:
    image = make_image()
    image.band = "r<&>'é"
    path = image.to_png(tmp_path / "a.png")
    assert Pictures.open(path).text["snapdb:band"] == "r<&>'é"  # type: ignore[attr-defined]
    (band,) = AVM.from_image(str(path)).Spectral.Bandpass
    assert (band.decode() if isinstance(band, bytes) else band) == "r<&>'é"


def test_a_picture_for_a_notebook(tmp_path: Path) -> None:
    picture = make_image().show()
    assert (picture.width, picture.height) == (512, 410)
    assert picture._repr_png_() == picture.save(tmp_path / "a.png").read_bytes()
    pytest.importorskip("matplotlib").use("agg")
    axes = picture.plot()
    assert axes.images[0].get_array().shape == (410, 512, 4)
    from matplotlib import pyplot

    pyplot.close("all")


def test_files_that_must_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(ObjectExistsError):
        make_image().to_png(path)
    assert path.read_bytes() == b"mine"
    make_image().to_png(path, overwrite=True)
    assert read(path).shape == (HEIGHT, WIDTH, 4)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stretch": "cubic"}, "expected one of asinh"),
        ({"stretch": "power:0"}, "above 0"),
        ({"stretch": "asinh:3"}, "expected one of"),
        ({"stretch": 5}, "expected one of"),
        ({"interval": "all"}, "expected zscale"),
        ({"interval": "percentile:x"}, "percentile"),
        ({"interval": "percentile:101"}, "percentile"),
        ({"interval": "zscale:3"}, "expected zscale"),
        ({"interval": "manual"}, "limits"),
        ({"limits": (3.0, 3.0)}, "low below high"),
        ({"limits": (0.0, float("nan"))}, "finite"),
        ({"bad": "no colour"}, "no colour"),
    ],
)
def test_wrong_calls(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_image().to_png(tmp_path / "a.png", **options)
    assert list(tmp_path.iterdir()) == []


def test_north_needs_coordinates(tmp_path: Path) -> None:
    with pytest.raises(ProjectionError, match="north"):
        snapdb.Image(data=np.ones((3, 3))).to_png(tmp_path / "a.png", north_up=True)
    assert "Spatial" not in snapdb.Image(data=np.ones((3, 3))).show().xmp
