"""Nights, tracks, discs and drawings of light curves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import votable
from astropy.table import Column, QTable, Table
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from photutils.geometry import circular_overlap_grid

from snapdb.archive.light_curves.combine import combine_nights, find_noon
from snapdb.archive.light_curves.ephemeris import Ephemeris, Fixed, ProperMotion, make_track
from snapdb.archive.light_curves.outputs import FORMATS, make_quantities, write_table
from snapdb.archive.light_curves.plot import draw_light_curve, write_plot
from snapdb.archive.light_curves.psf_choice import SeeingPSF, choose_psf
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.errors import ObjectExistsError, UsageError
from snapdb.photometry.discs import make_discs
from snapdb.photometry.psf import GaussianPSF
from snapdb.photometry.quality import Quality
from snapdb.sky.vectors import separation


def make_curve(rows: list[tuple[float, str, float, float, int]]) -> QTable:
    """Make a light curve of (mjd, band, flux, error, quality)."""
    names = ("mjd", "band", "flux_njy", "flux_njy_err", "quality")
    made = make_quantities({name: [row[n] for row in rows] for n, name in enumerate(names)})
    made["flux"], made["flux_err"] = made["flux_njy"].value, made["flux_njy_err"].value
    return made


# Nights


def test_a_night_is_the_weighted_mean_of_its_fluxes() -> None:
    rng = np.random.default_rng(3)
    night = rng.integers(0, 6, 80)
    mjd = 60_000.0 + night + rng.uniform(0.85, 1.35, 80)  # across midnight UTC
    band = rng.choice(["g", "r"], 80)
    flux, err = rng.normal(100.0, 10.0, 80), rng.uniform(5.0, 15.0, 80)
    got = combine_nights(make_curve(list(zip(mjd, band, flux, err, [0] * 80, strict=True))))
    assert list(got["mjd"].value) == sorted(got["mjd"].value)
    assert len(got) == len({(n, b) for n, b in zip(night.tolist(), band.tolist(), strict=True)})
    for row in got:
        mine = (band == row["band"]) & (np.abs(mjd - row["mjd"].value) < 0.5)
        mean = np.average(flux[mine], weights=err[mine] ** -2)  # oracle: numpy
        assert row["n"] == mine.sum()
        assert row["flux_njy"].value == pytest.approx(mean)
        assert row["flux_njy_err"].value == pytest.approx(np.sum(err[mine] ** -2) ** -0.5)
        assert row["chi2"] == pytest.approx(np.sum(((flux[mine] - mean) / err[mine]) ** 2))
        assert (row["mjd_min"].value, row["mjd_max"].value) == (mjd[mine].min(), mjd[mine].max())
        assert row["mag_limit3"].value == pytest.approx(31.4 - 2.5 * np.log10(3 * row["flux_njy_err"].value))


def test_what_means_nothing_is_in_no_night() -> None:
    nan = float("nan")
    curve = make_curve(
        [
            (60_000.1, "r", 10.0, 1.0, 0),
            (60_000.2, "r", 99.0, 1.0, int(Quality.SATURATED)),
            (60_000.2, "r", nan, nan, int(Quality.FAILED)),
            (nan, "r", 99.0, 1.0, 0),
            (60_000.2, "r", 99.0, 0.0, 0),
            (60_000.3, "r", 12.0, 1.0, int(Quality.EDGE | Quality.MASKED)),
            (60_000.3, "", 5.0, 1.0, 0),
        ]
    )
    got = combine_nights(curve)
    assert {(row["band"], row["flux_njy"].value, int(row["n"])) for row in got} == {
        ("r", 11.0, 2),
        ("", 5.0, 1),
    }
    assert len(combine_nights(curve, left_out=0)) == 2
    assert combine_nights(curve, left_out=0)["n"].sum() == 4
    assert len(combine_nights(curve[:0])) == 0
    with pytest.raises(UsageError):
        combine_nights(curve, days=0.0)


@given(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 40))
def test_noon_is_when_nothing_is_observed(midnight: float, number: int) -> None:
    rng = np.random.default_rng(number)
    mjd = 60_000.0 + rng.integers(0, 100, number) + midnight + rng.uniform(-0.2, 0.2, number)
    noon = find_noon(mjd)
    away = np.abs((mjd - noon + 0.5) % 1.0 - 0.5)
    assert away.min() >= 0.25  # the widest gap is at least 0.6 days
    assert len(np.unique(np.floor(mjd - noon))) == len(np.unique(np.round(mjd - midnight)))


def test_noon_of_nothing() -> None:
    assert find_noon(np.array([np.nan])) == 0.5
    assert find_noon(np.array([60_000.25])) == pytest.approx(0.75)


# Tracks


def test_proper_motion_is_astropys() -> None:
    track = ProperMotion.make(359.9999, 88.0, (900.0 * units.mas / units.yr, -400.0, 2016.0))
    star = SkyCoord(
        359.9999 * units.deg,
        88.0 * units.deg,
        pm_ra_cosdec=900.0 * units.mas / units.yr,
        pm_dec=-400.0 * units.mas / units.yr,
        distance=100.0 * units.pc,
        obstime=Time(2016.0, format="jyear", scale="utc"),
    )
    mjd = Time([1990.0, 2016.0, 2026.5], format="jyear", scale="utc").mjd
    want = [star.apply_space_motion(new_obstime=Time(one, format="mjd")) for one in mjd]
    ra, dec = track.at(mjd)
    for n, one in enumerate(want):
        assert float(separation(ra[n], dec[n], one.ra.deg, one.dec.deg)) * 3.6e6 < 0.1  # mas
    assert np.isnan(track.at(np.array([np.nan]))[0]).all()
    for reach in track.reaches(mjd[0], mjd[-1]):
        assert (separation(reach.ra, reach.dec, ra, dec) < reach.radius).all()


@given(st.floats(0.0, 360.0), st.floats(-80.0, 80.0), st.floats(-3.0, 3.0), st.floats(-0.5, 0.5))
def test_an_ephemeris_is_followed_and_enclosed(ra: float, dec: float, east: float, north: float) -> None:
    days = np.linspace(0.0, 12.0, 13)

    def place(t: Any) -> tuple[Any, Any]:
        return (ra + east * t + 0.001 * t**2) % 360.0, dec + north * np.sin(t / 9.0)

    track = Ephemeris.make(
        {"mjd": 60_000.0 + days[::-1], "ra": place(days)[0][::-1], "dec": place(days)[1][::-1]}
    )
    between = np.linspace(0.5, 11.5, 50)
    got = track.at(60_000.0 + between)
    assert separation(*got, *place(between)).max() * 3600.0 < 25.0  # degrees a day, a point a day
    np.testing.assert_allclose(separation(*track.at(60_000.0 + days), *place(days)), 0.0, atol=1e-9)
    assert np.isnan(track.at(np.array([59_999.9, 60_012.1]))[0]).all()
    reaches = list(track.reaches(60_000.0, 60_012.0))
    for time, right, up in zip(60_000.0 + between, *got, strict=True):
        mine = [
            r
            for r in reaches
            if r.mjd_min is not None and r.mjd_max is not None and r.mjd_min <= time <= r.mjd_max
        ]
        assert any(float(separation(r.ra, r.dec, right, up)) <= r.radius for r in mine)
    assert list(track.reaches(59_000.0, 59_001.0)) == []


@pytest.mark.parametrize(
    "table",
    [
        {"mjd": [1.0], "ra": [0.0], "dec": [0.0]},
        {"mjd": [1.0, 1.0], "ra": [0.0, 1.0], "dec": [0.0, 1.0]},
        {"mjd": [1.0, 2.0], "ra": [0.0, np.nan], "dec": [0.0, 1.0]},
        {"mjd": [1.0, 2.0], "ra": [0.0, 1.0], "dec": [0.0, 91.0]},
        {"mjd": [1.0, 2.0], "ra": np.ma.masked_array([0.0, 1.0], [False, True]), "dec": [0.0, 1.0]},
        {"mjd": np.ma.masked_array([1.0, 2.0], [False, True]), "ra": [0.0, 1.0], "dec": [0.0, 1.0]},
        {"mjd": [2_460_000.5, 2_460_001.5], "ra": [0.0, 1.0], "dec": [0.0, 1.0]},
        {"ra": [0.0, 1.0], "dec": [0.0, 1.0]},
        [1.0, 2.0],
    ],
)
def test_no_ephemeris(table: Any) -> None:
    with pytest.raises(UsageError, match="ephemeris"):
        Ephemeris.make(table)


def test_a_moving_sky_coordinate_is_followed() -> None:
    """Oracle: astropy's own apply_space_motion, in any frame."""
    when = Time(2016.0, format="jyear")
    motion = {"pm_ra_cosdec": 900 * units.mas / units.yr, "pm_dec": -400 * units.mas / units.yr}
    far = 100 * units.pc
    place = SkyCoord(269.4 * units.deg, 4.7 * units.deg, far, obstime=when, **motion)
    later = Time(60_000.0, format="mjd")
    wanted = place.apply_space_motion(new_obstime=later)
    for form in (place, place.galactic, place.reshape(1)):
        ra, dec = make_track(form, None).at(np.array([60_000.0]))
        assert separation(ra, dec, wanted.ra.deg, wanted.dec.deg).max() * 3600.0 < 1e-3
    still = SkyCoord(10.0 * units.deg, 20.0 * units.deg, radial_velocity=5 * units.km / units.s)
    assert make_track(still, None) == Fixed(10.0, 20.0)
    assert isinstance(make_track(place, None, proper_motion=(0.0, 0.0, 2016.0)), ProperMotion)
    for form in (SkyCoord, ICRS):
        with pytest.raises(UsageError, match="no obstime"):
            make_track(form(ra=269.4 * units.deg, dec=4.7 * units.deg, **motion), None)
    unknown = dict.fromkeys(motion, np.nan * units.mas / units.yr)
    assert make_track(SkyCoord(10.0 * units.deg, 20.0 * units.deg, **unknown), None) == Fixed(10.0, 20.0)
    with pytest.raises(UsageError, match=r"expected \(pmra, pmdec, epoch\)"):
        make_track(10.0, 20.0, proper_motion=(np.nan, 1.0, 2016.0))


