"""What tells two provenances apart, place by place."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

from snapdb.model.canonical import to_canonical_json
from snapdb.model.provenance import SNAPPL_MD5, Provenance

Kind: TypeAlias = Literal["added", "removed", "changed"]

_PLAIN_KEY = re.compile(r"[\w-]+")


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
        old, new = (json.dumps(value, ensure_ascii=False, sort_keys=True) for value in (self.old, self.new))
        if self.kind == "added":
            return f"+ {self.path}: {new}"
        if self.kind == "removed":
            return f"- {self.path}: {old}"
        return f"~ {self.path}: {old} -> {new}"


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two provenances to compare, and what stands before their paths."""

    old: Provenance
    new: Provenance
    at: str = ""


def diff_provenances(old: Provenance, new: Provenance) -> tuple[Difference, ...]:
    """Compare two provenances, with all that is upstream of them.

    Upstreams of the same id are the same. Of the others, those of the same process are
    compared with each other, the most similar first; the rest was added or removed. A pair
    that several build on is compared once, where it is first met.

    Parameters
    ----------
    old, new : Provenance
        What to compare.

    Returns
    -------
    tuple of Difference
        Empty where, and only where, their ids are equal.

    Examples
    --------
    >>> old = Provenance("flatten", 1, 0, {"order": 2})
    >>> [str(d) for d in diff_provenances(old, Provenance("flatten", 1, 1, {"order": 3}))]
    ['~ version: "1.0" -> "1.1"', '~ params.order: 2 -> 3']
    """
    found: list[Difference] = []
    seen: set[tuple[UUID, UUID]] = set()
    waiting: list[_Pair | Difference] = [_Pair(old, new)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Difference):
            found.append(one)
        elif one.old.id != one.new.id and (one.old.id, one.new.id) not in seen:
            seen.add((one.old.id, one.new.id))
            found += _diff_own(one)
            waiting += reversed(list(_pair_upstreams(one)))
    return tuple(found)


def _diff_own(pair: _Pair) -> Iterator[Difference]:
    """Compare all but the upstreams."""
    old, new = pair.old, pair.new
    heads = {
        "process": (old.process, new.process),
        "version": (_version(old.major, old.minor), _version(new.major, new.minor)),
        "environment": (old.environment, new.environment),
        "environment version": (
            _version(old.env_major, old.env_minor),
            _version(new.env_major, new.env_minor),
        ),
        "hash_scheme": (old.hash_scheme, new.hash_scheme),
    }
    for name, (was, now) in heads.items():
        if was != now:
            yield Difference(path=pair.at + name, kind="changed", old=was, new=now)
    exact = old.hash_scheme == new.hash_scheme == SNAPPL_MD5
    was, now = old.spec_dict()["params"], new.spec_dict()["params"]
    yield from _diff_values(was, now, f"{pair.at}params", exact=exact)


def _version(major: int | None, minor: int | None) -> str | None:
    """Write a version; None where there is none."""
    if major is None and minor is None:
        return None
    return ".".join("?" if number is None else str(number) for number in (major, minor))


def _diff_values(old: Any, new: Any, path: str, *, exact: bool) -> Iterator[Difference]:
    """Compare JSON values, going down where both are objects or both are lists."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        before, after = ({_step(key): side[key] for key in sorted(side)} for side in (old, new))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = ({f"[{n}]": v for n, v in enumerate(side)} for side in (old, new))
    else:
        # Ids of snappl tell 1 from 1.0, those of snapdb do not.
        write = json.dumps if exact else to_canonical_json
        if write(old) != write(new):
            yield Difference(path=path, kind="changed", old=old, new=new)
        return
    for step in dict.fromkeys([*before, *after]):
        if step not in after:
            yield Difference(path=path + step, kind="removed", old=before[step])
        elif step not in before:
            yield Difference(path=path + step, kind="added", new=after[step])
        else:
            yield from _diff_values(before[step], after[step], path + step, exact=exact)


def _step(key: str) -> str:
    """Write the step to a key: quoted where a dot would mislead."""
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _pair_upstreams(pair: _Pair) -> Iterator[_Pair | Difference]:
    """Give the upstreams to compare, and those that have no partner, by process."""
    shared = {p.id for p in pair.old.upstreams} & {p.id for p in pair.new.upstreams}
    for process in sorted({p.process for p in (*pair.old.upstreams, *pair.new.upstreams)}):
        before, after = (
            sorted(
                (p for p in side if p.process == process and p.id not in shared),
                key=lambda p: (p.major, p.minor, p.id),
            )
            for side in (pair.old.upstreams, pair.new.upstreams)
        )
        partners = _match(before, after)
        for number, was in enumerate(before):
            several = f" {str(was.id)[:8]}" if max(len(before), len(after)) > 1 else ""
            path = f"{pair.at}upstreams[{process}{several}]"
            if number in partners:
                yield _Pair(was, after[partners[number]], f"{path}.")
            else:
                yield Difference(path=path, kind="removed", old=str(was.id))
        taken = set(partners.values())
        for number, now in enumerate(after):
            if number not in taken:
                path = f"{pair.at}upstreams[{process}]"
                yield Difference(path=path, kind="added", new=str(now.id))


def _match(before: Sequence[Provenance], after: Sequence[Provenance]) -> dict[int, int]:
    """Find a partner for each, the most similar pair first: number before -> number after."""
    if len(before) <= 1 and len(after) <= 1:
        return {0: 0} if before and after else {}
    old, new = ([frozenset(_list_leaves(one)) for one in side] for side in (before, after))
    # Of equally similar ones those of the nearest place in the order of versions.
    ranked = sorted(
        (len(old[i] ^ new[j]), abs(i - j), i, j) for i in range(len(old)) for j in range(len(new))
    )
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, i, j in ranked:
        if i not in partners and j not in taken:
            partners[i] = j
            taken.add(j)
    return partners


def _list_leaves(one: Provenance) -> Iterator[tuple[str, str]]:
    """List what a provenance says, but for its upstreams, as (place, value)."""
    spec = one.spec_dict()
    del spec["upstream_ids"]
    waiting: list[tuple[str, Any]] = [("", spec)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(path + _step(key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{n}]", inner) for n, inner in enumerate(value)]
        else:
            yield path, to_canonical_json(value)
