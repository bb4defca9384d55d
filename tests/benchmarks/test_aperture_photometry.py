"""Aperture photometry of 1,000 sources beside photutils, with equal answers."""

import timeit
from typing import Any

import numpy as np
import pytest
from photutils.aperture import ApertureStats, CircularAperture, aperture_photometry
from photutils.background import Background2D

from snapdb.archive.image import Image
from snapdb.archive.photometry.ap_phot import ap_phot

pytestmark = pytest.mark.benchmark
SIZE, NUMBER = 2048, 1000


def _field() -> tuple[Image, Any]:
    rng = np.random.default_rng(4)
    data = rng.normal(100.0, 10.0, (SIZE, SIZE)).astype(np.float32)
    noise = np.full((SIZE, SIZE), 10.0, dtype=np.float32)
    return Image(data=data, noise=noise), rng.uniform(20, SIZE - 20, (NUMBER, 2))


@pytest.mark.parametrize("method", ["exact", "subpixel"])
def test_sums_errors_and_peaks(method: str) -> None:
    image, places = _field()
    answers: dict[str, Any] = {}

    def ours() -> None:
        answers["ours"] = ap_phot(image, places, 9, method, bgsize=0)

    def theirs() -> None:
        aperture = CircularAperture(places, 9)
        answers["theirs"] = aperture_photometry(image.data, aperture, method=method, error=image.noise)
        answers["theirs"]["max"] = ApertureStats(image.data, aperture).max

    times = [min(timeit.repeat(call, number=1, repeat=3)) for call in (ours, theirs)]
    for name in ("aperture_sum", "aperture_sum_err", "max"):
        np.testing.assert_allclose(answers["ours"][name], answers["theirs"][name], rtol=1e-8)
    print(f"\n{method}: {NUMBER / times[0]:.0f} sources a second, {times[1] / times[0]:.1f} times photutils")  # noqa: T201  # the ratio is what is asked for


def test_with_the_background_of_the_image() -> None:
    image, places = _field()

    def ours() -> Any:
        image.free()
        return ap_phot(image, places, 9)

    def theirs() -> Any:
        level = Background2D(image.data, 511).background
        return aperture_photometry(image.data - level, CircularAperture(places, 9), method="subpixel")

    table, peer = ours(), theirs()
    difference = np.asarray(table["aperture_sum"]) - np.asarray(peer["aperture_sum"])
    # Two estimates of one flat sky: they agree to a hundredth of the noise of a pixel, over 254 of them.
    assert np.abs(difference).max() < 0.02 * 10.0 * 254
    first, again, other = (
        min(timeit.repeat(call, number=1, repeat=3))
        for call in (ours, lambda: ap_phot(image, places, 9), theirs)
    )
    print(f"\nfirst call {other / first:.1f} times photutils, later ones {other / again:.0f} times")  # noqa: T201  # the ratio is what is asked for
