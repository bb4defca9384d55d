"""What made a thing: a process, its version and parameters, and what it was made from."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeAlias
from uuid import UUID

from snapdb.errors import ProvenanceError
from snapdb.model.canonical import Json, to_canonical_json, to_json_value
from snapdb.model.provenance_parts import check_environment, check_integer, check_process

SNAPDB_1 = "snapdb-1"
"""SHA-256 of the canonical JSON, as a UUID of version 8."""
SNAPPL_MD5 = "snappl-md5"
"""The ids that snappl 0.48 gives, so that its databases can be taken over unchanged."""
HASH_SCHEMES = (SNAPDB_1, SNAPPL_MD5)

MOST_LEVELS = 150
"""Of provenances in each other, in :meth:`Provenance.from_recursive_dict`; JSON's readers take no more."""

_PARTS = {"process", "major", "minor", "params", "environment", "env_major", "env_minor", "hash_scheme"}

Upstreams: TypeAlias = "Sequence[Provenance] | Provenance | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """One change of what a tag points to."""

    tag: str
    process: str
    provenance_id: UUID
    """What it points to since then."""
    previous_id: UUID | None
    """What it pointed to before; None when it was new."""
    changed_at: datetime
    """When, UTC."""


class Provenance:
    """Which process, of which version, with which parameters, from which upstreams.

    Frozen; two are equal when their ids are, and the id is a hash of everything
    else, so the same work has the same provenance wherever it was described.

    Parameters
    ----------
    process : str
        Name of the process or pipeline step.
    major, minor : int
        Its version.
    params : mapping, optional
        Its parameters: JSON values, numpy scalars and arrays, paths and
        enumerations. Copied, and frozen.
    upstreams : Provenance or sequence of Provenance, optional
        What its inputs were made by. Their order does not count, and one that is
        given twice counts once.
    environment : int or str, optional
        Names the environment it ran in, when that counts.
    env_major, env_minor : int, optional
        Version of the environment.
    hash_scheme : str
        ``snapdb-1``, or ``snappl-md5`` for the ids of snappl.

    Raises
    ------
    ProvenanceError
        If a part is of the wrong type, or a parameter cannot be hashed; the
        message names its JSON path (``params.filters[2].x``).

    Examples
    --------
    >>> first = Provenance("flatten", 1, 0, {"order": 2})
    >>> first == Provenance("flatten", 1, 0, {"order": 2.0})
    True
    >>> Provenance("proc0", 1, 0, hash_scheme="snappl-md5").id
    UUID('bdfc881c-bc69-58b7-6cd9-2c6f7db341c3')
    """

    __slots__ = (
        "canonical_text",
        "env_major",
        "env_minor",
        "environment",
        "hash_scheme",
        "id",
        "major",
        "minor",
        "params",
        "process",
        "upstreams",
    )

    id: UUID
    process: str
    major: int
    minor: int
    params: Mapping[str, Any]
    upstreams: "tuple[Provenance, ...]"
    """In the order of their ids."""
    environment: int | str | None
    env_major: int | None
    env_minor: int | None
    hash_scheme: str
    canonical_text: str
    """The text that the id is a hash of."""

    def __init__(
        self,
        process: str,
        major: int = 0,
        minor: int = 0,
        params: Mapping[str, Any] | None = None,
        *,
        upstreams: Upstreams = None,
        environment: int | str | None = None,
        env_major: int | None = None,
        env_minor: int | None = None,
        hash_scheme: str = SNAPDB_1,
    ) -> None:
        plain: Any = to_json_value({} if params is None else params)
        if not isinstance(plain, dict):
            msg = f"params is {params!r:.80}, expected a dictionary"
            raise ProvenanceError(msg, path="params")
        values: dict[str, Any] = {
            "process": check_process(process),
            "major": check_integer("major", major),
            "minor": check_integer("minor", minor),
            "params": _freeze(plain),
            "upstreams": _check_upstreams(upstreams),
            "environment": check_environment(environment),
            "env_major": None if env_major is None else check_integer("env_major", env_major),
            "env_minor": None if env_minor is None else check_integer("env_minor", env_minor),
            "hash_scheme": _check_scheme(hash_scheme),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        text = _write_spec(self.spec_dict(), hash_scheme)
        object.__setattr__(self, "canonical_text", text)
        object.__setattr__(self, "id", _hash_text(text, hash_scheme))

    @classmethod
    def from_canonical(
        cls, text: str, *, upstreams: "Sequence[Provenance]", hash_scheme: str = SNAPDB_1
    ) -> Self:
        """Rebuild a provenance from the text that its id is a hash of.

        Parameters
        ----------
        text : str
            Its :attr:`canonical_text`.
        upstreams : sequence of Provenance
            Its upstreams, in any order.
        hash_scheme : str
            The scheme that the text was written by.

        Returns
        -------
        Provenance
            With the same id.

        Raises
        ------
        ProvenanceError
            If text and upstreams do not belong together.
        """
        spec = json.loads(text)
        made = cls(
            spec["process"],
            spec["major"],
            spec["minor"],
            spec["params"],
            upstreams=upstreams,
            environment=spec["environment"],
            env_major=spec["env_major"],
            env_minor=spec["env_minor"],
            hash_scheme=hash_scheme,
        )
        if made.canonical_text != text:
            msg = f"provenance of {made.process!r}: rebuilt as {made.canonical_text}, stored as {text}"
            raise ProvenanceError(msg, process=made.process)
        return made

    @classmethod
    def from_recursive_dict(cls, given: Any, *, where: str = "") -> Self:
        """Rebuild a provenance, with everything upstream, from :meth:`recursive_dict`.

        Parameters
        ----------
        given : dict
            JSON values. ``id`` may be missing; where it is there, it must come out.
        where : str
            Where they are from, for messages.

        Returns
        -------
        Provenance
            With the same id.

        Raises
        ------
        ProvenanceError
            If a part is missing, unknown or of the wrong type, or the id does not come out; the
            message names the place.
        """
        return cls._from_tree(given, where or "it", "", 0)

    @classmethod
    def _from_tree(cls, given: Any, where: str, path: str, depth: int) -> Self:
        """Rebuild what stands at a JSON path of a tree."""
        place = f"{where}: {path or 'the top'}"
        if depth > MOST_LEVELS:
            msg = f"{place} lies more than {MOST_LEVELS} deep; register its upstreams by themselves"
            raise ProvenanceError(msg, path=path)
        if not isinstance(given, Mapping) or "process" not in given:
            msg = f"{place} is {given!r:.60}, no provenance; expected an object with 'process'"
            raise ProvenanceError(msg, path=path)
        parts = dict(given)
        expected = parts.pop("id", None)
        upstreams = parts.pop("upstreams", [])
        if not isinstance(upstreams, list) or (unknown := parts.keys() - _PARTS):
            wrong = f"unknown {sorted(unknown)}" if isinstance(upstreams, list) else "upstreams is no list"
            msg = f"{place}: {wrong}; expected the parts that recursive_dict() gives"
            raise ProvenanceError(msg, path=path)
        begin = f"{path}." if path else ""
        built = [
            cls._from_tree(one, where, f"{begin}upstreams[{n}]", depth + 1) for n, one in enumerate(upstreams)
        ]
        try:
            made = cls(**parts, upstreams=built)
        except ProvenanceError as err:
            msg = f"{place}: {err.message}"
            raise ProvenanceError(msg, **{**err.fields, "path": path}) from err
        made.check_id(expected, place)
        return made

    def check_id(self, expected: object, where: str) -> None:
        """Refuse another id than this one's.

        Parameters
        ----------
        expected : object
            An id in any of its forms; None demands nothing.
        where : str
            What said so, for the message.

        Raises
        ------
        ProvenanceError
            If it is not this one's id.
        """
        if expected is None or str(expected).lower().replace("-", "") == self.id.hex:
            return
        msg = (
            f"{where}: the id of {self.process!r} comes out as {self.id}, not as {expected!r:.60}; an id is "
            "a hash, so something was changed: take the id out if that was meant"
        )
        raise ProvenanceError(msg, provenance_id=self.id)

    def walk(self) -> "Iterator[Provenance]":
        """Give everything upstream and this, each once, upstreams before what builds on them."""
        seen: set[UUID] = set()
        waiting: list[Provenance] = [self]
        while waiting:
            one = waiting[-1]
            missing = [upstream for upstream in reversed(one.upstreams) if upstream.id not in seen]
            if missing:
                waiting.extend(missing)
                continue
            waiting.pop()
            if one.id not in seen:
                seen.add(one.id)
                yield one

    def spec_dict(self) -> dict[str, Any]:
        """Give what the id is made of as plain JSON values, upstreams by their ids."""
        spec = {
            "process": self.process,
            "major": self.major,
            "minor": self.minor,
            "environment": self.environment,
            "env_major": self.env_major,
            "env_minor": self.env_minor,
            "params": _thaw(self.params),
            "upstream_ids": [str(upstream.id) for upstream in self.upstreams],
        }
        return spec if self.hash_scheme == SNAPPL_MD5 else {**spec, "hash_scheme": self.hash_scheme}

    def recursive_dict(self) -> dict[str, Any]:
        """Give the whole tree as plain JSON values: id, spec, and each upstream in full.

        What is upstream of several is one and the same dictionary in each of them.
        """
        made: dict[UUID, dict[str, Any]] = {}
        for one in self.walk():
            spec = one.spec_dict()
            del spec["upstream_ids"]
            upstreams = [made[upstream.id] for upstream in one.upstreams]
            made[one.id] = {"id": str(one.id), **spec, "hash_scheme": one.hash_scheme, "upstreams": upstreams}
        return made[self.id]

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Provenance) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        params = f", {_thaw(self.params)!r}" if self.params else ""
        upstreams = f", upstreams={len(self.upstreams)}" if self.upstreams else ""
        return f"<Provenance {self.process!r} {self.major}.{self.minor}{params}{upstreams} {self.id}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"a Provenance is frozen: make a new one instead of setting {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        msg = f"a Provenance is frozen: {name!r} cannot be deleted"
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.canonical_text, self.upstreams, self.hash_scheme)


def _rebuild(text: str, upstreams: tuple[Provenance, ...], hash_scheme: str) -> Provenance:
    """Make a provenance again after pickling."""
    return Provenance.from_canonical(text, upstreams=upstreams, hash_scheme=hash_scheme)


def _check_scheme(hash_scheme: str) -> str:
    """Refuse a scheme that nobody knows."""
    if hash_scheme not in HASH_SCHEMES:
        msg = f"hash_scheme is {hash_scheme!r}, expected one of {', '.join(HASH_SCHEMES)}"
        raise ProvenanceError(msg, path="hash_scheme")
    return hash_scheme


def _check_upstreams(upstreams: Upstreams) -> tuple[Provenance, ...]:
    """Give the upstreams once each, in the order of their ids."""
    given: tuple[Any, ...] = (upstreams,) if isinstance(upstreams, Provenance) else tuple(upstreams or ())
    for number, upstream in enumerate(given):
        if not isinstance(upstream, Provenance):
            msg = f"upstreams[{number}] is {upstream!r:.80}, expected a Provenance"
            raise ProvenanceError(msg, path=f"upstreams[{number}]")
    return tuple(sorted(dict.fromkeys(given), key=lambda upstream: upstream.id))


def _freeze(value: Json) -> Any:
    """Make dictionaries read-only, and lists tuples."""
    if isinstance(value, dict):
        return MappingProxyType({k: _freeze(v) for k, v in value.items()})
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value


def _thaw(value: Any) -> Any:
    """Undo :func:`_freeze`, as a copy."""
    if isinstance(value, Mapping):
        return {k: _thaw(v) for k, v in value.items()}
    return [_thaw(v) for v in value] if isinstance(value, tuple) else value


def _write_spec(spec: dict[str, Any], scheme: str) -> str:
    """Write the text that is hashed."""
    return json.dumps(spec, sort_keys=True) if scheme == SNAPPL_MD5 else to_canonical_json(spec)


def _hash_text(text: str, scheme: str) -> UUID:
    """Hash the text into an id."""
    if scheme == SNAPPL_MD5:
        return UUID(hashlib.md5(base64.b64encode(text.encode()), usedforsecurity=False).hexdigest())
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | (8 << 76)  # RFC 9562: version 8, what the maker defines
    return UUID(int=number & ~(0x3 << 62) | (0x2 << 62))
