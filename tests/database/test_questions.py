"""Questions about properties, file names, pages, and times, against answers worked out in Python."""

import fnmatch
import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from snapdb.errors import NotFoundError, SearchError
from snapdb.model.image import ImageRecord, NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry

SEED = 31
PROPERTIES: tuple[dict[str, Any], ...] = (
    {"grism": "G102", "airmass": 1.25, "good": True, "weather": {"seeing": 0.75, "cloud": None}},
    {"grism": "G141", "airmass": 2, "good": False, "weather": {"seeing": 1.5}},
    {"grism": "G102", "airmass": "high", "good": 1, "weather": "bad"},
    {"grism": 102, "airmass": [1.0, 2.0], "good": "true", "weather": ["seeing", 0.7]},
    {"grism": None, "dotted.name": "x", "o'clock": 'a "quoted" é'},
    {},
)
FOLDERS = ("night1", "night2/raw", "n[1]", "back\\slash", "100%_a")


@pytest.fixture(scope="module")
def sky(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
) -> Registry:
    """A registry of sixty images with all kinds of properties, names, bands and times."""
    random = np.random.default_rng(SEED)
    images = [
        make_image(
            f"{FOLDERS[n % 5]}/{n:02}.{'fits' if n % 2 else 'fits.fz'}",
            ra=10.0 + 0.01 * n,
            band=("g", "r", None)[n % 3],
            mjd=None if n % 10 == 0 else 60000.0 + float(random.integers(0, 20)) / 2,
            exptime=float(random.integers(1, 4)) if n % 4 else None,
            properties=PROPERTIES[n % 6],
        )
        for n in range(60)
    ]
    module_registry.add_provenance(ingest)
    module_registry.add_images(images, files_of(*images))
    return module_registry


def find(registry: Registry, **criteria: Any) -> list[ImageRecord]:
    found = registry.find_images(make_search(**criteria))
    assert registry.count_images(make_search(**criteria)) == len(found)
    return found


