"""Measurements in the registry: kept once, found by everything, gone with their images."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from snapdb.archive.archive import Archive
from snapdb.archive.measurements import Measurements, make_measurement_table
from snapdb.errors import (
    ConflictError,
    NotFoundError,
    RegistryClosedError,
    SearchError,
    ShapeError,
    UsageError,
)
from snapdb.model.measurement import COLUMNS, FLOATS, MeasurementTable, join_measurements, make_measurements
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

MakeImage = Callable[..., Any]
FilesOf = Callable[..., Any]
PSF = Provenance("lightcurve", 1, 0, {"psf": "gaussian"})
APERTURE = Provenance("lightcurve", 1, 0, {"radius": 5.0})
SEED = 20_240_501


@pytest.fixture
def ids(registry: Registry, ingest: Provenance, make_image: MakeImage, files_of: FilesOf) -> list[UUID]:
    """Ids of five images: of four nights in two bands, the last of unknown time and band."""
    for provenance in (ingest, PSF, APERTURE):
        registry.add_provenance(provenance)
    facts = [{"mjd": 60000.0 + n, "band": "gr"[n % 2]} for n in range(4)]
    images = [make_image(f"{n}.fits", **given) for n, given in enumerate([*facts, {}])]
    return [added.id for added in registry.add_images(images, files_of(*images))]


def measure(image_id: Any, ra: Any = 10.0, dec: Any = 20.0, **columns: Any) -> MeasurementTable:
    """Make measurements of the PSF's provenance."""
    return make_measurements(
        **{"provenance_id": PSF.id, "image_id": image_id, "ra": ra, "dec": dec, **columns}
    )


def full_table(ids: list[UUID], count: int = 40) -> MeasurementTable:
    """Make rows with all kinds of values in all columns."""
    rng = np.random.default_rng(SEED)
    columns: dict[str, Any] = {name: rng.normal(size=count) * 1e3 for name in FLOATS if name != "mjd"}
    for number, name in enumerate(sorted(columns)):
        columns[name][number::17] = np.nan
    columns |= {"ra": rng.uniform(0, 360, count), "dec": rng.uniform(-90, 90, count)}
    columns["flux"][:4] = [0.0, -0.0, math.inf, -math.inf]
    columns["flux_err"][:2] = [5e-324, 1.7976931348623157e308]
    names = ["SN 2024abc", None, "", "\N{GREEK SMALL LETTER ALPHA} Cen'; DROP TABLE image; --"]
    return make_measurements(
        image_id=[ids[n % len(ids)] for n in range(count)],
        provenance_id=[(PSF.id, APERTURE.id)[n % 2] for n in range(count)],
        ndof=np.arange(count),
        n_pixels=2**31 - 1 - np.arange(count),
        quality=np.arange(count),
        flags=[-(2**63), 2**63 - 1, 0, *range(count - 3)],
        method=[None if n % 5 == 4 else f"ap {n % 3}" for n in range(count)],
        name=[names[n % 4] for n in range(count)],
        measured_at=np.datetime64("1999-12-31T23:59:59.999999")
        + np.arange(count) * np.timedelta64(77_777_777, "us"),
        **columns,
    )


def sort_key(table: MeasurementTable) -> list[tuple[Any, ...]]:
    """Give what tells rows apart, to compare tables whatever their order."""
    ra_key, dec_key = table.position_keys()
    return list(zip(table.provenance_id, dec_key.tolist(), ra_key.tolist(), table.image_id, strict=True))


def in_one_order(table: MeasurementTable) -> MeasurementTable:
    """Sort rows by their key."""
    keys = sort_key(table)
    return table[np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=int)]


