"""The survey on disk: what its files hold is what its truth says, and the same seed gives the same bytes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snapdb.errors import UsageError
from snapdb.testing.detectors import FLAG_BITS
from snapdb.testing.files import NOISE_STEP
from snapdb.testing.rendering import expose, render_sources
from snapdb.testing.skies import Survey, make_survey, plan_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return make_survey(tmp_path_factory.mktemp("sky"), epochs=2, stars=30)


def digests(survey: Survey) -> dict[str, str]:
    files = (*survey.files, *survey.bad_files)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_plan_is_what_the_demonstration_promises() -> None:
    plan = plan_survey("nowhere")
    main = [i for i in plan.images if i.exposure.field == "equinox"]
    assert len(main) == 48
    assert {i.band for i in main} == {"g", "r", "i"}
    assert len({round(i.mjd) for i in main}) == 8
    assert len({i.exposure.roll_deg for i in main}) == 24
    assert {i.exposure.ra > 180.0 for i in main} == {True, False}
    assert len(plan.images_of(plan.supernova)) == 24
    assert {"".join(p.suffixes) for p in plan.files} == {".fits", ".fits.gz", ".fits.fz"}


def test_every_file_holds_three_planes_an_image_and_the_cards_of_its_truth(survey: Survey) -> None:
    """Oracle: astropy reading the files."""
    for image in survey.images:
        with fits.open(image.path) as hdus:
            science, noise, flags = hdus[image.hdu], hdus[image.hdu + 1], hdus[image.hdu + 2]
            assert [h.header["EXTNAME"] for h in (science, noise, flags)] == ["SCI", "ERR", "DQ"]
            assert science.data.shape == noise.data.shape == flags.data.shape == (image.height, image.width)
            assert hdus[0].header["FILTER"] == image.band
            assert hdus[0].header["MJD-OBS"] == image.mjd
            assert hdus[0].header["EXPTIME"] == image.exptime
            assert science.header["MAGZERO"] == image.zeropoint
            assert science.header["CCDNUM"] == image.sca
            assert {n: 2 ** flags.header[f"MP_{n}"] for n in FLAG_BITS} == FLAG_BITS
            x, y = image.to_pixels(image.exposure.ra, image.exposure.dec)
            there = WCS(science.header).all_world2pix(image.exposure.ra, image.exposure.dec, 0)
            np.testing.assert_allclose((x, y), there, atol=1e-4)


def test_a_bright_star_on_disk_has_the_counts_of_its_truth(survey: Survey) -> None:
    """Oracle: the sum of the pixels about it less the known sky; 1 % where its noise is 0.3 %."""
    table = survey.make_truth_table()
    checked = 0
    for row in table[(table["mag"] > 15.8) & (table["mag"] < 17.0)]:
        x, y = round(row["x"]), round(row["y"])
        image = next(i for i in survey.images if str(i.path) == row["path"] and i.hdu == row["hdu"])
        near = table[(table["path"] == row["path"]) & (table["hdu"] == row["hdu"])]
        crowd = near[np.hypot(near["x"] - row["x"], near["y"] - row["y"]) < 25]
        if len(crowd) > 1 or not (12 < x < image.width - 12 and 12 < y < image.height - 12):
            continue
        box = np.s_[y - 9 : y + 10, x - 9 : x + 10]
        with fits.open(image.path) as hdus:
            if hdus[image.hdu + 2].data[box].any():
                continue
            counts = (hdus[image.hdu].data[box].astype(float) - image.exposure.sky_level).sum()
        assert counts == pytest.approx(row["counts"], rel=0.01)
        checked += 1
    assert checked >= 3


def test_compressed_planes_are_exact_save_the_rounding_of_the_noise(survey: Survey) -> None:
    """Oracle: the planes as they were rendered."""
    image = next(i for i in survey.images if i.path.suffix == ".fz")
    planes = expose(render_sources(image, survey.sources), image, seed=survey.seed)
    with fits.open(image.path) as hdus:
        np.testing.assert_array_equal(hdus[1].data, planes.data)
        np.testing.assert_allclose(hdus[2].data, planes.noise, atol=NOISE_STEP)
        np.testing.assert_array_equal(hdus[3].data, planes.flags)
        assert hdus[1].data.dtype.kind == "u"


def test_a_second_call_writes_nothing_and_a_lost_file_comes_back_the_same(survey: Survey) -> None:
    before = digests(survey)
    assert make_survey(survey.folder, epochs=2, stars=30).written == 0
    lost = survey.files[0]
    stamp = lost.stat().st_mtime_ns
    lost.unlink()
    assert make_survey(survey.folder, epochs=2, stars=30).written == 1
    assert digests(survey) == before
    assert lost.stat().st_mtime_ns == stamp


def test_the_same_seed_gives_the_same_bytes_elsewhere_and_another_seed_others(
    survey: Survey, tmp_path: Path
) -> None:
    assert digests(make_survey(tmp_path / "a", epochs=2, stars=30)) == digests(survey)
    other = digests(make_survey(tmp_path / "b", epochs=1, stars=30, seed=7))
    assert other["sky00101_g_d1.fits"] != digests(survey)["sky00101_g_d1.fits"]


def test_another_survey_is_never_mixed_into_a_folder(survey: Survey) -> None:
    with pytest.raises(UsageError, match="choose another folder"):
        make_survey(survey.folder, epochs=1, stars=30)


@pytest.mark.parametrize("epochs", [0, -1, 13])
def test_impossible_numbers_of_epochs_are_refused(epochs: int) -> None:
    with pytest.raises(UsageError, match="expected 1 to 12"):
        plan_survey("nowhere", epochs=epochs)


def test_broken_files_are_broken_in_the_ways_that_their_names_say(survey: Survey) -> None:
    """Oracle: astropy, which finds no image in any of them."""
    sizes = {p.name: p.stat().st_size for p in survey.bad_files}
    assert sizes["empty.fits"] == 0
    assert sizes["claims_149_gb.fits"] == 5760
    header = fits.Header.fromstring((survey.folder / "broken/claims_149_gb.fits").read_bytes()[:2880])
    claimed = header["NAXIS1"] * header["NAXIS2"] * 4
    assert claimed == 148_996_000_000
    with fits.open(survey.folder / "broken/table_only.fits") as hdus:
        assert [type(h).__name__ for h in hdus] == ["PrimaryHDU", "BinTableHDU"]
        assert hdus[0].data is None
    assert sizes["cut_short.fits"] < 1_000_000 < 3 * sizes["cut_short.fits"]
    assert b"<!DOCTYPE html>" in (survey.folder / "broken/error_page.fits").read_bytes()
