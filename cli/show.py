"""`snapdb show`: one image in full."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .commands import Command
from .outputs import check_file, to_path, write_pieces
from .pictures import check_picture, draw, picture_options
from .session import Session, archive_option, pass_session, printable

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_FORMATS = ("table", "json")


@click.command("show", cls=Command)
@click.argument("image_id", metavar="ID", type=click.UUID)
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name, or table.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write to; - for stdout.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@picture_options
@archive_option
@pass_session
def command(session: Session, /, image_id: UUID, form: str | None, **options: Any) -> None:
    """Say all that the archive knows of one image: facts, planes, provenance.

    With --png: draw it instead.

    \b
    For example:
      snapdb show ID
      snapdb show ID --png image.png --interval percentile:99.5 --north-up --longest 800
    """  # noqa: D301  # \b is click's mark for lines that stay
    target = to_path(options["output"])
    json_name = target is not None and target.suffix.lower() == ".json"
    overwrite = options["overwrite"]
    check_picture(options, others={"--format": form, "-o": options["output"]})
    with session.connect() as archive:
        if options["png"] is not None:
            draw(archive, image_id, options)
            return
        if target is not None:
            check_file(target, overwrite=overwrite)
        known = _describe(archive, image_id)
    as_json = form == "json" or (form is None and json_name)
    lines = [json.dumps(known, indent=2)] if as_json else _to_lines(known)
    write_pieces(target, (f"{line}\n".encode() for line in lines))


def _to_lines(known: dict[str, Any]) -> Iterator[str]:
    """Yield a line a value, and more where it is a list."""
    for name, value in known.items():
        lines = _text_lines(value)
        yield f"{name:<15} {lines[0]}"
        for line in lines[1:]:
            yield f"{'':<15} {line}"


def _describe(archive: "Archive", image_id: UUID) -> dict[str, Any]:
    """Gather what the registry says of an image, as JSON values."""
    from snapdb.archive.columns import make_row

    record = archive.get_image(image_id).record
    assert record is not None  # noqa: S101  # an image of an archive has its row
    provenance = archive.registry.get_provenance(record.provenance_id)
    return {
        **make_row(record),
        "flag_bits": dict(record.flag_bits),
        "bad_bits": record.bad_bits,
        "properties": dict(record.properties),
        "planes": [
            {"file": plane.file_key, **{k: v for k, v in plane.layout.to_dict().items() if k != "tiles"}}
            for plane in archive.registry.get_planes([image_id])[image_id]
        ],
        "footprint": [[round(ra, 9), round(dec, 9)] for ra, dec in archive.registry.get_footprint(image_id)],
        "inputs": [str(one) for one in archive.registry.get_inputs(image_id)],
        "provenance": provenance.spec_dict(),
    }


def _text_lines(value: Any) -> list[str]:
    """Write a value on one line, or a list of values on a line each."""
    if isinstance(value, list):
        return [_one_line(item) for item in value] or ["-"]
    return [_one_line(value)]


def _one_line(value: Any) -> str:
    """Write a value for the eye."""
    if value is None or value == {}:
        return "-"
    if isinstance(value, dict):
        return "  ".join(f"{name}={_one_line(item)}" for name, item in value.items())
    return printable(", ".join(str(item) for item in value) if isinstance(value, list) else str(value))
