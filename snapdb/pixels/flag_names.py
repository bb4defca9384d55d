"""Which flags make a pixel bad, said as numbers, names, or both."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.pixels.flags import bad_mask
from snapdb.types import BoolArray, PixelArray

_SATURATED = re.compile(r"(?i)^(A_?D_)?SAT(URA.*)?$")
_SEPARATORS = re.compile(r"[,+|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFlags:
    """A choice of flags: bits of a plane of bits, or values of a plane of codes."""

    bits: int = 0
    """Bits that are chosen; negative numbers stand for all bits but some, as ``~8`` does."""
    codes: frozenset[int] | None = None
    """Values that are chosen where the plane holds one code a pixel; None where it holds bits."""
    others: bool = False
    """Whether all codes but those are chosen; never 0, which says that nothing is wrong."""

    def mask(self, flags: PixelArray) -> BoolArray:
        """Say which pixels carry a chosen flag.

        Parameters
        ----------
        flags : array of int
            Flags of pixels, any shape.

        Returns
        -------
        array of bool
            True where one is set.

        Raises
        ------
        UsageError
            If `flags` is not of integers.
        """
        if self.codes is None:
            none = np.zeros(np.shape(flags), dtype=np.bool_)
            return none if self.bits == 0 else bad_mask(flags, self.bits)
        any_code = bad_mask(flags, 0)
        found = np.isin(flags, sorted(self.codes)) if self.codes else np.zeros(np.shape(flags), np.bool_)
        return any_code & (~found if self.others else found)

    def __bool__(self) -> bool:
        """Say whether any flag is chosen."""
        return bool(self.others or self.codes or self.bits)

    def __or__(self, other: "BadFlags") -> "BadFlags":
        """Choose what either chooses; both of bits, or both of codes."""
        if self.codes is None or other.codes is None:
            return BadFlags(bits=self.bits | other.bits)
        if self.others and other.others:
            return BadFlags(codes=self.codes & other.codes, others=True)
        if self.others or other.others:
            wide, narrow = (self, other) if self.others else (other, self)
            return BadFlags(codes=(wide.codes or frozenset()) - (narrow.codes or frozenset()), others=True)
        return BadFlags(codes=self.codes | other.codes)


def choose_flags(spec: Any, names: Mapping[str, int], *, coded: bool = False) -> BadFlags:
    """Read a choice of flags.

    The syntax is that of :func:`astropy.nddata.bitmask.interpret_bit_flags`, with names and
    numbers freely mixed; but it lists the flags that are *bad*.

    Parameters
    ----------
    spec : int, str or list
        A number: bits, or-ed, or one code; 0 stands for every flag, and ``-9`` for all
        bits but 8. Text: ``"4,8"``, ``"SATURATED,HOT"``, separated by ``,``, ``+`` or ``|``;
        ``"~4,8"`` stands for all but these. A list of numbers, each one bit, and names;
        an empty one chooses none.
    names : mapping of str to int
        Names and what they stand for; case does not count.
    coded : bool
        Whether the plane holds codes, one a pixel, in place of bits.

    Returns
    -------
    BadFlags
        The choice.

    Raises
    ------
    UsageError
        If a name is not known, or it is no such choice.
    """
    if isinstance(spec, str):
        text = spec.strip()
        inverted = text.startswith("~")
        body = text[1:].strip() if inverted else text
        if body.startswith("(") and body.endswith(")"):
            body = body[1:-1]
        tokens: list[Any] = [part.strip() for part in _SEPARATORS.split(body)]
        return _make([_value(t, spec, names) for t in tokens], inverted=inverted, coded=coded)
    if isinstance(spec, int | np.integer) and not isinstance(spec, bool):
        return _from_number(int(spec), coded=coded)
    if isinstance(spec, Iterable) and not isinstance(spec, Mapping | bytes):
        values = [_value(item, spec, names) for item in spec]
        for item, value in zip(spec, values, strict=True):
            if not coded and not isinstance(item, str) and (value <= 0 or value & (value - 1)):
                raise _refuse(spec, f"{item!r} in the list is not one bit, such as 4 or 8")
        return _make(values, inverted=False, coded=coded)
    raise _refuse(spec, f"it is a {type(spec).__name__}")


def default_flags(
    flag_bits: Mapping[str, int], bad_bits: int, codes: Mapping[str, int] | None, good: Iterable[str] = ()
) -> BadFlags:
    """Give the flags that make a pixel bad where nobody says which.

    Parameters
    ----------
    flag_bits : mapping of str to int
        Names of bits.
    bad_bits : int
        Bits that make a pixel bad; 0 counts every bit.
    codes : mapping of str to int, or None
        Names of codes where the plane holds codes.
    good : iterable of str
        Names of codes that leave the pixel usable.

    Returns
    -------
    BadFlags
        The choice.
    """
    if codes:
        return BadFlags(codes=frozenset(codes[n] for n in good if n in codes), others=True)
    return choose_flags(int(bad_bits), flag_bits)


def saturation_flags(names: Mapping[str, int], *, coded: bool = False) -> BadFlags:
    """Give the flags whose names say that the pixel is saturated.

    Parameters
    ----------
    names : mapping of str to int
        Names and what they stand for.
    coded : bool
        Whether they are codes.

    Returns
    -------
    BadFlags
        None of them where no name says so.
    """
    values = [int(value) for name, value in names.items() if _SATURATED.match(name)]
    return _make(values, inverted=False, coded=coded)


def _value(token: Any, spec: Any, names: Mapping[str, int]) -> int:
    """Give what a number or a name stands for."""
    if isinstance(token, int | np.integer) and not isinstance(token, bool):
        return int(token)
    if not isinstance(token, str):
        raise _refuse(spec, f"{token!r} is neither a number nor a name")
    try:
        return int(token, 0)
    except ValueError:
        pass
    known = {name.upper(): int(value) for name, value in names.items()}
    if token.upper() in known:
        return known[token.upper()]
    near = difflib.get_close_matches(token.upper(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'no names'}"
    raise _refuse(spec, f"no flag is named {token!r}; {hint}")


def _from_number(number: int, *, coded: bool) -> BadFlags:
    """Take one number, of which 0 stands for every flag."""
    if coded:
        return BadFlags(codes=frozenset({number} if number else ()), others=number == 0)
    return BadFlags(bits=number or -1)


def _make(values: list[int], *, inverted: bool, coded: bool) -> BadFlags:
    """Put values together."""
    if coded:
        return BadFlags(codes=frozenset(values), others=inverted)
    bits = 0
    for value in values:
        bits |= value
    return BadFlags(bits=~bits if inverted else bits)


def _refuse(spec: Any, why: str) -> UsageError:
    """Make the error for a choice that is none."""
    msg = f"bad_bits={spec!r}: {why}; expected a number, names as in '~HOT,WARM', or a list of either"
    return UsageError(msg, bad_bits=spec)
