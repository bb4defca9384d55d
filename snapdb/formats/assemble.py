"""Which HDUs of a file, and of its companions, are the planes of which image."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from snapdb.formats.frame import HduFrame
from snapdb.formats.grouping import match_name
from snapdb.formats.lookup import fits_test
from snapdb.formats.maps import Companion, HeaderMap, PlaneRule, Test
from snapdb.formats.source import FitsSource
from snapdb.model.layout import Meaning

_SKIP = "skip"
_ALONE = {"noise": "noise", "flags": "mask"}
"""Role -> kind of an image that consists of such a plane alone."""
_CELESTIAL = re.compile(r"^(RA--|RA$|DEC-|DEC$|[GEHST]L(ON|AT)|[A-Z]{2}L[NT]-|[A-Z]L(ON|AT)-)")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One plane of an image, before it has a layout."""

    role: str
    frame: HduFrame
    source: FitsSource
    meaning: Meaning = Meaning.DIRECT
    why: str = ""
    """What made it this plane."""


@dataclass(kw_only=True)
class PlaneSet:
    """The planes of one image; the first is its data."""

    parts: list[Part]
    kind: str | None = None
    """Given by what the HDU is, such as ``weight``; None leaves it to the map."""
    warnings: list[str] = field(default_factory=list)

    @property
    def data(self) -> HduFrame:
        """The frame of the data."""
        return self.parts[0].frame

    def has(self, role: str) -> bool:
        """Say whether there is a plane of this name."""
        return any(p.role == role for p in self.parts)


def is_celestial(frame: HduFrame) -> bool:
    """Say whether an HDU is a two-dimensional image with celestial axes in its header."""
    if not frame.is_plane:
        return False
    types = [str(frame.cards.get(f"CTYPE{i}") or "").upper() for i in range(1, len(frame.axes) + 1)]
    return sum(bool(_CELESTIAL.match(t)) for t in types) >= 2


def assemble(source: FitsSource, header_map: HeaderMap) -> list[PlaneSet]:
    """Find the images of a file.

    Parameters
    ----------
    source : FitsSource
        The file.
    header_map : HeaderMap
        Whose plane rules say what the HDUs are.

    Returns
    -------
    list of PlaneSet
        One for each celestial data plane, with the noise, flags and other
        planes of the file that go with it; where there is no data plane, one
        for each celestial plane of another role.
    """
    roles = [(frame, *_find_role(frame, source, header_map)) for frame in source.frames if frame.is_plane]
    sets = [
        PlaneSet(
            parts=[Part(role="data", frame=frame, source=source, why=why)], kind=rule.kind if rule else None
        )
        for frame, role, rule, why in roles
        if role == "data" and is_celestial(frame)
    ]
    others = [r for r in roles if r[1] not in ("data", _SKIP)]
    if not sets:
        return [_alone(source, frame, role, rule) for frame, role, rule, _ in others if is_celestial(frame)]
    for frame, role, rule, why in others:
        part = Part(role=role, frame=frame, source=source, meaning=_meaning(rule), why=why)
        _attach(part, sets)
    return sets


def attach_companion(
    sets: Sequence[PlaneSet], companion: FitsSource, header_map: HeaderMap, rule: Companion
) -> None:
    """Add the planes of a companion file to the images whose shape and place in the file they share.

    Parameters
    ----------
    sets : sequence of PlaneSet
        Images of the primary file; changed in place.
    companion : FitsSource
        The other file.
    header_map : HeaderMap
        Of the primary file.
    rule : Companion
        Which plane it holds.
    """
    frames = [f for f in companion.frames if f.is_plane]
    for plane_set in sets:
        frame = _partner(plane_set.data, frames, alone=len(sets) == 1)
        if frame is None:
            text = f"{companion.path.name} holds no {rule.plane} of the shape of HDU {plane_set.data.index}"
            plane_set.warnings.append(text)
            continue
        why = f"{header_map.file}: file name {rule.files[0]}"
        meaning = find_meaning(rule, frame, companion)
        part = Part(role=rule.plane, frame=frame, source=companion, meaning=meaning, why=why)
        if not plane_set.has(rule.plane):
            plane_set.parts.append(part)


