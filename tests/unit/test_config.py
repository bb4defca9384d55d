"""Settings come from the nearest of several places."""

from pathlib import Path

import pytest

from snapdb.config import read_settings
from snapdb.errors import ConfigError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those that a test makes."""
    for name in ("SNAPDB_URL", "SNAPDB_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def test_nothing_is_said(tmp_path: Path) -> None:
    settings = read_settings(folder=tmp_path)
    assert (settings.url, settings.store) == (None, None)


def test_caller_wins_over_environment_over_file_over_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "home" / "snapdb" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('url = "postgresql://user/u"')
    assert read_settings(folder=tmp_path).url == "postgresql://user/u"
    (tmp_path / "snapdb.toml").write_text('url = "postgresql://file/f"')
    assert read_settings(folder=tmp_path).url == "postgresql://file/f"
    monkeypatch.setenv("SNAPDB_URL", "postgresql://env/e")
    assert read_settings(folder=tmp_path).url == "postgresql://env/e"
    found = read_settings(url="postgresql://call/c", folder=tmp_path)
    assert (found.url, found.source) == ("postgresql://call/c", "the call")


def test_folder_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "snapdb.toml").write_text('url = "archive"')
    assert read_settings(folder=tmp_path).url == str(tmp_path / "archive")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url = ", "cannot be read"),
        ("colour = 'red'", "unknown setting 'colour'"),
        ("url = 3", "expected a string"),
    ],
)
def test_bad_file_is_named_with_its_fault(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "snapdb.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_settings(folder=tmp_path)
    assert "snapdb.toml" in str(caught.value)
