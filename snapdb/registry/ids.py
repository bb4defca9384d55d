"""Ids that snapdb makes itself: they sort by time, so that indexes grow at their end."""

import os
import time
from typing import Any
from uuid import UUID, SafeUUID


def make_id() -> UUID:
    """Make a UUID of version 7 (RFC 9562, section 5.7) with its sub-millisecond part in `rand_a`."""
    return make_ids(1)[0]


def make_ids(count: int) -> list[UUID]:
    """Make many ids, sorted: their times follow each other by a quarter of a microsecond.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    list of UUID
        Of version 7, as :func:`make_id` makes one.
    """
    tick = time.time_ns() * 4096 // 1_000_000
    tails = memoryview(os.urandom(8 * count)).cast("Q")
    return [_make(tick + number, tail) for number, tail in enumerate(tails)]


def _make(tick: int, tail: int) -> UUID:
    """Put an id together of a time in 1/4096 ms and 62 random bits."""
    value = tick >> 12 << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | tail >> 2
    return make_uuid(value)


def make_uuid(value: int) -> UUID:
    """Make an id of its 128 bits; the constructor takes three times as long over what else it accepts."""
    made: UUID = _new(UUID)
    _set_int(made, value)
    _set_safe(made, SafeUUID.unknown)
    return made


_new: Any = object.__new__
_slots_of_uuid: Any = UUID
_set_int, _set_safe = _slots_of_uuid.int.__set__, _slots_of_uuid.is_safe.__set__
