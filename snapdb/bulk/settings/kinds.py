"""The kinds of settings: whole numbers, numbers, choices, texts, lists."""

import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, TypeAlias

from snapdb.bulk.settings.setting import Effect, Setting

Extension: TypeAlias = str | int | dict[str, Any]
"""A FITS extension: its name, its number, or ``{"name": ..., "ext": ...}``."""

_MEMORY_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def whole(
    default: int, low: int, high: int | None, text: str, *, effect: Effect | None = None
) -> Setting[int]:
    """Make a setting that is an integer in a closed range.

    Parameters
    ----------
    default, low, high
        In the setting's unit; `high` None is no limit.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    return Setting(default, _take_whole(low, high), _span("an integer", low, high), text, effect=effect)


def maybe_whole(
    default: int | None, low: int, high: int | None, text: str, *, effect: Effect | None = None
) -> Setting[int | None]:
    """Make a setting that is an integer in a closed range, or None.

    Parameters
    ----------
    default, low, high
        In the setting's unit; `high` None is no limit.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    expected = _span("an integer", low, high)
    return Setting(default, _take_whole(low, high), expected, text, effect=effect, optional=True)


def number(
    default: float, low: float, high: float, text: str, *, effect: Effect | None = None
) -> Setting[float]:
    """Make a setting that is a number in a closed range.

    Parameters
    ----------
    default, low, high
        In the setting's unit.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    return Setting(default, _take_number(low, high), _span("a number", low, high), text, effect=effect)


def maybe_number(
    default: float | None,
    low: float,
    high: float,
    text: str,
    *,
    above: bool = False,
    effect: Effect | None = None,
) -> Setting[float | None]:
    """Make a setting that is a number in a range, or None.

    Parameters
    ----------
    default, low, high
        In the setting's unit.
    text
        What the setting says.
    above
        Whether `low` itself is out of the range.
    effect
        What it changes in the output.
    """
    expected = f"a number above {low:g}, at most {high:g}" if above else _span("a number", low, high)
    take = _take_number(low, high, above=above)
    return Setting(default, take, expected, text, effect=effect, optional=True)


def switch(text: str, *, default: bool, effect: Effect | None = None) -> Setting[bool]:
    """Make a setting that is on or off.

    Parameters
    ----------
    text
        What the setting says.
    default
        On or off.
    effect
        What it changes in the output.
    """
    return Setting(default, _take_switch, "True or False", text, effect=effect)


def choice(
    default: str,
    values: Sequence[str],
    text: str,
    *,
    aliases: Mapping[str, str] | None = None,
    effect: Effect | None = None,
) -> Setting[str]:
    """Make a setting that is one of a few words, in any case.

    Parameters
    ----------
    default, values
        The words.
    text
        What the setting says.
    aliases
        Other words for some of them.
    effect
        What it changes in the output.
    """
    take = _take_choice(values, aliases or {})
    return Setting(default, take, f"one of {', '.join(values)}", text, effect=effect)


def maybe_choice(
    default: str | None, values: Sequence[str], text: str, *, effect: Effect | None = None
) -> Setting[str | None]:
    """Make a setting that is one of a few words, or None.

    Parameters
    ----------
    default, values
        The words.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    expected = f"one of {', '.join(values)}"
    return Setting(default, _take_choice(values, {}), expected, text, effect=effect, optional=True)