def same(value: Any, wanted: Any) -> bool:
    """JSON equality: 1 and 1.0 are the same number, and True is no number."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float | str) and isinstance(wanted, int | float | str):
        return value == wanted
    return value is None and wanted is None


def value_at(record: ImageRecord, path: tuple[str, ...]) -> Any:
    held: Any = dict(record.properties)
    for key in path:
        held = held.get(key) if isinstance(held, dict) else None
    return held


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("grism", "G102"),
        ("grism", 102),
        ("grism", 102.0),
        ("grism", ["G102", 102]),
        ("grism", None),
        ("grism", ["G141", None]),
        ("airmass", 2),
        ("airmass", 2.0),
        ("airmass", np.float32(1.25)),
        ("airmass", np.array([1.25, 2.0])),
        ("good", True),
        ("good", False),
        ("good", 1),
        ("good", "true"),
        ("weather.seeing", 0.75),
        ("weather.cloud", None),
        ("weather", "bad"),
        ("o'clock", 'a "quoted" é'),
        (("dotted.name",), "x"),
        ("nowhere", None),
        ("nowhere", 1),
    ],
)
def test_properties_by_value_equal_filtering(sky: Registry, path: Any, asked: Any) -> None:
    keys = tuple(path.split(".")) if isinstance(path, str) else path
    listed = (
        asked if isinstance(asked, list) else asked.tolist() if isinstance(asked, np.ndarray) else [asked]
    )
    plain = [v.item() if isinstance(v, np.generic) else v for v in listed]
    expected = [r for r in find(sky) if any(same(value_at(r, keys), v) for v in plain)]
    assert find(sky, properties={path: asked}) == expected
    assert len(expected) in (0, 10, 20, 30, 50, 60)


@pytest.mark.parametrize("ends", [{"min": 1.25}, {"max": 1.9}, {"min": 1.25, "max": 2}, {"min": 2.5}])
def test_properties_by_range_take_numbers_alone(sky: Registry, ends: dict[str, float]) -> None:
    low, high = ends.get("min", -np.inf), ends.get("max", np.inf)

    def fits(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    expected = [r for r in find(sky) if fits(value_at(r, ("airmass",)))]
    assert find(sky, properties={"airmass": ends}) == expected


def test_properties_add_up_and_join_the_other_criteria(sky: Registry) -> None:
    found = find(sky, properties={"grism": "G102", "weather.seeing": {"max": 1}}, band="g")
    expected = [r for r in find(sky) if r.band == "g" and value_at(r, ("weather", "seeing")) == 0.75]
    assert found == expected
    assert found
    assert find(sky, properties={"grism": []}) == []


@pytest.mark.parametrize(
    "asked",
    [
        "grism",
        {"": 1},
        {"a..b": 1},
        {'a"b': 1},
        {"a": {"least": 1}},
        {"a": {}},
        {"a": {"min": None}},
        {"a": {"min": "x"}},
        {"a": {"min": 2, "max": 1}},
        {"a": float("nan")},
        {"a": {"min": float("inf")}},
        {"a": [[1]]},
        {"a": "x\0"},
        {3: 1},
    ],
)
def test_properties_that_cannot_be_asked_are_refused(asked: Any) -> None:
    with pytest.raises(SearchError, match="properties"):
        make_search(properties=asked)


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "store/night1/*", "*.fits", "*/raw/*.fz", "store/night?/*", "*/0[0-4].*", "*/[!0]*.fits"),
        *("*/n[[]1]/*", "store/back\\slash/*", "*100%_a*", "*.f.ts", "night1/*", "(*", "*/[^0]?.fits"),
    ],
)
def test_patterns_of_file_names_are_those_of_the_shell(sky: Registry, pattern: str) -> None:
    shell = pattern.replace("[^", "[!")
    expected = [r for r in find(sky) if fnmatch.fnmatchcase(r.filepath, shell)]
    assert find(sky, filepath_glob=pattern) == expected


def test_a_pattern_with_an_open_bracket_is_refused() -> None:
    with pytest.raises(SearchError, match=r"filepath_glob = 'n\[1': expected a pattern"):
        make_search(filepath_glob="n[1")


@pytest.mark.parametrize(
    "order",
    [(), ("mjd",), ("-mjd",), ("band", "-mjd"), ("-band", "exptime", "-ra"), ("-exptime",), ("filepath",)],
)
@pytest.mark.parametrize("step", [7, 60])
def test_pages_by_key_give_every_image_once_in_order(
    sky: Registry, order: tuple[str, ...], step: int
) -> None:
    whole = find(sky, order_by=order)
    paged: list[ImageRecord] = []
    after: UUID | None = None
    for _ in itertools.count():
        page = find(sky, order_by=order, limit=step, after=after)
        paged += page
        if len(page) < step:
            break
        after = page[-1].id
    assert paged == whole
    assert find(sky, order_by=order, after=whole[40].id) == whole[41:]
    assert find(sky, order_by=order, after=whole[40].id, offset=3) == whole[44:]
    assert list(sky.iter_images(make_search(order_by=order, after=whole[9].id))) == whole[10:]


def test_a_page_after_an_image_that_is_gone_is_refused(sky: Registry) -> None:
    with pytest.raises(NotFoundError, match="begin anew without `after`"):
        sky.find_images(make_search(after=uuid4()))


@pytest.mark.parametrize("time", [59990.0, 60000.0, 60004.25, 60004.5, 60009.9, 60100.0])
@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize(
    "criteria", [{}, {"band": "r"}, {"mjd_min": 60003}, {"mjd_min": 60003, "mjd_max": 60006}]
)
def test_the_nearest_in_time_are_those_of_a_sort(
    sky: Registry, time: float, limit: int, criteria: dict[str, Any]
) -> None:
    known = [r for r in find(sky, **criteria) if r.mjd is not None]
    expected = sorted(known, key=lambda r: (abs((r.mjd or 0) - time), r.mjd, r.id))[:limit]
    assert sky.find_nearest_in_time(make_search(**criteria, limit=limit), time) == expected
