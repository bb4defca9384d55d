"""What images a file holds: facts, footprint, planes, and where each value came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import FormatError, NotAnImageError, ProjectionError
from snapdb.formats.assemble import Part, PlaneSet, assemble, attach_companion, find_meaning, find_rule
from snapdb.formats.facts import make_facts
from snapdb.formats.grouping import FileGroup, find_companions, group_files, match_companion, to_maps
from snapdb.formats.layouts import holds_float_flags, make_layout
from snapdb.formats.lookup import Finding, Lookup
from snapdb.formats.maps import Companion, HeaderMap
from snapdb.formats.source import FitsSource, choose_map, name_contents, open_source
from snapdb.formats.wcs import make_wcs, needs_tables
from snapdb.model.image import ImageFacts, NewPlane
from snapdb.model.layout import Meaning
from snapdb.sky.footprint import Footprint

__all__ = [
    "Described",
    "FileGroup",
    "Finding",
    "describe",
    "describe_plane",
    "find_companions",
    "group_files",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One image found in a file, or in a group of files."""

    facts: ImageFacts
    footprint: tuple[tuple[float, float], ...]
    """Vertices (ra, dec), ICRS degrees, in ring order, from the outer pixel edges."""
    planes: tuple[NewPlane, ...]
    """The first is ``data``."""
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]


def describe(
    path: str | Path,
    *,
    companions: Sequence[str | Path] = (),
    instrument: str | None = None,
    maps: Sequence[HeaderMap | str | Path] | None = None,
) -> list[Described]:
    """Find every two-dimensional celestial image of a file.

    Parameters
    ----------
    path : str or Path
        A FITS file, plain or wrapped.
    companions : sequence of str or Path
        Files that hold further planes of its images; :func:`find_companions`
        finds them by name.
    instrument : str, optional
        Name of the header map to read it with; found from the header by default.
    maps : sequence, optional
        Header maps, or TOML files of the user.

    Returns
    -------
    list of Described
        One for each data plane, in the order of the file; never empty.

    Raises
    ------
    UnknownFormatError
        It is no FITS file; the message names what it seems to be.
    CorruptFileError
        It is damaged, cut short, or claims more than it holds.
    NotAnImageError
        It holds no two-dimensional celestial image; the message says what it does hold.
    ProjectionError
        It holds one, but the coordinates of none can be evaluated.
    ObjectMissingError, StorageError
        It cannot be opened.
    ConfigError
        No header map has the name.
    """
    known = to_maps(maps)
    source = open_source(path)
    header_map = choose_map(source, known, instrument)
    sets = assemble(source, header_map)
    check_alone(source, sets, companions, known)
    for other in companions:
        _add_companion(sets, source, Path(other), header_map, known)
    found: list[Described] = []
    failures: list[FormatError] = []
    for plane_set in sets:
        try:
            found.append(describe_set(plane_set, source, header_map))
        except ProjectionError as err:
            failures.append(err)
    if found:
        return with_failures(found, failures)
    if failures:
        raise failures[0]
    msg = f"{path}: no two-dimensional image of the sky in it; it holds {name_contents(source.frames)}"
    raise NotAnImageError(msg, path=str(path), contents=name_contents(source.frames))


def describe_plane(path: str | Path, *, name: str, like: Described, hdu: int | None = None) -> NewPlane:
    """Describe a plane in a file that the caller names.

    Parameters
    ----------
    path : str or Path
        The file.
    name : str
        The plane's name.
    like : Described
        The image that it belongs to, whose shape it must have.
    hdu : int, optional
        Its HDU; the only one of the image's shape by default.

    Returns
    -------
    NewPlane
        With numbers taken as they stand, save where the name of the file says
        that they are a variance or a weight.

    Raises
    ------
    NotAnImageError
        The file holds no plane of that shape.
    UnknownFormatError, CorruptFileError, ObjectMissingError, StorageError
        As :func:`describe`.
    """
    source = open_source(path)
    size = (like.facts.width, like.facts.height)
    frames = [f for f in source.frames if f.is_plane and f.axes[:2] == size]
    if hdu is not None:
        frames = [f for f in frames if f.index == hdu]
    if not frames:
        contents = name_contents(source.frames, celestial=True)
        msg = f"{path}: no plane of {size[0]} x {size[1]} pixels for {name!r}; it holds {contents}"
        raise NotAnImageError(msg, path=str(path), plane=name)
    data_name = Path(like.planes[0].path).name
    rules = (find_rule(m, data_name, source.path.name) for m in to_maps(None))
    rule = next((r for r in rules if r is not None and r.plane == name), None)
    meaning = find_meaning(rule, frames[0], source) if rule else Meaning.DIRECT
    layout = make_layout(frames[0], name, source.container, meaning)
    return NewPlane(layout=layout, path=str(path))


