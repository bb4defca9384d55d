"""Forced fluxes from an archive, against the truth of made skies, photutils, and each other."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS
from photutils.aperture import (  # type: ignore[import-untyped,unused-ignore]
    CircularAperture,
    aperture_photometry,
)

from snapdb.archive.archive import Archive
from snapdb.archive.light_curves import spots
from snapdb.archive.light_curves.catalog import find_phot
from snapdb.archive.light_curves.ephemeris import Ephemeris, ProperMotion
from snapdb.archive.light_curves.light_curve import LightCurve, find_light_curve
from snapdb.archive.planes import FilePlanes
from snapdb.errors import ChangedFileError, NotFoundError, ObjectMissingError, ShapeError, UsageError
from snapdb.model.provenance import Provenance
from snapdb.photometry.psf import GaussianPSF
from snapdb.photometry.quality import Quality
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.testing.rendering import integrate_gaussian
from snapdb.testing.skies import Survey, make_survey

SIDE, SCALE, SIGMA, SKY, ZEROPOINT = 160, 0.5 / 3600.0, 1.6, 100.0, 27.0
RA, DEC = 359.9999, -17.5
PSF = GaussianPSF(SIGMA)


@dataclasses.dataclass
class Camera:
    """Writes images of a sky that the test knows."""

    folder: Path
    seed: int = 7

    def expose(
        self,
        name: str,
        sources: list[tuple[float, float, float]],
        *,
        mjd: float = 60_000.2,
        band: str = "r",
        middle: tuple[float, float] = (RA, DEC),
        noise: bool = True,
        cards: dict[str, Any] | None = None,
        spoil: Callable[[dict[str, Any], float, float], None] | None = None,
    ) -> Path:
        """Write an image; `spoil` may change its planes, and is told the first source's pixel."""
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "RADESYS": "ICRS"})
        header.update({"CRVAL1": middle[0], "CRVAL2": middle[1], "CRPIX1": SIDE / 2, "CRPIX2": SIDE / 2})
        header.update({"CD1_1": -SCALE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE, "EXPTIME": 60.0})
        wcs = WCS(header)
        header.update({"MJD-OBS": mjd, "FILTER": band, "MAGZERO": ZEROPOINT, "MAGSYS": "AB"})
        header.update(cards or {})
        header = fits.Header([card for card in header.cards if card.value != "absent"])
        rng = np.random.default_rng([self.seed, round(mjd * 100), len(name)])
        light = np.full((SIDE, SIDE), SKY)
        places = []
        for ra, dec, counts in sources:
            x, y = (float(v) for v in wcs.all_world2pix(ra, dec, 0))
            places.append((x, y))
            rows, columns, shares = integrate_gaussian(x, y, SIGMA, width=SIDE, height=SIDE)
            light[rows, columns] += counts * shares
        planes = {"SCI": rng.normal(light, np.sqrt(light)).astype(np.float32)}
        planes |= {"ERR": np.sqrt(light).astype(np.float32)} if noise else {}
        planes["DQ"] = np.zeros((SIDE, SIDE), dtype=np.int32)
        if spoil is not None:
            spoil(planes, *places[0])
        hdus = [fits.ImageHDU(pixels, header, name=plane) for plane, pixels in planes.items()]
        path = self.folder / f"{name}.fits"
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
        return path


@pytest.fixture
def camera(tmp_path: Path) -> Camera:
    """A camera whose images lie in a folder of their own."""
    (tmp_path / "files").mkdir()
    return Camera(tmp_path / "files")


