"""Random histories of a registry, step by step against a model in memory, on both databases.

Where images lie has an oracle of its own: a footprint is a square in the tangent plane at its centre, or a
square without one quarter, and great circles are straight lines there. Circles are compared by the distance
of their centre to the edges. No number comes so near to an edge that rounding could decide; the oracle
asserts it.
"""

import fnmatch
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from snapdb.errors import ConflictError, NotFoundError, SnapdbError, UsageError
from snapdb.model.file import FileRecord
from snapdb.model.image import FACT_NAMES, ImageFacts, ImageRecord, NewImage, NewPlane, PlaneRecord
from snapdb.model.layout import PlaneLayout
from snapdb.model.outcome import OutcomeKind
from snapdb.model.provenance import HASH_SCHEMES, Provenance
from snapdb.model.search import CORNERS, make_search
from snapdb.registry import AddedImage, Registry
from snapdb.types import FloatArray

# The sky

MARGIN = 1e-9
"""Radian, and part of a footprint's size: nothing that is asked lies so near to an edge."""
SQUARE = ((-1, -1), (1, -1), (1, 1), (-1, 1))
BENT = ((-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1))
CENTERS = (
    *((0.0, 0.0), (359.8, 0.1), (0.3, -0.2), (10.0, 20.0)),
    *((0.0, 90.0), (200.0, 89.7), (77.0, -90.0), (310.0, -89.6)),
)
OFFSETS = ((0.013, 0.007), (0.031, -0.022), (0.31, -0.22), (-0.9, 1.1), (3.1, 2.7), (8.1, -5.3))
"""Degrees in the tangent plane at a centre."""


class Shape(NamedTuple):
    """Where an image lies."""

    ra: float
    dec: float
    size_deg: float
    turn_deg: float
    outline: tuple[tuple[int, int], ...]

    def half(self) -> float:
        return float(np.tan(np.radians(self.size_deg) / 2))

    def corners(self) -> FloatArray:
        return from_plane(self, np.array(self.outline) * self.half())

    def ring(self) -> tuple[tuple[float, float], ...]:
        return tuple(to_degrees(v) for v in self.corners())

    def holds(self, v: FloatArray) -> bool:
        center, right, up = axes(self)
        depth = float(v @ center)
        if depth <= 0:
            return False
        x, y = (float(v @ axis) / depth / self.half() for axis in (right, up))
        assert min(abs(abs(x) - 1), abs(abs(y) - 1)) > MARGIN
        if self.outline == BENT:
            assert min(abs(x), abs(y)) > MARGIN
            if x > 0 and y > 0:
                return False
        return abs(x) < 1 and abs(y) < 1

    def lies(self, relation: str, v: FloatArray, radius: float) -> bool:
        """Say how it lies to a circle smaller than a hemisphere, which is convex."""
        ends = list(itertools.pairwise([*self.corners(), self.corners()[0]]))
        nearest = min(arc_distance(v, *end) for end in ends)
        farthest = max(angle(v, a) for a, _ in ends)
        assert min(abs(nearest - radius), abs(farthest - radius)) > MARGIN
        if relation == "overlaps":
            return nearest < radius or self.holds(v)
        if relation == "within":
            return farthest < radius
        return nearest > radius and self.holds(v)


def axes(shape: Shape) -> tuple[FloatArray, FloatArray, FloatArray]:
    ra, dec, turn = np.radians([shape.ra, shape.dec, shape.turn_deg])
    center = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.cross(center, east)
    return center, np.cos(turn) * east - np.sin(turn) * north, np.cos(turn) * north + np.sin(turn) * east


def from_plane(shape: Shape, points: FloatArray) -> FloatArray:
    center, right, up = axes(shape)
    vectors = center + points[:, :1] * right + points[:, 1:] * up
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def to_degrees(v: FloatArray) -> tuple[float, float]:
    ra = float(np.degrees(np.arctan2(v[1], v[0]))) % 360.0
    return (ra if ra < 360.0 else 0.0), float(np.degrees(np.arctan2(v[2], np.hypot(v[0], v[1]))))


def to_vector(ra: float, dec: float) -> FloatArray:
    return axes(Shape(ra, dec, 1.0, 0.0, SQUARE))[0]


def angle(a: FloatArray, b: FloatArray) -> float:
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def arc_distance(v: FloatArray, a: FloatArray, b: FloatArray) -> float:
    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal)
    if np.cross(normal, a) @ v > 0 and np.cross(b, normal) @ v > 0:
        return float(np.arcsin(abs(normal @ v)))
    return min(angle(v, a), angle(v, b))


