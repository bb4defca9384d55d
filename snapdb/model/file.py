"""The bytes behind the planes."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class FileState(StrEnum):
    """Whether a file belongs to the store or only to the registry."""

    IN_PLACE = "in_place"
    STORED = "stored"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file that the registry knows."""

    key: str
    """Relative to the store's base when inside it, else the absolute path; forward slashes."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time at ingest, nanoseconds since 1970."""
    sha256: str
    """Hexadecimal digest of the bytes."""
    format: str
    """``fits``, ``fits.gz``, ``fits.bz2``, ``fits.fz``."""
    state: FileState = FileState.IN_PLACE
    id: UUID | None = None
    """None until the registry has given it one."""