def assert_same(found: MeasurementTable, expected: MeasurementTable) -> None:
    """Compare all columns that are stored, bit for bit."""
    found, expected = in_one_order(found), in_one_order(expected)
    for name in COLUMNS:
        if name not in ("mjd", "band"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
            assert getattr(found, name).dtype == getattr(expected, name).dtype, name


def test_what_goes_in_comes_out(registry: Registry, ids: list[UUID]) -> None:
    table = full_table(ids)
    assert registry.add_measurements(table) == len(table)
    found = registry.find_measurements()
    assert_same(found, table)
    facts = dict(zip(ids, [(60000.0, "g"), (60001.0, "r"), (60002.0, "g"), (60003.0, "r")], strict=False))
    for image_id, mjd, band in zip(found.image_id, found.mjd, found.band, strict=True):
        assert (mjd, band) == facts.get(image_id, (pytest.approx(np.nan, nan_ok=True), None))
    assert found.mjd.tolist()[: 4 * 8] == sorted(found.mjd.tolist()[: 4 * 8])  # by time, the unknown last
    assert np.isnan(found.mjd[4 * 8 :]).all()


def test_not_a_number_is_null_in_the_database(registry: Registry, ids: list[UUID]) -> None:
    registry.add_measurements(measure(ids[0], flux=np.nan, flux_err=1.0))
    with registry._engine.connect() as connection:  # what other programs see
        query = "SELECT flux IS NULL, flux_err IS NULL, zeropoint IS NULL, name IS NULL FROM measurement"
        (row,) = connection.exec_driver_sql(query).all()
    assert [bool(value) for value in row] == [True, False, True, True]


def test_adding_twice_changes_nothing(registry: Registry, ids: list[UUID]) -> None:
    first = measure(ids[:3], flux=[1.0, 2.0, 3.0])
    assert registry.add_measurements(first) == 3
    more = measure(ids, flux=99.0)
    assert registry.add_measurements(more) == 2
    assert registry.add_measurements(more) == 0
    found = registry.find_measurements()
    assert dict(zip(found.image_id, found.flux, strict=True)) == dict(
        zip(ids, [1.0, 2.0, 3.0, 99.0, 99.0], strict=True)
    )
    assert registry.add_measurements(measure([ids[0]] * 3, dec=30.0, flux=[7.0, 8.0, 9.0])) == 1
    assert registry.find_measurements(positions=(10.0, 30.0)).flux.tolist() == [7.0]  # the first counts
    assert registry.add_measurements(measure([])) == 0


def test_positions_are_told_apart_to_a_ten_thousandth_of_an_arcsecond(
    registry: Registry, ids: list[UUID]
) -> None:
    step = 1e-4 / 3600
    assert registry.add_measurements(measure(ids[0], [10.0, 10.0 + 0.4 * step, 10.0 + step], 20.0)) == 2
    assert registry.add_measurements(measure(ids[0], [10.0, 10.0], [20.0 - 0.4 * step, 20.0 - step])) == 1
    assert registry.add_measurements(measure(ids[0], [0.0, 360.0 - 1e-10, -1e-10, 1e-10, 720.0], 0.0)) == 1
    assert registry.add_measurements(measure(ids[0], [0.0, 10.0, 359.0], 90.0)) == 1
    assert registry.add_measurements(measure(ids[0], [0.0, 10.0, 359.0], -90.0)) == 1
    assert len(registry.find_measurements(positions=([123.0, 0.0, 0.0], [90.0, -90.0, 0.0]))) == 3


def test_one_provenance_does_not_hide_another(registry: Registry, ids: list[UUID]) -> None:
    registry.add_measurements(measure(ids[0], flux=1.0))
    assert registry.add_measurements(measure(ids[0], provenance_id=APERTURE.id, flux=2.0)) == 1
    assert registry.find_measurements(provenance_ids=[APERTURE.id]).flux.tolist() == [2.0]
    assert registry.find_measurements(provenance_ids=[PSF.id]).flux.tolist() == [1.0]
    assert len(registry.find_measurements(provenance_ids=[PSF.id, APERTURE.id])) == 2
    assert len(registry.find_measurements(provenance_ids=[uuid4()])) == 0
    assert len(registry.find_measurements(provenance_ids=[])) == 0


def test_searches_agree_with_a_look_at_every_row(registry: Registry, ids: list[UUID]) -> None:
    rng = np.random.default_rng(SEED)
    ra, dec = rng.uniform(9.5, 10.5, 12), rng.uniform(19.5, 20.5, 12)
    every = join_measurements(
        [
            measure(id_, ra, dec, name=[f"star {n % 5}" for n in range(12)], flux=rng.normal(size=12))
            for id_ in ids
        ]
        + [measure(ids[:2], provenance_id=APERTURE.id)]
    )
    assert registry.add_measurements(every) == 62
    kept = registry.find_measurements()
    at = (ra[[3, 7]], dec[[3, 7]])
    is_at = np.isin(kept.ra, at[0]) & np.isin(kept.dec, at[1])
    first = np.array([id_ in (ids[0], ids[4]) for id_ in kept.image_id])
    of_psf = np.array([id_ == PSF.id for id_ in kept.provenance_id])
    cases: list[tuple[dict[str, Any], NDArray[np.bool_]]] = [
        ({"positions": at}, is_at),
        (
            {"positions": at, "provenance_ids": [PSF.id], "image_ids": [ids[0], ids[4]]},
            is_at & first & of_psf,
        ),
        ({"image_ids": [ids[0], ids[4]]}, first),
        ({"names": ["star 1", "star 4"]}, np.isin(kept.name.astype(str), ["star 1", "star 4"])),
        ({"bands": ["r"]}, kept.band == "r"),
        ({"mjd_min": 60001.0}, kept.mjd >= 60001.0),
        ({"mjd_max": 60001.0}, kept.mjd <= 60001.0),
        ({"mjd_min": 60001.0, "mjd_max": 60002.0, "bands": ["g"]}, kept.mjd == 60002.0),
        ({"mjd_max": -math.inf}, np.zeros(len(kept), dtype=bool)),
        ({"positions": ([], [])}, np.zeros(len(kept), dtype=bool)),
        ({"names": []}, np.zeros(len(kept), dtype=bool)),
    ]
    for criteria, expected in cases:
        found = registry.find_measurements(**criteria)
        assert len(found) == expected.sum(), criteria
        assert_same(found, kept[expected])
        assert found.image_id.tolist() == kept.image_id[expected].tolist()  # the order is that of time
    assert sum(expected.sum() > 0 for _, expected in cases) == 8


@pytest.mark.parametrize(
    ("ra", "dec"),
    [(10.0, 20.0), (0.0, 0.0), (359.9999, -45.0), (0.001, 89.9), (123.0, -89.99), (200.0, 90.0)],
)
@pytest.mark.parametrize("radius", [0.0, 1.0 / 3600, 0.01, 0.5, 40.0, 180.0])
def test_cones_agree_with_the_haversine(
    module_registry: Registry,
    make_image: MakeImage,
    files_of: FilesOf,
    ingest: Provenance,
    ra: float,
    dec: float,
    radius: float,
) -> None:
    registry = module_registry
    for provenance in (ingest, PSF):
        registry.add_provenance(provenance)
    image = make_image("cones.fits")
    (added,) = registry.add_images([image], files_of(image))
    rng = np.random.default_rng(SEED)
    angle = rng.uniform(0, 2 * np.pi, 300)
    distance = np.repeat([0.3 / 3600, 2.0 / 3600, 0.009, 0.4, 0.6, 30.0], 50)
    # Oracle of the points: astropy's offset by angle and distance; of the distance: the haversine formula.
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    about = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.rad, distance * u.deg)
    registry.add_measurements(measure(added.id, [ra, *about.ra.deg], [dec, *about.dec.deg]))
    kept = registry.find_measurements(image_ids=[added.id])
    lon, lat = np.radians(kept.ra - ra), np.radians(kept.dec)
    hav = (
        np.sin((lat - np.radians(dec)) / 2) ** 2
        + np.cos(lat) * np.cos(np.radians(dec)) * np.sin(lon / 2) ** 2
    )
    expected = np.degrees(2 * np.arcsin(np.sqrt(np.minimum(hav, 1.0)))) <= radius + 1e-13
    found = registry.find_measurements(cone=(ra, dec, radius))
    assert expected.sum() >= 1
    assert_same(found, kept[expected])
    assert len(registry.find_measurements(cone=(ra, dec, radius), limit=3)) == min(3, expected.sum())


