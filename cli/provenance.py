"""`snapdb provenance`: what made the images, and what came of it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from .outputs import check_file, to_path, write_pieces
from .session import Session, archive_option, pass_session, say
from .values import PARAMETER, VERSION

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.ancestry import Ancestry
    from snapdb.model.provenance import Provenance

_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_NAME = "An id, its first digits, or TAG:PROCESS."


@click.group("provenance")
def command() -> None:
    """Say what made the images: processes, versions, parameters, and what they built on."""


@command.command("add")
@click.argument("process", required=False)
@click.option("--version", type=VERSION, default="0.0", show_default=True, help="MAJOR or MAJOR.MINOR.")
@click.option("--param", "params", multiple=True, type=PARAMETER, help="NAME=VALUE; may be repeated.")
@click.option("--params", "params_file", type=_FILE, help="JSON file.")
@click.option("--upstream", "upstreams", multiple=True, metavar="NAME", help=f"{_NAME} May be repeated.")
@click.option("--environment", help="Names the environment it runs in.")
@click.option(
    "--scheme", type=click.Choice(["snapdb-1", "snappl-md5"]), default="snapdb-1", show_default=True
)
@click.option(
    "--from", "source", type=click.Path(path_type=Path, dir_okay=False), help="File of show --format json."
)
@click.option("--tag", help="Name to find it by, together with its process.")
@click.option("--replace", is_flag=True, help="Let the tag move here from another provenance.")
@archive_option
@pass_session
def add(session: Session, /, **options: Any) -> None:
    """Register a provenance, and print its id; doing it twice changes nothing.

    \b
    For example:
      snapdb provenance add calibrate --version 1.2 --param flat=2024A --upstream dr1:reduce
      snapdb provenance show 4f2a --format json > it.json; snapdb provenance add --from it.json
    """  # noqa: D301  # \b is click's mark for lines that stay
    if (options["process"] is None) == (options["source"] is None):
        msg = "name a process, or a file with --from, and not both"
        raise click.UsageError(msg)
    with session.connect() as archive:
        made = _read_tree(options["source"]) if options["source"] else _make(archive, options)
        is_new = made.id not in archive.registry.find_provenance_ids()
        archive.add_provenance(made, tag=options["tag"], replace=options["replace"])
    say(f"{made.process} {made.major}.{made.minor}: {'registered' if is_new else 'was registered already'}")
    click.echo(made.id)


def _make(archive: "Archive", options: dict[str, Any]) -> "Provenance":
    """Make the provenance of the options."""
    from snapdb.model.provenance import Provenance

    held = {} if options["params_file"] is None else _read_json(options["params_file"])
    if not isinstance(held, dict):
        msg = f"{options['params_file']} holds no JSON object; expected parameters by name"
        raise click.UsageError(msg)
    major, minor = options["version"]
    return Provenance(
        options["process"],
        major,
        minor,
        {**held, **dict(options["params"])},
        upstreams=[archive.find_provenance(name) for name in options["upstreams"]],
        environment=options["environment"],
        hash_scheme=options["scheme"],
    )


def _read_tree(path: Path) -> "Provenance":
    """Read a provenance with its upstreams, as ``show --format json`` writes it."""
    from snapdb.model.provenance import Provenance

    return Provenance.from_recursive_dict(_read_json(path), where=str(path))


def _read_json(path: Path) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"{path} cannot be read as JSON: {err}"
        raise click.UsageError(msg) from err


@command.command("show")
@click.argument("name")
@_FORMAT
@archive_option
@pass_session
def show(session: Session, name: str, form: str) -> None:
    """Say all that is known of a provenance. NAME is an id, its first digits, or TAG:PROCESS."""
    with session.connect() as archive:
        found = archive.find_provenance(name)
        if form == "json":
            click.echo(json.dumps(found.recursive_dict(), indent=2))
            return
        targets = archive.registry.find_tag_targets()
        tags = [tag for (tag, _), id_ in targets.items() if id_ == found.id]
        images = archive.count_images(provenance=found)
    rows = {
        "id": found.id,
        "process": found.process,
        "version": f"{found.major}.{found.minor}",
        "params": json.dumps(found.spec_dict()["params"], sort_keys=True),
        "environment": found.environment,
        "scheme": found.hash_scheme,
        "tags": ", ".join(tags) or None,
        "images": images,
    }
    for label, value in rows.items():
        click.echo(f"{label:<12} {'-' if value is None else value}")
    for upstream in found.upstreams:
        click.echo(f"{'upstream':<12} {_one_line(upstream)}")


@command.command("tree")
@click.argument("name")
@click.option("--down", is_flag=True, help="What builds on it, instead of what it builds on.")
@_FORMAT
@archive_option
@pass_session
def tree(session: Session, name: str, down: bool, form: str) -> None:  # noqa: FBT001  # click's calling
    """Draw what a provenance, or an image, was made from, to the beginning.

    NAME is the id of an image, or names a provenance: its id, the first digits of it, or
    TAG:PROCESS. What is drawn in full above is not drawn again.
    """
    with session.connect() as archive:
        image = _find_image(archive, name)
        if image is not None:
            lines = _image_lines(archive, image, down=down, form=form)
        else:
            found = archive.find_provenance(name)
            lines = _provenance_lines(archive, found, down=down, form=form)
    for line in lines:
        click.echo(line)


def _find_image(archive: "Archive", name: str) -> Any:
    """Give the row of the image of an id, None where it is no image's."""
    from uuid import UUID

    from snapdb.errors import NotFoundError

    try:
        return archive.get_record(UUID(name))
    except (ValueError, NotFoundError):
        return None


