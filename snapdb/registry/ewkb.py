"""Footprints as EWKB, the bytes that PostGIS keeps and SQLite can keep."""

import struct
from collections.abc import Sequence

import numpy as np

from snapdb.types import FloatArray

Vertices = tuple[tuple[float, float], ...]

_POLYGON_WITH_SRID = 0x20000003
_POINT_WITH_SRID = 0x20000001
_MULTIPOINT_WITH_SRID = 0x20000004
_SRID = 4326
_POINT = struct.Struct("<BIIdd")
_PLAIN_POINT = struct.Struct("<BIdd")
_MANY = struct.Struct("<BIII")
_HEAD = struct.Struct("<BIIII")


def write_polygon(vertices: Sequence[tuple[float, float]]) -> bytes:
    """Write a ring of vertices as a polygon.

    Parameters
    ----------
    vertices : sequence of (ra, dec)
        ICRS degrees, open: the first is not repeated.

    Returns
    -------
    bytes
        EWKB, little-endian. Longitudes are in [-180, 180], as PostGIS wants them.
    """
    ring = [(to_longitude(ra), dec) for ra, dec in (*vertices, vertices[0])]
    numbers = [value for point in ring for value in point]
    return _HEAD.pack(1, _POLYGON_WITH_SRID, _SRID, 1, len(ring)) + struct.pack(f"<{len(numbers)}d", *numbers)


def write_polygons(rings: FloatArray) -> list[bytes]:
    """Write many rings of the same number of vertices.

    Parameters
    ----------
    rings : array, shape (m, vertices, 2)
        (ra, dec), ICRS degrees, open.

    Returns
    -------
    list of bytes
        As :func:`write_polygon` writes each.
    """
    closed = np.concatenate((rings, rings[:, :1]), axis=1)
    closed[..., 0] = np.where(closed[..., 0] > 180.0, closed[..., 0] - 360.0, closed[..., 0])
    head = _HEAD.pack(1, _POLYGON_WITH_SRID, _SRID, 1, closed.shape[1])
    size = 16 * closed.shape[1]
    numbers = closed.astype("<f8").tobytes()
    return [head + numbers[start : start + size] for start in range(0, len(numbers), size)]


def write_point(ra: float, dec: float) -> bytes:
    """Write a position, ICRS degrees, as a point."""
    return _POINT.pack(1, _POINT_WITH_SRID, _SRID, to_longitude(ra), dec)


def write_points(positions: Sequence[tuple[float, float]]) -> bytes:
    """Write positions, ICRS degrees, as one multipoint."""
    points = b"".join(_PLAIN_POINT.pack(1, 1, to_longitude(ra), dec) for ra, dec in positions)
    return _MANY.pack(1, _MULTIPOINT_WITH_SRID, _SRID, len(positions)) + points


def read_polygon(data: bytes) -> Vertices:
    """Read the ring back.

    Parameters
    ----------
    data : bytes
        As :func:`write_polygon` gives it.

    Returns
    -------
    tuple of (ra, dec)
        ICRS degrees with right ascension in [0, 360), open.
    """
    *_, count = _HEAD.unpack_from(data)
    numbers = struct.unpack_from(f"<{2 * count}d", data, _HEAD.size)
    points = tuple((lon % 360.0, lat) for lon, lat in zip(numbers[::2], numbers[1::2], strict=True))
    return points[:-1]


def to_longitude(ra: float) -> float:
    """Bring a right ascension in [0, 360) into [-180, 180]."""
    return ra - 360.0 if ra > 180.0 else ra