def words(default: str, text: str, *, effect: Effect | None = None) -> Setting[str]:
    """Make a setting that is text, or a path.

    Parameters
    ----------
    default
        The text.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    return Setting(default, _take_text, "text that is not empty", text, effect=effect)


def maybe_words(text: str) -> Setting[str | None]:
    """Make a setting that is text, or a path, or None, as it is at first.

    Parameters
    ----------
    text
        What the setting says.
    """
    return Setting(None, _take_text, "text that is not empty", text, optional=True)


def extensions(
    default: list[Extension], text: str, *, effect: Effect | None = None
) -> Setting[list[Extension]]:
    """Make a setting that is a list of FITS extensions.

    Parameters
    ----------
    default
        The list.
    text
        What the setting says.
    effect
        What it changes in the output.
    """
    expected = "a list of extension names, numbers, or {'name': ..., 'ext': ...}"
    return Setting(default, _take_extensions, expected, text, effect=effect)


def weights(default: dict[str, list[float]], text: str) -> Setting[dict[str, list[float]]]:
    """Make the setting of the channels' weights.

    Parameters
    ----------
    default
        Channel -> weight in each output channel.
    text
        What the setting says.
    """
    expected = (
        "{'CHANNEL': [weight, ...], ...} (in TOML: {CHANNEL = [1.0, 0.0], OTHER = [0.0, 1.0]}), "
        "finite numbers, as many for each channel, not all 0"
    )
    return Setting(default, _take_weights, expected, text, effect="pixels")


def several(default: list[str], values: Sequence[str], text: str, *, effect: Effect) -> Setting[list[str]]:
    """Make a setting that is some of a few words, each once.

    Parameters
    ----------
    default, values
        The words.
    text
        What the setting says.
    effect
        What it changes in the output.
    """

    def take(value: Any) -> list[str]:
        one = _take_choice(values, {})
        given = [value] if isinstance(value, str) else list(value)
        if not given:
            raise ValueError(value)
        return list(dict.fromkeys(one(v) for v in given))

    return Setting(default, take, f"a list of some of {', '.join(values)}", text, effect=effect)


def memory(text: str) -> Setting[int | None]:
    """Make a setting that is an amount of memory, kept in bytes; None at first.

    Parameters
    ----------
    text
        What the setting says.
    """
    expected = "an amount of memory of at least 64 MB, such as '2 GB' or a number of bytes"
    return Setting(None, _take_memory, expected, text, optional=True)


def function(text: str) -> Setting[Callable[..., Any] | None]:
    """Make a setting that is a function; None at first.

    Parameters
    ----------
    text
        What the setting says.
    """

    def take(value: Any) -> Callable[..., Any]:
        if not callable(value):
            raise TypeError(value)
        made: Callable[..., Any] = value
        return made

    return Setting(None, take, "a function", text, effect="pixels", optional=True)


def _span(kind: str, low: float, high: float | None) -> str:
    """Say a range."""
    return f"{kind}, {low:.10g} or more" if high is None else f"{kind} from {low:.10g} to {high:.10g}"


def _take_whole(low: int, high: int | None) -> Callable[[Any], int]:
    """Make the check of an integer."""

    def take(value: Any) -> int:
        integral = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
        if isinstance(value, bool) or not integral:
            raise TypeError(value)
        kept = int(value)
        if kept < low or (high is not None and kept > high):
            raise ValueError(value)
        return kept

    return take


def _take_number(low: float, high: float, *, above: bool = False) -> Callable[[Any], float]:
    """Make the check of a number."""

    def take(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(value)
        kept = float(value)
        if not low <= kept <= high or (above and kept == low):
            raise ValueError(value)
        return kept

    return take


def _take_switch(value: Any) -> bool:
    """Take True or False, numpy's too, and nothing that merely stands for them."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(value)
    return bool(value)


def _take_choice(values: Sequence[str], aliases: Mapping[str, str]) -> Callable[[Any], str]:
    """Make the check of a word."""
    known = {**{v.lower(): v for v in values}, **aliases}

    def take(value: Any) -> str:
        # An enumeration's value, or the name of a type such as numpy.float32.
        text = getattr(value, "value", getattr(value, "__name__", value))
        if not isinstance(text, str) or text.lower() not in known:
            raise ValueError(value)
        return known[text.lower()]

    return take


def _take_text(value: Any) -> str:
    """Take text or a path."""
    if not isinstance(value, str | PurePath) or not str(value):
        raise TypeError(value)
    return str(value)


def _take_extensions(value: Any) -> list[Extension]:
    """Take a list of extensions."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise TypeError(value)
    return [_take_extension(v) for v in value]


def _take_extension(value: Any) -> Extension:
    """Take one extension."""
    if isinstance(value, Mapping):
        if not value or not set(value) <= {"name", "ext"}:
            raise ValueError(value)
        if any(isinstance(v, Mapping) for v in value.values()):
            raise TypeError(value)
        return {k: _take_extension(v) for k, v in value.items()}
    if isinstance(value, str) and value:
        return value
    return _take_whole(0, None)(value)


def _take_weights(value: Any) -> dict[str, list[float]]:
    """Take the weights of the channels: at least one channel, all with as many weights."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(k, str) and k for k in value):
        raise TypeError(value)
    taken = {name: _take_row(row) for name, row in value.items()}
    if len({len(row) for row in taken.values()}) != 1:
        raise ValueError(value)
    if not any(w for row in taken.values() for w in row):
        raise ValueError(value)
    return taken


def _take_row(row: Any) -> list[float]:
    """Take the weights of one channel."""
    given = list(row) if not isinstance(row, str) else None
    if not given:
        raise ValueError(row)
    return [_take_number(-sys.float_info.max, sys.float_info.max)(w) for w in given]


def _take_memory(value: Any) -> int:
    """Take bytes, or text such as "2 GB" or "512 MiB"."""
    if isinstance(value, str):
        text = value.strip().lower().removesuffix("b")
        binary = text.endswith("i")
        text = text.removesuffix("i")
        letter = text[-1:] if text[-1:] in _MEMORY_UNITS else ""
        scale = _MEMORY_UNITS[letter]
        scale = 1024 ** ("kmgt".index(letter) + 1) if binary and letter else scale
        value = int(float(text.removesuffix(letter)) * scale)
    return _take_whole(64 * 10**6, None)(value)
