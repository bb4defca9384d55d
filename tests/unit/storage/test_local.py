"""Keys, fingerprints, and files taken in."""

import hashlib
from pathlib import Path

import pytest

from snapdb.errors import ObjectMissingError
from snapdb.storage import LocalStore, fingerprint


def test_key_is_relative_below_the_base_and_absolute_elsewhere(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "base")
    assert store.key_of(tmp_path / "base" / "a" / "b.fits") == "a/b.fits"
    assert store.key_of(tmp_path / "base" / ".." / "c.fits") == (tmp_path / "c.fits").as_posix()


def test_path_of_key_goes_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for path in (tmp_path / "x.fits", Path("/elsewhere/y.fits")):
        assert store.path_of(store.key_of(path)) == path
        assert store.name_of(store.key_of(path)) == str(path)


def test_fingerprint_is_the_digest_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 3_000_000)
    found = fingerprint(file)
    assert found.size == 3_000_000
    assert found.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match="gone"):
        fingerprint(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="gone"):
        LocalStore(tmp_path).stat("gone")


@pytest.mark.parametrize("link", [False, True])
def test_same_bytes_are_taken_in_once(tmp_path: Path, link: bool) -> None:
    store = LocalStore(tmp_path / "store")
    source = tmp_path / "a.fits"
    source.write_bytes(b"pixels")
    digest = fingerprint(source).sha256
    key = store.take_in(source, digest, link=link)
    assert store.take_in(source, digest, link=link) == key
    assert store.path_of(key).read_bytes() == b"pixels"
    assert store.path_of(key).samefile(source) is link