@pytest.fixture
def own(registry: Registry, tmp_path: Path) -> Iterator[Archive]:
    """An empty archive to be filled."""
    with Archive(registry, LocalStore(tmp_path / "store")) as made:
        yield made


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Five nights: plain, gzipped and tile-compressed files."""
    return make_survey(tmp_path_factory.mktemp("survey"), epochs=5, stars=60)


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry, survey: Survey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """An archive of the survey, on either database."""
    with Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store"))) as made:
        made.ingest(survey.files, jobs=1)
        yield made


@dataclasses.dataclass
class PSFOfSurvey:
    """The PSF of each image of a survey."""

    survey: Survey

    def parameters(self) -> dict[str, Any]:
        """Say what it is."""
        return {"class": "PSFOfSurvey", "seed": self.survey.seed}

    def at(self, image: Any) -> GaussianPSF:
        """Give the PSF of an image."""
        truth = next(t for t in self.survey.images if t.mjd == image.mjd and t.sca == image.sca)
        return GaussianPSF(truth.exposure.psf_sigma_pix)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each reading of planes; they are read all the same."""
    noted: list[str] = []
    read = FilePlanes.read

    def note(self: FilePlanes, *given: Any, **named: Any) -> Any:
        noted.append(str(given))
        return read(self, *given, **named)

    monkeypatch.setattr(FilePlanes, "read", note)
    return noted


def value(curve: LightCurve, name: str) -> Any:
    """Give the numbers of a column."""
    column = curve.table[name]
    return np.asarray(getattr(column, "value", column))


# Fluxes


def test_stars_on_both_sides_of_right_ascension_0_have_their_true_fluxes(
    archive: Archive, survey: Survey
) -> None:
    pulls = []
    for star in survey.stars[:40]:
        truth = survey.images_of(star)
        curve = find_light_curve(archive, star.ra, star.dec, psf=PSFOfSurvey(survey), keep=False)
        assert list(value(curve, "mjd")) == [image.mjd for image in truth]
        sound = (value(curve, "quality") & ~int(Quality.MASKED | Quality.EDGE)) == 0
        want = np.array([image.counts_of(star) for image in truth])
        pulls += list(((value(curve, "flux") - want) / value(curve, "flux_err"))[sound])
    assert len(pulls) > 150
    # Neighbours are not taken out, so that the wings are not normal; the middle is.
    assert abs(np.median(pulls)) < 0.35
    assert 0.8 < 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 1.3
    assert {star.ra > 180.0 for star in survey.stars[:40] if survey.images_of(star)} == {True, False}


def test_an_aperture_is_what_photutils_sums(own: Archive, camera: Camera) -> None:
    path = camera.expose("one", [(RA, DEC, 8000.0)])
    own.ingest([path], jobs=1)
    curve = find_light_curve(own, RA, DEC, ap_r=6.0, annulus=None)
    x, y = value(curve, "x")[0], value(curve, "y")[0]
    with fits.open(path) as hdus:
        data, error = hdus["SCI"].data.astype(float), hdus["ERR"].data.astype(float)
    want = aperture_photometry(data, CircularAperture((x, y), 6.0), error=error)
    assert value(curve, "flux")[0] == pytest.approx(float(want["aperture_sum"][0]), rel=1e-9)
    assert value(curve, "flux_err")[0] == pytest.approx(float(want["aperture_sum_err"][0]), rel=1e-9)
    ringed = find_light_curve(own, RA, DEC, ap_r=6.0)
    level = value(ringed, "background")[0]
    assert level == pytest.approx(SKY, abs=5.0 * value(ringed, "background_err")[0])
    assert value(ringed, "flux")[0] == pytest.approx(float(want["aperture_sum"][0]) - level * np.pi * 36.0)
    whole = find_light_curve(own, RA, DEC, ap_r=3.0, psf=PSF)
    small = find_light_curve(own, RA, DEC, ap_r=3.0)
    inside = value(small, "flux")[0] / value(whole, "flux")[0]
    assert inside == pytest.approx(1.0 - np.exp(-9.0 / (2 * SIGMA**2 + 1 / 3)), abs=0.005)  # closed form


