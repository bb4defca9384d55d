"""`snapdb ingest --repack`: copies in the store are found, the originals stay."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result

from snapdb.cli import cli


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""}).invoke(cli, list(arguments))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An image of 60 x 50 integers, gzipped."""
    cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -5.0})
    cards.update({"CRPIX1": 30.0, "CRPIX2": 25.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    plain = tmp_path / "plain"
    fits.PrimaryHDU(np.arange(3000, dtype=np.int16).reshape(50, 60), cards).writeto(plain)
    path = tmp_path / "image.fits.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return path


@pytest.mark.parametrize("packing", ["fits", "rice"])
def test_a_copy_is_registered_and_cut_from(file: Path, tmp_path: Path, packing: str) -> None:
    archive = tmp_path / "archive"
    assert run("init", str(archive)).exit_code == 0
    before = file.read_bytes()
    for word in ("1 registered", "1 unchanged"):
        done = run("-a", str(archive), "ingest", str(file), "--repack", packing)
        assert done.exit_code == 0
        assert word in done.stderr
    assert file.read_bytes() == before
    (line,) = run("-a", str(archive), "find", "--format", "jsonl").stdout.splitlines()
    found = json.loads(line)
    (copy,) = archive.rglob("repacked/**/*.fits")
    with fits.open(copy) as hdus:
        data = next(h.data for h in hdus if h.data is not None)
        np.testing.assert_array_equal(data, np.arange(3000).reshape(50, 60))
    assert found["width"] == 60


def test_other_words_are_refused(file: Path) -> None:
    done = run("ingest", str(file), "--repack", "gzip")
    assert done.exit_code == 2
    assert "--repack" in done.stderr
