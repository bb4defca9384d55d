"""The classes of the tree that :mod:`snapdb.errors` draws, save the two that need astropy."""

from typing import TYPE_CHECKING, Any, ClassVar, Self


class SnapdbError(Exception):
    """Something in snapdb failed.

    Parameters
    ----------
    message : str, optional
        What failed, where, what was expected and what to do; the first line of
        the class's docstring when not given.
    **fields : object
        The facts of the failure; each becomes an attribute.
    """

    code: ClassVar[str] = "error"
    transient: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **fields: object) -> None:
        doc = type(self).__doc__ or type(self).__name__
        self.message = message if message is not None else doc.splitlines()[0]
        self.fields = fields
        super().__init__(self.message)
        for name, value in fields.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Tell type checkers that the fields are attributes."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.fields)

    @classmethod
    def rebuilt(cls, message: str, fields: dict[str, object]) -> Self:
        """Make the error again in another process."""
        return cls(message, **fields)


def _rebuild(cls: type[SnapdbError], message: str, fields: dict[str, object]) -> SnapdbError:
    return cls.rebuilt(message, fields)


class UsageError(SnapdbError, ValueError):
    """The call cannot be carried out as it was asked."""

    code = "usage"


class SearchError(UsageError):
    """The search names something that does not exist, or a value that cannot be."""

    code = "search"


class ShapeError(UsageError):
    """Arrays, sizes or boxes do not fit together."""

    code = "shape"


class UnitError(UsageError):
    """A quantity has a unit that cannot be converted to what was expected."""

    code = "unit"


class ProvenanceError(UsageError):
    """A provenance cannot be hashed, or does not match what it is used for."""

    code = "provenance"


class NotFoundError(SnapdbError, LookupError):
    """What was asked for is not in the archive."""

    code = "not_found"


class ConflictError(SnapdbError):
    """It exists already, and differs from what was given."""

    code = "conflict"


class FormatError(SnapdbError, ValueError):
    """A file's content cannot be used."""

    code = "format"


class UnknownFormatError(FormatError):
    """The file is of no format that snapdb reads."""

    code = "unknown_format"


class CorruptFileError(FormatError):
    """The file is damaged, or claims more than it holds."""

    code = "corrupt_file"


class NotAnImageError(FormatError):
    """The file is sound, but holds no two-dimensional image of the sky."""

    code = "not_an_image"


class MissingKeywordError(FormatError):
    """A keyword is missing without which the image makes no sense."""

    code = "missing_keyword"


class ProjectionError(FormatError):
    """The world coordinate system of the image cannot be evaluated."""

    code = "projection"


class StorageError(SnapdbError, OSError):
    """Bytes cannot be read or written."""

    code = "storage"


class ObjectMissingError(StorageError, FileNotFoundError):
    """The file is not where it should be."""

    code = "object_missing"


class ObjectExistsError(StorageError, FileExistsError):
    """The file exists already, and snapdb does not write over it."""

    code = "object_exists"


class ReadOnlyStoreError(StorageError, PermissionError):
    """The folder cannot be written to."""

    code = "read_only"


class ChangedFileError(StorageError):
    """The file differs from what was registered."""

    code = "changed_file"


class ChecksumError(StorageError):
    """The file's checksum differs from the registered one."""

    code = "checksum"


class StoreUnavailableError(StorageError):
    """The store does not answer; try again."""

    code = "store_unavailable"
    transient = True


class RegistryError(SnapdbError):
    """The database refused what was asked of it."""

    code = "registry"


class SchemaVersionError(RegistryError):
    """The database has another schema version than this snapdb."""

    code = "schema_version"


class RegistryClosedError(RegistryError):
    """The archive was used after it had been closed."""

    code = "registry_closed"


class RegistryUnavailableError(RegistryError):
    """The database does not answer; try again."""

    code = "registry_unavailable"
    transient = True


class ConfigError(SnapdbError, ValueError):
    """A setting is missing, unknown or malformed."""

    code = "config"