def test_limits_cut_what_comes_first_in_time(registry: Registry, ids: list[UUID]) -> None:
    registry.add_measurements(measure(ids[::-1]))
    assert registry.find_measurements(limit=2).image_id.tolist() == ids[:2]
    assert registry.find_measurements(limit=0).image_id.tolist() == []
    assert registry.find_measurements(limit=99).image_id.tolist() == ids


def test_known_pairs(registry: Registry, ids: list[UUID]) -> None:
    rng = np.random.default_rng(SEED)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50)
    measured = rng.random((5, 50)) < 0.4
    images, which = np.nonzero(measured)
    registry.add_measurements(measure([ids[n] for n in images], ra[which], dec[which]))
    registry.add_measurements(measure(ids[0], ra[0], dec[0], provenance_id=APERTURE.id))
    column = np.array(ids, dtype=object)[:, None]
    np.testing.assert_array_equal(registry.known_measurements(PSF.id, column, ra, dec), measured)
    np.testing.assert_array_equal(registry.known_measurements(PSF.id, column, ra + 360.0, dec), measured)
    assert registry.known_measurements(APERTURE.id, column, ra, dec).sum() == 1
    assert (
        registry.known_measurements(PSF.id, ids, ra[:5], dec[:5]).tolist()
        == measured[:, :5].diagonal().tolist()
    )
    assert registry.known_measurements(PSF.id, ids[0], ra[3], dec[3]).tolist() is bool(measured[0, 3])
    assert registry.known_measurements(PSF.id, uuid4(), ra, dec).sum() == 0
    assert registry.known_measurements(PSF.id, [], [], []).shape == (0,)
    with pytest.raises(ShapeError, match="do not fit together"):
        registry.known_measurements(PSF.id, ids, ra, dec)
    with pytest.raises(UsageError, match="row 1: position"):
        registry.known_measurements(PSF.id, ids[0], [1.0, np.nan], 0.0)


