"""What a header says of an image, by the rules of a header map."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from snapdb.errors import ProjectionError
from snapdb.formats.assemble import PlaneSet
from snapdb.formats.cards import Cards
from snapdb.formats.lookup import Lookup, find_text, fits_test
from snapdb.formats.maps import HeaderMap, Test, load_maps
from snapdb.formats.moment import find_exptime, find_mjd
from snapdb.formats.photometric import Known, Photometry, find_zeropoint
from snapdb.formats.units import find_units
from snapdb.model.image import ImageFacts
from snapdb.sky.geometry import derive_geometry
from snapdb.sky.wcs import AstropyWCS


def make_facts(
    lookup: Lookup,
    header_map: HeaderMap,
    planes: PlaneSet,
    wcs: AstropyWCS,
    wcs_cards: str,
    *,
    needs_file: bool,
) -> ImageFacts:
    """Gather the facts of one image.

    Parameters
    ----------
    lookup : Lookup
        Its headers; takes up findings and warnings.
    header_map : HeaderMap
        Whose rules apply.
    planes : PlaneSet
        Its planes.
    wcs : AstropyWCS
        Its coordinates.
    wcs_cards : str
        Their cards.
    needs_file : bool
        Whether tables in the file belong to the coordinates.

    Returns
    -------
    ImageFacts

    Raises
    ------
    ProjectionError
        Centre or corners have no position on the sky.
    """
    rules = header_map.rules
    geometry = _find_geometry(wcs, planes)
    known, units, photometry = find_photometry(lookup, header_map, geometry["pixel_scale"])
    band, exptime = known.band, known.exptime
    flags = _find_flags_rule(lookup, rules.get("flags", {}))
    bits, bad, codes = _find_flags(lookup, flags, planes)
    properties = {**_find_properties(lookup, rules.get("properties", {})), **photometry.properties}
    properties.update(_codes_of(codes, flags))
    properties.update({"wcs_needs_file": True} if needs_file else {})
    _warn_of_gaps(lookup, band=band, exptime=exptime, zeropoint=photometry.zeropoint)
    mjd = find_mjd(lookup, rules.get("mjd", ()), exptime)
    return ImageFacts(
        **geometry,
        kind=_find_kind(lookup, rules.get("kind", ()), planes),
        observation_id=find_text(lookup, "observation_id", rules.get("observation_id", {})),
        sca=_find_sca(lookup, rules.get("sca", {})),
        band=band,
        mjd=mjd,
        exptime=exptime,
        sky_level=_find_number(lookup, "sky_level", rules.get("sky_level", {})),
        zeropoint=photometry.zeropoint,
        data_units=units,
        instrument=lookup.found("instrument", header_map.name, header_map.title or "header map"),
        wcs_header=wcs_cards,
        flag_bits=bits,
        bad_bits=bad,
        properties={**properties, **lookup.properties},
    )


def find_photometry(
    lookup: Lookup, header_map: HeaderMap, pixel_scale: float | None
) -> tuple[Known, str, Photometry]:
    """Give what a header says of the brightness of pixels.

    Parameters
    ----------
    lookup : Lookup
        The headers of one image; takes up findings and warnings.
    header_map : HeaderMap
        Whose rules apply.
    pixel_scale : float or None
        Arcseconds, for units that are of an area of the sky.

    Returns
    -------
    known : Known
        Band, exposure time, and whether pixels are rates.
    units : str
        Of the data, as in the facts.
    photometry : Photometry
        With the zero point.
    """
    rules = header_map.rules
    band = find_text(lookup, "band", rules.get("band", {}))
    exptime = find_exptime(lookup, rules.get("exptime", ()))
    units = _find_units(lookup, rules.get("data_units", {}))
    known = Known(band=band, exptime=exptime, is_rate=units == "rate", pixel_scale=pixel_scale)
    return known, units, find_zeropoint(lookup, rules.get("zeropoint", ()), known)


def _warn_of_gaps(
    lookup: Lookup, *, band: str | None, exptime: float | None, zeropoint: float | None
) -> None:
    """Say which facts stay open, in the order in which they matter."""
    for value, what in ((band, "band"), (exptime, "exposure time"), (zeropoint, "AB zero point")):
        if value is None:
            lookup.warn(f"no {what} in the header")


def _find_geometry(wcs: AstropyWCS, planes: PlaneSet) -> dict[str, Any]:
    width, height = planes.data.axes[:2]
    geometry = derive_geometry(wcs, width, height)
    for name, value in geometry.items():
        if value is not None and value - value != 0.0:
            msg = f"HDU {planes.data.index}: {name} of the image has no position on the sky"
            raise ProjectionError(msg, hdu=planes.data.index, field=name)
    return geometry


def _find_units(lookup: Lookup, rule: Mapping[str, Any]) -> str:
    if "value" in rule:
        return str(lookup.found("data_units", rule["value"], "fixed by the map"))
    unit, where = lookup.get(rule.get("card", "BUNIT"))
    if "rate" in rule:
        kind = "rate" if unit is not None and re.search(rule["rate"], str(unit)) else "counts"
        return str(lookup.found("data_units", kind, f"{where} = {unit}"))
    return find_units(lookup, unit, where)


def _find_kind(lookup: Lookup, rules: list[Mapping[str, Any]], planes: PlaneSet) -> str:
    if planes.kind is not None:
        return planes.kind
    for rule in rules:
        if "card" in rule:
            value, where = lookup.get(rule["card"])
            if value is not None:
                return str(lookup.found("kind", str(value).strip(), where))
            continue
        test = Test(
            header=tuple((k, re.compile(p)) for k, p in rule.get("header", {}).items()),
            extname=re.compile(rule["extname"]) if "extname" in rule else None,
            filename=re.compile(rule["filename"]) if "filename" in rule else None,
            hdu=rule.get("hdu"),
        )
        if fits_test(test, lookup.image, lookup.primary, hdu=lookup.hdu, filename=lookup.path):
            return str(lookup.found("kind", rule["value"], "what header and file name say"))
    return "exposure"


def _find_sca(lookup: Lookup, rule: Mapping[str, Any]) -> int | None:
    """Find the number of the detector: the first whole number of what the rule finds."""
    text = find_text(lookup, "sca", rule)
    match = re.search(r"-?\d+", text or "")
    if text is not None and match is None:
        lookup.findings = [f for f in lookup.findings if f.field != "sca"]
        lookup.warn(f"the detector {text!r} has no number")
    return int(match.group()) if match else None


def _find_number(lookup: Lookup, name: str, rule: Mapping[str, Any]) -> float | None:
    for spec in rule.get("cards", ()):
        value, where = lookup.get_number(spec)
        if value is not None:
            return float(lookup.found(name, value, where))
    return None


def _find_flags_rule(lookup: Lookup, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Give the rule of flags; of a file that snapdb wrote, with what the original's map says is bad."""
    rule = {**rule, **next((own for own in rule.get("sets", ()) if lookup.holds(own.get("when"))), {})}
    if "origin" not in rule:
        return rule
    name, _ = lookup.get(rule["origin"])
    first: Mapping[str, Any] = next((m.rules.get("flags", {}) for m in load_maps() if m.name == name), {})
    first = {} if "origin" in first else _find_flags_rule(lookup, first)
    return {**{key: first[key] for key in ("bad", "codes", "good") if key in first}, **rule}


