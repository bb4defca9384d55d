"""What the parts of a provenance may be."""

from typing import cast

from snapdb.errors import ProvenanceError
from snapdb.model.canonical import to_json_value


def check_process(process: object) -> str:
    """Refuse a process that is not a name.

    Parameters
    ----------
    process : object
        As a caller gave it.

    Raises
    ------
    ProvenanceError
        If it is no text, or holds nothing but spaces.
    """
    return _check_name("process", process, "a name")


def check_tag(tag: object) -> str:
    """Refuse a tag that is not a name: nobody could see it in a list, or ask for it.

    Parameters
    ----------
    tag : object
        As a caller gave it.

    Raises
    ------
    ProvenanceError
        If it is no text, or holds nothing but spaces.
    """
    return _check_name("tag", tag, "a name such as 'dr1'")


def _check_name(part: str, value: object, expected: str) -> str:
    """Refuse what is no text, or holds nothing but spaces."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{part} is {value!r:.80}, expected {expected}"
        raise ProvenanceError(msg, path=part)
    return cast("str", to_json_value(value, part))


def check_integer(name: str, value: object) -> int:
    """Refuse a version that is not an integer, so that 1.9 does not become 1.

    Parameters
    ----------
    name : str
        Of the part, for messages.
    value : object
        As a caller gave it; numpy's integers are integers.

    Raises
    ------
    ProvenanceError
        If it is none, or has more than 32 bits.
    """
    number = to_json_value(value, name)
    if isinstance(number, bool) or not isinstance(number, int):
        msg = f"{name} is {value!r:.80}, expected an integer"
        raise ProvenanceError(msg, path=name)
    if not -(2**31) <= number < 2**31:
        msg = f"{name} is {number}, expected an integer of 32 bits"
        raise ProvenanceError(msg, path=name)
    return number


def check_environment(environment: object) -> int | str | None:
    """Refuse an environment that is not a name or a number.

    Parameters
    ----------
    environment : object
        As a caller gave it.

    Raises
    ------
    ProvenanceError
        If it is neither, nor None.
    """
    value = to_json_value(environment, "environment")
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        msg = f"environment is {environment!r:.80}, expected an integer, text or None"
        raise ProvenanceError(msg, path="environment")
    return value
