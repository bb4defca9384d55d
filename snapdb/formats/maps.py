"""Header maps: which HDU is which plane, and which card says what, as TOML files.

A new instrument is a new TOML file beside those in ``instruments/``, or one of
the user's handed to :func:`load_maps`; its keys are those of :class:`HeaderMap`.
What a map leaves out is taken from ``generic.toml``, except how the magnitudes
and the flags are to be understood, which no other map can know.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from snapdb.errors import ConfigError
from snapdb.formats.schema import SECTIONS, check_document
from snapdb.model.layout import Meaning

GENERIC = "generic"
"""Name of the map that takes whatever no other map knows."""
STANDARD = "standard"
"""Name of the map that reads what snapdb wrote."""
_INHERITED = (
    "mjd", "exptime", "band", "observation_id", "sca", "sky_level", "data_units", "kind", "plane",
    "properties",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """What a header and a file name must look like; all that is given must hold."""

    header: tuple[tuple[str, re.Pattern[str]], ...] = ()
    """Keyword -> what its value must match, in the HDU or the primary header."""
    extname: re.Pattern[str] | None = None
    hdu: int | None = None
    filename: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRule:
    """Which HDUs are a plane."""

    role: str
    """Name of the plane, ``skip``, or ``*`` for one that is named as its EXTNAME."""
    test: Test
    meaning: Meaning = Meaning.DIRECT
    kind: str | None = None
    """Kind of the image when it stands alone, such as ``weight``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A plane in a file of its own, found by name."""

    plane: str
    data: str
    """File name of the data with wildcards in braces: ``{a}_ooi_{b}``."""
    files: tuple[str, ...]
    """File names of the companion with the same wildcards; the first that is there counts."""
    meaning: Meaning = Meaning.DIRECT
    kind: str = "other"
    """Kind of the image that the file holds when its data file is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderMap:
    """How the files of one instrument are read."""

    name: str
    title: str = ""
    file: str = ""
    """The TOML file it came from."""
    sources: tuple[str, ...] = ()
    """Where what it says is documented."""
    priority: int = 0
    """Maps of higher priority are tried first."""
    recognise: tuple[Test, ...] = ()
    """Any one suffices."""
    planes: tuple[PlaneRule, ...] = ()
    """The first that fits an HDU counts; an image that none fits is data."""
    companions: tuple[Companion, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Field of the facts -> its rules, as in the TOML."""
    notes: tuple[str, ...] = ()
    """Warnings that every image of the instrument carries."""


def load_maps(extra: Sequence[Path] = ()) -> tuple[HeaderMap, ...]:
    """Load snapdb's header maps and the user's.

    Parameters
    ----------
    extra : sequence of Path
        TOML files of the user; they are tried before snapdb's own, and one of
        the same name replaces it.

    Returns
    -------
    tuple of HeaderMap
        In the order in which they are tried; the generic one is last.

    Raises
    ------
    ConfigError
        A map cannot be read; the message names file, key and problem.
    """
    return _load(tuple(str(p) for p in extra))


def get_map(name: str, maps: Sequence[HeaderMap]) -> HeaderMap:
    """Give the map of a name.

    Raises
    ------
    ConfigError
        There is none; the message lists what there is.
    """
    for header_map in maps:
        if header_map.name == name:
            return header_map
    names = ", ".join(sorted(m.name for m in maps))
    msg = f"there is no header map {name!r}; there are: {names}"
    raise ConfigError(msg, instrument=name)


@lru_cache(maxsize=16)
def _load(extra: tuple[str, ...]) -> tuple[HeaderMap, ...]:
    documents: dict[str, dict[str, Any]] = {}
    for item in resources.files("snapdb.formats.instruments").iterdir():
        if item.name.endswith(".toml"):
            document = tomllib.loads(item.read_text(encoding="utf-8"))  # a test has checked these
            documents[str(document["name"])] = {**document, "_file": item.name}
    for number, path in enumerate(extra):
        document = _parse(_read(Path(path)), path)
        own = {"priority": 1000 - number, **document, "_file": path}
        documents[str(document["name"])] = own
    generic = documents[GENERIC]
    maps = [to_map(_inherit(d, generic)) for d in documents.values()]
    return tuple(sorted(maps, key=lambda m: (m.name == GENERIC, -m.priority, m.name)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"header map {path}: cannot be read ({err})"
        raise ConfigError(msg, path=str(path)) from err


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        msg = f"header map {name}: not TOML: {err}"
        raise ConfigError(msg, path=name) from err
    check_document(document, name)
    return document


def _inherit(document: dict[str, Any], generic: dict[str, Any]) -> dict[str, Any]:
    if document["name"] == GENERIC:
        return document
    whole = {**{key: generic[key] for key in _INHERITED if key in generic}, **document}
    cards = [*generic["properties"]["cards"], *document.get("properties", {}).get("cards", [])]
    whole["properties"] = {"cards": list(dict.fromkeys(cards))}
    return whole


def to_map(document: Mapping[str, Any]) -> HeaderMap:
    """Turn a checked TOML document into a map.

    Parameters
    ----------
    document : mapping
        As :func:`snapdb.formats.schema.check_document` lets it pass.

    Returns
    -------
    HeaderMap
    """
    return HeaderMap(
        name=document["name"],
        title=document.get("title", ""),
        file=Path(str(document.get("_file", document["name"]))).name,
        sources=tuple(document.get("sources", ())),
        priority=document.get("priority", 0),
        recognise=tuple(_to_test(t) for t in document.get("recognise", ())),
        planes=tuple(_to_plane(p) for p in document.get("plane", ())),
        companions=tuple(_to_companion(c) for c in document.get("companion", ())),
        rules={key: document[key] for key in SECTIONS if key in document},
        notes=tuple(document.get("notes", ())),
    )


def _to_test(values: Mapping[str, Any]) -> Test:
    return Test(
        header=tuple((key, re.compile(pattern)) for key, pattern in values.get("header", {}).items()),
        extname=re.compile(values["extname"]) if "extname" in values else None,
        hdu=values.get("hdu"),
        filename=re.compile(values["filename"]) if "filename" in values else None,
    )


def _to_plane(values: Mapping[str, Any]) -> PlaneRule:
    return PlaneRule(
        role=values["role"],
        test=_to_test(values),
        meaning=Meaning(values.get("meaning", "direct")),
        kind=values.get("kind"),
    )


def _to_companion(values: Mapping[str, Any]) -> Companion:
    files = values["file"]
    return Companion(
        plane=values["plane"],
        data=values["data"],
        files=(files,) if isinstance(files, str) else tuple(files),
        meaning=Meaning(values.get("meaning", "direct")),
        kind=values.get("kind", "other"),
    )
