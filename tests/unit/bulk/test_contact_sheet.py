"""The sheet before a run: which sources, where they lie on it, which way is up."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from snapdb import bulk
from snapdb.bulk.reading.contact_sheet import MARGIN, lay_out, preview
from snapdb.bulk.reading.stream import iter_batches
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.errors import ConfigError, UsageError


@pytest.fixture
def config() -> Config:
    """Settings of small sheets."""
    made = get_default_config()
    made.normalisation_method = "linear"
    made.ui.preview_size = 24
    return made


def cells(sheet: np.ndarray[Any, Any], side: int, count: int) -> list[np.ndarray[Any, Any]]:
    """Take a sheet apart, from the upper left, each stamp with its first row at the bottom."""
    across = int(np.ceil(np.sqrt(count)))
    step = side + MARGIN
    places = [(i // across * step, i % across * step) for i in range(count)]
    return [sheet[y : y + side, x : x + side][::-1] for y, x in places]


def test_it_shows_the_stamps_of_a_run_in_the_catalogues_order(config: Config, tiles: Any) -> None:
    frame = tiles.frame.iloc[[250, 3, 120, 77, 9, 200, 31]].reset_index(drop=True)
    sheet = preview(config, frame, 7)
    assert sheet.shape == (3 * 26 - 2, 3 * 26 - 2)
    assert sheet.dtype == np.uint8
    config.target_resolution, config.data_type = 24, "uint8"
    stamps: dict[str, np.ndarray[Any, Any]] = {}
    for images, table in iter_batches(config, frame):
        stamps |= dict(zip(table["source_id"].to_pylist(), images[..., 0], strict=True))
    for own, name in zip(cells(sheet, 24, 7), frame["SourceID"], strict=True):
        np.testing.assert_array_equal(own, stamps[name])


def test_a_sample_is_of_its_seed(config: Config, tiles: Any) -> None:
    first = preview(config, tiles.frame, 9)
    np.testing.assert_array_equal(first, preview(config, tiles.frame, 9, seed=0))
    assert (first != preview(config, tiles.frame, 9, seed=1)).any()


def test_few_sources_are_all_shown_once(config: Config, tiles: Any) -> None:
    sheet = preview(config, tiles.frame.iloc[:2], 50)
    assert sheet.shape == (24, 2 * 26 - 2)
    left, right = cells(sheet, 24, 2)
    assert not np.array_equal(left, right)


def test_the_settings_say_how_many_and_how_large(config: Config, tiles: Any) -> None:
    config.ui.preview_samples, config.ui.preview_size = 4, 32
    assert preview(config, tiles.frame).shape == (2 * 34 - 2, 2 * 34 - 2)


def test_three_channels_are_a_colour_picture(config: Config, tiles: Any) -> None:
    names = [p.stem for p in tiles.paths]
    config.channel_weights = {name: np.eye(3)[i].tolist() for i, name in enumerate(names)}
    x, y = 200.0, 200.0
    ra, dec = tiles.wcs[0].all_pix2world(x, y, 0)
    frame = tiles.frame.iloc[:1].assign(
        RA=float(ra), Dec=float(dec), fits_file_paths=str([str(p) for p in tiles.paths])
    )
    sheet = preview(config, frame, 1)
    assert sheet.shape == (24, 24, 3)
    assert sheet[..., 0].any()
    assert not sheet[..., 1:].any()  # the other tiles lie a degree away, and give zeros
    assert Image.fromarray(sheet).mode == "RGB"


def test_the_first_of_two_channels_is_shown() -> None:
    stamps = np.zeros((1, 4, 5, 2), np.uint8)
    stamps[..., 0] = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(lay_out(stamps), stamps[0, ::-1, :, 0])


def test_what_cannot_be_shown_is_refused(config: Config, tiles: Any) -> None:
    with pytest.raises(UsageError, match="no stamp to preview: off the image"):
        preview(config, tiles.frame.assign(RA=200.0), 3)
    with pytest.raises(UsageError, match="n = 0: expected"):
        preview(config, tiles.frame, 0)
    with pytest.raises(ConfigError, match="source_catalogue"):
        preview(config)


def test_the_name_stays_a_function_whatever_was_loaded_before() -> None:
    assert callable(bulk.iter_batches)
    assert callable(bulk.preview)