@pytest.mark.parametrize("column", ["image_id", "provenance_id"])
def test_what_is_not_registered_is_named_by_row_and_nothing_is_kept(
    registry: Registry, ids: list[UUID], column: str
) -> None:
    table = measure(ids)
    unknown = uuid4()
    getattr(table, column)[3] = unknown
    with pytest.raises(NotFoundError, match=rf"{unknown} is not registered; add it before") as caught:
        registry.add_measurements(table)
    assert caught.value.fields[column] == unknown
    assert [row for row, _ in caught.value.rows] == [3]
    assert len(registry.find_measurements()) == 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("ra", math.nan, "row 2: position .nan, 20.0. is none"),
        ("dec", 90.1, "row 2: position"),
        ("ra", 360.0, "ra 360.0 is not in"),
        ("ra", -1e-9, "is not in"),
        ("quality", -1, "quality -1 is negative"),
        ("n_pixels", -1, "n_pixels -1 is negative"),
        ("name", "a\0b", "cannot be stored; expected text or None"),
        ("method", "\ud800", "cannot be stored; expected text or None"),
        ("name", 5, "cannot be stored; expected text or None"),
        ("image_id", "no id", "image_id no id is no UUID"),
        ("provenance_id", None, "provenance_id None is no UUID"),
    ],
)
def test_values_that_cannot_be_are_refused_with_nothing_kept(
    registry: Registry, ids: list[UUID], column: str, value: Any, said: str
) -> None:
    table = measure(ids)
    getattr(table, column)[2] = value
    with pytest.raises(UsageError, match=said):
        registry.add_measurements(table)
    assert len(registry.find_measurements()) == 0


def test_measurements_go_with_their_image_and_keep_their_provenance(
    registry: Registry, ids: list[UUID]
) -> None:
    registry.add_measurements(measure(ids))
    assert registry.delete_images(ids[:2]) == 2
    assert registry.find_measurements().image_id.tolist() == ids[2:]
    with pytest.raises(ConflictError), registry._transaction(writes=True) as connection:
        connection.exec_driver_sql("DELETE FROM provenance WHERE process = 'lightcurve'")
    assert len(registry.find_measurements()) == 3


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"cone": (360.0, 0.0, 1.0)}, "expected 0 <= ra < 360"),
        ({"cone": (0.0, math.nan, 1.0)}, "expected 0 <= ra < 360"),
        ({"cone": (0.0, 0.0, -1.0)}, "expected 0 <= ra < 360"),
        ({"mjd_min": math.nan}, "mjd_min is not a number"),
        ({"limit": -1}, "limit=-1: expected 0 or more"),
    ],
)
def test_searches_that_cannot_be(registry: Registry, criteria: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchError, match=said):
        registry.find_measurements(**criteria)