def test_calibration_and_limits(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("star", [(RA, DEC, 5000.0)], mjd=60_000.2)], jobs=1)
    own.ingest([camera.expose("none", [(RA, DEC, 0.0)], mjd=60_001.2)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF, sigmas=(3.0, 5.0))
    flux, err = value(curve, "flux"), value(curve, "flux_err")
    np.testing.assert_allclose(value(curve, "flux_njy"), flux * 10 ** (0.4 * (31.4 - ZEROPOINT)))
    assert value(curve, "mag")[0] == pytest.approx(ZEROPOINT - 2.5 * np.log10(flux[0]))
    assert np.isnan(value(curve, "mag_err")[1])
    assert abs(flux[1]) < 4.0 * err[1]
    for sigma in (3, 5):
        want = ZEROPOINT - 2.5 * np.log10(sigma * err)
        np.testing.assert_allclose(value(curve, f"mag_limit{sigma}"), want)
    assert curve.table["flux_njy"].unit == "nJy"
    assert curve.table["flux"].info.description


def test_fluxes_of_nothing_scatter_about_zero(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("empty", [(RA, DEC, 0.0)])], jobs=1)
    rng = np.random.default_rng(5)
    ra, dec = RA + rng.uniform(-0.006, 0.006, 300), DEC + rng.uniform(-0.006, 0.006, 300)
    found = find_phot(own, (ra, dec), psf=PSF).table
    assert len(found) == 300
    pull = np.asarray(found["flux"] / found["flux_err"])
    assert np.all(pull != 0.0)
    assert abs(pull.mean()) < 0.3  # positions share pixels: fewer than 300 are independent
    assert 0.8 < pull.std() < 1.2


# Kept


def test_asking_again_reads_no_pixel(own: Archive, camera: Camera, reads: list[str]) -> None:
    paths = [camera.expose(f"n{n}", [(RA, DEC, 900.0)], mjd=60_000.2 + n) for n in range(4)]
    own.ingest(paths[:3], jobs=1)
    first = find_light_curve(own, RA, DEC, psf=PSF)
    assert (len(first), first.new, len(reads)) == (3, 3, 3)
    again = find_light_curve(own, RA, DEC, psf=PSF)
    assert (again.new, len(reads)) == (0, 3)
    for name in first.table.colnames:
        np.testing.assert_array_equal(value(again, name), value(first, name))
    for path in paths[:3]:
        path.unlink()
    own.ingest(paths[3:], jobs=1)
    more = find_light_curve(own, RA - 360.0, DEC, psf=PSF)
    assert (len(more), more.new, len(reads)) == (4, 1, 4)
    np.testing.assert_array_equal(value(more, "flux")[:3], value(first, "flux"))
    other = find_light_curve(own, RA, DEC, psf=GaussianPSF(SIGMA + 0.1))
    assert other.new == 4
    assert [bool(reason) for reason in other.table["reason"]] == [True, True, True, False]
    assert "no such file" in other.table["reason"][0] or str(paths[0]) in other.table["reason"][0]
    assert find_light_curve(own, RA, DEC, psf=GaussianPSF(SIGMA + 0.1)).new == 3  # not kept as measured


def test_a_flux_is_kept_with_how_it_was_measured(own: Archive, camera: Camera) -> None:
    for n, provenance in enumerate((Provenance("reduce", 1), Provenance("reduce", 2))):
        path = camera.expose(f"n{n}", [(RA, DEC, 900.0)], mjd=60_000.2 + n)
        own.ingest([path], jobs=1, provenance=provenance)
    curve = find_light_curve(own, RA, DEC, psf=PSF, name="sn1")
    ids = curve.table.meta["provenance"]
    assert len(ids) == 2
    made = [own.get_provenance(one) for one in ids]
    assert {p.upstreams[0] for p in made} == {Provenance("reduce", 1), Provenance("reduce", 2)}
    assert {p.process for p in made} == {"lightcurve"}
    assert made[0].params["psf"] == PSF.parameters()
    kept = own.registry.find_measurements(cone=(RA, DEC, 1e-4), names=["sn1"])
    np.testing.assert_array_equal(kept.flux, value(curve, "flux"))
    with pytest.raises(UsageError, match="2 provenances"):
        find_light_curve(own, RA, DEC, psf=PSF, tag="best")
    one = find_light_curve(own, RA, DEC, psf=PSF, tag="best", image_provenance=Provenance("reduce", 2))
    assert own.get_tagged("best", "lightcurve").id == UUID(one.table.meta["provenance"][0])
    mine = Provenance("my photometry", 3)
    find_light_curve(own, RA, DEC, psf=PSF, provenance=mine)
    assert set(own.registry.find_measurements(provenance_ids=[mine.id]).provenance_id) == {mine.id}
    with pytest.raises(UsageError, match="keep=False"):
        find_light_curve(own, RA, DEC, psf=PSF, keep=False, tag="x")


