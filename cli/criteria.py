"""The options of a search, the same for every command that looks for images."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from .values import DEC, PROPERTY, RA, RADIUS

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

Command = TypeVar("Command", bound=Callable[..., Any])

_Option: TypeAlias = tuple[tuple[str, ...], dict[str, Any]]

_PLACE: tuple[_Option, ...] = (
    (("--ra",), {"type": RA, "help": "With --dec: only images that contain this position (ICRS)."}),
    (("--dec",), {"type": DEC, "help": "Degrees, or sexagesimal such as -20d10m30s."}),
    (("--radius",), {"type": RADIUS, "help": "With --ra, --dec: images that touch the circle (5arcmin)."}),
    (
        ("--region",),
        {"metavar": "REGION", "help": "Images that lie to a region: 'CIRCLE ra dec r', BOX, POLYGON, RANGE."},
    ),
    (
        ("--relation",),
        {
            "type": click.Choice(["overlaps", "covers", "contains", "within"]),
            "help": "What an image does to the region; overlaps by default.",
        },
    ),
    (("--ra-min",), {"type": RA, "help": "Centre of the image; above --ra-max it goes through 0."}),
    (("--ra-max",), {"type": RA, "help": "Centre of the image."}),
    (("--dec-min",), {"type": DEC, "help": "Centre of the image."}),
    (("--dec-max",), {"type": DEC, "help": "Centre of the image."}),
)
_WHAT: tuple[_Option, ...] = (
    (("--band",), {"multiple": True, "help": "Any of these bands; may be repeated."}),
    (("--sca",), {"multiple": True, "type": int, "help": "Any of these detectors; may be repeated."}),
    (("--observation-id",), {"multiple": True, "help": "Any of these exposures; may be repeated."}),
    (("--kind",), {"multiple": True, "help": "exposure, coadd, difference, ...; may be repeated."}),
    (("--instrument",), {"multiple": True, "help": "Name of a header map; may be repeated."}),
    (("--filepath",), {"multiple": True, "help": "Any of these files, as listed; may be repeated."}),
    (("--filepath-glob",), {"metavar": "PATTERN", "help": "Files such as 'night1/*.fits'."}),
    (
        ("--property", "properties"),
        {
            "multiple": True,
            "type": PROPERTY,
            "help": "NAME=VALUE, NAME>=X or NAME<=X, header keywords in lower case.",
        },
    ),
)
_RANGES: tuple[_Option, ...] = (
    (("--mjd-min",), {"metavar": "MJD|DATE", "help": "Start of the exposure, MJD or ISO date, UTC."}),
    (("--mjd-max",), {"metavar": "MJD|DATE", "help": "Start of the exposure, MJD or ISO date, UTC."}),
    *(
        ((f"--{name}-{end}",), {"type": float, "help": text})
        for name, text in (
            ("exptime", "Seconds."),
            ("zeropoint", "AB magnitude of one count."),
            ("position-angle", "Of the +y axis, degrees east of north."),
            ("pixel-scale", "Arcseconds a pixel."),
            ("width", "Pixels."),
            ("height", "Pixels."),
        )
        for end in ("min", "max")
    ),
)
_PROVENANCE: tuple[_Option, ...] = (
    (
        ("--provenance",),
        {
            "metavar": "ID|TAG:PROCESS",
            "multiple": True,
            "help": "Any of these, or the first digits of one; may be repeated.",
        },
    ),
    (("--provenance-tag",), {"metavar": "TAG", "help": "Only images of the provenance with this tag."}),
    (("--process",), {"help": "Process that made the images; without --provenance-tag: any version of it."}),
)
_ORDER: tuple[_Option, ...] = (
    (("--order-by",), {"multiple": True, "help": "Column; -COLUMN for descending; may be repeated."}),
    (("--limit",), {"type": click.IntRange(min=0), "help": "At most so many."}),
    (("--offset",), {"type": click.IntRange(min=0), "help": "Leave out the first so many."}),
    (
        ("--after",),
        {"metavar": "ID", "help": "Only what comes after this image in the order: the next page."},
    ),
)
_OPTIONS: tuple[_Option, ...] = (*_PLACE, *_WHAT, *_RANGES, *_PROVENANCE, *_ORDER)

NAMES: tuple[str, ...] = tuple(names[-1].removeprefix("--").replace("-", "_") for names, _ in _OPTIONS)
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
            given[name] = number_or_text(given[name])
    if "properties" in given:
        given["properties"] = _gather_properties(given["properties"])
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _gather_properties(tests: Sequence[tuple[str, str, Any]]) -> dict[str, Any]:
    """Join the tests of each property: values are alternatives, two ends make a range."""
    values: dict[str, list[Any]] = {}
    ranges: dict[str, dict[str, Any]] = {}
    for name, end, wanted in tests:
        if end == "=":
            values.setdefault(name, []).append(wanted)
        else:
            ranges.setdefault(name, {})[end] = wanted
    if both := values.keys() & ranges.keys():
        msg = f"--property: {min(both)} was given a value and a range; give one of them"
        raise click.UsageError(msg)
    return {**values, **ranges}


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


def number_or_text(value: str) -> float | str:
    """Give an MJD as a number, and leave a date to the library.

    Parameters
    ----------
    value
        As given.

    Raises
    ------
    click.UsageError
        It is a year: as an MJD it lies in the 1860s, and would find everything, or nothing.
    """
    if re.fullmatch("(18|19|20|21)[0-9][0-9]", value.strip()):
        msg = f"{value!r} may be a year; write '{value.strip()}-01-01', or {value.strip()}.0 for an MJD"
        raise click.UsageError(msg)
    try:
        return float(value)
    except ValueError:
        return value
