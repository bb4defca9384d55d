"""The commands of `snapdb provenance` that ask: show, tree, diff, export."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .outputs import check_file, to_path, write_pieces
from .provenance_drawing import (
    describe_ancestry,
    describe_offspring,
    draw_ancestry,
    draw_offspring,
    draw_tree,
    one_line,
)
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord
    from snapdb.model.provenance import Provenance

format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)

_MOST_DRAWN = 100_000
"""Provenances in a tree that is written in full; more are no help to anybody."""


@click.command("show", cls=Command)
@click.argument("name")
@format_option
@archive_option
@pass_session
def show(session: Session, name: str, form: str) -> None:
    """Say all that is known of a provenance.

    NAME is an id, its first 4 or more digits, or TAG:PROCESS. As json: what it is made of, with everything
    upstream in full, for `snapdb provenance add --from`.
    """
    with session.connect() as archive:
        found = archive.find_provenance(name)
        if form == "json":
            click.echo(json.dumps(_to_tree(found), indent=2))
            return
        targets = archive.registry.find_tag_targets()
        tags = [tag for (tag, _), id_ in targets.items() if id_ == found.id]
        images = archive.count_images(provenance=found)
    major, minor = found.env_major, found.env_minor
    env = None if (major, minor) == (None, None) else f"{_dash(major)}.{_dash(minor)}"
    rows = {
        "id": found.id,
        "process": found.process,
        "version": f"{found.major}.{found.minor}",
        "params": json.dumps(found.spec_dict()["params"], sort_keys=True, ensure_ascii=False),
        "environment": " ".join(str(part) for part in (found.environment, env) if part is not None) or None,
        "scheme": found.hash_scheme,
        "tags": ", ".join(tags) or None,
        "images": images,
    }
    for label, value in rows.items():
        click.echo(f"{label:<12} {_dash(value)}")
    for upstream in found.upstreams:
        click.echo(f"{'upstream':<12} {one_line(upstream)}")


def _dash(value: object) -> str:
    """Write a value; a dash where there is none."""
    return "-" if value is None else str(value)


@click.command("tree", cls=Command)
@click.argument("name")
@click.option("--down", is_flag=True, help="What builds on it, instead of what it builds on.")
@format_option
@archive_option
@pass_session
def tree(session: Session, name: str, down: bool, form: str) -> None:  # noqa: FBT001  # click's calling
    """Draw what a provenance, or an image, was made from, to the beginning.

    NAME is the id of an image, or names a provenance: its id, the first 4 or more digits of it, or
    TAG:PROCESS. What is drawn in full above is not drawn again; as json, each image stands once.
    """
    with session.connect() as archive:
        found = find_named(archive, name)
        if form == "json":
            click.echo(json.dumps(_describe(archive, found, down=down), indent=2))
            return
        for line in _draw(archive, found, down=down):
            click.echo(line)


def find_named(archive: "Archive", name: str) -> "ImageRecord | Provenance":
    """Give the image, or else the provenance, that a name means.

    Parameters
    ----------
    archive
        Where to look.
    name
        As the user wrote it.

    Raises
    ------
    NotFoundError
        If it is the id of neither.
    UsageError
        If it names nothing that there could be.
    """
    from uuid import UUID

    from snapdb.errors import NotFoundError

    try:
        id_ = UUID(name)
    except ValueError:
        return archive.find_provenance(name)
    for find in (archive.get_record, archive.get_provenance):
        try:
            return find(id_)
        except NotFoundError:
            continue
    msg = f"no image and no provenance has the id {id_}; see `snapdb find` and `snapdb provenance list`"
    raise NotFoundError(msg, name=name)


def _draw(archive: "Archive", found: Any, *, down: bool) -> "Iterator[str]":
    """Yield the lines of a tree."""
    from snapdb.model.provenance import Provenance

    if not isinstance(found, Provenance):
        if down:
            return draw_offspring(archive.get_offspring(found))
        return draw_ancestry(archive.get_ancestry(found))
    if not down:
        return draw_tree(found, lambda one: one.upstreams, lambda one: one.id, one_line)
    counts = archive.count_products(found)
    builds_on: dict[Any, list[Provenance]] = {one.id: [] for one in (found, *counts)}
    for one in counts:
        for upstream in one.upstreams:
            if upstream.id in builds_on:
                builds_on[upstream.id].append(one)

    def write(one: Provenance) -> str:
        number = counts.get(one)
        return one_line(one) + ("" if not number else f"  {number} image{'' if number == 1 else 's'}")

    return draw_tree(found, lambda one: builds_on[one.id], lambda one: one.id, write)


def _describe(archive: "Archive", found: Any, *, down: bool) -> Any:
    """Give a tree as JSON values."""
    from snapdb.model.provenance import Provenance

    if not isinstance(found, Provenance):
        if down:
            return describe_offspring(archive.get_offspring(found))
        return describe_ancestry(archive.get_ancestry(found))
    if not down:
        return _to_tree(found)
    counts = archive.count_products(found)
    return [{"id": str(one.id), **one.spec_dict(), "images": number} for one, number in counts.items()]


def _to_tree(found: "Provenance") -> dict[str, Any]:
    """Give a provenance with its upstreams in full, unless it would be written for hours."""
    from snapdb.model.provenance import MOST_LEVELS

    sizes: dict[Any, int] = {}
    levels: dict[Any, int] = {}
    for one in found.walk():
        sizes[one.id] = 1 + sum(sizes[upstream.id] for upstream in one.upstreams)
        levels[one.id] = 1 + max((levels[upstream.id] for upstream in one.upstreams), default=-1)
    size, depth = sizes[found.id], levels[found.id]
    if size > _MOST_DRAWN or depth > MOST_LEVELS:
        msg = (
            f"written in full, {found.id} is a tree of {size} provenances, {depth} deep; "
            "`snapdb provenance export` names each of them once, and `add --from` reads that too"
        )
        raise click.UsageError(msg)
    return found.recursive_dict()


@click.command("diff", cls=Command)
@click.argument("old")
@click.argument("new")
@format_option
@archive_option
@pass_session
def diff(session: Session, old: str, new: str, form: str) -> None:
    """Say in what two provenances differ, upstreams included.

    OLD and NEW are named as in `show`. Lines begin with + for what NEW has more, with - for what it
    has no longer, and with ~ for what has changed.
    """
    with session.connect() as archive:
        found = archive.diff_provenances(old, new)
    if form == "json":
        listed = [{"path": d.path, "kind": d.kind, "old": d.old, "new": d.new} for d in found]
        click.echo(json.dumps(listed, indent=2))
        return
    if not found:
        say("they are the same")
    for one in found:
        click.echo(str(one))


@click.command("export", cls=Command)
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
        document = archive.export_provenance(find_named(archive, name))
        write_pieces(target, [f"{json.dumps(document, indent=2)}\n".encode()])
    if target is not None:
        say(f"{target}: {len(document['activity'])} provenances, {len(document.get('entity', ()))} images")
