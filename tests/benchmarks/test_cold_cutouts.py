"""What one cutout of 64 x 64 pixels costs from nothing open, beside astropy, astrocut and snappl's way.

Page cache warm, medians. snapdb's cutout begins with an image as a search gives it: the
layouts, the WCS, the file and its planes are all found anew each time. From an id alone it
takes one query more.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits  # the peers read with it
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

import snapdb
from snapdb.formats import tile_table
from snapdb.formats.layouts import make_layout
from snapdb.formats.plan import plan_read
from snapdb.formats.read import PlaneReader
from snapdb.formats.source import open_source
from snapdb.pixels.box import Box

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
SIDE, SIZE, HDU = 4088, 64, 1
RA, DEC = 150.11, 2.19
SEED = 20261125


def make_header() -> fits.Header:
    """150 cards: TAN-SIP of order 4, and what pipelines write."""
    header = fits.Header({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "RADESYS": "ICRS"})
    header.update({"CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 2044.5, "CRPIX2": 2044.5, "BUNIT": "adu"})
    header.update({"CD1_1": -3.0e-5, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 3.0e-5})
    rng = np.random.default_rng(SEED)
    powers = [(p, q) for p in range(5) for q in range(5 - p) if p + q > 1]
    for letter in "AB":
        header[f"{letter}_ORDER"] = 4
        header.update({f"{letter}_{p}_{q}": rng.normal() * 3.0 / 2044.0 ** (p + q) for p, q in powers})
    for number in range(150 - len(header)):
        header[f"KEY{number:05}"] = (number * 1.5, "of the pipeline")
    return header


def write_files(folder: Path) -> None:
    """Write the same sky as it comes: three planes of floats, tiles of two shapes, scaled integers."""
    rng = np.random.default_rng(SEED)
    data = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    planes = {
        "SCI": data,
        "ERR": np.sqrt(data),
        "DQ": (rng.random((SIDE, SIDE)) < 0.01).astype(np.int32),
    }
    header = make_header()
    primary = fits.PrimaryHDU(header=fits.Header({"DATE-OBS": "2026-01-01T00:00:00", "EXPTIME": 100.0}))
    hdus = [fits.ImageHDU(p, header, name=n) for n, p in planes.items()]
    fits.HDUList([primary, *hdus]).writeto(folder / "sip.fits")
    for name, tile in (("rice", (100, 100)), ("rice_rows", (1, SIDE))):
        options = {"tile_shape": tile, "compression_type": "RICE_1", "quantize_level": 16}
        tiled = [fits.CompImageHDU(p, header, name=n, **options) for n, p in planes.items()]
        fits.HDUList([primary, *tiled]).writeto(folder / f"{name}.fits.fz")
    scaled = fits.ImageHDU(data, header, name="SCI")
    scaled.scale("int16", bscale=0.01, bzero=100.0)
    fits.HDUList([primary, scaled]).writeto(folder / "scaled.fits")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapdb.Archive]:
    """An archive of the files."""
    folder = tmp_path_factory.mktemp("cold")
    (folder / "files").mkdir()
    write_files(folder / "files")
    with snapdb.init(folder / "archive") as made:
        assert len(made.ingest(folder / "files").image_ids) == 4
        yield made


def find(archive: snapdb.Archive, name: str) -> tuple[snapdb.Image, Path]:
    """Give the image and the path of a file."""
    (image,) = (i for i in archive.find_images() if str(i.filepath).endswith(f"/{name}"))
    assert image.full_filepath is not None
    return image, image.full_filepath


def cut_cold(archive: snapdb.Archive, image: snapdb.Image) -> Any:
    """Cut with nothing known but the row."""
    tile_table.unpack.cache_clear()
    assert image.record is not None
    return snapdb.Image.from_record(image.record, archive).get_ra_dec_cutout(RA, DEC, SIZE)


def median_ms(call: Callable[[], Any], times: int) -> float:
    """Measure a call."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3


def tell(capsys: pytest.CaptureFixture[str], what: str, ours: float, peers: dict[str, float]) -> None:
    """Print the times and their ratios."""
    rest = "; ".join(f"{name} {ms:.2f} ms = {ms / ours:.1f}x" for name, ms in peers.items())
    with capsys.disabled():
        print(f"\n{what}: snapdb {ours:.3f} ms; {rest}", end="")  # noqa: T201  # the benchmark's result


def cut_with_cutout2d(path: Path, *, memmap: bool | None = None, hdu: int = HDU) -> Any:
    """Open, find the pixel with the full header, cut one plane alone."""
    with fits.open(path, memmap=memmap) as hdus:
        wcs = WCS(hdus[hdu].header)
        x, y = wcs.all_world2pix(RA, DEC, 0)
        return np.array(Cutout2D(hdus[hdu].data, (float(x), float(y)), SIZE, wcs=wcs).data)


def cut_with_section(path: Path) -> Any:
    """Open, find the pixel with the full header, read the section of the data plane alone."""
    with fits.open(path) as hdus:
        x, y = WCS(hdus[HDU].header).all_world2pix(RA, DEC, 0)
        return np.asarray(hdus[HDU].section[Box.centered(float(x), float(y), SIZE, SIZE).slices])


