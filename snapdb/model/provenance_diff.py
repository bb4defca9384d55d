"""What tells two provenances apart, place by place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from snapdb.model.provenance import Provenance

Kind: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place in which two provenances differ."""

    path: str
    """Where: ``version``, ``params.filters[2].x``, ``upstreams[calibrate].params.order``, ..."""
    kind: Kind
    old: Any = None
    """What the first has there, None where it was added."""
    new: Any = None
    """What the second has there, None where it was removed."""

    def __str__(self) -> str:
        if self.kind == "added":
            return f"+ {self.path}: {self.new!r}"
        if self.kind == "removed":
            return f"- {self.path}: {self.old!r}"
        return f"~ {self.path}: {self.old!r} -> {self.new!r}"


def diff_provenances(old: Provenance, new: Provenance) -> tuple[Difference, ...]:
    """Compare two provenances, with all that is upstream of them.

    Upstreams of the same id are the same. Of the others, those of the same process are
    compared with each other, in the order of their versions; the rest was added or removed.

    Parameters
    ----------
    old, new : Provenance
        What to compare.

    Returns
    -------
    tuple of Difference
        None where they are equal.

    Examples
    --------
    >>> old = Provenance("flatten", 1, 0, {"order": 2})
    >>> [str(d) for d in diff_provenances(old, Provenance("flatten", 1, 1, {"order": 3}))]
    ["~ version: '1.0' -> '1.1'", '~ params.order: 2 -> 3']
    """
    return tuple(_diff(old, new, "", {}))


def _diff(
    old: Provenance, new: Provenance, at: str, seen: dict[tuple[Any, Any], str]
) -> Iterator[Difference]:
    """Compare two provenances that stand at a place; a pair is compared where it is first met."""
    if old.id == new.id or (old.id, new.id) in seen:
        return
    seen[old.id, new.id] = at
    for name, (was, now) in _head_of(old, new).items():
        yield from _diff_values(was, now, at + name)
    yield from _diff_values(old.spec_dict()["params"], new.spec_dict()["params"], f"{at}params")
    yield from _diff_upstreams(old.upstreams, new.upstreams, at, seen)


def _head_of(old: Provenance, new: Provenance) -> dict[str, tuple[Any, Any]]:
    """Pair what is not params and upstreams."""

    def version(major: int | None, minor: int | None) -> str | None:
        return None if major is None and minor is None else f"{major}.{minor}"

    return {
        "process": (old.process, new.process),
        "version": (version(old.major, old.minor), version(new.major, new.minor)),
        "environment": (old.environment, new.environment),
        "environment version": (version(old.env_major, old.env_minor), version(new.env_major, new.env_minor)),
        "hash_scheme": (old.hash_scheme, new.hash_scheme),
    }


def _diff_values(old: Any, new: Any, path: str) -> Iterator[Difference]:
    """Compare JSON values, going down where both are objects or both are lists."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        before, after = ({f".{key}": side[key] for key in sorted(side)} for side in (old, new))
        yield from _diff_parts(before, after, path)
    elif isinstance(old, list) and isinstance(new, list):
        before, after = ({f"[{n}]": v for n, v in enumerate(side)} for side in (old, new))
        yield from _diff_parts(before, after, path)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield Difference(path=path, kind="changed", old=old, new=new)


def _diff_parts(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Difference]:
    """Compare the parts of two objects or lists, by what is added to the path for each."""
    for key in dict.fromkeys([*old, *new]):
        if key not in new:
            yield Difference(path=path + key, kind="removed", old=old[key])
        elif key not in old:
            yield Difference(path=path + key, kind="added", new=new[key])
        else:
            yield from _diff_values(old[key], new[key], path + key)


def _diff_upstreams(
    old: Sequence[Provenance], new: Sequence[Provenance], at: str, seen: dict[tuple[Any, Any], str]
) -> Iterator[Difference]:
    """Compare upstreams, those of one process with each other."""
    shared = {p.id for p in old} & {p.id for p in new}
    for process in sorted({p.process for p in (*old, *new)}):
        before, after = (
            sorted(
                (p for p in side if p.process == process and p.id not in shared),
                key=lambda p: (p.major, p.minor, p.id),
            )
            for side in (old, new)
        )
        path = f"{at}upstreams[{process}]"
        for was, now in zip(before, after, strict=False):
            yield from _diff(was, now, f"{path}.", seen)
        for was in before[len(after) :]:
            yield Difference(path=path, kind="removed", old=str(was.id))
        for now in after[len(before) :]:
            yield Difference(path=path, kind="added", new=str(now.id))
