"""Whatever a table holds, each row is either used or named, never both, never neither."""

import string
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapdb.bulk.catalogue.catalogue import Catalogue
from snapdb.bulk.catalogue.configured import open_catalogue
from snapdb.bulk.settings.config import Config
from snapdb.errors import ConfigError, CorruptFileError

NAMES = ("SourceID", "RA", "Dec", "diameter_pixel", "diameter_arcsec", "fits_file_paths")
TEXTS = st.text(string.printable.replace("\r", "").replace("\x0b", "").replace("\x0c", ""), max_size=6)
NUMBERS = st.one_of(st.floats(-400, 400), st.floats(), st.integers(-(10**20), 10**20))
WORDS = st.sampled_from(["", "nan", "1e5", "[", "['/a']", "NULL", "0x1"])
CELLS = st.one_of(st.none(), NUMBERS, TEXTS, WORDS)
ROWS = st.lists(st.tuples(*[CELLS] * len(NAMES)), max_size=12)


def check(source: Any, count: int, rows: int) -> None:
    """See that every row is accounted for."""
    catalogue = Catalogue.open(source, rows=rows, check_file_paths=False)
    used: list[int] = []
    named: set[int] = set()
    for piece in catalogue.pieces():
        used.extend(piece.row.tolist())
        named |= {problem.row for problem in piece.problems}
        assert (piece.ra >= 0).all()
        assert (piece.ra < 360).all()
        assert (abs(piece.dec) <= 90).all()
        assert all(piece.source_id)
        assert (piece.fileset >= 0).all()
        assert all(p.text for p in piece.problems)
    assert used == sorted(set(used))
    assert not set(used) & named
    assert set(used) | named == set(range(count))
    assert catalogue.row_count == count


@given(table=ROWS, rows=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_tables_in_memory(table: list[tuple[Any, ...]], rows: int) -> None:
    frame = pd.DataFrame(table, columns=list(NAMES), dtype=object)
    check(frame, len(table), rows)


@given(table=ROWS, rows=st.integers(1, 8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_files(table: list[tuple[Any, ...]], rows: int, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    pd.DataFrame(table, columns=list(NAMES), dtype=object).to_csv(path, index=False)
    check(path, len(table), rows)


LINES = st.lists(st.text("a1,.'[]/ ", min_size=1, max_size=20).filter(lambda t: t.strip()), max_size=12)


@given(lines=LINES, rows=st.integers(1, 8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_with_any_number_of_fields(lines: list[str], rows: int, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("\n".join([",".join(NAMES), *lines]))
    check(path, len(lines), rows)


def test_a_fits_table_that_ends_early(tmp_path: Path) -> None:
    from astropy.table import Table

    path = tmp_path / "c.fits"
    Table({name: [1.0] * 5000 for name in NAMES[:4]}).write(path)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(CorruptFileError, match=str(path)):
        list(Catalogue.open(path).pieces())


def test_a_run_has_its_catalogue_from_the_settings(tmp_path: Path) -> None:
    config = Config()
    with pytest.raises(ConfigError, match="expected the path of a catalogue"):
        open_catalogue(config)
    path = tmp_path / "c.csv"
    path.write_text("SourceID,RA,Dec,fits_file_paths\na,1,2,/none.fits\na,1,2,/none.fits\n")
    config.update(source_catalogue=path, diameter_arcsec=4.0)
    assert sum(len(p) for p in open_catalogue(config).pieces()) == 0
    config.skip_fits_check = True
    (piece,) = open_catalogue(config).pieces()
    assert (piece.row.tolist(), piece.diameter_arcsec.tolist()) == ([0], [4.0])
    config.skip_catalogue_validation = True
    assert sum(len(p) for p in open_catalogue(config).pieces()) == 2
    frame = pd.read_csv(path).head(1)
    assert open_catalogue(config, frame).row_count == 1
