"""Options and files of pictures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from .outputs import STDOUT, check_file, refuse_terminal, write_pieces

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.picture import Picture

Command = TypeVar("Command", bound=Callable[..., Any])

_LOOKS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--stretch",),
        {
            "metavar": "NAME",
            "help": "asinh (the default), linear, log, sqrt, squared, sinh, power:NUMBER.",
        },
    ),
    (
        ("--interval",),
        {"metavar": "NAME", "help": "Black and white: zscale (the default), minmax, percentile:99.5."},
    ),
    (("--limits",), {"type": (float, float), "help": "Black and white, in the data's units."}),
    (("--cmap",), {"metavar": "NAME", "help": "Colour map of matplotlib; grey by default."}),
    (("--north-up",), {"is_flag": True, "default": None, "help": "North up, east left."}),
    (
        ("--bad",),
        {
            "metavar": "COLOUR",
            "help": "Of flagged pixels: transparent (the default), red, data ...; NaN is always transparent.",
        },
    ),
    (("--longest",), {"type": click.IntRange(1, 2**14), "help": "Longer side of the picture, pixels."}),
)


def picture_options(command: Command) -> Command:
    """Add the options of a picture to a command."""
    for names, settings in reversed(_LOOKS):
        command = click.option(*names, **settings)(command)
    return click.option(
        "--png",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw the image into this file; - for stdout.",
    )(command)


def check_picture(options: Mapping[str, Any], *, others: Mapping[str, Any]) -> None:
    """Refuse options of a picture without one, and others with one.

    Parameters
    ----------
    options
        Of the command.
    others
        Options that do not go with a picture -> their values.

    Raises
    ------
    click.UsageError
        They do not go together.
    """
    given = [names[0] for names, _ in _LOOKS if options[_key(names[0])] is not None]
    if options["png"] is None and given:
        msg = f"{given[0]} goes with --png FILE"
        raise click.UsageError(msg)
    if options["png"] is not None:
        for name, value in others.items():
            if value is not None:
                msg = f"--png draws the image, and {name} says how facts are written; leave one of them out"
                raise click.UsageError(msg)


def draw(archive: "Archive", image_id: UUID, options: Mapping[str, Any]) -> None:
    """Draw one image into the file that ``--png`` names.

    Parameters
    ----------
    archive
        That has it.
    image_id
        Which one.
    options
        Of the command.
    """
    path: Path = options["png"]
    target = check_png(path, overwrite=options["overwrite"])
    names = {"--longest": "size"}
    look = {names.get(n[0], _key(n[0])): options[_key(n[0])] for n, _ in _LOOKS}
    look = {name: value for name, value in look.items() if value is not None}
    if look.get("bad") == "data":
        look["bad"] = None
    write_picture(target, archive.get_image(image_id).show(**{"size": None, **look}))


def check_png(path: Path, *, overwrite: bool) -> Path | None:
    """Refuse a picture's file that must stay or has another suffix, before anything is drawn.

    Parameters
    ----------
    path
        As given.
    overwrite
        Whether a file of that name may be replaced.

    Returns
    -------
    Path or None
        None for standard output.

    Raises
    ------
    click.UsageError
        It ends otherwise than in .png, or standard output is a terminal.
    ObjectExistsError
        It is there, and must stay.
    """
    if str(path) == STDOUT:
        refuse_terminal("PNG")
        return None
    if path.suffix.lower() != ".png":
        msg = f"{path}: a picture is written as .png; end the name so"
        raise click.UsageError(msg)
    check_file(path, overwrite=overwrite)
    return path


def write_picture(target: Path | None, picture: "Picture") -> None:
    """Write a picture, and print where it is.

    Parameters
    ----------
    target
        From :func:`check_png`.
    picture
        To be written.
    """
    write_pieces(target, [picture.to_png()])
    if target is not None:
        click.echo(target)


def _key(option: str) -> str:
    """Give the name under which click passes an option."""
    return option.removeprefix("--").replace("-", "_")
