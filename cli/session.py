"""What one run of the command line shares: the options before the command."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True)
class Session:
    """Options that hold for every command."""

    archive: str | None = None
    """Folder or URL; None leaves it to the settings."""
    debug: bool = False
    verbosity: int = 0

    def connect(self) -> "Archive":
        """Open the archive that was named, or the one that the settings name."""
        import snapdb
        from snapdb.errors import ConfigError, NotFoundError

        try:
            return snapdb.connect(self.archive)
        except NotFoundError as err:
            # No file is no archive, as no folder is: a wrong call, and not an empty answer.
            raise ConfigError(err.message, **err.fields) from err

    def check_version(self) -> None:
        """Refuse a database whose tables are of another version, with the words of every command."""
        self.connect().close()

    def start_logging(self) -> None:
        """Let the library's log reach stderr, as far as -v asks."""
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbosity, 2)]
        logging.basicConfig(level=level, format="snapdb: %(levelname)s: %(message)s")


pass_session = click.make_pass_decorator(Session, ensure=True)


def archive_option(command: Command) -> Command:
    """Let ``--archive`` stand behind the command's name as well as before it."""
    return click.option(
        "-a",
        "--archive",
        metavar="FOLDER|URL",
        expose_value=False,
        callback=_set_archive,
        help="Archive to use: a folder, sqlite:///FILE or postgresql://HOST/DATABASE.",
    )(command)


def say(message: str) -> None:
    """Tell the user something on stderr, in one line; stdout is for data."""
    click.echo(printable(message), err=True)


def printable(text: str) -> str:
    """Give a line that does to a terminal what it says: what is no sign of a script comes as its escape.

    Names of files may hold newlines, the codes that move a cursor or change colours, and bytes
    that are not UTF-8.

    Parameters
    ----------
    text
        Any.
    """
    if text.isprintable():
        return text
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in known)


def _set_archive(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Keep the option's value where all commands look for it."""
    if value is not None:
        ctx.ensure_object(Session).archive = value