def test_writers_of_the_same_rows_in_any_order_end_with_each_row_once(
    registry: Registry, ids: list[UUID]
) -> None:
    rng = np.random.default_rng(SEED)
    table = measure(
        np.repeat(np.array(ids, dtype=object), 400), rng.uniform(0, 360, 2000), rng.uniform(-90, 90, 2000)
    )
    added: list[int] = []

    def write(order: NDArray[np.int64]) -> None:
        added.append(registry.add_measurements(table[order]))

    threads = [threading.Thread(target=write, args=(rng.permutation(2000),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == 2000
    assert len(added) == 4
    assert sort_key(in_one_order(registry.find_measurements())) == sort_key(in_one_order(table))


def test_what_is_added_without_a_time_gets_the_present(registry: Registry, ids: list[UUID]) -> None:
    before = np.datetime64("now", "us") - np.timedelta64(1, "s")
    registry.add_measurements(measure(ids))
    found = registry.find_measurements().measured_at
    assert ((found >= before) & (found <= np.datetime64("now", "us") + np.timedelta64(1, "s"))).all()


def test_a_closed_registry_says_so(registry: Registry, ids: list[UUID]) -> None:
    registry.close()
    calls: list[Callable[[], Any]] = [
        lambda: registry.add_measurements(measure(ids)),
        lambda: registry.add_measurements(measure([])),
        registry.find_measurements,
        lambda: registry.known_measurements(PSF.id, [], [], []),
    ]
    for call in calls:
        with pytest.raises(RegistryClosedError):
            call()


class MeasuredArchive(Archive, Measurements):
    """An archive that keeps measurements."""


def test_the_archive_takes_what_users_have(registry: Registry, ids: list[UUID], tmp_path: Path) -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    archive = MeasuredArchive(registry, LocalStore(tmp_path))
    place = SkyCoord(187.5, -0.5, unit="deg")
    assert archive.add_measurements(measure(ids, 187.5, -0.5, name="SN 2024abc", flux_njy=5.0)) == 5
    assert archive.add_measurements(measure(ids[0], 187.5, -0.4)) == 1
    archive.add_provenance(PSF, tag="best")
    searches: list[tuple[int, tuple[Any, ...], dict[str, Any]]] = [
        (6, (), {}),
        (5, (187.5, -0.5), {}),
        (5, ("12:30:00", "-00:30:00"), {}),
        (5, (place,), {}),
        (6, (SkyCoord([187.5, 187.5], [-0.5, -0.4], unit="deg"),), {}),
        (5, (place,), {"radius": 1 * u.arcsec}),
        (6, (-172.5, -0.5), {"radius": 0.2}),
        (2, (), {"image": str(ids[0])}),
        (3, (), {"image": [archive.get_image(ids[0]), archive.get_record(ids[1])]}),
        (6, (), {"provenance": PSF}),
        (0, (), {"provenance": [APERTURE.id]}),
        (6, (), {"provenance": str(PSF.id)}),
        (6, (), {"provenance": str(PSF.id)[:8]}),
        (6, (), {"provenance": f"best:{PSF.process}"}),
        (0, (), {"provenance": [str(APERTURE.id)[:8]]}),
        (5, (), {"name": "SN 2024abc"}),
        (3, (), {"band": "g"}),
        (2, (), {"mjd_min": "2023-02-26T12:00:00"}),
        (1, (), {"limit": 1}),
    ]
    for count, place_given, criteria in searches:
        assert len(archive.find_measurements(*place_given, **criteria)) == count, (place_given, criteria)
    table = make_measurement_table(archive.find_measurements())
    assert table["flux_njy"].unit == u.nJy
    assert np.isnan(table["mjd"].value).tolist() == [False] * 5 + [True]
    assert sorted(table["name"].tolist()) == ["", *["SN 2024abc"] * 5]
    assert set(table["image_id"].tolist()) == {str(id_) for id_ in ids}
    assert make_measurement_table(archive.find_measurements(limit=0)).colnames == list(COLUMNS)
    with pytest.raises(SearchError, match="one circle at a time"):
        archive.find_measurements([1.0, 2.0], [3.0, 4.0], radius=0.1)
    with pytest.raises(SearchError, match="radius without ra and dec"):
        archive.find_measurements(radius=0.1)
    with pytest.raises(UsageError, match="without dec"):
        archive.find_measurements(1.0)
