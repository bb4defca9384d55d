"""The columns of a listing, which the library defines."""

from snapdb.archive.columns import TYPES, UNITS, make_row

__all__ = ["TYPES", "UNITS", "make_row"]