def make_probe(center: tuple[float, float], offset: tuple[float, float]) -> tuple[float, float]:
    plane = np.tan(np.radians([offset]))
    return to_degrees(from_plane(Shape(*center, 1.0, 0.0, SQUARE), plane)[0])


# The model

Key: TypeAlias = tuple[UUID, str, int]
"""(provenance, path of the data, HDU)."""
PATHS = ("an/1.fits", "bn[1]/2.fits.fz", "cn_100%/3.fits", "dn\\4.fits.gz", "e'n/5.fits", "fn/6.fits")
PROPERTIES: tuple[dict[str, Any], ...] = (
    {},
    {"grism": "G102", "airmass": 1.25, "weather": {"seeing": 0.75}},
    {"grism": "G141", "airmass": 2, "weather": {"seeing": 1.5}},
    {"grism": None, "airmass": "high"},
)
PROPERTY_QUESTIONS: tuple[tuple[dict[str, Any], Callable[[Any], bool]], ...] = (
    ({"grism": "G102"}, lambda p: p.get("grism") == "G102"),
    ({"grism": ["G141", None]}, lambda p: p.get("grism") in ("G141", None)),
    ({"airmass": 2.0}, lambda p: p.get("airmass") == 2),
    ({"airmass": {"min": 1.25, "max": 1.5}}, lambda p: p.get("airmass") == 1.25),
    ({"weather.seeing": {"max": 1}, "grism": "G102"}, lambda p: p.get("grism") == "G102"),
)
GLOBS = ("store/a*", "*.fits", "*.fits.?z", "store/[bc]*", "store/[!a]*", "*[[]1]*", "*%*", "*\\*", "none")


class Held(NamedTuple):
    """One registered image."""

    id: UUID
    new: NewImage
    shape: Shape

    @property
    def key(self) -> Key:
        return key_of(self.new)


def key_of(new: NewImage) -> Key:
    return new.provenance_id, new.planes[0].path, new.planes[0].layout.hdu


def exposure_of(new: NewImage) -> tuple[Any, ...] | None:
    known = (new.provenance_id, new.facts.observation_id, new.facts.sca, new.facts.band)
    return None if None in known or new.facts.kind != "exposure" else known


@dataclass
class Model:
    """What a registry ought to hold."""

    images: dict[Key, Held] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    """By path."""
    provenances: dict[UUID, Provenance] = field(default_factory=dict)
    tags: dict[tuple[str, str], UUID] = field(default_factory=dict)
    history: list[tuple[str, str, UUID, UUID | None]] = field(default_factory=list)

    def value(self, held: Held, name: str) -> Any:
        if name in FACT_NAMES:
            return getattr(held.new.facts, name)
        path = held.key[1]
        of_others = {
            "id": held.id,
            "provenance_id": held.new.provenance_id,
            "filepath": f"store/{path}",
            "hdu": held.key[2],
            "format": self.files[path].format,
            "sha256": self.files[path].sha256,
        }
        return of_others[name]

    def record(self, held: Held) -> ImageRecord:
        names = (*FACT_NAMES, "id", "provenance_id", "filepath", "hdu")
        return ImageRecord(**{name: self.value(held, name) for name in names})

    def planes(self, held: Held) -> tuple[PlaneRecord, ...]:
        return tuple(
            PlaneRecord(
                layout=p.layout,
                file_key=f"store/{p.path}",
                file_size=self.files[p.path].size,
                file_mtime_ns=self.files[p.path].mtime_ns,
                file_sha256=self.files[p.path].sha256,
            )
            for p in held.new.planes
        )

    def ordered(self, order_by: Sequence[tuple[str, bool]] = ()) -> list[Held]:
        """Sort all images: what is not known comes last, ties go by id."""
        rows = sorted(self.images.values(), key=lambda h: h.id)
        for name, descending in reversed(order_by):
            known = [h for h in rows if self.value(h, name) is not None]
            unknown = [h for h in rows if self.value(h, name) is None]
            known.sort(key=lambda h: self.value(h, name), reverse=descending)
            rows = known + unknown
        return rows

    def add_provenance(self, given: Provenance) -> None:
        self.provenances[given.id] = given
        for upstream in given.upstreams:
            self.add_provenance(upstream)

    def downstream(self, id_: UUID) -> list[UUID]:
        found = {p.id for p in self.provenances.values() if id_ in {u.id for u in p.upstreams}}
        return sorted(found.union(*(self.downstream(i) for i in found)))

    def files_of(self, images: Sequence[NewImage], version: int, *, update: bool) -> dict[str, FileRecord]:
        """Give the files of images; those that are known have the bytes they had, unless updated."""
        made = {p.path: make_file(p.path, version) for new in images for p in new.planes}
        if update:
            return made
        return {p: replace(self.files.get(p, one), mtime_ns=one.mtime_ns) for p, one in made.items()}

    def twins_of(self, new: NewImage, earlier: Sequence[NewImage]) -> tuple[set[str], bool]:
        """Give other files with the exposure of an image, and whether its own file has it already."""
        exposure = exposure_of(new)
        holders = [h.new for h in self.images.values()] + list(earlier)
        same = {n.planes[0].path for n in holders if exposure is not None and exposure_of(n) == exposure}
        path = new.planes[0].path
        return {f"store/{p}" for p in same - {path}}, path in same


