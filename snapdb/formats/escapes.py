"""Text in FITS cards, which hold printable ASCII alone: other characters as Python escapes them."""

import re

_CODE = r"(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))"
_ESCAPE = re.compile(rf"\\{_CODE}")
_UNFIT = re.compile(rf"[^ -~]|\\(?={_CODE})")


def escape_text(text: str) -> str:
    r"""Give text as a card can hold it.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Of printable ASCII; other characters stand as their codes, such as ``\xe9``, and so does a
        backslash that would begin one.

    Examples
    --------
    >>> escape_text("r\u00e9")
    'r\\xe9'
    """
    return _UNFIT.sub(lambda match: _escape(match[0]), text)


def unescape_text(text: str) -> str:
    """Give the text that :func:`escape_text` was given.

    Parameters
    ----------
    text : str
        Of a card.

    Returns
    -------
    str
        A code of a printable ASCII character other than the backslash is no escape, and stays as it is.
    """
    return _ESCAPE.sub(_unescape, text)


def _escape(character: str) -> str:
    """Give a character's code in the shortest of three forms."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(match: re.Match[str]) -> str:
    """Give the character of a code."""
    code = int(match[1] or match[2] or match[3], 16)
    is_escape = code <= 0x10FFFF and (not " " <= chr(code) <= "~" or chr(code) == "\\")
    return chr(code) if is_escape else match[0]
