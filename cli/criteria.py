"""The options of a search, the same for every command that looks for images."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from .values import DEC, RA

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--ra",), {"type": RA, "help": "With --dec: only images that contain this position (ICRS)."}),
    (("--dec",), {"type": DEC, "help": "Degrees, or sexagesimal such as -20d10m30s."}),
    (("--ra-min",), {"type": RA, "help": "Centre of the image; above --ra-max it goes through 0."}),
    (("--ra-max",), {"type": RA, "help": "Centre of the image."}),
    (("--dec-min",), {"type": DEC, "help": "Centre of the image."}),
    (("--dec-max",), {"type": DEC, "help": "Centre of the image."}),
    (("--band",), {"multiple": True, "help": "Any of these bands; may be repeated."}),
    (("--sca",), {"multiple": True, "type": int, "help": "Any of these detectors; may be repeated."}),
    (("--mjd-min",), {"metavar": "MJD|DATE", "help": "Start of the exposure, MJD or ISO date, UTC."}),
    (("--mjd-max",), {"metavar": "MJD|DATE", "help": "Start of the exposure, MJD or ISO date, UTC."}),
    (("--exptime-min",), {"type": float, "help": "Seconds."}),
    (("--exptime-max",), {"type": float, "help": "Seconds."}),
    (("--observation-id",), {"multiple": True, "help": "Any of these exposures; may be repeated."}),
    (("--kind",), {"multiple": True, "help": "exposure, coadd, difference, ...; may be repeated."}),
    (("--instrument",), {"multiple": True, "help": "Name of a header map; may be repeated."}),
    (("--provenance",), {"metavar": "ID", "help": "Only images of this provenance."}),
    (("--provenance-tag",), {"metavar": "TAG", "help": "Only images of the provenance with this tag."}),
    (("--process",), {"help": "Process that made the images; without --provenance-tag: any version of it."}),
    (("--order-by",), {"multiple": True, "help": "Column; -COLUMN for descending; may be repeated."}),
    (("--limit",), {"type": click.IntRange(min=0), "help": "At most so many."}),
    (("--offset",), {"type": click.IntRange(min=0), "help": "Leave out the first so many."}),
)

NAMES: tuple[str, ...] = tuple(names[0].removeprefix("--").replace("-", "_") for names, _ in _OPTIONS)
"""Names of the criteria, as the library spells them."""


def search_options(command: Command) -> Command:
    """Add the options of a search to a command."""
    for names, settings in reversed(_OPTIONS):
        command = click.option(*names, **settings)(command)
    return command


def make_criteria(options: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what was asked out of a command's options.

    Parameters
    ----------
    options
        Name -> value as click gives them; None or an empty tuple when not asked.

    Returns
    -------
    dict
        Keyword arguments for :meth:`snapdb.Archive.find_records`.
    """
    given = {name: options[name] for name in NAMES if options.get(name) not in (None, ())}
    for name in ("mjd_min", "mjd_max"):
        if name in given:
            given[name] = _number_or_text(given[name])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def check_tag(archive: "Archive", criteria: Mapping[str, Any]) -> None:
    """Refuse a tag that there is not: a slip of the pen finds nothing, and looks like an answer.

    Parameters
    ----------
    archive
        Where to look.
    criteria
        From :func:`make_criteria`.

    Raises
    ------
    click.UsageError
        The tag does not exist, or not for the process; the message names those there are.
    """
    from snapdb.errors import NotFoundError

    tag = criteria.get("provenance_tag")
    if tag is None:
        return
    try:
        archive.make_search(provenance_tag=tag, process=criteria.get("process"))
    except NotFoundError as err:
        raise click.UsageError(str(err)) from err


def _number_or_text(value: str) -> float | str:
    """Give an MJD as a number, and leave a date to the library."""
    try:
        return float(value)
    except ValueError:
        return value
