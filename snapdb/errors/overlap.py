"""The errors of boxes that miss an image, caught by handlers of astropy's too."""

from astropy.nddata.utils import NoOverlapError as AstropyNoOverlapError
from astropy.nddata.utils import PartialOverlapError as AstropyPartialOverlapError

from snapdb.errors.tree import UsageError


class NoOverlapError(UsageError, AstropyNoOverlapError):  # type: ignore[misc]  # astropy is untyped
    """The position or box does not touch the image.

    In ``snapdb`` and ``snapdb.errors``; it is caught as ``astropy.nddata.NoOverlapError`` and as
    ValueError too.
    """

    code = "no_overlap"


class PartialOverlapError(UsageError, AstropyPartialOverlapError):  # type: ignore[misc]  # astropy is untyped
    """The box reaches beyond the image, and mode 'strict' was asked for.

    In ``snapdb`` and ``snapdb.errors``; it is caught as ``astropy.nddata.PartialOverlapError`` and
    as ValueError too.
    """

    code = "partial_overlap"