def make_file(path: str, version: int) -> FileRecord:
    return FileRecord(
        key=f"store/{path}",
        size=8640 + version,
        mtime_ns=1_600_000_000_000_000_000 + version,
        sha256=str(version) * 64,
        format=path[path.index("fits") :],
    )


# What is drawn

PICKS = st.integers(0, 11)
"""Which of the images, provenances ... there are, counted round."""
EXPOSURES = (
    *(("visit1", 1, "g"), ("visit1", 1, "r"), ("visit2", 2**40, "g")),
    *((None, 1, None), ("visit1", None, "i")),
)
FACTS = st.fixed_dictionaries(
    {
        "mjd": st.none() | st.integers(0, 6).map(lambda n: 60000 + n / 2),
        "exptime": st.sampled_from([None, 30.0, 300.5]),
        "kind": st.sampled_from(["exposure", "exposure", "coadd"]),
        "position_angle": st.sampled_from([None, 0.0, 10.0, 350.0]),
        "width": st.sampled_from([1, 40]),
        "properties": st.sampled_from(PROPERTIES),
        "flag_bits": st.sampled_from([{}, {"SATURATED": 2, "NO_DATA": 2**40}]),
    }
)
SHAPES = st.builds(
    lambda center, *others: Shape(*center, *others),
    st.sampled_from(CENTERS),
    st.sampled_from([0.05, 1.0, 10.0]),
    st.sampled_from([0.0, 33.0]),
    st.sampled_from([SQUARE, SQUARE, BENT]),
)
PROBES = st.builds(make_probe, st.sampled_from(CENTERS), st.sampled_from(OFFSETS))


class Draft(NamedTuple):
    """An image before it is known what else is registered."""

    facts: dict[str, Any]
    exposure: tuple[str | None, int | None, str | None]
    shape: Shape
    path: str
    hdu: int
    more_planes: tuple[tuple[str, str], ...]
    provenance: int
    inputs: tuple[int, ...]
    named: bool


DRAFTS = st.builds(
    Draft,
    facts=FACTS,
    exposure=st.sampled_from(EXPOSURES),
    shape=SHAPES,
    path=st.sampled_from(PATHS),
    hdu=st.integers(0, 1),
    more_planes=st.sampled_from([(), (), (("noise", PATHS[0]),), (("flags", PATHS[1]), ("noise", PATHS[5]))]),
    provenance=st.sampled_from([0, 0, 0, 1, 2, 5]),
    inputs=st.just(()) | st.lists(PICKS, min_size=1, max_size=3).map(tuple),
    named=st.booleans(),
)
ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["band", "mjd", "exptime", "sca", "kind", "dec", "filepath", "hdu", "width"]),
        st.booleans(),
    ),
    max_size=2,
    unique_by=lambda o: o[0],
)
COLUMNS = ("band", "kind", "observation_id", "sca", "mjd", "filepath", "format", "sha256", "hdu", "width")


def make_new(draft: Draft, provenance_id: UUID) -> NewImage:
    shape = draft.shape
    facts: dict[str, Any] = {n: shape.ra if n.startswith("ra") else shape.dec for n in CORNERS}
    facts |= dict(zip(("observation_id", "sca", "band"), draft.exposure, strict=True)) | draft.facts
    planes = [("data", draft.hdu, draft.path), *((name, 5, path) for name, path in draft.more_planes)]
    return NewImage(
        facts=ImageFacts(height=30, ra=shape.ra, dec=shape.dec, **facts),
        footprint=shape.ring(),
        planes=tuple(
            NewPlane(
                layout=PlaneLayout(
                    name=n, hdu=h, width=40, height=30, stored_dtype=">i2", dtype="float32", offset=2880
                ),
                path=p,
            )
            for n, h, p in planes
        ),
        provenance_id=provenance_id,
    )


