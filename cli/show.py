"""`snapdb show`: one image in full."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import rich_click as click

from .session import Session, archive_option, pass_session

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive


@click.command("show")
@click.argument("image_id", metavar="ID", type=click.UUID)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@archive_option
@pass_session
def command(session: Session, image_id: UUID, form: str) -> None:
    """Say all that the archive knows of one image: facts, planes, provenance."""
    with session.connect() as archive:
        known = _describe(archive, image_id)
    if form == "json":
        click.echo(json.dumps(known, indent=2))
        return
    for name, value in known.items():
        lines = _text_lines(value)
        click.echo(f"{name:<15} {lines[0]}")
        for line in lines[1:]:
            click.echo(f"{'':<15} {line}")


def _describe(archive: "Archive", image_id: UUID) -> dict[str, Any]:
    """Gather what the registry says of an image, as JSON values."""
    from .columns import make_row

    record = archive.get_image(image_id).record
    assert record is not None  # noqa: S101  # an image of an archive has its row
    provenance = archive.registry.get_provenance(record.provenance_id)
    return {
        **make_row(record),
        "flag_bits": dict(record.flag_bits),
        "bad_bits": record.bad_bits,
        "properties": dict(record.properties),
        "planes": [
            {"file": plane.file_key, **plane.layout.to_dict()}
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
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
