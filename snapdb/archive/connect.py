"""Opening and making archives: from a name to a registry and a store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from snapdb.archive.expand import show_location
from snapdb.config import DEFAULT_FOLDER, REGISTRY_NAME, STORE_NAME, Settings, read_settings
from snapdb.errors import ConfigError, ReadOnlyStoreError

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an archive is."""

    url: str
    """Of the registry."""
    store: Path
    """Base folder of its files."""
    folder: Path | None = None
    """Of an embedded archive."""
    database: Path | None = None
    """File of an SQLite registry."""


def connect(
    url: str | Path | None = None, *, store: str | Path | None = None, create: bool = False
) -> "Archive":
    """Open an archive.

    Parameters
    ----------
    url : str or Path, optional
        A folder (an embedded archive), ``sqlite:///FILE``, or
        ``postgresql://[USER@]HOST[:PORT]/DATABASE``. When not given: the
        environment's ``SNAPDB_URL``, ``url`` in ``./snapdb.toml`` or in the
        user's settings, else the working directory if it is an archive, else
        the folder ``./snapdb-archive``.
    store : str or Path, optional
        Base folder of the archive's files; what lies below it is registered by
        its relative path, so that it can be mounted elsewhere. By default
        ``SNAPDB_STORE`` or the settings' ``store``; for an embedded archive, the
        folder's own.
    create : bool
        Make what is missing: the folder, the database's tables. See :func:`init`.

    Returns
    -------
    Archive
        To be closed, or used in a ``with`` block.

    Raises
    ------
    ConfigError
        If there is no archive, or the URL is of no known kind.
    SchemaVersionError
        If the database has another schema version.
    RegistryUnavailableError
        If the database does not answer.
    """
    from snapdb.archive.archive import Archive
    from snapdb.registry import Registry
    from snapdb.storage import LocalStore

    settings = read_settings(url=_text(url), store=_text(store))
    place = find_place(settings)
    if place.folder is not None and place.folder.is_file():
        msg = f"{place.folder} is a file; name the folder of the archive, or sqlite:///{place.folder}"
        raise ConfigError(msg, path=str(place.folder))
    if place.folder is not None and create:
        _make_folder(place.folder)
    if place.database is not None and not create and not place.database.is_file():
        where = "" if settings.url else "no archive was named, and "
        at = place.folder or place.database
        msg = f"{where}there is no archive in {at}; make one with `snapdb init {at}`, or name another"
        raise ConfigError(msg, path=str(at))
    return Archive(Registry.open(place.url, create=create), LocalStore(place.store))


def init(url: str | Path | None = None, *, store: str | Path | None = None) -> "Archive":
    """Make an archive, or bring an older one to this version's tables, and open it.

    Doing it twice changes nothing. The parameters are those of :func:`connect`.

    Examples
    --------
    >>> import snapdb
    >>> with snapdb.init(tmp_path / "survey") as archive:
    ...     archive.count_images()
    0
    """
    return connect(url, store=store, create=True)


def find_place(settings: Settings) -> Place:
    """Tell where the registry and the store of an archive are, from its settings.

    Raises
    ------
    ConfigError
        If the URL is of no known kind, or the folder's name is not UTF-8.
    """
    text = settings.url or _nearest_folder()
    scheme = text.split("://", 1)[0].lower() if "://" in text else ""
    if not scheme:
        folder = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100  # links stay
        database = folder / REGISTRY_NAME
        store = Path(settings.store or folder / STORE_NAME)
        return Place(url=_to_url(database), store=store, folder=folder, database=database)
    if scheme.startswith("sqlite"):
        file = Path(unquote(urlsplit(text).path).removeprefix("/")).expanduser().absolute()
        store = Path(settings.store or file.parent / STORE_NAME)
        return Place(url=_to_url(file), store=store, database=file)
    if scheme.split("+")[0] in ("postgresql", "postgres"):
        return Place(url=text, store=Path(settings.store or STORE_NAME).absolute())
    msg = (
        f"archive {scheme}://... (from {settings.source}) is of no known kind; "
        "give a folder, sqlite:///FILE or postgresql://HOST/DATABASE"
    )
    raise ConfigError(msg, scheme=scheme)


def _to_url(database: Path) -> str:
    """Write the URL of an embedded registry, whatever its folder is called."""
    try:
        return f"sqlite:///{quote(database.as_posix())}"
    except UnicodeEncodeError as err:
        shown = show_location(database)
        msg = f"{shown} has bytes in its name that are not UTF-8; an archive needs a folder without them"
        raise ConfigError(msg, path=shown) from err


def _nearest_folder() -> str:
    """Give the working directory when it is an archive, else the default folder in it."""
    return "." if Path(REGISTRY_NAME).is_file() else DEFAULT_FOLDER


def _make_folder(folder: Path) -> None:
    """Make an embedded archive's folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError as err:
        msg = f"{folder} cannot be made ({err.strerror}); choose another folder or change its rights"
        raise ReadOnlyStoreError(msg, path=str(folder)) from err
    except OSError as err:
        msg = f"{folder} cannot be made: {err.strerror}"
        raise ConfigError(msg, path=str(folder)) from err


def _text(value: str | Path | None) -> str | None:
    """Give a path or URL as text."""
    return None if value is None else str(value)


_default: "Archive | None" = None


def default_archive() -> "Archive":
    """Give the archive that the settings name, opened once a process.

    The class methods of :class:`snapdb.Image` ask it when no `dbclient` is given.
    """
    global _default  # noqa: PLW0603  # one archive a process, as the seeds' configuration has it
    if _default is None or _default.closed:
        _default = connect()
    return _default