@pytest.mark.parametrize(
    "times",
    [
        ["2023-02-25T00:00:00", "2023-02-26 12:00:00"],
        np.array(["2023-02-25T00:00", "2023-02-26T12:00"], dtype="datetime64[ns]"),
        pd.Series(pd.to_datetime(["2023-02-25T00:00", "2023-02-26T12:00"])),
        Time(["2023-02-25", "2023-02-26T12:00"]).tdb,
        [60_000.0, 60_001.5] * units.d,
        Column([60_000.0, 60_001.5], unit="d"),
        Column([b"2023-02-25T00:00", b"2023-02-26T12:00"]),
    ],
)
def test_times_of_an_ephemeris_come_in_any_form(times: Any) -> None:
    """Oracle: the MJD of these dates by astropy.time."""
    table: Any = {"time": times, "ra": [0.0, 1.0], "dec": [0.0, 0.0]}
    track = Ephemeris.make(pd.DataFrame(table) if isinstance(times, pd.Series) else table)
    np.testing.assert_allclose(track.mjd, Time(["2023-02-25", "2023-02-26T12:00"]).mjd, rtol=0, atol=1e-9)


def test_an_ephemeris_in_a_file(tmp_path: Path) -> None:
    table = Table({"mjd": [60_000.0, 60_001.0], "ra": [10.0, 11.0], "dec": [0.0, 0.0]})
    table["ra"].unit, table["dec"].unit = "deg", "deg"
    table.write(tmp_path / "a.ecsv")
    ra, _ = make_track(None, None, ephemeris=tmp_path / "a.ecsv").at(np.array([60_000.5]))
    assert ra[0] == pytest.approx(10.5)
    with pytest.raises(UsageError, match="suffix"):
        Ephemeris.make(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError):
        Ephemeris.make(tmp_path / "b.ecsv")
    assert make_track("10h", "-5d") == Fixed(150.0, -5.0)
    assert make_track(np.array([150.0]), [-5.0]) == Fixed(150.0, -5.0)
    assert make_track(-1.0, 2.0) == Fixed(359.0, 2.0)


