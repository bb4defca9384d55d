"""Which file each cutout goes to."""

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .outputs import check_file

if TYPE_CHECKING:
    from snapdb.archive.image import Image

PLACEHOLDERS = ("id", "band", "mjd", "sca", "observation_id", "kind", "instrument")
SUFFIXES = (".fits", ".png")
"""What a cutout is written as."""
_NUMBERS: dict[str, float] = {"mjd": 60000.25, "sca": 1}
"""Placeholders that take a format, each with a value to try it on."""
_EXAMPLES = {"mjd": "{mjd:.2f}", "sca": "{sca:02d}"}
_IN_FOLDER = "cutout_{mjd}_{band}_{id}.fits"
_LISTED = 12


def choose_targets(images: "Sequence[Image]", output: str, *, overwrite: bool) -> "list[tuple[Image, Path]]":
    """Pair each image with the file that its cutout goes to.

    Parameters
    ----------
    images
        At least one.
    output
        A file, a folder (one that exists, or with a slash at its end), or a file with placeholders.
    overwrite
        Whether a file that exists is a target.

    Raises
    ------
    click.UsageError
        Several images and one file; an unknown placeholder, or a format that it cannot have;
        a suffix that is not among :data:`SUFFIXES`; two images with the same target.
    ObjectExistsError
        A target exists, or an open archive needs it.
    """
    template = output
    if output.endswith("/") or Path(output).is_dir():
        template = str(Path(output) / _IN_FOLDER)
    names = _placeholders(template)
    if Path(template).suffix.lower() not in SUFFIXES:
        known = " or ".join(SUFFIXES)
        msg = f"-o {output!r}: a cutout is written as {known}; end the name so, or name a folder"
        raise click.UsageError(msg)
    if len(images) > 1 and not names:
        raise click.UsageError(list_candidates(images))
    fill = _Fill()
    pairs = [(image, Path(fill.vformat(template, (), _values(image)))) for image in images]
    _refuse_doubles(pairs)
    for _, path in pairs:
        check_file(path, overwrite=overwrite)
    return pairs


def _placeholders(template: str) -> set[str]:
    """Name the placeholders of a template, all of them known."""
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as err:
        msg = f"-o {template!r} cannot be read: {err}; write {{{{ for a brace that is meant as such"
        raise click.UsageError(msg) from err
    names = {str(name) for _, name, _, _ in fields}
    unknown = sorted(names - set(PLACEHOLDERS))
    if unknown:
        msg = f"-o {template!r}: unknown placeholder {unknown[0]!r}; there are {', '.join(PLACEHOLDERS)}"
        raise click.UsageError(msg)
    for _, name, form, conversion in fields:
        _check_form(str(name), form or "", conversion)
    return names


def _check_form(name: str, form: str, conversion: str | None) -> None:
    """Refuse how a placeholder is to be written where that cannot be."""
    if not form and not conversion:
        return
    if name not in _NUMBERS:
        msg = f"-o: {{{name}}} is text and takes no format; only {' and '.join(_NUMBERS)} do"
        raise click.UsageError(msg)
    if conversion or not _can_write(_NUMBERS[name], form):
        shown = f"{'!' + conversion if conversion else ''}{':' + form if form else ''}"
        msg = f"-o: {{{name}{shown}}} cannot be written so; expected such as {_EXAMPLES[name]}"
        raise click.UsageError(msg)


def _can_write(sample: float, form: str) -> bool:
    """Tell whether a format is one of numbers, and not of hundreds of digits."""
    if re.search(r"\d{3}", form):
        return False
    try:
        format(sample, form)
    except ValueError:
        return False
    return True


class _Fill(string.Formatter):
    """Puts values into a template: what is not known as ``none``, nothing that makes a folder."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Write one value so that it can be part of a file's name."""
        if value is None:
            return "none"
        default = ".5f" if isinstance(value, float) else ""
        return str(format(value, format_spec or default)).replace("/", "_")


def _values(image: "Image") -> dict[str, Any]:
    """Give what placeholders stand for."""
    known = {name: getattr(image, name) for name in PLACEHOLDERS}
    texts = {name: None if value is None else str(value) for name, value in known.items()}
    numbers = {"mjd": None if image.mjd is None else float(image.mjd), "sca": image.sca}
    return {**texts, **numbers}


def _refuse_doubles(pairs: "Sequence[tuple[Image, Path]]") -> None:
    """Refuse a template that sends two cutouts to one file."""
    seen: dict[Path, Image] = {}
    for image, path in pairs:
        if path in seen:
            msg = f"images {seen[path].id} and {image.id} would both be written to {path}; add {{id}} to -o"
            raise click.UsageError(msg)
        seen[path] = image


def list_candidates(images: "Sequence[Image]") -> str:
    """Say which images match where one was expected.

    Parameters
    ----------
    images
        Several.
    """
    line = "  {id}  band {band}  mjd {mjd}"
    lines = [_Fill().vformat(line, (), _values(image)) for image in images[:_LISTED]]
    if len(images) > _LISTED:
        lines.append(f"  ... and {len(images) - _LISTED} more")
    return (
        f"{len(images)} images match and -o names one file; choose one with --image ID, narrow the criteria, "
        "or write them all with -o 'name_{band}_{mjd}.fits' or -o FOLDER/:\n" + "\n".join(lines)
    )
