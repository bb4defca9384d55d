"""Which file each cutout goes to."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from snapdb.archive.image import Image

PLACEHOLDERS = ("id", "band", "mjd", "sca", "observation_id", "kind", "instrument")
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
        Several images and one file; an unknown placeholder; two images with the same target.
    ObjectExistsError
        A target exists.
    """
    template = output
    if output.endswith("/") or Path(output).is_dir():
        template = str(Path(output) / _IN_FOLDER)
    names = _placeholders(template)
    if len(images) > 1 and not names:
        raise click.UsageError(_list_candidates(images))
    pairs = [(image, Path(template.format_map(_values(image)) if names else template)) for image in images]
    _refuse_doubles(pairs)
    for _, path in pairs:
        _refuse_existing(path, overwrite=overwrite)
    for _, path in pairs:
        path.parent.mkdir(parents=True, exist_ok=True)
    return pairs


def _placeholders(template: str) -> set[str]:
    """Name the placeholders of a template, all of them known."""
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as err:
        msg = f"-o {template!r} cannot be read: {err}; write {{{{ for a brace that is meant as such"
        raise click.UsageError(msg) from err
    unknown = sorted(names - set(PLACEHOLDERS))
    if unknown:
        msg = f"-o {template!r}: unknown placeholder {unknown[0]!r}; there are {', '.join(PLACEHOLDERS)}"
        raise click.UsageError(msg)
    return names


def _values(image: "Image") -> dict[str, str]:
    """Write what placeholders stand for so that it can be part of a file's name."""
    mjd = "none" if image.mjd is None else f"{image.mjd:.5f}"
    texts = {
        name: "none" if getattr(image, name) is None else str(getattr(image, name)) for name in PLACEHOLDERS
    }
    return {name: text.replace("/", "_") for name, text in {**texts, "mjd": mjd}.items()}


def _refuse_doubles(pairs: "Sequence[tuple[Image, Path]]") -> None:
    """Refuse a template that sends two cutouts to one file."""
    seen: dict[Path, Image] = {}
    for image, path in pairs:
        if path in seen:
            msg = f"images {seen[path].id} and {image.id} would both be written to {path}; add {{id}} to -o"
            raise click.UsageError(msg)
        seen[path] = image


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file before anything is cut."""
    from snapdb.errors import ObjectExistsError

    if path.exists() and not overwrite:
        msg = f"{path} exists; choose another name, or --overwrite"
        raise ObjectExistsError(msg, path=str(path))


def _list_candidates(images: "Sequence[Image]") -> str:
    """Say which images match where one was expected."""
    shown = [_values(image) for image in images[:_LISTED]]
    lines = [f"  {known['id']}  band {known['band']}  mjd {known['mjd']}" for known in shown]
    if len(images) > _LISTED:
        lines.append(f"  ... and {len(images) - _LISTED} more")
    return (
        f"{len(images)} images match and -o names one file; choose one with --image ID, narrow the criteria, "
        "or write them all with -o 'name_{band}_{mjd}.fits' or -o FOLDER/:\n" + "\n".join(lines)
    )
