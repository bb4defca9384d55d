"""Questions about measurements as SQL, and their answers as columns."""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Text,
    bindparam,
    false,
    func,
    or_,
    select,
    tuple_,
)

from snapdb.errors import ShapeError
from snapdb.model.measurement import (
    KEYS_PER_DEGREE,
    MeasurementTable,
    position_keys,
)
from snapdb.registry.filters import to_driver
from snapdb.registry.measurement_answers import answer_columns
from snapdb.registry.packed import pack_ids, pack_integers
from snapdb.registry.queries import Statement, compile_select
from snapdb.registry.tables import image, measurement
from snapdb.sky.vectors import separation
from snapdb.types import BoolArray

Cone = tuple[float, float, float]
"""Right ascension, declination and radius, degrees."""

_ONE_OF: dict[str, Column[Any]] = {
    "provenance": measurement.c.provenance_id,
    "image": measurement.c.image_id,
    "name": measurement.c.name,
    "band": image.c.band,
}
"""Criterion that takes any of several values -> its column."""


def make_find_statement(
    dialect: str,
    *,
    one_of: dict[str, Sequence[Any] | None],
    positions: tuple[Any, Any] | None = None,
    cone: Cone | None = None,
    mjd_min: float | None = None,
    mjd_max: float | None = None,
    limit: int | None = None,
) -> Statement:
    """Make the statement that finds measurements.

    Parameters
    ----------
    dialect : str
        ``postgresql`` or ``sqlite``.
    one_of : dict
        ``provenance``, ``image``, ``name``, ``band`` -> the values that are wanted; None for any.
    positions : pair of arrays, optional
        Right ascensions and declinations, degrees: only what was measured at one of these.
    cone : tuple of float, optional
        Only what lies in the square about this circle: the caller drops the corners.
    mjd_min, mjd_max : float, optional
        Start of the image's exposure, ends included.
    limit : int, optional
        At most so many; with a cone the caller has to cut.

    Returns
    -------
    Statement
        In the order of time; :func:`snapdb.registry.measurement_answers.make_table` reads its rows.
    """
    values: dict[str, Any] = {}
    for name, wanted in one_of.items():
        if wanted is not None:
            values[name] = _bind_one_of(wanted, dialect)
    if positions is not None:
        ra_keys, dec_keys = (np.ravel(keys) for keys in position_keys(*positions))
        if dialect == "postgresql":
            values |= {"dec_keys": pack_integers(dec_keys), "ra_keys": pack_integers(ra_keys)}
        else:
            values["positions"] = json.dumps(np.stack([dec_keys, ra_keys], axis=1).tolist())
    if cone is not None:
        values |= _bind_cone(*cone)
    ends = {"mjd_min": mjd_min, "mjd_max": mjd_max, "limit": limit if cone is None else None}
    values |= {name: value for name, value in ends.items() if value is not None}
    sql, constants = _compile(tuple(sorted(values)), dialect)
    return Statement(sql, {**constants, **values})


@lru_cache(maxsize=256)
def _compile(names: tuple[str, ...], dialect: str) -> tuple[str, dict[str, Any]]:
    """Write the statement that has some parameters."""
    conditions = [_is_one_of(name, dialect) for name in _ONE_OF if name in names]
    if "dec_keys" in names or "positions" in names:
        conditions.append(_is_at(dialect))
    conditions += _lies_near(names)
    conditions += [image.c.mjd >= _bound("mjd_min")] if "mjd_min" in names else []
    conditions += [image.c.mjd <= _bound("mjd_max")] if "mjd_max" in names else []
    source = measurement.join(image, image.c.id == measurement.c.image_id)
    c = measurement.c
    order = (image.c.mjd.asc().nulls_last(), c.image_id, c.dec_key, c.ra_key, c.provenance_id)
    query = select(*answer_columns(dialect)).select_from(source).where(*conditions).order_by(*order)
    if "limit" in names:
        query = query.limit(bindparam("limit", type_=BigInteger))
    return compile_select(query, dialect)


def _bound(name: str) -> ColumnElement[Any]:
    """Give the parameter of a time."""
    return bindparam(name, type_=image.c.mjd.type)


def _whole(name: str) -> ColumnElement[Any]:
    """Give the parameter of a whole number."""
    return bindparam(name, type_=BigInteger)


def _bind_one_of(wanted: Sequence[Any], dialect: str) -> Any:
    """Give several values as one parameter."""
    if dialect != "postgresql":
        return json.dumps([to_driver(value, dialect) for value in wanted])
    return pack_ids(wanted) if all(isinstance(value, UUID) for value in wanted) else list(wanted)


def _is_one_of(name: str, dialect: str) -> ColumnElement[bool]:
    """Ask for any of several values, which come as one parameter."""
    column = _ONE_OF[name]
    if dialect == "postgresql":
        return column == func.any(bindparam(name, type_=ARRAY(column.type)))
    values = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return column.in_(select(values.c.value))


def _is_at(dialect: str) -> ColumnElement[bool]:
    """Ask for any of several positions."""
    place = tuple_(measurement.c.dec_key, measurement.c.ra_key)
    if dialect == "postgresql":
        keys = [bindparam(name, type_=ARRAY(BigInteger)) for name in ("dec_keys", "ra_keys")]
        wanted = func.unnest(*keys).table_valued("dec_key", "ra_key").render_derived()
        return place.in_(select(wanted.c.dec_key, wanted.c.ra_key))
    pairs = func.json_each(bindparam("positions", type_=Text)).table_valued("value")
    return place.in_(
        select(func.json_extract(pairs.c.value, "$[0]"), func.json_extract(pairs.c.value, "$[1]"))
    )


