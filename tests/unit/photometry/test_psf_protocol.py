"""The PSF protocol: where a stamp lies, and stamps of foreign objects."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.psf import PSF, GaussianPSF, MoffatPSF, PSFModel, render_stamps
from snapdb.types import FloatArray


class Foreign:
    """A PSF of another package: it has a stamp size and get_stamp, nothing else."""

    stamp_size = 9

    def __init__(self) -> None:
        self.asked: list[tuple[float | None, float | None]] = []

    def get_stamp(
        self,
        x: float | None = None,
        y: float | None = None,
        x0: int | None = None,
        y0: int | None = None,
        flux: float = 1.0,
    ) -> FloatArray:
        self.asked.append((x, y))
        return GaussianPSF(1.1, stamp_size=self.stamp_size).get_stamp(x, y, x0, y0, flux)


class EvenStamps(Foreign):
    """Its stamps have no middle."""

    stamp_size = 4

    def get_stamp(self, *args: object, **kwargs: object) -> FloatArray:
        return np.zeros((4, 4))


class WrongShape(Foreign):
    """It draws other stamps than were asked for."""

    def render(self, x: FloatArray, y: FloatArray, size: int) -> FloatArray:
        return np.zeros((len(x), size, size + 2))


def moments(stamp: FloatArray) -> tuple[float, float]:
    """Give the first moments (x, y) of a stamp."""
    rows, columns = np.indices(stamp.shape)
    return (stamp * columns).sum() / stamp.sum(), (stamp * rows).sum() / stamp.sum()


@pytest.mark.parametrize(
    ("at", "centre", "peak"),
    [
        ((111.0, 113.0), (None, None), (14.0, 14.0)),
        ((111.25, 113.0), (None, None), (14.25, 14.0)),
        ((111.5, 113.5), (None, None), (13.5, 13.5)),
        ((111.5, 113.5), (111, 113), (14.5, 14.5)),
        ((111.25, 113.0), (110, 114), (15.25, 13.0)),
        ((-0.5, -1.5), (None, None), (13.5, 13.5)),
    ],
)
def test_a_source_is_where_the_documentation_says(
    at: tuple[float, float], centre: tuple[int | None, int | None], peak: tuple[float, float]
) -> None:
    """The oracle is the first moment of the stamp; halves are rounded up."""
    stamp = GaussianPSF(1.2).get_stamp(*at, *centre, flux=7.0)
    assert stamp.shape == (29, 29)
    assert moments(stamp) == pytest.approx(peak, abs=1e-6)
    assert stamp.sum() == pytest.approx(7.0, rel=1e-9)


@given(x=st.floats(-3, 3000), y=st.floats(-3, 3000))
def test_the_centre_pixel_is_the_nearest(x: float, y: float) -> None:
    """The oracle is the first moment: never further than half a pixel from the middle."""
    stamp = GaussianPSF(1.2).stamp(x, y)
    middle = np.array([14.0, 14.0])
    expected = middle + np.array([x - np.floor(x + 0.5), y - np.floor(y + 0.5)])
    assert moments(stamp) == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected - middle).max() <= 0.5


def test_a_foreign_psf_is_cropped_and_filled_up() -> None:
    x, y = np.array([10.2, 30.7, np.nan]), np.array([8.9, 40.0, 3.0])
    truth = GaussianPSF(1.1)
    for size in (5, 9, 13):
        psf = Foreign()
        assert isinstance(psf, PSF)
        stamps = render_stamps(psf, x, y, size)
        expected = np.zeros((2, size, size))
        inner = slice(None) if size <= 9 else slice(2, -2)
        expected[:, inner, inner] = truth.render(x[:2], y[:2], min(size, 9))
        np.testing.assert_allclose(stamps[:2], expected, atol=1e-15)
        assert np.isnan(stamps[2]).all()
        assert len(psf.asked) == 2


def test_many_stamps_are_those_of_each_position() -> None:
    """Brute force: one position a call; more pixels than one step holds."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 100, 900), rng.uniform(0, 100, 900)
    for psf in (GaussianPSF(1.3), GaussianPSF(1.3, 0.8, 30.0), MoffatPSF(3.0, 2.5)):
        stamps = render_stamps(psf, x, y, 15)
        for row in (0, 450, 899):
            one = psf.render(x[row : row + 1], y[row : row + 1], 15)[0]
            np.testing.assert_allclose(stamps[row], one, rtol=1e-13)


def test_nothing_is_asked_nothing_is_given() -> None:
    assert render_stamps(GaussianPSF(1.0), np.empty(0), np.empty(0), 5).shape == (0, 5, 5)
    assert render_stamps(Foreign(), np.empty(0), np.empty(0), 5).shape == (0, 5, 5)


def test_bad_calls_are_refused_by_name() -> None:
    psf = GaussianPSF(1.0)
    one = np.array([1.0])
    for size in (4, 0, -3, 5.0, None):
        with pytest.raises(UsageError, match="stamp size"):
            psf.render(one, one, size)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="one length"):
        render_stamps(psf, one, np.array([1.0, 2.0]), 5)
    with pytest.raises(UsageError, match="is no PSF"):
        render_stamps("gaussian", one, one, 5)
    with pytest.raises(UsageError, match="whole number"):
        psf.get_stamp(1.0, 2.0, x0=1.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="finite"):
        psf.get_stamp(np.nan, 2.0)
    with pytest.raises(ShapeError, match="odd side"):
        render_stamps(EvenStamps(), one, one, 5)
    with pytest.raises(ShapeError, match="render gave shape"):
        render_stamps(WrongShape(), one, one, 5)


def test_a_position_of_its_own_is_the_default() -> None:
    psf = GaussianPSF(1.2, x=40.25, y=17.0)
    np.testing.assert_array_equal(psf.get_stamp(), psf.get_stamp(40.25, 17.0))
    assert psf.clip_size == psf.stamp_size == 29


@pytest.mark.parametrize(
    "psf", [GaussianPSF(1.2, 0.9, 20.0), MoffatPSF(3.1, 2.6)], ids=["gaussian", "moffat"]
)
def test_a_model_is_pickled_and_named(psf: PSFModel) -> None:
    again = pickle.loads(pickle.dumps(psf))
    np.testing.assert_array_equal(again.get_stamp(3.2, 4.4), psf.get_stamp(3.2, 4.4))
    assert again.parameters() == psf.parameters() == json.loads(json.dumps(psf.parameters()))
    assert psf.parameters()["class"] == type(psf).__name__