# Discs


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.1, 9.0))
def test_discs_are_photutils(dx: float, dy: float, radius: float) -> None:
    size = 2 * int(np.ceil(radius + 0.5)) + 1
    got = make_discs(np.array([dx]), np.array([dy]), radius, size)[0]
    half = size / 2.0
    want = circular_overlap_grid(-half - dx, half - dx, -half - dy, half - dy, size, size, radius, 1, 1)
    np.testing.assert_allclose(got, want, atol=1e-8)
    assert got.sum() == pytest.approx(np.pi * radius**2, rel=1e-9)


# What is asked


def test_words_for_a_psf() -> None:
    assert choose_psf(None) is None
    assert choose_psf("gaussian:3.0").parameters() == GaussianPSF(fwhm=3.0).parameters()
    assert choose_psf("moffat:3.0:2.5").parameters()["class"] == "MoffatPSF"
    assert isinstance(choose_psf("property:seeing"), SeeingPSF)
    for wrong in ("gaussian", "gaussian:", "gaussian:1:2", "moffat:3", "property:"):
        with pytest.raises(UsageError, match="expected"):
            choose_psf(wrong)


def test_a_recipe_says_all_that_counts() -> None:
    plain = Recipe.make(psf=GaussianPSF(1.5))
    made = {str(plain.parameters())}
    changes: tuple[dict[str, Any], ...] = (
        {"psf": GaussianPSF(1.6)},
        {"method": "aperture"},
        {"ap_r": 3.0},
        {"fit_shape": 9},
        {"annulus": None},
        {"annulus": (10, 25)},
        {"estimator": "median"},
        {"weights": "uniform"},
        {"bad_bits": 3},
        {"bad_bits": ["SATURATED", 4]},
    )
    for change in changes:
        made.add(str(Recipe.make(**{"psf": GaussianPSF(1.5), **change}).parameters()))
    assert len(made) == 11
    assert str(Recipe.make(ap_r=3.0).parameters()) not in made
    assert plain.stamp_size == 51
    assert Recipe.make(ap_r=40.0).stamp_size == 83