def _image_lines(archive: "Archive", image: Any, *, down: bool, form: str) -> list[str]:
    """Write what an image was made from, or what was made from it."""
    if down:
        products = archive.find_products(image)
        if form == "json":
            return [json.dumps([_image_dict(one) for one in products], indent=2)]
        return [_image_line(image), *(f"    {_image_line(one)}" for one in products)]
    ancestry = archive.get_ancestry(image)
    if form == "json":
        return [json.dumps(_ancestry_dict(ancestry), indent=2)]
    return list(_draw(ancestry, lambda one: one.inputs, lambda one: one.image.id, _ancestry_line))


def _provenance_lines(archive: "Archive", found: "Provenance", *, down: bool, form: str) -> list[str]:
    """Write what a provenance builds on, or what builds on it."""
    if not down:
        if form == "json":
            return [json.dumps(found.recursive_dict(), indent=2)]
        return list(_draw(found, lambda one: one.upstreams, lambda one: one.id, _one_line))
    below = archive.find_downstream(found)
    if form == "json":
        return [json.dumps([{"id": str(one.id), **one.spec_dict()} for one in below], indent=2)]
    builds_on = {one.id: [other for other in below if one in other.upstreams] for one in [found, *below]}
    return list(_draw(found, lambda one: builds_on[one.id], lambda one: one.id, _one_line))


def _draw(first: Any, below: Any, key: Any, write: Any) -> Iterator[str]:
    """Draw a tree as lines; a branch that was drawn is named again, with a mark, and not drawn twice."""
    seen = set()
    waiting = [(first, "", "")]
    while waiting:
        one, lead, indent = waiting.pop()
        children = list(below(one))
        again = key(one) in seen and bool(children)
        yield lead + write(one) + (" (see above)" if again else "")
        if again:
            continue
        seen.add(key(one))
        last = len(children) - 1
        for number in range(last, -1, -1):
            corner, line = ("└── ", "    ") if number == last else ("├── ", "│   ")
            waiting.append((children[number], indent + corner, indent + line))


def _one_line(one: "Provenance") -> str:
    """Write a provenance on one line."""
    params = json.dumps(one.spec_dict()["params"], sort_keys=True)
    short = params if len(params) <= 60 else f"{params[:57]}..."
    return f"{one.process} {one.major}.{one.minor} {'' if params == '{}' else short + ' '}{one.id}"


def _image_line(image: Any) -> str:
    """Write an image on one line."""
    return f"{image.kind} {image.filepath}[{image.hdu}] {image.id}"


def _ancestry_line(one: "Ancestry") -> str:
    """Write an image and its provenance on one line."""
    made = one.provenance
    return f"{_image_line(one.image)}  by {made.process} {made.major}.{made.minor} {str(made.id)[:8]}"


def _image_dict(image: Any) -> dict[str, Any]:
    """Give what names an image as JSON values."""
    return {"id": str(image.id), "kind": image.kind, "filepath": image.filepath, "hdu": image.hdu}


