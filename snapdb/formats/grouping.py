"""Which files belong together: planes kept in files of their own, found by name."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from snapdb.formats.maps import Companion, HeaderMap, load_maps


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGroup:
    """A file of images and the files that hold further planes of them."""

    primary: Path
    companions: tuple[Path, ...] = ()


def group_files(
    paths: Iterable[str | Path], maps: Sequence[HeaderMap | str | Path] | None = None
) -> list[FileGroup]:
    """Put each companion file with the file whose planes it holds.

    Parameters
    ----------
    paths : iterable of str or Path
        Files in any order, companions among them or not.
    maps : sequence, optional
        Header maps, or TOML files of the user.

    Returns
    -------
    list of FileGroup
        In the order in which their files first occur. A companion on disk comes
        with its primary though it is not in the list, and the other way round;
        one whose primary does not exist is a group of its own.
    """
    rules = to_maps(maps)
    groups: dict[Path, FileGroup] = {}
    for path in map(Path, paths):
        primary = find_primary(path, rules) or path
        if primary not in groups:
            groups[primary] = FileGroup(primary=primary, companions=find_companions(primary, rules))
    return list(groups.values())


def find_companions(
    path: str | Path, maps: Sequence[HeaderMap | str | Path] | None = None
) -> tuple[Path, ...]:
    """Find the files on disk that hold further planes of a file's images.

    Parameters
    ----------
    path : str or Path
        The file of the data.
    maps : sequence, optional
        Header maps, or TOML files of the user.

    Returns
    -------
    tuple of Path
        One for each plane at most.
    """
    path = Path(path)
    found: dict[str, Path] = {}
    for rule in _rules(to_maps(maps)):
        parts = match_name(rule.data, path.name)
        if parts is None or rule.plane in found:
            continue
        for name in rule.files:
            other = path.with_name(_fill(name, parts))
            if other != path and other.is_file():
                found[rule.plane] = other
                break
    return tuple(found.values())


def find_primary(path: str | Path, maps: Sequence[HeaderMap | str | Path] | None = None) -> Path | None:
    """Find the file on disk whose companion a file is; None where it is none, or stands alone."""
    path = Path(path)
    for rule in _rules(to_maps(maps)):
        for name in rule.files:
            parts = match_name(name, path.name)
            if parts is None:
                continue
            primary = path.with_name(_fill(rule.data, parts))
            if primary != path and primary.is_file():
                return primary
    return None


def match_companion(name: str, maps: Sequence[HeaderMap]) -> Companion | None:
    """Find the rule by which a file name is that of a companion, whether or not its primary exists."""
    for rule in _rules(maps):
        if any(match_name(template, name) is not None for template in rule.files):
            return rule
    return None


def match_name(template: str, name: str) -> Mapping[str, str] | None:
    """Match a file name with a template such as ``{a}_ooi_{b}``; give its wildcards, or None."""
    match = _pattern(template).fullmatch(name)
    return None if match is None else match.groupdict()


def to_maps(maps: Sequence[HeaderMap | str | Path] | None) -> tuple[HeaderMap, ...]:
    """Give header maps: those given, those of the user's files with snapdb's own, or snapdb's own."""
    if maps is None:
        return load_maps()
    files = tuple(Path(m) for m in maps if not isinstance(m, HeaderMap))
    given = tuple(m for m in maps if isinstance(m, HeaderMap))
    return (*given, *load_maps(files)) if files or not given else given


def _rules(maps: Iterable[HeaderMap]) -> Iterator[Companion]:
    for header_map in maps:
        yield from header_map.companions


def _fill(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: parts.get(m.group(1), ""), template)


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", template)
    text = "".join(f"(?P<{p}>.+)" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    return re.compile(text)