def test_a_foreign_psf_says_what_it_is_or_is_not_kept(own: Archive, camera: Camera) -> None:
    class Foreign:
        """What snappl's users have: stamps, and nothing else."""

        stamp_size = 21

        def get_stamp(
            self, x: Any = None, y: Any = None, x0: Any = None, y0: Any = None, flux: Any = 1.0
        ) -> Any:
            return PSF.get_stamp(x, y, x0, y0, flux)

    own.ingest([camera.expose("one", [(RA, DEC, 900.0)])], jobs=1)
    with pytest.raises(UsageError, match="keep=False"):
        find_light_curve(own, RA, DEC, psf=Foreign())
    got = find_light_curve(own, RA, DEC, psf=Foreign(), keep=False)
    np.testing.assert_allclose(
        value(got, "flux"), value(find_light_curve(own, RA, DEC, psf=PSF), "flux"), rtol=1e-6
    )


def test_kept_cutouts_count_no_epoch_twice(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("one", [(RA, DEC, 900.0)])], jobs=1)
    image = own.find_images(ra=RA, dec=DEC)[0]
    own.save(image.get_ra_dec_cutout(RA, DEC, 81), Provenance("cut", 1))
    assert len(find_light_curve(own, RA, DEC, psf=PSF)) == 1
    assert len(find_light_curve(own, RA, DEC, psf=PSF, kind=["cutout", "exposure"])) == 2
    assert len(find_phot(own, ([RA], [DEC]), psf=PSF)) == 1


# What cannot be measured


def mask_all(planes: dict[str, Any], _x: float, _y: float) -> None:
    """Mark all pixels."""
    planes["DQ"][:] = 1


def no_noise_value(planes: dict[str, Any], _x: float, _y: float) -> None:
    """Say that there is no noise anywhere."""
    planes["ERR"][:] = 0.0


def all_nan(planes: dict[str, Any], _x: float, _y: float) -> None:
    """Take the data away."""
    planes["SCI"][:] = np.nan


def mask_ring(planes: dict[str, Any], x: float, y: float) -> None:
    """Leave good pixels at the source alone."""
    rows, columns = np.indices(planes["DQ"].shape)
    planes["DQ"][np.hypot(rows - y, columns - x) > 10.0] = 1


@pytest.mark.parametrize("spoil", [mask_all, no_noise_value, all_nan, mask_ring])
@pytest.mark.parametrize("how", [{"psf": PSF}, {"ap_r": 5.0}], ids=["psf", "aperture"])
def test_a_row_says_why_it_has_no_flux(
    own: Archive, camera: Camera, spoil: Callable[..., None], how: dict[str, Any], reads: list[str]
) -> None:
    own.ingest([camera.expose("bad", [(RA, DEC, 900.0)], spoil=spoil)], jobs=1)
    own.ingest([camera.expose("good", [(RA, DEC, 900.0)], mjd=60_001.2)], jobs=1)
    curve = find_light_curve(own, RA, DEC, **how)
    assert list(np.isfinite(value(curve, "flux"))) == [False, True]
    assert list(np.isfinite(value(curve, "flux_err"))) == [False, True]
    assert value(curve, "quality")[0] & Quality.FAILED
    assert "pixel" in curve.table["reason"][0]
    assert curve.table["reason"][1] == ""
    before = len(reads)
    again = find_light_curve(own, RA, DEC, **how)
    assert len(reads) == before  # that it cannot be measured is known too
    assert list(again.table["reason"]) == list(curve.table["reason"])
    assert len(curve.nightly()) == 1


