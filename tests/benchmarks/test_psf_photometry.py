"""Forced PSF photometry beside photutils, in one run and with equal answers.

``SNAPDB_BENCH_SOURCES`` (1,000) and ``SNAPDB_BENCH_EPOCHS`` (1,000) set the sizes. Run with
``pytest -m benchmark -s tests/benchmarks/test_psf_photometry.py``.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.nddata import NDData
from astropy.table import Table
from photutils.psf import (
    CircularGaussianSigmaPRF,
    GriddedPSFModel,
    PSFPhotometry,
)
from scipy.special import erf

from snapdb.archive.image import Image
from snapdb.archive.photometry.psf_phot import psf_phot
from snapdb.photometry.fitting.linear import fit_forced
from snapdb.photometry.psf import GaussianPSF, GriddedPSF
from snapdb.photometry.psf.protocol import render_stamps

pytestmark = pytest.mark.benchmark

SOURCES = int(os.environ.get("SNAPDB_BENCH_SOURCES", "1000"))
EPOCHS = int(os.environ.get("SNAPDB_BENCH_EPOCHS", "1000"))
SIDE, SIGMA, SEED = 2048, 1.3, 20260116
REPEATS = 7


def make_grid() -> Any:
    """A grid of 3 x 3 Gaussians that widen over the image, 4 samples a pixel."""
    samples = np.arange(-60, 61) / 4
    stack = []
    for sigma in np.linspace(1.1, 1.6, 9):
        line = np.diff(erf((samples[:, None] + [-0.5, 0.5]) / (sigma * 2**0.5)) / 2, axis=1)[:, 0]
        stack.append(line[:, None] * line)
    nodes = [(float(x), float(y)) for y in (0, SIDE / 2, SIDE) for x in (0, SIDE / 2, SIDE)]
    return GriddedPSFModel(NDData(np.array(stack), meta={"grid_xypos": nodes, "oversampling": 4}))


@pytest.fixture(scope="module")
def field() -> tuple[Image, Table]:
    """Stars that stand apart, on 2048 x 2048 pixels with a noise plane."""
    random = np.random.default_rng(SEED)
    columns = int(np.ceil(SOURCES**0.5))
    step = (SIDE - 60) / columns
    place = np.arange(SOURCES)
    x = 30 + step * (place % columns + 0.5) + random.uniform(-3, 3, SOURCES)
    y = 30 + step * (place // columns + 0.5) + random.uniform(-3, 3, SOURCES)
    flux = 10 ** random.uniform(3, 5, SOURCES)
    data = random.normal(0, 10, (SIDE, SIDE))
    stamps = render_stamps(GaussianPSF(SIGMA), x, y, 15)
    for n in range(SOURCES):
        row, column = int(np.floor(y[n] + 0.5)) - 7, int(np.floor(x[n] + 0.5)) - 7
        data[row : row + 15, column : column + 15] += flux[n] * stamps[n]
    image = Image(data=data, noise=random.uniform(9, 11, data.shape))
    return image, Table({"x": x, "y": y, "flux": flux})


def best_of(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Time a call some times: the least, and the answer."""
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        answer = call()
        spent.append(time.perf_counter() - started)
    return min(spent), answer


def report(name: str, ours: float, theirs: float) -> None:
    sys.stdout.write(f"\n{name}: {ours * 1e3:.1f} ms, photutils {theirs:.2f} s, {theirs / ours:.0f}x\n")


@pytest.mark.parametrize(
    ("kind", "size"), [("Gaussian", 5), ("Gaussian", 11), ("gridded", 5), ("gridded", 11)]
)
def test_many_positions_on_one_image(field: tuple[Image, Table], kind: str, size: int) -> None:
    image, start = field
    model = make_grid() if kind == "gridded" else CircularGaussianSigmaPRF(sigma=SIGMA)
    model.x_0.fixed = model.y_0.fixed = True
    psf = GriddedPSF.from_photutils(model) if kind == "gridded" else GaussianPSF(SIGMA)
    options: dict[str, Any] = {"fit_shape": size, "weights": "variance", "background": "none"}
    ours, found = best_of(lambda: psf_phot(image, start, psf, **options), REPEATS)
    peer = PSFPhotometry(model, (size, size))
    theirs, expected = best_of(lambda: peer(image.data, error=image.noise, init_params=start), 1)
    for name in ("flux_fit", "flux_err", "reduced_chi2"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)
    report(f"{SOURCES} positions, {kind}, {size} x {size}", ours, theirs)


def test_one_position_on_many_epochs() -> None:
    random = np.random.default_rng(SEED)
    size, middle = 11, 30
    dx, dy = random.uniform(-0.5, 0.5, (2, EPOCHS))
    model = render_stamps(GaussianPSF(SIGMA), middle + dx, middle + dy, size)
    stamps = random.normal(0, 10, (EPOCHS, 61, 61))
    flux = random.uniform(1000, 5000, EPOCHS)
    inner = slice(middle - size // 2, middle + size // 2 + 1)
    stamps[:, inner, inner] += flux[:, None, None] * model
    noise = random.uniform(9, 11, stamps.shape)

    def fit() -> Any:
        # The PSF of each epoch is made within what is timed, as it is in photutils.
        psf = render_stamps(GaussianPSF(SIGMA), middle + dx, middle + dy, size)
        data, error = stamps[:, inner, inner], noise[:, inner, inner]
        return fit_forced(data, error**2, np.isfinite(data), psf, weights="variance")

    def loop() -> Any:
        rows = []
        for n in range(EPOCHS):
            peer = CircularGaussianSigmaPRF(sigma=SIGMA)
            peer.x_0.fixed = peer.y_0.fixed = True
            start = Table({"x": [middle + dx[n]], "y": [middle + dy[n]], "flux": [flux[n]]})
            table = PSFPhotometry(peer, (size, size))(stamps[n], error=noise[n], init_params=start)
            rows.append((table["flux_fit"][0], table["flux_err"][0]))
        return np.array(rows)

    ours, found = best_of(fit, REPEATS)
    theirs, expected = best_of(loop, 1)
    np.testing.assert_allclose(found.flux, expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.flux_err, expected[:, 1], rtol=1e-6)
    report(f"1 position on {EPOCHS} epochs in memory, Gaussian, {size} x {size}", ours, theirs)