def _find_flags(
    lookup: Lookup, rule: Mapping[str, Any], planes: PlaneSet
) -> tuple[dict[str, int], int, dict[str, int]]:
    """Give the flag bits, those that make a pixel bad, and codes that are no bits."""
    part = next((p for p in planes.parts if p.role == "flags"), None)
    if part is None:
        return {}, 0, {}
    bits = _read_bits(part.frame.cards, rule)
    if bits:
        lookup.found(
            "flag_bits", dict(bits), f"flags plane, HDU {part.frame.index} of {part.source.path.name}"
        )
    stated, _ = lookup.get(rule["bad_card"]) if "bad_card" in rule else (None, "")
    bad = stated if isinstance(stated, int) and not isinstance(stated, bool) else 0
    for name in rule.get("bad", ()) if stated is None else ():
        bad |= bits.get(name, 0)
    return bits, bad, {str(k): int(v) for k, v in rule.get("codes", {}).items()}


def _codes_of(codes: Mapping[str, int], rule: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is kept of flags that are no bits: their names, and which of them are good."""
    good = [name for name in rule.get("good", ()) if name in codes]
    return {**({"flag_codes": dict(codes)} if codes else {}), **({"good_flag_codes": good} if good else {})}


def _read_bits(cards: Cards, rule: Mapping[str, Any]) -> dict[str, int]:
    """Read the names of bits from the map and from the cards of the flags plane."""
    written = cards.get_text(rule["json"]) if "json" in rule else None
    if written is not None:
        return _read_json(written)
    bits = {str(k): int(v) for k, v in rule.get("bits", {}).items()}
    for key in cards if "cards" in rule else ():
        match = re.fullmatch(rule["cards"], key)
        number = cards.get_int(key) if match else None
        if match and number is not None and 0 <= number < 63:
            bits[match.group(1)] = 1 << number
    return bits


def _read_json(text: str) -> dict[str, int]:
    """Read names and bits as snapdb writes them; what is damaged names none."""
    try:
        bits = json.loads(text)
        return {str(name): int(value) for name, value in bits.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _find_properties(lookup: Lookup, rule: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for spec in rule.get("cards", ()):
        value, _ = lookup.get(spec)
        # Of a tree's key, which is a path, the last part; what is named, where that is a name.
        name = spec.partition("@")[0].removesuffix(".NAME").rpartition(".")[2]
        name = name.lower().replace("-", "_").replace(" ", "_")
        if value is not None and name not in properties and not _is_strange(value):
            properties[name] = value
    return properties


def _is_strange(value: object) -> bool:
    """Say whether JSON or a database would stumble over a value."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and abs(value) > 2**53
