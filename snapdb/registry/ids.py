"""Ids that snapdb makes itself: they sort by time, so that indexes grow at their end."""

import secrets
import time
from uuid import UUID


def make_id() -> UUID:
    """Make a UUID of version 7 (RFC 9562, section 5.7) with its sub-millisecond part in `rand_a`."""
    ms, ns = divmod(time.time_ns(), 1_000_000)
    fraction = ns * 4096 // 1_000_000
    return UUID(int=ms << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