@dataclass(frozen=True)
class Question:
    """One criterion, and the same thing said in Python."""

    name: str
    criteria: dict[str, Any]
    fits: Callable[[Model, Held], bool] = field(repr=False)


def by_value(name: str, values: list[Any]) -> Question:
    return Question(name, {name: values}, lambda m, h: m.value(h, name) in values)


def by_range(name: str, low: float | None, high: float | None) -> Question:
    def fits(model: Model, held: Held) -> bool:
        value = model.value(held, name)
        if value is None:
            return False
        above, below = low is None or value >= low, high is None or value <= high
        return above or below if low is not None and high is not None and low > high else above and below

    return Question(name, {f"{name}_min": low, f"{name}_max": high}, fits)


def by_position(ra: float, dec: float) -> Question:
    return Question("ra", {"ra": ra, "dec": dec}, lambda _m, h: h.shape.holds(to_vector(ra, dec)))


def by_circle(at: tuple[float, float], radius_deg: float, relation: str) -> Question:
    v, radius = to_vector(*at), float(np.radians(radius_deg))
    text = f"CIRCLE {at[0]!r} {at[1]!r} {radius_deg!r}"
    criteria = {"region": text, "relation": relation}
    return Question("region", criteria, lambda _m, h: h.shape.lies(relation, v, radius))


def by_properties(asked: dict[str, Any], fits: Callable[[Any], bool]) -> Question:
    return Question("properties", {"properties": asked}, lambda _m, h: fits(h.new.facts.properties))


def by_glob(pattern: str) -> Question:
    return Question(
        "glob",
        {"filepath_glob": pattern},
        lambda m, h: fnmatch.fnmatchcase(m.value(h, "filepath"), pattern),
    )


RADII_DEG = (0.01, 0.2, 1.7, 9.1, 40.0)
RELATIONS = ("overlaps", "covers", "contains", "within")
QUESTIONS = (
    *(by_value("band", values) for values in ([], ["g"], ["r", "z"])),
    by_value("sca", [2**40]),
    by_value("exptime", [30.0, 300.5]),
    by_value("kind", ["coadd"]),
    by_value("filepath", [f"store/{p}" for p in PATHS[1:4]]),
    by_value("sha256", ["1" * 64]),
    by_value("format", ["fits.fz", "fits.gz"]),
    by_range("mjd", 60000.5, 60002.0),
    by_range("mjd", None, 60001.0),
    by_range("mjd", 60001.5, None),
    by_range("ra", 350.0, 15.0),
    by_range("dec", -10.0, 89.9),
    by_range("position_angle", 340.0, 5.0),
    *(by_properties(*question) for question in PROPERTY_QUESTIONS),
    *(by_glob(pattern) for pattern in GLOBS),
)
SOME_QUESTIONS = st.lists(
    st.one_of(
        PROBES.map(lambda p: by_position(*p)),
        st.builds(by_circle, PROBES, st.sampled_from(RADII_DEG[2:]), st.sampled_from(RELATIONS)),
        st.sampled_from(QUESTIONS),
    ),
    max_size=2,
    unique_by=lambda q: q.name,
)


class Page(NamedTuple):
    """Which part of an answer, in which order."""

    order_by: list[tuple[str, bool]]
    limit: int | None
    offset: int
    after: int | None

    def criteria(self) -> dict[str, Any]:
        order_by = [f"{name} desc" if descending else name for name, descending in self.order_by]
        return {"order_by": order_by, "limit": self.limit, "offset": self.offset}


PAGES = st.builds(
    Page,
    order_by=ORDERS,
    limit=st.sampled_from([None, None, 0, 1, 3]),
    offset=st.sampled_from([0, 0, 1, 3]),
    after=st.none() | PICKS,
)
NAN = float("nan")
BAD_FACTS: tuple[dict[str, Any], ...] = (
    *({"ra": NAN}, {"dec": 90.5}, {"ra_corner_11": NAN}, {"mjd": float("inf")}, {"width": 0}),
    *({"exptime": -1.0}, {"data_units": "magnitudes"}, {"properties": {"deep": [NAN]}}, {"zeropoint": 1e9}),
)
NOBODY = UUID(int=1)
NEVER = "never.fits"
"""A file that no good image lies in."""
FLAWS: tuple[str | dict[str, Any], ...] = (
    *("provenance", "twice", "no file", "no planes", "bytes", "taken", "input", "crossing"),
    *BAD_FACTS,
)


