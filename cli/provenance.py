"""`snapdb provenance`: what made the images, and what came of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Group
from .provenance_asking import diff, export, format_option, show, tree
from .session import Session, archive_option, pass_session, say
from .values import PARAMETER, VERSION

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.provenance import Provenance

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_NAME = "An id, its first digits, or TAG:PROCESS."
_PARTS = ("version", "params", "params_file", "upstreams", "environment", "environment_version", "scheme")
"""Options of `add` that say what a process is."""


@click.group("provenance", cls=Group)
def command() -> None:
    """Say what made the images: processes, versions, parameters, and what they built on."""


for _asking in (show, tree, diff, export):
    command.add_command(_asking)


@command.command("add")
@click.argument("process", required=False)
@click.option("--version", type=VERSION, help="MAJOR or MAJOR.MINOR.  [default: 0.0]")
@click.option("--param", "params", multiple=True, type=PARAMETER, help="NAME=VALUE; may be repeated.")
@click.option("--params", "params_file", type=_FILE, help="JSON file.")
@click.option("--upstream", "upstreams", multiple=True, metavar="NAME", help=f"{_NAME} May be repeated.")
@click.option("--environment", help="Names the environment it runs in; digits are a number.")
@click.option("--environment-version", type=VERSION, help="MAJOR or MAJOR.MINOR.")
@click.option(
    "--scheme", type=click.Choice(["snapdb-1", "snappl-md5"]), help="Of the id.  [default: snapdb-1]"
)
@click.option("--from", "source", type=_FILE, help="File of `show --format json` or `export`.")
@click.option("--tag", help="Name to find it by, together with its process.")
@click.option("--replace", is_flag=True, help="Let the tag move here from another provenance.")
@archive_option
@pass_session
def add(session: Session, /, **options: Any) -> None:
    """Register a provenance, and print its id; doing it twice changes nothing.

    With --from, everything upstream is registered too, with the ids that the file says.

    \b
    For example:
      snapdb provenance add calibrate --version 1.2 --param flat=2024A --upstream dr1:reduce
      snapdb provenance show 4f2a --format json > it.json; snapdb provenance add --from it.json
    """  # noqa: D301  # \b is click's mark for lines that stay
    if (options["process"] is None) == (options["source"] is None):
        msg = "name a process, or a file with --from, and not both"
        raise click.UsageError(msg)
    if options["replace"] and options["tag"] is None:
        msg = "--replace moves a tag; name it with --tag"
        raise click.UsageError(msg)
    with session.connect() as archive:
        for made in _read(options) if options["source"] else [_make(archive, options)]:
            is_new = archive.add_provenance(made, tag=options["tag"], replace=options["replace"])
            state = "registered" if is_new else "was registered already"
            say(f"{made.process} {made.major}.{made.minor}: {state}")
            click.echo(made.id)


def _make(archive: "Archive", options: dict[str, Any]) -> "Provenance":
    """Make the provenance of the options."""
    from snapdb.model.provenance import SNAPDB_1, Provenance

    held = {} if options["params_file"] is None else _read_json(options["params_file"])
    if not isinstance(held, dict):
        msg = f"{options['params_file']} holds no JSON object; expected parameters by name"
        raise click.UsageError(msg)
    major, minor = options["version"] or (0, 0)
    env_major, env_minor = options["environment_version"] or (None, None)
    environment = options["environment"]
    is_number = environment is not None and environment.isascii() and environment.isdigit()
    return Provenance(
        options["process"],
        major,
        minor,
        {**held, **dict(options["params"])},
        upstreams=[archive.find_provenance(name) for name in options["upstreams"]],
        environment=int(environment) if is_number else environment,
        env_major=env_major,
        env_minor=env_minor,
        hash_scheme=options["scheme"] or SNAPDB_1,
    )


def _read(options: dict[str, Any]) -> "Sequence[Provenance]":
    """Read provenances with their upstreams, as `show --format json` and `export` write them."""
    from snapdb.model.prov_reading import read_prov_json
    from snapdb.model.provenance import Provenance

    for name in _PARTS:
        if options[name]:
            msg = f"the file of --from says all of it; leave out the {name.replace('_', ' ')}"
            raise click.UsageError(msg)
    path = options["source"]
    held = _read_json(path)
    if not isinstance(held, dict) or "activity" not in held:
        return [Provenance.from_recursive_dict(held, where=str(path))]
    found = read_prov_json(held, where=str(path))
    if options["tag"] is not None and len(found) > 1:
        msg = f"{path} holds {len(found)} provenances, none upstream of another; tag them one by one"
        raise click.UsageError(msg)
    return found


def _read_json(path: Path) -> Any:
    """Read a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"{path} cannot be read as JSON: {err}"
        raise click.UsageError(msg) from err
    except RecursionError as err:
        msg = f"{path} is nested too deep to be read"
        raise click.UsageError(msg) from err


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
@format_option
@archive_option
@pass_session
def tags(session: Session, history: bool, form: str) -> None:  # noqa: FBT001  # click's calling
    """List tags: tag, process, and the provenance that each points to."""
    with session.connect() as archive:
        targets = archive.registry.find_tag_targets()
        rows = (
            _list_changes(archive, targets)
            if history
            else [
                {"tag": tag, "process": process, "provenance_id": str(id_)}
                for (tag, process), id_ in targets.items()
            ]
        )
    _list(rows, form, "there are no tags; `snapdb provenance tag TAG NAME` makes one")


def _list_changes(archive: "Archive", targets: Any) -> list[dict[str, Any]]:
    """List the changes of tags, by time."""
    changes = [one for tag, process in targets for one in archive.tag_history(tag, process)]
    return [
        {
            "changed_at": one.changed_at.isoformat(timespec="seconds"),
            "tag": one.tag,
            "process": one.process,
            "provenance_id": str(one.provenance_id),
            "previous_id": None if one.previous_id is None else str(one.previous_id),
        }
        for one in sorted(changes, key=lambda one: one.changed_at)
    ]


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
@format_option
@archive_option
@pass_session
def list_(session: Session, process: str | None, form: str) -> None:
    """List provenances by process and version, with how many images each has."""
    with session.connect() as archive:
        found = archive.find_provenances(process=process)
        counts = archive.registry.count_images_by_provenance([one.id for one in found])
    rows = [
        {
            "id": str(one.id),
            "process": one.process,
            "version": f"{one.major}.{one.minor}",
            "images": counts.get(one.id, 0),
        }
        for one in found
    ]
    _list(rows, form, "there are no provenances; `snapdb provenance add PROCESS` makes one")
