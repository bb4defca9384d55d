"""Every error that snapdb raises, in one tree.

Each class is also of the standard class that a Python user would catch, its
docstring is its default message, and its facts are attributes, never text to
be parsed::

    SnapdbError
    |-- UsageError (ValueError)          the call cannot be carried out as asked
    |   |-- SearchError                  a search names something that does not exist or cannot be
    |   |-- ShapeError                   arrays, sizes or boxes that do not fit
    |   |-- UnitError                    a quantity in the wrong unit
    |   |-- ProvenanceError              a provenance that cannot be hashed or does not match
    |   |-- NoOverlapError               (also astropy.nddata.NoOverlapError)
    |   `-- PartialOverlapError          (also astropy.nddata.PartialOverlapError)
    |-- NotFoundError (LookupError)      what was asked for by name is not there
    |-- ConflictError                    it exists already, and differs
    |-- FormatError (ValueError)         a file's content
    |   |-- UnknownFormatError           not a format that snapdb reads
    |   |-- CorruptFileError             damaged, or claims more than it holds
    |   |-- NotAnImageError              sound, but holds no 2-D celestial image
    |   |-- MissingKeywordError          a keyword without which the image makes no sense
    |   `-- ProjectionError              its WCS cannot be evaluated
    |-- StorageError (OSError)           where the bytes live
    |   |-- ObjectMissingError           (also FileNotFoundError)
    |   |-- ChangedFileError             differs from what was registered
    |   |-- ChecksumError
    |   |-- ReadOnlyStoreError           (also PermissionError)
    |   |-- ObjectExistsError            (also FileExistsError)
    |   `-- StoreUnavailableError        transient
    |-- RegistryError                    the database
    |   |-- SchemaVersionError           at another schema version than this code
    |   |-- RegistryClosedError          used after close()
    |   `-- RegistryUnavailableError     transient
    `-- ConfigError (ValueError)         settings

The two overlap errors are loaded on first use, since they bring astropy.nddata.
"""

from typing import TYPE_CHECKING, Any

from snapdb.errors.tree import (
    ChangedFileError,
    ChecksumError,
    ConfigError,
    ConflictError,
    CorruptFileError,
    FormatError,
    MissingKeywordError,
    NotAnImageError,
    NotFoundError,
    ObjectExistsError,
    ObjectMissingError,
    ProjectionError,
    ProvenanceError,
    ReadOnlyStoreError,
    RegistryClosedError,
    RegistryError,
    RegistryUnavailableError,
    SchemaVersionError,
    SearchError,
    ShapeError,
    SnapdbError,
    StorageError,
    StoreUnavailableError,
    UnitError,
    UnknownFormatError,
    UsageError,
)

if TYPE_CHECKING:
    from snapdb.errors.overlap import NoOverlapError, PartialOverlapError

__all__ = [
    "ChangedFileError",
    "ChecksumError",
    "ConfigError",
    "ConflictError",
    "CorruptFileError",
    "FormatError",
    "MissingKeywordError",
    "NoOverlapError",
    "NotAnImageError",
    "NotFoundError",
    "ObjectExistsError",
    "ObjectMissingError",
    "PartialOverlapError",
    "ProjectionError",
    "ProvenanceError",
    "ReadOnlyStoreError",
    "RegistryClosedError",
    "RegistryError",
    "RegistryUnavailableError",
    "SchemaVersionError",
    "SearchError",
    "ShapeError",
    "SnapdbError",
    "StorageError",
    "StoreUnavailableError",
    "UnitError",
    "UnknownFormatError",
    "UsageError",
]


def __getattr__(name: str) -> Any:
    """Load the overlap errors when they are first named."""
    if name in ("NoOverlapError", "PartialOverlapError"):
        from snapdb.errors import overlap

        return getattr(overlap, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
