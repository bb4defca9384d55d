"""Batches that touch no disk: the pixels of a run, in its order or a seeded one."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import zarr

from snapdb.bulk.reading.stream import iter_batches
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.errors import UsageError


@pytest.fixture
def config() -> Config:
    """Settings of quick runs with several parts."""
    made = get_default_config()
    made.target_resolution = 16
    made.N_batch_cutout_process = 64
    made.normalisation_method = "asinh"
    return made


def read_array(folder: Path, name: str) -> np.ndarray[Any, Any]:
    """Read an array as anybody would."""
    array = zarr.open_group(folder, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


@pytest.fixture
def written(config: Config, tiles: Any, tmp_path: Path) -> tuple[Any, pd.DataFrame]:
    """What a run writes with these settings: its array and its table."""
    result = Orchestrator(config, output=tmp_path / "run.zarr").execute(tiles.frame)
    return read_array(tmp_path / "run.zarr", "images"), pd.read_parquet(result["mapping_parquet"])


def rows_of(batches: list[tuple[Any, pa.Table]]) -> list[int]:
    """Places of the stamps of batches, as a run numbers them."""
    return [row for _, table in batches for row in table["row"].to_pylist()]


def test_pixels_and_rows_are_those_that_a_run_writes(config: Config, tiles: Any, written: Any) -> None:
    array, table = written
    made = list(iter_batches(config, tiles.frame))
    assert [len(images) for images, _ in made] == [64, 64, 64, 64, 44]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in made]), array)
    found = pa.concat_tables([one for _, one in made]).to_pandas()
    pd.testing.assert_frame_equal(found, table)


@pytest.mark.parametrize(
    ("size", "expected"), [(300, [300]), (1000, [300]), (7, [7] * 42 + [6]), (90, [90] * 3 + [30])]
)
def test_batches_have_the_size_that_is_asked_for(
    config: Config, tiles: Any, written: Any, size: int, expected: list[int]
) -> None:
    made = list(iter_batches(config, tiles.frame, batch_size=size))
    assert [len(images) for images, _ in made] == [table.num_rows for _, table in made] == expected
    np.testing.assert_array_equal(np.concatenate([images for images, _ in made]), written[0])
    assert rows_of(made) == list(range(300))


def test_a_seed_gives_one_order_whatever_the_workers(config: Config, tiles: Any, written: Any) -> None:
    made = list(iter_batches(config, tiles.frame, batch_size=32, shuffle=5, epochs=2))
    rows = rows_of(made)
    assert sorted(rows[:300]) == sorted(rows[300:]) == list(range(300))
    assert rows[:300] != rows[300:]
    for images, table in made:
        np.testing.assert_array_equal(images, written[0][table["row"].to_numpy()])
        assert (
            table["source_id"].to_pylist() == written[1]["source_id"].iloc[table["row"].to_numpy()].tolist()
        )
    again = list(iter_batches(config, tiles.frame, batch_size=32, shuffle=5, epochs=2, workers=1))
    assert rows_of(again) == rows
    other = list(iter_batches(config, tiles.frame, batch_size=32, shuffle=6))
    assert rows_of(other) != rows[:300]


def test_a_shuffle_mixes_sources_from_all_over_the_catalogue(config: Config, tiles: Any) -> None:
    made = list(iter_batches(config, tiles.frame, batch_size=60, shuffle=1))
    spread = [np.ptp(table["row"].to_numpy()) for _, table in made]
    assert min(spread) > 150  # neighbours in the plan would give 59
    tiles_of = [len(set(table["tile"].to_pylist())) for _, table in made]
    assert min(tiles_of) > 1


def test_epochs_may_have_no_end(config: Config, tiles: Any) -> None:
    stream = iter_batches(config, tiles.frame, batch_size=100, shuffle=2, epochs=None)
    made = list(itertools.islice(stream, 8))
    stream.close()  # type: ignore[attr-defined]  # a generator, left in the middle of an epoch
    rows = rows_of(made)
    assert sorted(rows[:300]) == sorted(rows[300:600]) == list(range(300))


@pytest.mark.parametrize("shuffle", [None, 4])
def test_shards_together_give_each_source_once(config: Config, tiles: Any, shuffle: int | None) -> None:
    found: list[int] = []
    for i in range(3):
        own = rows_of(list(iter_batches(config, tiles.frame, shuffle=shuffle, shard=(i, 3))))
        assert 0 < len(own) < 300
        found += own
    assert sorted(found) == list(range(300))


def test_planes_come_as_a_run_writes_them(config: Config, tiles: Any, tmp_path: Path) -> None:
    config.planes = ["data", "noise", "flags"]
    Orchestrator(config, output=tmp_path / "planes.zarr").execute(tiles.frame)
    made = list(iter_batches(config, tiles.frame, batch_size=50, planes=["flags", "data", "noise"]))
    for plane, name in (("data", "images"), ("noise", "noise"), ("flags", "flags")):
        joined = np.concatenate([arrays[plane] for arrays, _ in made])
        np.testing.assert_array_equal(joined, read_array(tmp_path / "planes.zarr", name))
    only = next(iter(iter_batches(config, tiles.frame, planes=["flags"])))[0]
    assert list(only) == ["flags"]


def test_nothing_is_written(
    config: Config, tiles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sum(len(images) for images, _ in iter_batches(config, tiles.frame)) == 300
    assert not list(tmp_path.iterdir())


def test_work_ahead_is_bounded(config: Config, tiles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from snapdb.bulk.cutting.stamps import StampMaker

    begun: list[int] = []
    make = StampMaker.make

    def counted(self: StampMaker, part: Any) -> Any:
        begun.append(part.index)
        return make(self, part)

    monkeypatch.setattr(StampMaker, "make", counted)
    config.N_batch_cutout_process = 10  # 30 parts
    stream = iter_batches(config, tiles.frame, workers=2)
    for taken in range(1, 31):
        next(stream)
        assert len(begun) <= taken + 2
    assert sorted(begun) == list(range(30))


def test_sources_without_a_stamp_are_told(config: Config, tiles: Any) -> None:
    frame = tiles.frame.copy()
    frame.loc[[3, 8], "RA"] = 200.0
    with pytest.warns(
        UserWarning, match=r"2 of 300 sources give no stamp; the first is row 3, source 'source-3'"
    ):
        stream = iter_batches(config, frame)
    assert sum(table.num_rows for _, table in stream) == 298
    with pytest.warns(UserWarning, match="1 of 1 sources"):
        assert list(iter_batches(config, frame.iloc[[3]], epochs=None)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 64.0},
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": -1},
        {"shuffle": -1},
        {"workers": 0},
        {"shard": (2, 2)},
        {"shard": (-1, 2)},
        {"planes": ["data", "weight"]},
        {"planes": []},
        {"planes": "data"},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_at_once(
    config: Config, tiles: Any, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} = .*: expected"):
        iter_batches(config, tiles.frame, **wrong)


def test_stamps_of_many_sizes_make_no_batch(config: Config, tiles: Any) -> None:
    config.output_format, config.do_only_cutout_extraction = "fits", True
    with pytest.raises(UsageError, match="do_only_cutout_extraction"):
        iter_batches(config, tiles.frame)


def test_a_file_that_goes_bad_is_said_row_by_row(config: Config, tiles: Any, tmp_path: Path) -> None:
    paths = [tmp_path / p.name for p in tiles.paths]
    for own, path in zip(tiles.paths, paths, strict=True):
        path.write_bytes(own.read_bytes())
    frame = tiles.frame.assign(fits_file_paths=[str(paths[t]) for t in tiles.tile])
    stream = iter_batches(config, frame, workers=1)  # it is planned, and not yet read
    paths[2].unlink()
    for images, table in stream:
        bad = np.array(table["tile"].to_pylist()) == paths[2].name
        assert (np.array(table["status"].to_pylist()) == np.where(bad, "failed", "written")).all()
        assert all(table.filter(pa.array(bad))["reason"].to_pylist())
        assert not images[bad].any()
        assert images[~bad].any(axis=(1, 2, 3)).all()


def test_libraries_have_their_threads_back_while_a_batch_is_used(config: Config, tiles: Any) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    config.process_threads = 1
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = [one["num_threads"] for one in threadpoolctl.threadpool_info()]
        for _ in iter_batches(config, tiles.frame):
            assert [one["num_threads"] for one in threadpoolctl.threadpool_info()] == before