def describe_set(planes: PlaneSet, source: FitsSource, header_map: HeaderMap) -> Described:
    """Describe one image."""
    frame = planes.data
    try:
        wcs, cards, warnings = make_wcs(frame, source.path)
        footprint = Footprint.from_wcs(wcs, *frame.axes[:2])
    except ProjectionError as err:
        msg = f"{source.path}: HDU {frame.index}: {err}"
        raise ProjectionError(msg, path=str(source.path), hdu=frame.index) from err
    lookup = Lookup(
        map_file=header_map.file,
        image=frame.cards,
        primary=source.primary,
        hdu=frame.index,
        path=source.name,
        warnings=[*planes.warnings, *warnings, *header_map.notes],
    )
    facts = make_facts(lookup, header_map, planes, wcs, cards, needs_file=needs_tables(frame))
    parts = [_make_plane(part, lookup) for part in planes.parts]
    return Described(
        facts=facts,
        footprint=footprint.vertices,
        planes=tuple(parts),
        findings=tuple(lookup.findings),
        warnings=tuple(dict.fromkeys(lookup.warnings)),
    )


def _make_plane(part: Part, lookup: Lookup) -> NewPlane:
    asinh = part.role == "data"
    layout = make_layout(part.frame, part.role, part.source.container, part.meaning, asinh=asinh)
    where = f"HDU {part.frame.index} of {part.source.path.name}"
    if part.role == "flags" and holds_float_flags(part.frame):
        text = (
            f"{where} (flags) holds floating-point numbers; taken as whole: fractions away from 0, NaN as 1"
        )
        lookup.warn(text)
    lookup.findings.append(Finding(field=f"plane {part.role}", value=where, source=part.why))
    return NewPlane(layout=layout, path=str(part.source.path))


def check_alone(
    source: FitsSource, sets: Sequence[PlaneSet], companions: Sequence[str | Path], maps: Sequence[HeaderMap]
) -> None:
    """Name what a file is that by its name is the companion of a file that is not there."""
    rule = None if companions or source.is_own else match_companion(source.path.name, maps)
    for plane_set in sets if rule is not None else ():
        plane_set.kind = rule.kind if rule is not None else None
        text = f"by its name this is the {_name_rule(rule)} of another file; it is taken as an image itself"
        plane_set.warnings.append(text)


def _name_rule(rule: Companion | None) -> str:
    return "plane" if rule is None else rule.plane


def _add_companion(
    sets: Sequence[PlaneSet],
    source: FitsSource,
    other: Path,
    header_map: HeaderMap,
    maps: Sequence[HeaderMap],
) -> None:
    """Add the planes of a companion; one that cannot be read costs the planes, not the image."""
    own = find_rule(header_map, source.path.name, other.name)
    rules = (find_rule(m, source.path.name, other.name) for m in maps)
    rule = own or next((r for r in rules if r is not None), None)
    if rule is None:
        for plane_set in sets:
            plane_set.warnings.append(
                f"{other.name}: no header map says which plane it holds; it is left out"
            )
        return
    try:
        attach_companion(sets, open_source(other), header_map, rule)
    except FormatError as err:
        for plane_set in sets:
            plane_set.warnings.append(f"{rule.plane} left out: {err}")


def with_failures(found: list[Described], failures: Sequence[FormatError]) -> list[Described]:
    """Tell with the first image why others of the file were refused."""
    if not failures:
        return found
    from dataclasses import replace

    first = replace(found[0], warnings=(*found[0].warnings, *(str(f) for f in failures)))
    return [first, *found[1:]]