# Files and drawings


def test_every_format_gives_the_same_numbers(tmp_path: Path) -> None:
    curve = make_curve([(60_000.1, "r", 10.0, 1.0, 0), (60_001.1, "g", float("nan"), float("nan"), 512)])
    for suffix, form in FORMATS.items():
        path = write_table(curve, tmp_path / f"curve{suffix}")
        if suffix in (".json", ".jsonl", ".txt"):
            text = path.read_text()
            if suffix == ".txt":
                assert text.splitlines()[0].split()[:3] == ["mjd", "band", "flux"]
                continue
            rows = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
            assert [row["flux_njy"] for row in rows] == [10.0, None]
            continue
        if suffix == ".parquet":
            from pyarrow import parquet

            got = parquet.read_table(path)
            assert got.schema.field("flux_njy").metadata == {b"unit": b"nJy"}
            assert got["flux_njy"].to_pylist() == [10.0, None]
            continue
        read = Table.read(path, format=form)
        np.testing.assert_array_equal(np.ma.filled(np.ma.asarray(read["flux_njy"]), np.nan), [10.0, np.nan])
        assert [str(band) for band in read["band"]] == ["r", "g"]
        if suffix != ".csv":
            assert str(read["flux_njy"].unit) == "nJy"
    with pytest.raises(ObjectExistsError):
        write_table(curve, tmp_path / "curve.ecsv")
    with pytest.raises(UsageError):
        write_table(curve, tmp_path / "curve.doc")
    assert len(Table.read(write_table(curve[:0], tmp_path / "empty.fits"))) == 0