def _lies_near(names: tuple[str, ...]) -> list[ColumnElement[bool]]:
    """Ask for the square about a circle: a range of declination, and one or two of right ascension."""
    if "dec_low" not in names:
        return []
    c = measurement.c
    conditions: list[ColumnElement[bool]] = [c.dec_key.between(_whole("dec_low"), _whole("dec_high"))]
    if "ra_low" in names:
        conditions.append(c.ra_key.between(_whole("ra_low"), _whole("ra_high")))
    if "ra_from" in names:
        conditions.append(or_(false(), c.ra_key >= _whole("ra_from"), c.ra_key <= _whole("ra_to")))
    return conditions


def _bind_cone(ra: float, dec: float, radius: float) -> dict[str, int]:
    """Give the ranges of keys that a circle touches, a key wider than need be."""
    low = math.floor((dec - radius) * KEYS_PER_DEGREE) - 1
    high = math.ceil((dec + radius) * KEYS_PER_DEGREE) + 1
    bound = {"dec_low": low, "dec_high": high}
    if abs(dec) + radius >= 90.0 - 1 / KEYS_PER_DEGREE:
        return bound
    # The meridians that touch the circle: sin(half) = sin(radius) / cos(dec), a right spherical triangle.
    half = math.degrees(math.asin(min(1.0, math.sin(math.radians(radius)) / math.cos(math.radians(dec)))))
    left = math.floor((ra - half) * KEYS_PER_DEGREE) - 1
    right = math.ceil((ra + half) * KEYS_PER_DEGREE) + 1
    turn = 360 * KEYS_PER_DEGREE
    if left < 0:
        return {**bound, "ra_from": left + turn, "ra_to": right}
    if right >= turn:
        return {**bound, "ra_from": left, "ra_to": right - turn}
    return {**bound, "ra_low": left, "ra_high": right}


def cut_to_cone(table: MeasurementTable, cone: Cone | None, limit: int | None) -> MeasurementTable:
    """Drop the corners of the square about a circle, and what is more than was asked for.

    Parameters
    ----------
    table : MeasurementTable
        What was found.
    cone : tuple of float, optional
        The circle; its edge belongs to it.
    limit : int, optional
        At most so many.

    Returns
    -------
    MeasurementTable
        In the same order.
    """
    if cone is not None:
        ra, dec, radius = cone
        table = table[separation(table.ra, table.dec, ra, dec) <= radius]
    return table if limit is None else table[:limit]


_KNOWN = {
    "postgresql": (
        "SELECT asked.place - 1 FROM unnest(%(images)s::uuid[], %(dec_keys)s::bigint[], "
        "%(ra_keys)s::bigint[]) "
        "WITH ORDINALITY AS asked (image_id, dec_key, ra_key, place) "
        "JOIN measurement AS m ON m.provenance_id = %(provenance)s AND m.dec_key = asked.dec_key "
        "AND m.ra_key = asked.ra_key AND m.image_id = asked.image_id"
    ),
    # CROSS JOIN keeps SQLite from turning the join round, and walking through all measurements.
    "sqlite": (
        "SELECT asked.key FROM json_each(:asked) AS asked CROSS JOIN measurement AS m "
        "WHERE m.provenance_id = :provenance AND m.dec_key = json_extract(asked.value, '$[0]') "
        "AND m.ra_key = json_extract(asked.value, '$[1]') AND m.image_id = json_extract(asked.value, '$[2]')"
    ),
}


def make_known_statement(
    dialect: str, provenance_id: UUID, image_ids: NDArray[np.object_], ra: Any, dec: Any
) -> Statement:
    """Make the statement that finds which of some positions on images are measured.

    Parameters
    ----------
    dialect : str
        ``postgresql`` or ``sqlite``.
    provenance_id : UUID
        Of the measurements.
    image_ids, ra, dec : array, shape (rows,)
        The image, and the position in degrees, of each.

    Returns
    -------
    Statement
        Its rows hold the numbers of those that are measured, from 0.
    """
    ra_keys, dec_keys = position_keys(ra, dec)
    provenance, ids = to_driver(provenance_id, dialect), image_ids.tolist()
    values: dict[str, Any]
    if dialect == "postgresql":
        keys = {"dec_keys": pack_integers(dec_keys), "ra_keys": pack_integers(ra_keys)}
        values = {"images": pack_ids(ids), **keys}
    else:
        written = {value: value.hex for value in set(ids)}
        asked = zip(dec_keys.tolist(), ra_keys.tolist(), map(written.__getitem__, ids), strict=True)
        values = {"asked": json.dumps(list(asked))}
    return Statement(_KNOWN[dialect], {"provenance": provenance, **values})


def spread_pairs(image_ids: Any, ra: Any, dec: Any) -> tuple[NDArray[np.object_], Any, Any]:
    """Broadcast images and positions together.

    Raises
    ------
    ShapeError
        If they do not fit together.
    """
    images = np.empty((), dtype=object)
    if isinstance(image_ids, UUID):
        images[()] = image_ids
    else:
        images = np.asarray(image_ids, dtype=object)
    try:
        spread: Any = np.broadcast_arrays(images, np.asarray(ra, dtype=float), np.asarray(dec, dtype=float))
    except ValueError as err:
        shapes = [np.shape(v) for v in (images, ra, dec)]
        msg = f"images and positions of shapes {shapes} do not fit together; give one position for each image"
        raise ShapeError(msg, shapes=shapes) from err
    return tuple(spread)


def mark_known(shape: tuple[int, ...], rows: Sequence[tuple[int]]) -> BoolArray:
    """Make the mask of what is measured of the rows of :func:`make_known_statement`."""
    known = np.zeros(math.prod(shape), dtype=bool)
    known[[row for (row,) in rows]] = True
    return known.reshape(shape)
