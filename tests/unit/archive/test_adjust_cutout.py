"""Fitting a template. Oracles: the numbers that a scene was made with, and what its noise makes of them."""

from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped,unused-ignore]

import snapdb
from snapdb.archive.stamps.adjust import adjust_cutout
from snapdb.archive.stamps.stamp import get_cutout
from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.adjustment import TemplateFit, estimate_mode, fill_smoothly

SIGMA = 5.0
FLUX, WIDTH = 50_000.0, 1.8


def make_scene(
    rng: np.random.Generator,
    shape: tuple[int, int] = (41, 41),
    *,
    dx: float = 0.7,
    dy: float = -0.4,
    scale: float = 1.05,
) -> dict[str, Any]:
    """Two stars in a template, and the same moved by (dx, dy) in an image."""
    y, x = np.indices(shape).astype(float)

    def stars(along: float, up: float) -> np.ndarray:
        total = np.zeros(shape)
        for right, above, part in ((0.0, 0.0, 1.0), (6.0, -5.0, 0.3)):
            cx, cy = shape[1] / 2 + right + along, shape[0] / 2 + above + up
            total += part * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 2 / WIDTH**2)
        return FLUX / (2 * np.pi * WIDTH**2) * total

    image = scale * stars(dx, dy) + 100.0 + rng.normal(0, SIGMA, shape)
    return {
        "image": image,
        "convolved": stars(0, 0) + 30.0,
        "err": np.full(shape, SIGMA),
        "mask": np.zeros(shape, bool),
        "meta": {},
    }


def pulls(meta: dict[str, Any], **truth: float) -> list[float]:
    """How many standard deviations each fitted value lies from the truth."""
    return [(meta[f"adjust_{n}"] - v) / meta[f"adjust_{n}_err"] for n, v in truth.items()]