# The machine


class Machine(RuleBasedStateMachine):
    """A registry and its model."""

    make_url: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.url = self.make_url()
        self.registry = Registry.open(self.url)
        self.model = Model()
        self.names = (UUID(int=n << 64 | 0x4 << 76 | 0x2 << 62) for n in itertools.count(1))
        for version, upstreams in ((("ingest", 1), []), (("ingest", 2), []), (("stack", 1), [0, 1])):
            self.add_provenance(version, upstreams, exists=None, scheme=HASH_SCHEMES[0])

    @initialize(drafts=st.lists(DRAFTS, min_size=4, max_size=9))
    def begin(self, drafts: list[Draft]) -> None:
        self.add_images(drafts, 0, update=False, read_back=False)

    def teardown(self) -> None:
        self.registry.close()

    # Provenances and tags

    @rule(
        version=st.tuples(st.sampled_from(["ingest", "stack"]), st.integers(0, 3)),
        upstreams=st.lists(PICKS, max_size=2),
        exists=st.sampled_from([None, None, True, False]),
        scheme=st.sampled_from(HASH_SCHEMES),
    )
    def add_provenance(
        self, version: tuple[str, int], upstreams: list[int], *, exists: bool | None, scheme: str
    ) -> None:
        known = list(self.model.provenances.values())
        above = [known[n % len(known)] for n in upstreams if known]
        # One that nobody has saved comes along with what builds on it.
        above += [Provenance("raw", len(upstreams))] if len(upstreams) == 1 else []
        made = Provenance(*version, 0, {"depth": len(above)}, upstreams=above, hash_scheme=scheme)
        is_known = made.id in self.model.provenances
        if exists is not None and exists is not is_known:
            with pytest.raises(ConflictError if is_known else NotFoundError):
                self.registry.add_provenance(made, exists=exists)
            return
        self.registry.add_provenance(made, exists=exists)
        self.model.add_provenance(made)
        self.look_at_provenances(made.process)

    @rule(
        tag=st.sampled_from(["good", "best"]),
        changes=st.lists(st.tuples(PICKS, st.booleans()), min_size=2, max_size=4),
    )
    def tag(self, tag: str, changes: list[tuple[int, bool]]) -> None:
        with pytest.raises(NotFoundError):
            self.registry.tag_provenance(tag, Provenance("ingest", 99), replace=True)
        for which, swap in changes:
            self.change_tag(tag, which, swap=swap)
        for process in ("ingest", "stack", "raw"):
            self.look_at_tags(tag, process)

    def change_tag(self, tag: str, which: int, *, swap: bool) -> None:
        given = self.some_provenance(which)
        here = self.model.tags.get((tag, given.process))
        if here not in (None, given.id) and not swap:
            with pytest.raises(ConflictError):
                self.registry.tag_provenance(tag, given)
            return
        self.registry.tag_provenance(tag, given, replace=swap)
        if here != given.id:
            self.model.tags[tag, given.process] = given.id
            self.model.history.append((tag, given.process, given.id, here))

    def look_at_provenances(self, process: str) -> None:
        for one in self.model.provenances.values():
            assert self.registry.get_provenance(one.id).recursive_dict() == one.recursive_dict()
            assert self.registry.find_downstream(one.id) == self.model.downstream(one.id)
        found = self.registry.find_provenances(process=process)
        assert {p.id for p in found} == {
            p.id for p in self.model.provenances.values() if p.process == process
        }
        assert [(p.major, p.minor) for p in found] == sorted((p.major, p.minor) for p in found)
        assert len(self.registry.find_provenances()) == len(self.model.provenances)
        with pytest.raises(NotFoundError):
            self.registry.get_provenance(NOBODY)

    def look_at_tags(self, tag: str, process: str) -> None:
        changes = self.registry.tag_history(tag, process)
        expected = [change for change in self.model.history if change[:2] == (tag, process)]
        assert [(c.tag, c.process, c.provenance_id, c.previous_id) for c in changes] == expected
        assert {p.id for p in self.registry.find_tagged(tag)} == self.tagged(tag)
        if (tag, process) in self.model.tags:
            assert self.registry.get_tagged(tag, process).id == self.model.tags[tag, process]
        else:
            with pytest.raises(NotFoundError):
                self.registry.get_tagged(tag, process)

    def some_provenance(self, which: int) -> Provenance:
        known = list(self.model.provenances.values())
        return known[which % len(known)]

    def tagged(self, tag: str) -> set[UUID]:
        return {id_ for (name, _), id_ in self.model.tags.items() if name == tag}

    # Images

    def make_batch(self, drafts: Sequence[Draft]) -> dict[Key, tuple[NewImage, Shape]]:
        """Make images of drafts, each key once; inputs are what is there, or what is given an id here."""
        batch: dict[Key, tuple[NewImage, Shape]] = {}
        for draft in drafts:
            new = make_new(draft, self.some_provenance(draft.provenance).id)
            known = self.model.images.get(key_of(new))
            name = known.id if known is not None else next(self.names)
            batch.setdefault(key_of(new), (replace(new, id=name if draft.named else None), draft.shape))
        there = [*(h.id for h in self.model.images.values()), *(n.id for n, _ in batch.values() if n.id)]
        for draft in drafts:
            new, shape = batch[key_of(make_new(draft, self.some_provenance(draft.provenance).id))]
            inputs = dict.fromkeys(there[n % len(there)] for n in draft.inputs if there)
            batch[key_of(new)] = (replace(new, inputs=tuple(inputs)), shape)
        return batch

    @rule(
        drafts=st.lists(DRAFTS, min_size=1, max_size=5),
        version=st.integers(0, 3),
        update=st.booleans(),
        read_back=st.booleans(),
    )
    def add_images(self, drafts: list[Draft], version: int, *, update: bool, read_back: bool) -> None:
        batch = self.make_batch(drafts)
        images = [new for new, _ in batch.values()]
        files = self.model.files_of(images, version, update=update)
        given = self.with_ids(files) if read_back else files
        if update and self.leaves_others_behind(batch, files):
            with pytest.raises(ConflictError, match="other bytes"):
                self.registry.add_images(images, given, update=True)
            return
        added = self.registry.add_images(images, given, update=update)
        if not update:
            self.check_twins(images, added)
        self.model.files |= files
        for (key, (new, shape)), one in zip(batch.items(), added, strict=True):
            known = self.model.images.get(key)
            assert new.id in (None, one.id)
            if known is None:
                assert one.outcome is OutcomeKind.REGISTERED
            else:
                assert one.id == known.id
                assert one.outcome is (OutcomeKind.UPDATED if update else OutcomeKind.UNCHANGED)
            if known is None or update:
                self.model.images[key] = Held(one.id, new, shape)

    def leaves_others_behind(self, batch: Mapping[Any, Any], files: Mapping[str, FileRecord]) -> bool:
        """Tell whether a file has new bytes and an image in it is not given anew."""
        old = self.model.files
        rewritten = {path for path, file in files.items() if path in old and old[path].sha256 != file.sha256}
        return any(
            key not in batch and rewritten & {plane.path for plane in held.new.planes}
            for key, held in self.model.images.items()
        )

    def with_ids(self, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        """Give known files their ids, as whoever has read their records would."""
        known = self.registry.find_files([one.key for one in files.values()])
        return {p: replace(f, id=known[f.key][0].id) if f.key in known else f for p, f in files.items()}

    def check_twins(self, images: Sequence[NewImage], added: Sequence[AddedImage]) -> None:
        """See that another file of the same exposure is told of, where one was there before."""
        for number, (new, one) in enumerate(zip(images, added, strict=True)):
            others, has_it = self.model.twins_of(new, images[:number])
            if one.twin is None:
                assert has_it or not others
            else:
                assert one.twin in others

    @rule(drafts=st.lists(DRAFTS, min_size=1, max_size=4), place=PICKS, update=st.booleans())
    def add_images_one_of_them_bad(self, drafts: list[Draft], place: int, *, update: bool) -> None:
        for flaw in FLAWS:
            self.add_with_flaw(drafts, flaw, place, update=update)

    def add_with_flaw(
        self, drafts: list[Draft], flaw: str | dict[str, Any], place: int, *, update: bool
    ) -> None:
        images = [new for new, _ in self.make_batch(drafts).values()]
        there = [h.id for h in self.model.images.values()]
        known = [p.path for new in images for p in new.planes if p.path in self.model.files]
        if (flaw == "taken" and not there) or (flaw == "bytes" and not known):
            flaw = "twice"
        update = update and flaw != "bytes"
        files = self.model.files_of(images, 0, update=update) | {NEVER: make_file(NEVER, 0)}
        good = make_new(drafts[0]._replace(path=NEVER), images[0].provenance_id)
        bad, error = spoil(good, flaw, there)
        place %= len(images) + 1
        if flaw == "twice":
            images.insert(0, good)
            place += 1
        images.insert(place, bad)
        rows = [place]
        if flaw == "bytes":
            files[known[0]] = make_file(known[0], 7)
            rows = [n for n, new in enumerate(images) if known[0] in {p.path for p in new.planes}]
        with pytest.raises(error) as raised:
            self.registry.add_images(images, files, update=update)
        assert [row for row, _ in raised.value.rows] == rows

    @rule(which=st.lists(PICKS, max_size=3), and_nobody=st.booleans())
    def delete_images(self, which: list[int], *, and_nobody: bool) -> None:
        held = list(self.model.images.values())
        ids = [held[n % len(held)].id for n in which if held] + [NOBODY] * and_nobody
        rest = [h for h in held if h.id not in ids]
        if any(set(h.new.inputs) & set(ids) for h in rest):
            with pytest.raises(ConflictError):
                self.registry.delete_images(ids)
            return
        assert self.registry.delete_images(ids) == len(held) - len(rest)
        self.model.images = {h.key: h for h in rest}

    @rule(path=st.sampled_from(PATHS), version=st.integers(0, 3))
    def refresh_file(self, path: str, version: int) -> None:
        new = make_file(path, version)
        facts = {"size": new.size, "mtime_ns": new.mtime_ns + 5, "sha256": new.sha256}
        if path not in self.model.files:
            with pytest.raises(NotFoundError):
                self.registry.refresh_file(new.key, **facts)  # type: ignore[arg-type]
            return
        self.registry.refresh_file(new.key, **facts)  # type: ignore[arg-type]
        self.model.files[path] = replace(self.model.files[path], **facts)  # type: ignore[arg-type]

    @rule()
    def reopen(self) -> None:
        self.registry.close()
        self.registry = Registry.open(self.url)

    # Questions

    def ask(self, *questions: Question, **criteria: Any) -> list[Held]:
        """Ask one or several things, compare the answer, and give it."""
        for question in questions:
            criteria |= question.criteria
        rows = [h for h in self.model.ordered() if all(q.fits(self.model, h) for q in questions)]
        search = make_search(**criteria)
        assert self.registry.find_images(search) == [self.model.record(h) for h in rows]
        assert self.registry.count_images(search) == len(rows)
        return rows

    @rule()
    def ask_by_facts(self) -> None:
        for question in QUESTIONS:
            self.ask(question)

    @rule(center=st.sampled_from(CENTERS), offset=st.sampled_from(OFFSETS))
    def ask_by_place(self, center: tuple[float, float], offset: tuple[float, float]) -> None:
        probe = make_probe(center, offset)
        here = self.ask(by_position(*probe))
        for radius_deg in RADII_DEG:
            found = [self.ask(by_circle(probe, radius_deg, relation)) for relation in RELATIONS]
            assert {h.id for h in found[1]} <= {h.id for h in here} <= {h.id for h in found[0]}

    @rule(
        questions=SOME_QUESTIONS,
        pages=st.lists(PAGES, min_size=4, max_size=4),
        of=st.none() | st.lists(PICKS, max_size=2) | st.sampled_from(["good", "best"]),
    )
    def ask_for_pages(self, questions: list[Question], pages: list[Page], of: list[int] | str | None) -> None:
        for number, page in enumerate(pages):
            self.ask_for_a_page(questions if number % 2 else [], page, of if number < 2 else None)

    def ask_for_a_page(self, questions: list[Question], page: Page, of: list[int] | str | None) -> None:
        criteria = page.criteria()
        for question in questions:
            criteria |= question.criteria
        rows = self.model.ordered(page.order_by)
        if page.after is not None and rows:
            place = page.after % len(rows)
            criteria["after"], rows = rows[place].id, rows[place + 1 :]
        if of is not None:
            ids = self.tagged(of) if isinstance(of, str) else {self.some_provenance(n).id for n in of}
            criteria["provenance_ids"] = list(ids)
            rows = [h for h in rows if h.new.provenance_id in ids]
        rows = [h for h in rows if all(question.fits(self.model, h) for question in questions)]
        rows = rows[page.offset :][: page.limit]
        search = make_search(**criteria)
        assert self.registry.find_images(search) == [self.model.record(h) for h in rows]
        assert self.registry.count_images(search) == len(rows)
        assert [r.id for r in self.registry.iter_images(search, batch=2)] == [h.id for h in rows]

    @rule(page=PAGES, size=st.integers(1, 3))
    def turn_pages(self, page: Page, size: int) -> None:
        """Read all images page by page, each after the last one of the page before."""
        criteria = {**page.criteria(), "limit": size, "offset": 0}
        seen: list[UUID] = []
        while found := self.registry.find_images(make_search(**criteria)):
            assert len(seen) < len(self.model.images)
            seen += [record.id for record in found]
            criteria["after"] = seen[-1]
        assert seen == [h.id for h in self.model.ordered(page.order_by)]

    @rule(questions=st.just([]) | SOME_QUESTIONS, limit=st.integers(1, 4))
    def find_nearest_in_time(self, questions: list[Question], limit: int) -> None:
        criteria: dict[str, Any] = {"limit": limit}
        for question in questions:
            criteria |= question.criteria
        rows = [h for h in self.model.ordered() if all(q.fits(self.model, h) for q in questions)]
        times = {h.id: t for h in rows if (t := h.new.facts.mjd) is not None}
        for mjd in (59990.0, 60000.5, 60001.25, 60002.75, 60009.0):
            nearest = sorted(times, key=lambda i: (abs(times[i] - mjd), times[i], i))  # at once
            found = self.registry.find_nearest_in_time(make_search(**criteria), mjd)
            assert [r.id for r in found] == nearest[:limit]

    @rule()
    def look_at_parts(self) -> None:
        """Compare inputs and footprints of all images, and what there is of each column."""
        for held in self.model.images.values():
            assert self.registry.get_inputs(held.id) == held.new.inputs
            found = [to_vector(*vertex) for vertex in self.registry.get_footprint(held.id)]
            np.testing.assert_allclose(found, held.shape.corners(), rtol=0, atol=1e-13)
            assert self.registry.get_image(held.id) == self.model.record(held)
        for name in COLUMNS:
            known = {self.model.value(h, name) for h in self.model.images.values()} - {None}
            assert self.registry.values(name) == sorted(known)

    @invariant()
    def everything_agrees(self) -> None:
        held = self.model.ordered()
        assert self.registry.find_images(make_search()) == [self.model.record(h) for h in held]
        assert self.registry.count_images(make_search()) == len(held)
        ids = [*(h.id for h in held), NOBODY]
        assert self.registry.get_planes(ids) == {h.id: self.model.planes(h) for h in held}
        found = self.registry.find_files([f"store/{path}" for path in (*PATHS, NEVER)])
        expected = {
            one.key: (one, tuple(h.id for h in held if path in {p.path for p in h.new.planes}))
            for path, one in self.model.files.items()
        }
        assert {key: (replace(one, id=None), images) for key, (one, images) in found.items()} == expected
        assert set(self.registry.find_tags()) == set(self.model.tags)


def spoil(
    new: NewImage, flaw: str | dict[str, Any], there: Sequence[UUID]
) -> tuple[NewImage, type[SnapdbError]]:
    """Make an image bad, unless the flaw is in what is given with it, and say what shall be raised."""
    if isinstance(flaw, dict):
        return replace(new, facts=replace(new.facts, **flaw)), UsageError
    a, b, c, *others = new.footprint
    changes: dict[str, tuple[dict[str, Any], type[SnapdbError]]] = {
        "provenance": ({"provenance_id": NOBODY}, NotFoundError),
        "no file": ({"planes": (replace(new.planes[0], path="nowhere.fits"),)}, UsageError),
        "no planes": ({"planes": ()}, UsageError),
        "input": ({"inputs": (NOBODY,)}, ConflictError),
        "crossing": ({"footprint": (a, c, b, *others)}, UsageError),
        "taken": ({"id": next(iter(there), None)}, ConflictError),
    }
    values, error = changes.get(flaw, ({}, ConflictError))
    return replace(new, **values), error


@pytest.fixture(params=[pytest.param("sqlite"), pytest.param("postgis", marks=pytest.mark.postgis)])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Make registries with all tables and nothing in them, as many as are asked for."""
    numbers = itertools.count()
    made: list[str] = []

    def make() -> str:
        if request.param == "sqlite":
            path = tmp_path / f"{next(numbers)}.db"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            return f"sqlite:///{path}"
        databases = request.getfixturevalue("databases")
        while made:
            databases.drop(made.pop())
        made.append(databases.clone())
        return made[0]

    yield make
    for url in made:
        request.getfixturevalue("databases").drop(url)


def test_registry_and_model_agree(make_url: Callable[[], str]) -> None:
    run_state_machine_as_test(
        type("Bound", (Machine,), {"make_url": staticmethod(make_url)}),
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow],
            # Add Phase.shrink for the shortest history that fails; on a database that takes minutes.
            phases=[Phase.generate],
        ),
    )
