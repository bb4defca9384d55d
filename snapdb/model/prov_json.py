"""Provenance in the words of the W3C: PROV-JSON (Huynh et al. 2013, W3C member submission prov-json).

A provenance is an activity, carried out by a piece of software as its agent; images are
entities, which it generated, and derived from those that it used.
"""

import json
from collections.abc import Iterable
from typing import Any, TypeAlias
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

from snapdb.model.ancestry import Ancestry
from snapdb.model.provenance import Provenance

PREFIXES = {"id": "urn:uuid:", "software": "urn:snapdb:software:", "snapdb": "urn:snapdb:term:"}
"""Of the qualified names that are written."""

_UNITS = {"mjd": {"mjd_unit": "d", "mjd_scale": "UTC"}, "exptime": {"exptime_unit": "s"}}
"""Fact -> what says how its number is meant; PROV's attributes have no place for it."""

_FACTS = ("kind", "filepath", "hdu", "band", "mjd", "exptime", "observation_id", "sca", "instrument")

Document: TypeAlias = dict[str, dict[str, Any]]


def to_prov_json(given: Provenance | Ancestry) -> Document:
    """Write a provenance, or an image with all that it was made of, as PROV-JSON.

    Parameters
    ----------
    given : Provenance or Ancestry
        With everything upstream of it.

    Returns
    -------
    dict
        JSON values: ``prefix``, ``activity``, ``agent``, ``entity`` and the relations. Provenances are read
        back by :func:`snapdb.model.prov_reading.read_prov_json`.
    """
    document: Document = {"prefix": dict(PREFIXES), "activity": {}, "agent": {}}
    if isinstance(given, Provenance):
        _add_provenances(document, [given])
        return document
    images = list(given.walk())
    _add_provenances(document, (one.provenance for one in images))
    for one in images:
        _add_image(document, one)
    return document


def _add_provenances(document: Document, given: Iterable[Provenance]) -> None:
    """Add activities and their agents, with everything upstream."""
    found = {one.id: one for top in {p.id: p for p in given}.values() for one in top.walk()}
    for one in found.values():
        software = f"software:{quote(one.process, safe='')}-{one.major}.{one.minor}"
        document["activity"][_name(one.id)] = _describe(one)
        document["agent"][software] = {
            "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
            "prov:label": f"{one.process} {one.major}.{one.minor}",
        }
        _relate(document, "wasAssociatedWith", {"prov:activity": _name(one.id), "prov:agent": software})
        for upstream in one.upstreams:
            ends = {"prov:informed": _name(one.id), "prov:informant": _name(upstream.id)}
            _relate(document, "wasInformedBy", ends)


def _describe(one: Provenance) -> dict[str, Any]:
    """Give the attributes of an activity; parameters as JSON text, since attributes are flat."""
    known = {
        "process": one.process,
        "major": one.major,
        "minor": one.minor,
        "params": json.dumps(one.spec_dict()["params"], sort_keys=True, ensure_ascii=False),
        "environment": one.environment,
        "env_major": one.env_major,
        "env_minor": one.env_minor,
        "hash_scheme": one.hash_scheme,
    }
    return {"prov:label": f"{one.process} {one.major}.{one.minor}", **_attributes(known)}


def _add_image(document: Document, one: Ancestry) -> None:
    """Add an image with what generated it, and what it was derived from."""
    image, activity = _name(one.image.id), _name(one.provenance.id)
    facts = {name: getattr(one.image, name) for name in _FACTS}
    for name, how in _UNITS.items():
        facts |= how if facts[name] is not None else {}
    label = f"{one.image.kind} {one.image.filepath}[{one.image.hdu}]"
    document.setdefault("entity", {})[image] = {"prov:label": label, **_attributes(facts)}
    _relate(document, "wasGeneratedBy", {"prov:entity": image, "prov:activity": activity})
    for source in one.inputs:
        used = _name(source.image.id)
        _relate(document, "used", {"prov:activity": activity, "prov:entity": used})
        derived = {"prov:generatedEntity": image, "prov:usedEntity": used, "prov:activity": activity}
        _relate(document, "wasDerivedFrom", derived)


def _attributes(known: dict[str, Any]) -> dict[str, Any]:
    """Name what is known."""
    return {f"snapdb:{name}": _literal(value) for name, value in known.items() if value is not None}


def _literal(value: Any) -> Any:
    """Write a number with its type: plain JSON numbers have none in PROV."""
    if isinstance(value, int):
        return {"$": str(value), "type": "xsd:int" if -(2**31) <= value < 2**31 else "xsd:long"}
    return {"$": repr(value), "type": "xsd:double"} if isinstance(value, float) else value


def _relate(document: Document, relation: str, ends: dict[str, str]) -> None:
    """Add a relation, once, under a name of its own."""
    digest = uuid5(NAMESPACE_OID, json.dumps(ends, sort_keys=True))
    document.setdefault(relation, {})[f"_:{relation}-{digest}"] = ends


def _name(id_: UUID) -> str:
    """Give the qualified name of an id."""
    return f"id:{id_}"