def test_bad_pixels_are_left_out(own: Archive, camera: Camera) -> None:
    def spoil(planes: dict[str, Any], x: float, y: float) -> None:
        planes["SCI"][round(y) + 1, :] = 1e6
        planes["DQ"][round(y) + 1, :] = 4

    own.ingest([camera.expose("column", [(RA, DEC, 20_000.0)], spoil=spoil)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF)
    assert value(curve, "flux")[0] == pytest.approx(20_000.0, abs=4 * value(curve, "flux_err")[0])
    assert value(curve, "quality")[0] == int(Quality.MASKED | Quality.MASKED_PEAK)
    assert value(curve, "flags")[0] == 4
    assert 0.5 < value(curve, "coverage")[0] < 0.95
    corrected = find_light_curve(own, RA, DEC, psf=PSF, ap_r=5.0)
    assert value(corrected, "flux")[0] == pytest.approx(20_000.0, abs=4 * value(corrected, "flux_err")[0])
    alone = find_light_curve(own, RA, DEC, ap_r=5.0)
    assert np.isnan(value(alone, "flux")[0])
    assert "psf" in alone.table["reason"][0]
    taken = find_light_curve(own, RA, DEC, psf=PSF, bad_bits=2)  # the row counts as good: it must show
    assert value(taken, "flux")[0] > 1e5
    with pytest.raises(UsageError, match="NOPE"):
        find_light_curve(own, RA, DEC, psf=PSF, bad_bits="NOPE")


def test_without_noise_the_scatter_of_the_sky_is_the_error(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("quiet", [(RA, DEC, 0.0)], noise=False)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF)
    assert value(curve, "quality")[0] & Quality.NO_NOISE
    want = np.sqrt(SKY) / np.sqrt((PSF.stamp(50.0, 50.0) ** 2).sum())  # closed form: white noise
    assert value(curve, "flux_err")[0] == pytest.approx(want, rel=0.1)


def test_without_a_zero_point_there_is_no_calibrated_flux(own: Archive, camera: Camera) -> None:
    cards = {"MAGZERO": "absent", "MAGSYS": "absent"}
    own.ingest([camera.expose("raw", [(RA, DEC, 5000.0)], cards=cards)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF)
    assert value(curve, "flux")[0] == pytest.approx(5000.0, abs=5 * value(curve, "flux_err")[0])
    assert np.isnan(value(curve, "flux_njy")[0])
    assert value(curve, "quality")[0] & Quality.NO_ZEROPOINT
    night = curve.nightly()
    assert night["flux"].tolist() == pytest.approx(value(curve, "flux").tolist())
    assert "mag" not in night.colnames


def test_edges_and_files_that_change(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("edge", [(RA, DEC - 78.0 * SCALE, 9000.0)])], jobs=1)
    curve = find_light_curve(own, RA, DEC - 78.0 * SCALE, psf=PSF)
    assert value(curve, "quality")[0] == int(Quality.EDGE)
    assert value(curve, "flux")[0] == pytest.approx(9000.0, abs=5 * value(curve, "flux_err")[0])
    assert len(find_light_curve(own, RA, DEC - 1.0, psf=PSF)) == 0
    path = camera.expose("later", [(RA, DEC, 9000.0)], mjd=60_002.2)
    own.ingest([path], jobs=1)
    path.write_bytes(path.read_bytes() + bytes(2880))
    with pytest.raises(ChangedFileError):
        find_light_curve(own, RA, DEC, psf=PSF, on_error="raise", mjd_min=60_001.5)
    path.unlink()
    with pytest.raises(ObjectMissingError):
        find_light_curve(own, RA, DEC, psf=PSF, on_error="raise", mjd_min=60_001.5)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"method": "psf"}, UsageError),
        ({"method": "guess"}, UsageError),
        ({"psf": "gaussian:-2"}, UsageError),
        ({"psf": "gaussian:two"}, UsageError),
        ({"psf": PSF, "fit_shape": 10}, ShapeError),
        ({"psf": PSF, "fit_shape": (5, 7)}, ShapeError),
        ({"psf": PSF, "method": "psf", "ap_r": 3.0}, UsageError),
        ({"ap_r": 0.0}, UsageError),
        ({"ap_r": float("nan")}, UsageError),
        ({"annulus": (25, 15)}, UsageError),
        ({"annulus": 15}, UsageError),
        ({"estimator": "mean"}, UsageError),
        ({"psf": PSF, "weights": "none"}, UsageError),
        ({"bands": "r", "band": "r"}, UsageError),
        ({"radius": 1.0}, UsageError),
        ({"refine": True}, UsageError),
        ({"reference": "no such"}, UsageError),
        ({"ephemeris": {"mjd": [1.0, 2.0], "ra": [0.0, 1.0], "dec": [0.0, 0.0]}}, UsageError),
        ({"proper_motion": (1.0, 2.0)}, UsageError),
        ({"proper_motion": (1.0, 2.0, 57_000.2)}, UsageError),
        ({"threads": 0}, UsageError),
        ({"psf": 3}, UsageError),
        ({"psf": GaussianPSF}, UsageError),
        ({"sigmas": "a"}, UsageError),
        ({"sigmas": (-1,)}, UsageError),
        ({"bands": 5}, UsageError),
        ({"on_error": "ignore"}, UsageError),
    ],
)
def test_what_cannot_be_is_refused(own: Archive, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        find_light_curve(own, RA, DEC, **wrong)
    with pytest.raises(UsageError):
        find_light_curve(own, float("nan"), DEC)
    with pytest.raises(UsageError):
        find_light_curve(own)


# Many targets


def test_a_catalogue_gives_what_light_curves_give(archive: Archive, survey: Survey, reads: list[str]) -> None:
    stars = survey.stars[:25]
    table = Table(
        {"RA": [s.ra for s in stars], "DE": [s.dec for s in stars], "id": [f"s{n}" for n in range(25)]}
    )
    how: dict[str, Any] = {"psf": "gaussian:2.7", "bands": ["r", "g"]}
    found = find_phot(archive, table, ra="RA", dec="DE", name="id", **how)
    assert found.new == len(found) > 25
    assert len(reads) < len(found)  # squares near each other are read together
    before = len(reads)
    for row, star in enumerate(stars):
        curve = find_light_curve(archive, star.ra, star.dec, **how)
        mine = found.table[found.table["row"] == row]
        assert curve.new == 0
        for name in ("mjd", "flux", "flux_err", "background", "x", "quality"):
            np.testing.assert_array_equal(np.asarray(mine[name]), np.asarray(curve.table[name]))
        fresh = find_light_curve(archive, star.ra, star.dec, keep=False, **how)
        np.testing.assert_allclose(np.asarray(fresh.table["flux"]), np.asarray(mine["flux"]), rtol=1e-9)
        assert set(mine["name"]) <= {f"s{row}"}
    assert len(reads) > before
    assert find_phot(archive, table, ra="RA", dec="DE", **how).new == 0


def test_dense_targets_are_read_in_strips(
    own: Archive, camera: Camera, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own.ingest([camera.expose("one", [(RA, DEC, 20_000.0)])], jobs=1)
    rng = np.random.default_rng(6)
    places = RA + rng.uniform(-0.008, 0.008, 200), DEC + rng.uniform(-0.008, 0.008, 200)
    together = find_phot(own, places, psf=PSF, keep=False).table
    assert len(reads) == 1
    monkeypatch.setattr(spots, "_MOST_PX", 60 * SIDE)
    strips = find_phot(own, places, psf=PSF, keep=False).table
    assert 5 < len(reads) < 100
    monkeypatch.setattr(spots, "_DENSE", 0)
    before = len(reads)
    alone = find_phot(own, places, psf=PSF, keep=False).table
    assert len(reads) == before + 200
    for name in ("row", "flux", "flux_err", "background", "x"):
        np.testing.assert_array_equal(np.asarray(strips[name]), np.asarray(together[name]))
        np.testing.assert_array_equal(np.asarray(alone[name]), np.asarray(together[name]))


def test_rows_without_a_position(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    with pytest.raises(UsageError, match="1 of 2 rows"):
        find_phot(archive, ([sn.ra, np.nan], [sn.dec, 0.0]), psf=PSF)
    found = find_phot(archive, ([np.nan, sn.ra], [0.0, sn.dec]), psf=PSF, on_bad_row="skip", bands="r")
    assert found.skipped == (0,)
    assert set(found.table["row"]) == {1}
    assert "of 1 targets" in repr(found)
    with pytest.raises(UsageError, match="on_bad_row='skip'"):
        find_phot(archive, ([np.nan, sn.ra], [0.0, sn.dec]), psf=PSF)
    with pytest.raises(UsageError, match="on_bad_row='drop'"):
        find_phot(archive, ([sn.ra], [sn.dec]), psf=PSF, on_bad_row="drop")
    empty = find_phot(archive, ([], []), psf=PSF)
    assert len(empty) == 0
    assert "flux" in empty.table.colnames
    with pytest.raises(UsageError, match="limit"):
        find_phot(archive, ([sn.ra], [sn.dec]), psf=PSF, limit=3)


# Targets that move, and templates


def test_a_moving_object_is_followed(own: Archive, camera: Camera) -> None:
    mjd = np.array([60_000.2, 60_000.75, 60_001.3, 60_001.85, 60_002.4])
    half_exposure = 30.0 / 86_400.0
    track = Ephemeris(
        [59_999.0, 60_000.5, 60_001.7, 60_002.2, 60_004.0],
        [359.995, 359.999, 0.0021, 0.0034, 0.009],
        [-17.503, -17.5, -17.4988, -17.498, -17.496],
    )
    ra, dec = track.at(mjd + half_exposure)
    for n, (time, right, up) in enumerate(zip(mjd, ra, dec, strict=True)):
        own.ingest([camera.expose(f"n{n}", [(right, up, 7000.0)], mjd=time, middle=(right, up))], jobs=1)
    own.ingest([camera.expose("away", [(10.0, 10.0, 1.0)], mjd=60_000.2, middle=(10.0, 10.0))], jobs=1)
    own.ingest([camera.expose("late", [(ra[0], dec[0], 1.0)], mjd=60_100.2)], jobs=1)
    table = {
        "time": Time([59_999.0, 60_000.5, 60_001.7, 60_002.2, 60_004.0], format="mjd"),
        "ra": [359.995, 359.999, 0.0021, 0.0034, 0.009],
        "dec": [-17.503, -17.5, -17.4988, -17.498, -17.496],
    }
    curve = find_light_curve(own, ephemeris=table, psf=PSF)
    assert len(curve) == 5
    pull = (value(curve, "flux") - 7000.0) / value(curve, "flux_err")
    assert np.abs(pull).max() < 4.0
    np.testing.assert_allclose(value(curve, "ra"), ra, atol=1e-9)
    assert find_light_curve(own, ephemeris=table, psf=PSF).new == 0
    assert len(find_light_curve(own, ephemeris=table, psf=PSF, limit=2, offset=1)) == 2
    standing = find_light_curve(own, ra[2], dec[2], psf=PSF, keep=False)
    assert np.sum(value(standing, "flux") > 3500.0) == 1


def test_proper_motion(own: Archive, camera: Camera) -> None:
    star = ProperMotion.make(RA, DEC, (5000.0, -3000.0, 2016.0))
    for n, time in enumerate((57_400.2, 58_500.2, 60_000.2)):
        ra, dec = star.at(np.array(time))
        own.ingest([camera.expose(f"n{n}", [(float(ra), float(dec), 7000.0)], mjd=time)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF, proper_motion=(5000.0, -3000.0, 2016.0))
    assert np.abs((value(curve, "flux") - 7000.0) / value(curve, "flux_err")).max() < 4.0
    standing = find_light_curve(own, RA, DEC, psf=PSF)
    assert value(standing, "flux")[2] < 1000.0


@pytest.mark.parametrize("dated", [True, False])
def test_a_moving_target_has_no_place_on_an_image_without_a_time(
    own: Archive, camera: Camera, dated: bool
) -> None:
    timeless = camera.expose("timeless", [(RA, DEC, 7000.0)], cards={"MJD-OBS": "absent"})
    away = camera.expose("far", [(10.0, 10.0, 1.0)], middle=(10.0, 10.0), cards={"MJD-OBS": "absent"})
    own.ingest([timeless, away], jobs=1)
    if dated:
        own.ingest([camera.expose("dated", [(RA, DEC, 7000.0)])], jobs=1)
    table = {"mjd": [59_999.0, 60_001.0], "ra": [RA - 1e-4, RA + 1e-4], "dec": [DEC, DEC]}
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((RA, DEC), {"proper_motion": (10.0, -10.0, 2023.0)}),
        ((), {"ephemeris": table}),
    ]
    for place, track in ways:
        curve = find_light_curve(own, *place, psf=PSF, **track)
        reasons = [str(reason) for reason in curve.table["reason"]]
        assert len(curve) == 1 + dated
        assert sum("no time is known, so no position" in reason for reason in reasons) == 1
        silent = np.array([bool(reason) for reason in reasons])
        assert np.isnan(value(curve, "ra")).tolist() == silent.tolist()
        assert np.isnan(value(curve, "flux")).tolist() == silent.tolist()
        assert len(find_light_curve(own, *place, psf=PSF, mjd_min=50_000.0, **track)) == int(dated)


def test_a_template_is_subtracted(own: Archive, camera: Camera) -> None:
    fluxes = [
        ("r", 3000.0, 60_000.2),
        ("r", 5000.0, 60_010.2),
        ("g", 4000.0, 60_010.3),
        ("r", 3500.0, 60_020.2),
    ]
    for n, (band, counts, mjd) in enumerate(fluxes):
        made_by = Provenance("template" if n == 0 else "nightly", 1)
        own.ingest(
            [camera.expose(f"n{n}", [(RA, DEC, counts)], mjd=mjd, band=band)], jobs=1, provenance=made_by
        )
    plain = find_light_curve(own, RA, DEC, psf=PSF)
    image = own.find_images(ra=RA, dec=DEC, order_by="mjd")[0]
    for reference in (image, image.id, str(image.id), Provenance("template", 1)):
        curve = find_light_curve(own, RA, DEC, psf=PSF, reference=reference)
        assert list(value(curve, "mjd")) == [60_010.2, 60_010.3, 60_020.2]
        want = value(plain, "flux")[[1, 3]] - value(plain, "flux")[0]
        np.testing.assert_allclose(value(curve, "flux")[[0, 2]], want)
        error = np.hypot(value(plain, "flux_njy_err")[[1, 3]], value(plain, "flux_njy_err")[0])
        np.testing.assert_allclose(value(curve, "flux_njy_err")[[0, 2]], error)
        assert np.isnan(value(curve, "flux_njy")[1])
        assert "no flux in band g" in curve.table["reason"][1]
    with pytest.raises(NotFoundError):
        find_light_curve(own, RA, DEC, psf=PSF, reference=UUID(int=5))


def test_a_position_is_refined_by_all_epochs(own: Archive, camera: Camera) -> None:
    off = 0.35 / 3600.0
    for n in range(6):
        source = (RA + off / np.cos(np.radians(DEC)), DEC - off, 600.0 if n else 0.0)
        own.ingest([camera.expose(f"n{n}", [source], mjd=60_000.2 + n)], jobs=1)
    curve = find_light_curve(own, RA, DEC, psf=PSF, refine=True)
    said = curve.table.meta["refined_by"]
    assert said["east_arcsec"] == pytest.approx(0.35, abs=4 * said["east_err_arcsec"])
    assert said["north_arcsec"] == pytest.approx(-0.35, abs=4 * said["north_err_arcsec"])
    # Closed form for white noise: sigma_x = noise * sqrt(8 pi) sigma^2 / flux, and five epochs count.
    want = 0.5 * np.sqrt(SKY) * np.sqrt(8 * np.pi) * SIGMA**2 / 600.0 / np.sqrt(5)
    assert said["east_err_arcsec"] == pytest.approx(want, rel=0.35)
    pull = (value(curve, "flux")[1:] - 600.0) / value(curve, "flux_err")[1:]
    assert np.abs(pull).max() < 4.0
    assert find_light_curve(own, RA, DEC, psf=PSF).new == 6
    with pytest.raises(NotFoundError, match="refine"):
        find_light_curve(own, RA + 30 * SCALE, DEC + 30 * SCALE, psf=PSF, refine=True, mjd_max=60_000.5)


def test_the_seeing_that_images_name_makes_their_psf(own: Archive, camera: Camera) -> None:
    own.ingest([camera.expose("one", [(RA, DEC, 9000.0)])], jobs=1)
    unsaid = find_light_curve(own, RA, DEC, psf="property:fwhm_arcsec")
    assert "fwhm_arcsec" in unsaid.table["reason"][0]
    assert np.isnan(value(unsaid, "flux")[0])