def _ancestry_dict(one: "Ancestry") -> dict[str, Any]:
    """Give an image, its provenance and its inputs as JSON values."""
    inputs = [_ancestry_dict(source) for source in one.inputs]
    return {**_image_dict(one.image), "provenance": one.provenance.recursive_dict(), "inputs": inputs}


@command.command("tag")
@click.argument("tag")
@click.argument("name")
@click.option(
    "--replace", is_flag=True, help="Let it move here from another provenance; its history is kept."
)
@archive_option
@pass_session
def tag_(session: Session, tag: str, name: str, replace: bool) -> None:  # noqa: FBT001  # click's calling
    """Let TAG point to a provenance, for its process. NAME is an id, its first digits, or TAG:PROCESS."""
    with session.connect() as archive:
        found = archive.find_provenance(name)
        archive.registry.tag_provenance(tag, found, replace=replace)
    say(f"{tag}:{found.process} points to {found.id}")


@command.command("tags")
@click.option("--history", is_flag=True, help="Every change, the first first.")
@_FORMAT
@archive_option
@pass_session
def tags(session: Session, history: bool, form: str) -> None:  # noqa: FBT001  # click's calling
    """List tags: tag, process, and the provenance that each points to."""
    with session.connect() as archive:
        targets = archive.registry.find_tag_targets()
        if history:
            changes = [one for tag, process in targets for one in archive.tag_history(tag, process)]
            rows = [
                {
                    "changed_at": one.changed_at.isoformat(timespec="seconds"),
                    "tag": one.tag,
                    "process": one.process,
                    "provenance_id": str(one.provenance_id),
                    "previous_id": None if one.previous_id is None else str(one.previous_id),
                }
                for one in changes
            ]
        else:
            rows = [
                {"tag": tag, "process": process, "provenance_id": str(id_)}
                for (tag, process), id_ in targets.items()
            ]
    _list(rows, form, "there are no tags; `snapdb provenance tag TAG NAME` makes one")


def _list(rows: Sequence[dict[str, Any]], form: str, nothing: str) -> None:
    """Write rows as JSON, or aligned."""
    if form == "json":
        click.echo(json.dumps(list(rows), indent=2))
        return
    if not rows:
        say(nothing)
        return
    texts = [list(rows[0]), *(["-" if v is None else str(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


@command.command("list")
@click.option("--process", help="Only of this process.")
@_FORMAT
@archive_option
@pass_session
def list_(session: Session, process: str | None, form: str) -> None:
    """List provenances by process and version, with how many images each has."""
    with session.connect() as archive:
        rows = [
            {
                "id": str(one.id),
                "process": one.process,
                "version": f"{one.major}.{one.minor}",
                "images": archive.count_images(provenance=one),
            }
            for one in archive.find_provenances(process=process)
        ]
    _list(rows, form, "there are no provenances")


@command.command("diff")
@click.argument("old")
@click.argument("new")
@_FORMAT
@archive_option
@pass_session
def diff(session: Session, old: str, new: str, form: str) -> None:
    """Say in what two provenances differ, upstreams included. OLD and NEW are as in `show`."""
    from snapdb.model.provenance_diff import diff_provenances

    with session.connect() as archive:
        found = diff_provenances(archive.find_provenance(old), archive.find_provenance(new))
    if form == "json":
        listed = [{"path": d.path, "kind": d.kind, "old": d.old, "new": d.new} for d in found]
        click.echo(json.dumps(listed, indent=2))
        return
    if not found:
        say("they are the same")
    for one in found:
        click.echo(str(one))


@command.command("export")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File; - for stdout.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@archive_option
@pass_session
def export(session: Session, name: str, output: Path | None, overwrite: bool) -> None:  # noqa: FBT001
    """Write a provenance, or an image with all that it was made of, as W3C PROV-JSON.

    NAME is the id of an image, or names a provenance as in `show`.
    """
    target = to_path(output)
    with session.connect() as archive:
        if target is not None:
            check_file(target, overwrite=overwrite)
        image = _find_image(archive, name)
        document = archive.export_provenance(archive.find_provenance(name) if image is None else image)
        write_pieces(target, _encode([json.dumps(document, indent=2)]))


def _encode(lines: Iterable[str]) -> Iterator[bytes]:
    """Give lines as bytes."""
    return (f"{line}\n".encode() for line in lines)