def cut_as_snappl(path: Path) -> list[Any]:
    """Do what snappl's ``get_ra_dec_cutout`` does: the header through fitsio, whole planes, odd Cutout2Ds."""
    fitsio = pytest.importorskip("fitsio", reason="fitsio, with which the peer reads, is not installed")
    with fitsio.FITS(path) as file:
        records = file[HDU].read_header().records()
    header = fits.Header()
    for record in records:
        header[record["name"]] = (record["value"], record.get("comment", ""))
    wcs = WCS(header)
    x, y = (float(a) for a in wcs.world_to_pixel(SkyCoord(RA, DEC, unit="deg")))
    planes = []
    for hdu in range(HDU, HDU + 3):
        with fitsio.FITS(path) as file:
            planes.append(file[hdu].read())
    at = (int(np.floor(x + 0.5)), int(np.floor(y + 0.5)))
    return [Cutout2D(p, at, SIZE + 1, wcs=wcs).data.copy() for p in planes]


def test_three_planes_of_a_sip_image(archive: snapdb.Archive, capsys: pytest.CaptureFixture[str]) -> None:
    image, path = find(archive, "sip.fits")
    got = cut_cold(archive, image)
    for number, name in enumerate(("data", "noise", "flags")):
        assert np.array_equal(getattr(got, name), cut_with_cutout2d(path, hdu=HDU + number))
    ours = median_ms(lambda: cut_cold(archive, image), 60)
    from_id = median_ms(lambda: archive.get_image(image.id).get_ra_dec_cutout(RA, DEC, SIZE), 60)
    peers = {
        "from an id": from_id,
        "fits.open + Cutout2D, data alone": median_ms(lambda: cut_with_cutout2d(path), 10),
        "without memory maps": median_ms(lambda: cut_with_cutout2d(path, memmap=False), 10),
    }
    tell(capsys, "SIP, data, noise and flags", ours, peers)


def test_beside_snappl(archive: snapdb.Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """snappl's sizes are odd: one pixel more than elsewhere here."""
    image, path = find(archive, "sip.fits")
    theirs = cut_as_snappl(path)
    assert image.record is not None
    got = snapdb.Image.from_record(image.record, archive).get_ra_dec_cutout(RA, DEC, SIZE + 1)
    for plane, other in zip((got.data, got.noise, got.flags), theirs, strict=True):
        assert plane is not None
        assert np.array_equal(plane, other)
    ours = median_ms(lambda: cut_cold(archive, image), 60)
    tell(capsys, "SIP, three planes", ours, {"snappl's way": median_ms(lambda: cut_as_snappl(path), 7)})


def test_beside_astrocut(archive: snapdb.Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """astrocut cuts all three planes; it places an even box by rounding half to even."""
    astrocut = pytest.importorskip("astrocut", reason="astrocut, a peer, is not installed")
    image, path = find(archive, "sip.fits")
    position = SkyCoord(RA, DEC, unit="deg")

    def cut_with_astrocut() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return astrocut.fits_cut(str(path), position, SIZE, extension="all", memory_only=True)[0]

    theirs = cut_with_astrocut()[1]
    x, y = WCS(theirs.header).all_world2pix(RA, DEC, 0)
    got = cut_cold(archive, image)
    own_x, own_y = got.get_wcs().world_to_pixel(RA, DEC)
    dx, dy = round(float(x) - own_x), round(float(y) - own_y)
    inner = got.data[3:-3, 3:-3]
    assert np.array_equal(inner, theirs.data[3 + dy : SIZE - 3 + dy, 3 + dx : SIZE - 3 + dx])
    ours = median_ms(lambda: cut_cold(archive, image), 60)
    tell(capsys, "SIP, three planes", ours, {"astrocut, three planes": median_ms(cut_with_astrocut, 7)})


@pytest.mark.parametrize("name", ["rice.fits.fz", "rice_rows.fits.fz", "scaled.fits"])
def test_compressed_and_scaled(
    archive: snapdb.Archive, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image, path = find(archive, name)
    got = cut_cold(archive, image)
    assert np.array_equal(got.data, cut_with_section(path))
    ours = median_ms(lambda: cut_cold(archive, image), 40)
    peers = {
        "fits.open + Cutout2D, data alone": median_ms(lambda: cut_with_cutout2d(path), 3),
        "fits.open + .section, data alone": median_ms(lambda: cut_with_section(path), 10),
    }
    tell(capsys, f"{name}, {len(got.plane_names)} plane(s)", ours, peers)


@pytest.mark.parametrize("name", ["sip.fits", "scaled.fits"])
def test_the_box_alone_beside_bare_reads(
    archive: snapdb.Archive, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plan, read and finish a box from an open file; the peer is os.pread of its rows and nothing more."""
    _, path = find(archive, name)
    layout = make_layout(open_source(path).frames[HDU], "data", open_source(path).container)
    box = Box(1700, 1900, SIZE, SIZE)
    ranges = plan_read(layout, box, gap_bytes=0).ranges
    with PlaneReader(path) as reader:
        file = os.open(path, os.O_RDONLY)
        try:
            want = b"".join(os.pread(file, length, begin) for begin, length in ranges)
            assert len(ranges) == SIZE
            assert fits.getdata(path, HDU, memmap=False)[box.slices].tobytes() != b""
            stored = np.frombuffer(want, layout.stored_dtype).reshape(box.shape)
            got = reader.read(layout, box)
            assert np.allclose(got, stored * layout.bscale + layout.bzero, rtol=1e-6)
            ours = median_ms(lambda: reader.read(layout, box), 500)
            bare = median_ms(lambda: [os.pread(file, length, begin) for begin, length in ranges], 500)
        finally:
            os.close(file)
    with capsys.disabled():
        print(f"\n{name}, box alone: {ours * 1e3:.0f} us; bare os.pread {bare * 1e3:.0f} us; "  # noqa: T201
              f"ratio {ours / bare:.1f}", end="")  # fmt: skip