def test_facts_of_a_table_are_in_its_files(tmp_path: Path) -> None:
    curve = make_curve([(60_000.1, "r", 10.0, 1.0, 0)])
    facts = {"method": "psf 11", "name": "SN\u00e9", "ra": 10.5, "provenance": ["a", "b"], "none": None}
    curve.meta = facts
    read = Table.read(write_table(curve, tmp_path / "a.fits"))
    assert (read.meta["METHOD"], read.meta["RA"]) == ("psf 11", 10.5)
    assert json.loads(read.meta["PROVID"]) == ["a", "b"]
    params = votable.parse(write_table(curve, tmp_path / "a.vot")).get_first_table().params
    said = {param.name: param.value for param in params}
    named = {"target_name": "SN\u00e9", "target_ra": 10.5}  # columns have the names without it
    assert said == {"method": "psf 11", "provenance": '["a", "b"]', **named}
    for kind in (Table, QTable):
        parquet = kind.read(write_table(curve, tmp_path / "a.parquet", overwrite=True))
        assert parquet.meta == facts
        assert parquet["flux_njy"].unit == units.nJy
        assert np.asarray(parquet["flux_njy"]).tolist() == [10.0]
    assert Table.read(write_table(curve, tmp_path / "a.ecsv")).meta == facts


def test_nights_without_zero_points_are_in_the_data_s_unit() -> None:
    curve = make_curve([(60_000.1, "r", 10.0, 1.0, 0), (60_000.2, "r", 14.0, 1.0, 0)])
    curve["flux_njy"][:] = np.nan * units.nJy
    curve.meta["flux_unit"] = "counts"
    night = combine_nights(curve)
    assert (night["flux"].tolist(), night["n"].tolist()) == ([12.0], [2])
    assert night["flux_err"][0] == pytest.approx(0.5**0.5)
    assert night.meta["flux_unit"] == "counts"
    assert "mag" not in night.colnames
    draw_light_curve(night)
    curve.meta["flux_unit"] = "counts, rate"
    with pytest.raises(UsageError, match="counts, rate"):
        combine_nights(curve)


def test_a_drawing_says_what_it_leaves_out() -> None:
    nan = float("nan")
    rows = [(60_000.1, "r", 10.0, 1.0, 0), (nan, "r", 9.0, 1.0, 0), (60_000.2, "g", nan, nan, 512)]
    assert draw_light_curve(make_curve(rows), title="a star").axes[0].get_title() == (
        "a star (2 of 3 rows not drawn)"
    )
    assert draw_light_curve(make_curve(rows[:1]), title="a star").axes[0].get_title() == "a star"


def test_a_drawing_has_points_and_limits(tmp_path: Path) -> None:
    rows = [(60_000.0 + n, "gr"[n % 2], 100.0 * (n % 4), 20.0, 32 * (n == 6)) for n in range(12)]
    curve = make_curve(rows)
    axes = draw_light_curve(curve, title="a star").axes[0]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["g (6)", "r (6)"]
    arrows = [line for line in axes.lines if line.get_marker() == r"$\downarrow$"]
    assert sum(len(line.get_xdata()) for line in arrows) == sum(row[2] < 60.0 for row in rows)
    np.testing.assert_allclose(arrows[0].get_ydata(), 31.4 - 2.5 * np.log10(60.0))
    assert draw_light_curve(curve, unit="nJy").axes[0].get_ylabel() == "flux / nJy"
    draw_light_curve(combine_nights(curve))
    draw_light_curve(curve[:0])
    with pytest.raises(UsageError):
        draw_light_curve(curve, unit="Jy")
    path = write_plot(draw_light_curve(curve), tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ObjectExistsError):
        write_plot(draw_light_curve(curve), path)
    with pytest.raises(UsageError):
        write_plot(draw_light_curve(curve), tmp_path / "a.bmp")
