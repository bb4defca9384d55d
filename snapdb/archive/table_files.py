"""Tables as files that appear when they are complete."""

from collections.abc import Callable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import UsageError
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    from astropy.table import Table


def write_file(
    path: PathLike,
    formats: Mapping[str, str],
    write: Callable[[BinaryIO, str], None],
    *,
    overwrite: bool = False,
) -> Path:
    """Write a file in the format that its name says.

    Parameters
    ----------
    path : path
        Its suffix is one of `formats`.
    formats : mapping
        Suffix -> name of the format.
    write : callable
        Writes to an open binary file in a format; it leaves the file open.
    overwrite : bool
        Whether a file that is there is replaced; one that an archive has registered never is.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError
        If the suffix is another.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    form = formats.get(target.suffix.lower())
    if form is None:
        msg = f"the format of {path} is not known by its name; expected {', '.join(formats)}"
        raise UsageError(msg, path=str(path))
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as stream:
        write(stream, form)
    return target


def write_text(table: "Table", stream: BinaryIO, form: str) -> None:
    """Write a table to an open binary file in one of astropy's formats of text.

    Parameters
    ----------
    table : Table
        Any.
    stream : binary file
        It stays open.
    form : str
        Such as ``ascii.ecsv``.
    """
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        table.write(text, format=form)
        text.flush()
    finally:
        text.detach()
