"""Settings: where the archive is and where its files live.

Each setting is taken from the first of: the caller, the environment
(``SNAPDB_URL``, ``SNAPDB_STORE``), ``./snapdb.toml``, the user's
``snapdb/config.toml``, the default. A file may hold::

    url = "postgresql://reader@db.example.org/survey"
    store = "/data/survey"

Passwords belong into ``~/.pgpass`` or ``PGPASSWORD``, as for every PostgreSQL client.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snapdb.errors import ConfigError

DEFAULT_FOLDER = "snapdb-archive"
"""Folder of the embedded archive that is used when nothing else is said."""

REGISTRY_NAME = "registry.db"
"""File of the embedded registry inside an archive's folder."""

STORE_NAME = "store"
"""Folder of the files that belong to an embedded archive."""

_KEYS = ("url", "store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was found, and where."""

    url: str | None = None
    """Archive folder or database URL; None when nothing says."""
    store: str | None = None
    """Base folder of the files, when it is not the archive folder's own."""
    source: str = "the default"
    """Where ``url`` came from, for messages."""


def read_settings(
    *, url: str | None = None, store: str | None = None, folder: Path | None = None
) -> Settings:
    """Gather the settings.

    Parameters
    ----------
    url, store : str, optional
        The caller's own choice, which wins.
    folder : Path, optional
        Where ``snapdb.toml`` is looked for; the working directory by default.

    Returns
    -------
    Settings
        With None for what nothing says.

    Raises
    ------
    ConfigError
        If a settings file cannot be read, or holds an unknown key.
    """
    sources: list[tuple[str, dict[str, Any]]] = [
        ("the call", {"url": url, "store": store}),
        ("the environment", {key: os.environ.get(f"SNAPDB_{key.upper()}") for key in _KEYS}),
    ]
    files = [path for path in _settings_files(folder or Path.cwd()) if path.is_file()]
    sources.extend((str(path), _read_file(path)) for path in files)
    found_url, source = _first(sources, "url")
    found_store, _ = _first(sources, "store")
    return Settings(url=found_url, store=found_store, source=source)


def write_settings(path: Path, *, url: str) -> None:
    """Write a settings file that names an archive.

    Parameters
    ----------
    path : Path
        Of the file; it must not exist.
    url : str
        Archive folder or database URL, without password. A folder may be relative to the file.

    Raises
    ------
    ConfigError
        If the file exists, or cannot be written.
    """
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(f'url = "{quoted}"\n')
    except OSError as err:
        msg = f"settings file {path} cannot be written: {err.strerror}"
        raise ConfigError(msg, path=str(path)) from err


def _first(sources: list[tuple[str, dict[str, Any]]], key: str) -> tuple[str | None, str]:
    """Give the first value of a key, and the name of its source."""
    for name, values in sources:
        value = values.get(key)
        if value:
            return str(value), name
    return None, "the default"


def _settings_files(folder: Path) -> list[Path]:
    """Name the settings files in order of weight."""
    import platformdirs

    return [folder / "snapdb.toml", Path(platformdirs.user_config_dir("snapdb")) / "config.toml"]


def _read_file(path: Path) -> dict[str, Any]:
    """Read one settings file; a relative path in it is taken from the file's folder."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        msg = f"settings file {path} cannot be read: {err}"
        raise ConfigError(msg, path=str(path)) from err
    for key, value in values.items():
        if key not in _KEYS:
            msg = f"settings file {path}: unknown setting {key!r}; it may hold {' and '.join(_KEYS)}"
            raise ConfigError(msg, path=str(path), key=key)
        if not isinstance(value, str):
            msg = f"settings file {path}: {key} is {value!r}, expected a string"
            raise ConfigError(msg, path=str(path), key=key)
    given = {k: v for k, v in values.items() if v}
    return {k: v if "://" in v else str(path.parent / Path(v).expanduser()) for k, v in given.items()}