@pytest.mark.parametrize("fit_bg", [False, True])
@pytest.mark.parametrize("shape", [(41, 41), (31, 46)])
def test_the_truth_is_found_within_its_errors(fit_bg: bool, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    found, pvalues = [], []
    for _ in range(25):
        dx, dy, scale = *rng.uniform(-1.9, 1.9, 2), rng.uniform(0.93, 1.09)
        cutout = make_scene(rng, shape, dx=dx, dy=dy, scale=scale)
        assert adjust_cutout(cutout, fit_bg=fit_bg) is True
        meta = cutout["meta"]
        truth = {"dx": dx, "dy": dy, "scale": scale, **({"bg": 100.0} if fit_bg else {})}
        found.append(pulls(meta, **truth))
        pvalues.append(meta["adjust_pval"])
        assert meta["adjust_pval"] == pytest.approx(stats.chi2.sf(meta["adjust_chi2"], meta["adjust_df"]))
        assert meta["adjust_chi2"] <= meta["adjust_chi2_0"]
        assert not meta["adjust_at_limit"]
        left = np.nanstd(cutout["adjusted"]) / SIGMA
        assert left == pytest.approx(1.0, abs=0.1)
    spread = np.std(found, axis=0)
    # The standard deviation of 25 unit normals is 1 within 0.14; five of these.
    assert (np.abs(spread - 1) < 0.7).all(), spread
    assert (np.abs(np.mean(found, axis=0)) < 1.0).all()  # five of 0.2
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-4


def test_axes_are_the_right_ones() -> None:
    cutout = make_scene(np.random.default_rng(5), dx=1.5, dy=0.0)
    assert adjust_cutout(cutout)
    assert cutout["meta"]["adjust_dx"] == pytest.approx(1.5, abs=0.02)
    assert cutout["meta"]["adjust_dy"] == pytest.approx(0.0, abs=0.02)


def test_degrees_of_freedom_are_pixels_less_parameters() -> None:
    rng = np.random.default_rng(6)
    for inner, fit_bg, expected in ((20, False, 400 - 3), (21, True, 441 - 4), (7, False, 49 - 3)):
        cutout = make_scene(rng, (41, 60))
        assert adjust_cutout(cutout, inner=inner, fit_bg=fit_bg)
        assert cutout["meta"]["adjust_df"] == expected


def test_bad_pixels_stay_out_wherever_the_template_goes() -> None:
    rng = np.random.default_rng(7)
    for bad in (1e5, np.nan, -np.inf):
        for _ in range(5):
            dx, dy = rng.uniform(-1.8, 1.8, 2)
            cutout = make_scene(rng, dx=dx, dy=dy)
            mask = rng.random(cutout["mask"].shape) < 0.02
            mask[19:21, 21] = True  # beside the brighter star's peak
            cutout["mask"] = mask
            cutout["convolved"][mask] = bad
            cutout["image"][mask] = -1e6
            assert adjust_cutout(cutout)
            meta = cutout["meta"]
            assert (np.abs(pulls(meta, dx=dx, dy=dy, scale=1.05)) < 5).all()
            assert meta["adjust_pval"] > 1e-5
    cutout = make_scene(rng)
    cutout["image"][3, 4], cutout["err"][5, 6], cutout["err"][7, 8] = np.nan, np.nan, 0.0  # not in the mask
    assert adjust_cutout(cutout, normalize=True)
    assert cutout["meta"]["adjust_pval"] > 1e-5
    assert np.isnan(cutout["adjusted"][[3, 5, 7], [4, 6, 8]]).all()
    assert np.isfinite(cutout["adjusted"]).sum() == 41 * 41 - 3


def test_the_difference_is_divided_once() -> None:
    plain, normal = (make_scene(np.random.default_rng(8)) for _ in range(2))
    assert adjust_cutout(plain)
    assert adjust_cutout(normal, normalize=True)
    np.testing.assert_allclose(normal["adjusted"], plain["adjusted"] / SIGMA)
    assert np.std(normal["adjusted"]) == pytest.approx(1.0, abs=0.1)


def test_bounds_hold_and_are_told() -> None:
    cutout = make_scene(np.random.default_rng(9), dx=1.5, scale=1.5)
    assert adjust_cutout(cutout, max_shift=1, max_scale=1.2)
    meta = cutout["meta"]
    assert meta["adjust_dx"] == 1.0
    assert meta["adjust_at_limit"]
    assert meta["adjust_scale"] <= 1.2
    still = make_scene(np.random.default_rng(9), dx=0, dy=0, scale=1)
    assert adjust_cutout(still, max_shift=0, max_scale=1)
    assert (still["meta"]["adjust_dx"], still["meta"]["adjust_scale"]) == (0.0, 1.0)


def test_a_far_minimum_is_found() -> None:
    cutout = make_scene(np.random.default_rng(10), dx=-7.3, dy=6.6)
    assert adjust_cutout(cutout, max_shift=9)
    assert np.abs(pulls(cutout["meta"], dx=-7.3, dy=6.6)).max() < 5


def test_without_good_pixels_nothing_changes() -> None:
    for plane, value in (("mask", True), ("err", 0.0), ("image", np.nan), ("convolved", np.nan)):
        cutout = make_scene(np.random.default_rng(11))
        cutout[plane][:] = value
        said: list[str] = []
        assert adjust_cutout(cutout, verbose=said.append) is False
        assert "adjusted" not in cutout
        assert cutout["meta"] == {}
        assert "too few" in said[0]
    tiny = {k: v[:2, :2] if k != "meta" else v for k, v in make_scene(np.random.default_rng(1)).items()}
    assert adjust_cutout(tiny) is False


def test_what_cannot_be_is_refused() -> None:
    scene = make_scene(np.random.default_rng(12))
    with pytest.raises(UsageError, match="convolved"):
        adjust_cutout({"image": scene["image"], "err": scene["err"], "meta": {}})
    with pytest.raises(ShapeError):
        adjust_cutout({**scene, "err": scene["err"][1:]})
    for bounds in ({"max_shift": -1}, {"max_scale": 0.5}, {"max_shift": np.nan}):
        with pytest.raises(UsageError):
            adjust_cutout(scene, **bounds)


def test_a_cutout_is_adjusted_as_a_dictionary_is(capsys: pytest.CaptureFixture[str]) -> None:
    scene = make_scene(np.random.default_rng(13))
    planes = {k: scene[k] for k in ("convolved", "err")}
    cutout = get_cutout(scene["image"], {"x": 20, "y": 20}, 20, **planes)
    assert isinstance(cutout, snapdb.Cutout)
    assert adjust_cutout(cutout, verbose=True)
    assert "scale" in capsys.readouterr().out
    assert adjust_cutout(scene)
    np.testing.assert_allclose(cutout["adjusted"], scene["adjusted"], rtol=1e-6, atol=1e-6)
    assert cutout["meta"]["adjust_scale"] == pytest.approx(scene["meta"]["adjust_scale"])
    assert "adjusted" in cutout.plane_names


def test_backgrounds_are_estimated_beside_stars() -> None:
    rng = np.random.default_rng(14)
    values = rng.normal(50, 3, 4000)
    values[:60] += 5000
    assert estimate_mode(values) == pytest.approx(50, abs=0.5)
    assert np.isnan(estimate_mode(np.empty(0)))


def test_filling_bends_the_image_least() -> None:
    """A plane has no bend, so it is filled exactly; a smooth bump is filled closely."""
    y, x = np.indices((20, 30)).astype(float)
    lost = np.zeros((20, 30), bool)
    lost[5:8, 10:13] = lost[15, 20] = True
    plane = 3 + 0.5 * x - 2 * y
    np.testing.assert_allclose(fill_smoothly(np.where(lost, 0, plane), lost), plane[lost], atol=1e-8)
    bump = np.exp(-((x - 20) ** 2 + (y - 15) ** 2) / 2 / 3.0**2)
    filled = fill_smoothly(np.where(lost, 0, bump), lost)
    assert np.abs(filled - bump[lost]).max() < 0.02


def test_slopes_are_the_derivatives() -> None:
    """Oracle: differences of the residuals themselves."""
    scene = make_scene(np.random.default_rng(15))
    fit = TemplateFit(scene["image"], scene["convolved"], scene["err"], scene["mask"], None)
    assert fit.fit(2, 1.1, fit_bg=True) is not None
    here, use = np.array([0.3, -0.6, 1.02, 99.0]), np.ones((41, 41), bool)
    slopes = fit._slopes(here, use)
    for column, step in enumerate((1e-5, 1e-5, 1e-5, 1e-3)):
        away = np.eye(4)[column] * step
        numeric = (fit._residuals(here + away, use) - fit._residuals(here - away, use)) / (2 * step)
        np.testing.assert_allclose(slopes[:, column], numeric, atol=1e-3 * np.abs(numeric).max())


@pytest.mark.parametrize(("inner", "told"), [(-5, "inner = -5"), (0, "inner = 0"), (2.5, "inner = 2.5")])
def test_central_boxes_that_cannot_be_are_refused(inner: float, told: str) -> None:
    cutout = make_scene(np.random.default_rng(6))
    with pytest.raises(ShapeError, match=told):
        adjust_cutout(cutout, inner=inner)  # type: ignore[arg-type]
    assert "adjusted" not in cutout


def test_meta_may_be_missing_or_none() -> None:
    for meta in ({}, {"meta": None}):
        cutout = {key: v for key, v in make_scene(np.random.default_rng(6)).items() if key != "meta"} | meta
        assert adjust_cutout(cutout)
        assert cutout["meta"]["adjust_df"] > 0
