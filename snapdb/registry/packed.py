"""Long arrays as parameters of PostgreSQL, written by numpy: psycopg takes a microsecond for each value."""

import struct
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from snapdb.types import IntArray

_INT8, _UUID = 20, 2950
"""Numbers of the types (PostgreSQL: src/include/catalog/pg_type.dat)."""


class PackedArray(bytes):
    """An array as PostgreSQL reads it in binary; the statement must cast its parameter to that type."""

    __slots__ = ()


class _Passing(Dumper):
    """Hands the bytes on as they are."""

    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        """Give the bytes."""
        return obj


psycopg.adapters.register_dumper(PackedArray, _Passing)


def pack_integers(values: IntArray) -> PackedArray:
    """Write an array of bigint."""
    made = np.empty(len(values), dtype=[("length", ">i4"), ("value", ">i8")])
    made["length"], made["value"] = 8, values
    return _pack(_INT8, len(values), made.tobytes())


def pack_ids(values: Sequence[UUID]) -> PackedArray:
    """Write an array of uuid; the bytes of an id that comes again are looked up."""
    written = {value: value.bytes for value in set(values)}
    made = np.empty(len(values), dtype=[("length", ">i4"), ("value", "V16")])
    made["length"] = 16
    made["value"] = np.frombuffer(b"".join(map(written.__getitem__, values)), dtype="V16")
    return _pack(_UUID, len(values), made.tobytes())


def _pack(kind: int, count: int, elements: bytes) -> PackedArray:
    """Put the head of an array of one dimension before its elements (src/backend/utils/adt/arrayfuncs.c)."""
    if count == 0:
        return PackedArray(struct.pack(">iii", 0, 0, kind))
    return PackedArray(struct.pack(">iiiii", 1, 0, kind, count, 1) + elements)
