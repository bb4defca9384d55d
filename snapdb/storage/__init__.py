"""Where the bytes live: a base folder, keys below it, remote files, and writes that are whole or absent."""

from snapdb.storage.atomic import write_atomically
from snapdb.storage.local import FileFingerprint, LocalStore, fingerprint

__all__ = ["FileFingerprint", "LocalStore", "fingerprint", "write_atomically"]
