"""Animations, read back frame by frame."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures
from PIL import ImageSequence

import snapdb
from snapdb.archive.epochs.animation import write_animation
from snapdb.errors import ObjectExistsError, ShapeError, UsageError

SIDE = 32


def make_image(scale: float = 1.0, sky: float = 0.0, **facts: Any) -> snapdb.Image:
    """A star on a grey sky, its counts and its sky changed."""
    y, x = np.indices((SIDE, SIDE))
    star = 500.0 * np.exp(-((x - 10.0) ** 2 + (y - 25.0) ** 2) / 18.0)
    noise = np.random.default_rng(1).normal(0.0, 5.0, star.shape)
    return snapdb.Image(data=(star + noise) * scale + sky, **facts)


def read_frames(path: Path) -> tuple[list[Any], list[float]]:
    """Give the grey levels of each frame, and how long it stands."""
    with Pictures.open(path) as file:
        frames = [np.array(frame.convert("L")) for frame in ImageSequence.Iterator(file)]
        times = []
        for n in range(file.n_frames):  # type: ignore[attr-defined]
            file.seek(n)
            file.load()
            times.append(file.info["duration"])
    return frames, times


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_sky_and_zero_point_make_no_difference_and_the_star_does(tmp_path: Path, suffix: str) -> None:
    images = [
        make_image(zeropoint=25.0, band="r", mjd=60000.0),
        make_image(scale=10.0, sky=3000.0, zeropoint=27.5, band="r", mjd=60001.0),
        make_image(scale=0.5, sky=7.0, zeropoint=25.0, band="r", mjd=60002.0),
    ]
    path = write_animation(tmp_path / f"a{suffix}", images, frame_ms=200, labels=["one", "two", "three"])
    frames, times = read_frames(path)
    assert times == [200, 200, 200]
    shown = np.s_[: 8 * SIDE]
    np.testing.assert_allclose(frames[0][shown].astype(float), frames[1][shown].astype(float), atol=2)
    star = np.s_[48:64, 72:96]  # y is up: row 25 from below is near the top, eight pixels a pixel
    assert frames[2][star].mean() < frames[0][star].mean() - 20
    assert frames[0][star].mean() > frames[0][200:250, 72:96].mean() + 60


def test_without_all_zero_points_counts_are_shown_as_they_are(tmp_path: Path) -> None:
    images = [make_image(zeropoint=25.0), make_image(scale=0.5)]
    frames, _ = read_frames(write_animation(tmp_path / "a.gif", images, labels=["", ""]))
    assert frames[1][48:64, 72:96].mean() < frames[0][48:64, 72:96].mean() - 20


def test_labels_are_of_band_and_time(tmp_path: Path) -> None:
    images = [make_image(band="r", mjd=60000.0 + n) for n in range(2)]
    frames, _ = read_frames(write_animation(tmp_path / "a.gif", images))
    np.testing.assert_array_equal(frames[0][: 8 * SIDE], frames[1][: 8 * SIDE])
    assert (frames[0][8 * SIDE :] != frames[1][8 * SIDE :]).any()


def test_what_makes_no_animation_is_refused(tmp_path: Path) -> None:
    one = make_image()
    with pytest.raises(UsageError, match=r"\.gif"):
        write_animation(tmp_path / "a.mp4", [one])
    with pytest.raises(UsageError, match="one for each"):
        write_animation(tmp_path / "a.gif", [])
    with pytest.raises(UsageError, match="one for each"):
        write_animation(tmp_path / "a.gif", [one], labels=[])
    with pytest.raises(ShapeError, match="2 sizes"):
        write_animation(tmp_path / "a.gif", [one, snapdb.Image(data=np.zeros((3, 3)))])
    (tmp_path / "a.gif").touch()
    with pytest.raises(ObjectExistsError):
        write_animation(tmp_path / "a.gif", [one])
