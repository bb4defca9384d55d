"""Provenances from PROV-JSON, as :mod:`snapdb.model.prov_json` writes it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from snapdb.errors import ProvenanceError
from snapdb.model.prov_json import PREFIXES
from snapdb.model.provenance import Provenance

_TERM, _UUID, _PROV = PREFIXES["snapdb"], PREFIXES["id"], "http://www.w3.org/ns/prov#"
_INTEGERS = {"int", "integer", "long", "short"}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_WHOLE = ("major", "minor", "env_major", "env_minor")


def read_prov_json(document: Any, *, where: str = "it") -> tuple[Provenance, ...]:
    """Rebuild the provenances of a PROV-JSON document.

    Parameters
    ----------
    document : dict
        JSON values. Names may have other prefixes than they were written with; entities are left aside.
    where : str
        Where they are from, for messages.

    Returns
    -------
    tuple of Provenance
        Those on which no other of the document builds, in its order, with everything upstream.

    Raises
    ------
    ProvenanceError
        If an activity was not written by snapdb, its id does not come out, its upstream is missing, or
        it builds on itself; the message names the place.
    """
    activities = document.get("activity") if isinstance(document, Mapping) else None
    if not isinstance(activities, Mapping) or not activities:
        msg = f"{where}: there is no 'activity'; expected a PROV-JSON document with provenances"
        raise ProvenanceError(msg, path="activity")
    names = _Names(document, where)
    given = {names.id_of(key, "activity"): (key, value) for key, value in activities.items()}
    upstreams = _read_upstreams(document, names, given)
    built: dict[UUID, Provenance] = {}
    for id_ in _in_order(upstreams, where):
        key, value = given[id_]
        built[id_] = _build(names.attributes(value), [built[u] for u in upstreams[id_]], where, key)
        built[id_].check_id(id_, f"{where}: activity[{key}]")
    inner = {upstream for some in upstreams.values() for upstream in some}
    return tuple(built[id_] for id_ in given if id_ not in inner)


class _Names:
    """What the prefixes of a document stand for."""

    def __init__(self, document: Mapping[str, Any], where: str) -> None:
        self.where = where
        prefixes = document.get("prefix")
        self.prefixes = {"prov": _PROV, **(prefixes if isinstance(prefixes, Mapping) else {})}

    def full(self, name: str) -> str:
        """Write a qualified name in full."""
        prefix, colon, local = str(name).partition(":")
        begin = self.prefixes.get(prefix if colon else "default")
        return f"{begin}{local if colon else prefix}" if isinstance(begin, str) else str(name)

    def id_of(self, name: str, path: str) -> UUID:
        """Give the id that a name stands for."""
        full = self.full(name)
        try:
            return UUID(full.removeprefix(_UUID))
        except ValueError as err:
            msg = f"{self.where}: {path}[{name}] is {full}, no provenance of snapdb; expected {_UUID}..."
            raise ProvenanceError(msg, path=path) from err

    def attributes(self, given: Any) -> dict[str, Any]:
        """Give attributes by their names in full, without their types."""
        if isinstance(given, list):
            given = given[0] if len(given) == 1 else {}
        return {self.full(k): _bare(v) for k, v in given.items()} if isinstance(given, Mapping) else {}


def _bare(value: Any) -> Any:
    """Take a literal out of its list and its type; whole numbers are numbers."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        return value
    text = value.get("$", "")
    is_whole = str(value.get("type")).rpartition(":")[2] in _INTEGERS
    return int(str(text)) if is_whole and _INTEGER.fullmatch(str(text)) else text


def _read_upstreams(
    document: Mapping[str, Any], names: _Names, given: Mapping[UUID, Any]
) -> dict[UUID, list[UUID]]:
    """Read which activity was informed by which."""
    upstreams: dict[UUID, list[UUID]] = {id_: [] for id_ in given}
    relations = document.get("wasInformedBy", {})
    for key, value in (relations if isinstance(relations, Mapping) else {}).items():
        for one in value if isinstance(value, list) else [value]:
            ends = names.attributes(one)
            path = f"wasInformedBy[{key}]"
            down, up = (names.id_of(str(ends.get(_PROV + e)), path) for e in ("informed", "informant"))
            for end in (down, up):
                if end not in given:
                    msg = f"{names.where}: {path} names {end}, which is no activity of it; write that too"
                    raise ProvenanceError(msg, path=path)
            upstreams[down].append(up)
    return upstreams


def _in_order(upstreams: Mapping[UUID, list[UUID]], where: str) -> Iterator[UUID]:
    """Give upstreams before what builds on them."""
    done: set[UUID] = set()
    begun: set[UUID] = set()
    for top in upstreams:
        waiting = [top]
        while waiting:
            one = waiting[-1]
            missing = [up for up in upstreams[one] if up not in done]
            if missing and one in begun:
                msg = f"{where}: activity {one} builds on itself; take one of its wasInformedBy out"
                raise ProvenanceError(msg, path="wasInformedBy")
            if missing:
                begun.add(one)
                waiting.extend(missing)
                continue
            waiting.pop()
            if one not in done:
                done.add(one)
                yield one


def _build(attributes: Mapping[str, Any], upstreams: list[Provenance], where: str, key: str) -> Provenance:
    """Make the provenance of an activity."""
    known = {name.removeprefix(_TERM): value for name, value in attributes.items() if name.startswith(_TERM)}
    path = f"activity[{key}]"
    absent = {"process", "major", "minor", "params", "hash_scheme"} - known.keys()
    if absent:
        msg = f"{where}: {path} says no {', '.join(sorted(absent))}; expected what snapdb exports"
        raise ProvenanceError(msg, path=path)
    try:
        numbers = {name: int(known[name]) for name in _WHOLE if name in known}
        params = json.loads(known["params"])
    except (TypeError, ValueError) as err:
        msg = f"{where}: {path}: a version is no integer, or params no JSON: {err}"
        raise ProvenanceError(msg, path=path) from err
    try:
        return Provenance(
            known["process"],
            params=params,
            upstreams=upstreams,
            environment=known.get("environment"),
            hash_scheme=known["hash_scheme"],
            **numbers,
        )
    except ProvenanceError as err:
        msg = f"{where}: {path}: {err.message}"
        raise ProvenanceError(msg, **{**err.fields, "path": path}) from err
