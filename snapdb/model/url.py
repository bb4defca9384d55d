"""Addresses of files that are not on this machine."""

import re
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from snapdb.errors import UsageError

SCHEMES = ("http", "https", "s3")
"""What can be read."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
_MANGLED = re.compile(rf"({'|'.join(SCHEMES)}):/[^/]")
_SECRET = re.compile(
    r"x-(amz|goog)-.*|signature|sig|(access_?|auth_?|api_?|id_?)?(token|key)|awsaccesskeyid|password|secret",
    re.IGNORECASE,
)
"""Names of parts of a query that let whoever has them in."""


class Url(str):
    """The address of a remote file; a text, so that it travels where paths do.

    Made by :func:`to_url`, which sees that it holds no secret.
    """

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """``http``, ``https`` or ``s3``."""
        return self.split("://", 1)[0]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return unquote(urlsplit(self).path.rsplit("/", 1)[-1])

    def as_posix(self) -> str:
        """Give the address, as a path would give itself with forward slashes."""
        return str(self)

    def with_name(self, name: str) -> Self:
        """Give the address of a file beside this one."""
        parts = urlsplit(self)
        path = f"{parts.path.rsplit('/', 1)[0]}/{name}"
        return type(self)(parts._replace(path=path).geturl())


def is_url(text: str) -> bool:
    """Tell whether a text is the address of a remote file, and no path."""
    if "://" not in text:  # asked before each cutout
        return False
    found = _URL.match(text)
    return found is not None and found["scheme"].lower() in SCHEMES


def to_url(text: str) -> Url | None:
    """Take a text for a remote address.

    Parameters
    ----------
    text : str
        What a user names.

    Returns
    -------
    Url or None
        None where it is a path on this machine.

    Raises
    ------
    UsageError
        If it holds a password or a signature, which would be stored; if the scheme is none
        that can be read; or if it went through a ``Path``, which does not keep addresses.
    """
    if _MANGLED.match(text):
        msg = f"{text} was an address before it became a Path, which drops a slash; give addresses as text"
        raise UsageError(msg, url=text)
    found = _URL.match(text)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    if scheme not in SCHEMES:
        msg = f"{scheme}://: expected an address that begins with {', '.join(s + '://' for s in SCHEMES)}"
        raise UsageError(msg, scheme=scheme)
    return _checked(scheme + text[found.end() - 3 :])


def _checked(text: str) -> Url:
    """Refuse an address that is incomplete or would give a secret away; never repeat the secret."""
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}"
    if not host or not parts.path.strip("/"):
        msg = f"{shown}: expected an address such as https://host/file.fits or s3://bucket/file.fits"
        raise UsageError(msg, url=shown)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.fullmatch(name)]
    if "@" in parts.netloc or names:
        what = "a user or password" if "@" in parts.netloc else f"the secret {names[0]!r}"
        msg = (
            f"{shown}: the address holds {what}, which would be stored with it; put it into ~/.netrc (http) "
            "or the AWS settings (s3), and leave it out"
        )
        raise UsageError(msg, url=shown)
    if parts.scheme == "s3":
        return Url(text)
    return Url(parts._replace(netloc=parts.netloc.lower(), fragment="").geturl())