def find_rule(header_map: HeaderMap, primary: str, companion: str) -> Companion | None:
    """Find the rule by which a file is a companion of another, by their names."""
    for rule in header_map.companions:
        parts = match_name(rule.data, primary)
        for template in rule.files:
            if parts is not None and match_name(template, companion) == parts:
                return rule
    return None


def find_meaning(rule: Companion, frame: HduFrame, source: FitsSource) -> Meaning:
    """Say how a companion's numbers become the plane's: those that snapdb wrote as noise are noise."""
    return Meaning.DIRECT if source.is_own and frame.name == "ERR" else rule.meaning


def _find_role(
    frame: HduFrame, source: FitsSource, header_map: HeaderMap
) -> tuple[str, PlaneRule | None, str]:
    for rule in header_map.planes:
        if fits_test(rule.test, frame.cards, source.primary, hdu=frame.index, filename=source.name):
            role = frame.name.lower() if rule.role == "*" else rule.role
            return role, rule, f"{header_map.file}: {_name_test(rule.test)}"
    return "data", None, f"{header_map.file}: an image that no rule names otherwise"


def _name_test(test: Test) -> str:
    parts = [f"{key} matches {pattern.pattern}" for key, pattern in test.header]
    if test.extname is not None:
        parts.append(f"EXTNAME matches {test.extname.pattern}")
    if test.hdu is not None:
        parts.append(f"HDU {test.hdu}")
    if test.filename is not None:
        parts.append(f"file name matches {test.filename.pattern}")
    return " and ".join(parts)


def _meaning(rule: PlaneRule | None) -> Meaning:
    return rule.meaning if rule is not None else Meaning.DIRECT


def _alone(source: FitsSource, frame: HduFrame, role: str, rule: PlaneRule | None) -> PlaneSet:
    kind = (rule.kind if rule else None) or _ALONE.get(role, role)
    warning = f"HDU {frame.index} is a {kind} without an image it belongs to; it is taken as an image itself"
    return PlaneSet(
        parts=[Part(role="data", frame=frame, source=source, why=f"the only {role} plane")],
        kind=kind,
        warnings=[warning],
    )


def _attach(part: Part, sets: Sequence[PlaneSet]) -> None:
    """Add a plane to the image it goes with: of its shape, its EXTVER, and next before it."""
    able = [s for s in sets if s.data.axes[:2] == part.frame.axes[:2] and not s.has(part.role)]
    same = [s for s in able if s.data.version == part.frame.version]
    suffix = [s for s in same if _suffix(s.data.name) == _suffix(part.frame.name)]
    before = [s for s in suffix or same or able if s.data.index < part.frame.index]
    chosen = before[-1:] if len(sets) == 1 or before else (suffix or same or able)[:1]
    if chosen:
        chosen[0].parts.append(part)
    else:
        text = f"HDU {part.frame.index} ({part.role}) goes with no image of the file and is left out"
        sets[0].warnings.append(text)


def _suffix(name: str) -> str:
    """Give the digits that end a name: SCI1 and ERR1 belong together."""
    match = re.search(r"\d+$", name)
    return match.group() if match else ""


def _partner(data: HduFrame, frames: Iterable[HduFrame], *, alone: bool) -> HduFrame | None:
    """Find the HDU of another file that goes with a data plane."""
    fitting = [f for f in frames if f.axes[:2] == data.axes[:2]]
    for frame in fitting:
        if frame.name and (frame.name, frame.version) == (data.name, data.version):
            return frame
    for frame in fitting:
        if frame.index == data.index:
            return frame
    return fitting[0] if alone and len(fitting) == 1 else None
