"""A measured image that is used as a dictionary too, as stdpipe has its cutouts."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, Self

import numpy as np

from snapdb.archive.measured import MeasuredImage
from snapdb.errors import NotFoundError, UsageError
from snapdb.types import PixelArray

PLANE_OF = {"image": "data", "err": "noise", "dq": "flags"}
"""Key of the dictionary style -> plane, where they differ."""
KEY_OF = {"data": "image", "noise": "err"}
"""Plane -> its key, where they differ and the caller named it no other way."""
_FIXED = ("mask", "meta", "header")
_MISSING = object()


class MissingKeyError(NotFoundError, KeyError):
    """The cutout has nothing of that name."""

    code = "missing_key"


def name_planes(keys: Iterable[str]) -> dict[str, str]:
    """Tell which plane each key means.

    Parameters
    ----------
    keys : iterable of str
        Names of the dictionary style.

    Returns
    -------
    dict
        Key -> plane.

    Raises
    ------
    UsageError
        If two keys mean one plane.
    """
    planes: dict[str, str] = {}
    for key in keys:
        plane = PLANE_OF.get(key, key)
        twin = next((other for other, taken in planes.items() if taken == plane), None)
        if twin is not None:
            msg = f"{twin!r} and {key!r} are two names of one plane; give one of them, or another name"
            raise UsageError(msg, names=(twin, key))
        planes[key] = plane
    return planes


def given_names(planes: Mapping[str, str]) -> dict[str, str]:
    """Tell which planes have another key than their usual one.

    Parameters
    ----------
    planes : mapping
        Key -> plane.

    Returns
    -------
    dict
        Plane -> key.
    """
    return {plane: key for key, plane in planes.items() if KEY_OF.get(plane, plane) != key}


class KeyedImage(MeasuredImage):
    """A measured image with the keys, and most of the methods, of a dictionary; it is no ``dict``."""

    _said: dict[str, Any] | None = None
    _extras: dict[str, Any] | None = None
    _names: Mapping[str, str] = MappingProxyType({})
    """Plane -> the key that the caller gave it."""
    _unsaid: frozenset[str] = frozenset()

    def _set_plane(self, name: str, array: PixelArray | None) -> None:
        """Put an array in place of a plane; a mask that is given is listed."""
        super()._set_plane(name, array)
        self._unsaid -= {name}

    def name_keys(self, names: Mapping[str, str], unsaid: Iterable[str] = ()) -> None:
        """Keep the names by which a caller knows planes, and what nobody gave.

        Parameters
        ----------
        names : mapping
            Key -> plane.
        unsaid : iterable of str
            Of ``mask`` and ``header``, those that are not listed.
        """
        self._names = given_names(names)
        self._unsaid = frozenset(unsaid) & set(_FIXED)

    @property
    def unsaid(self) -> frozenset[str]:
        """Of ``mask`` and ``header``, those that nobody gave: they can be asked for, and are not listed."""
        return self._unsaid

    @property
    def meta(self) -> dict[str, Any]:
        """What is said of the source and the cutout, by name; yours to change."""
        if self._said is None:
            self._said = {}
        return self._said

    def __getitem__(self, key: str) -> Any:
        """Give what :meth:`keys` names; also the mask, the header, and a plane by another of its names."""
        if key in _FIXED:
            return getattr(self, key)
        if key == "wcs" and self.has_wcs:
            return self.get_wcs().get_astropy_wcs()
        plane = self._own.get(PLANE_OF.get(key, key)) if isinstance(key, str) else None
        if plane is not None:
            return plane
        if not self._extras or key not in self._extras:
            self._refuse(key)
        return self._extras[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a plane (an array of the cutout's shape), the meta, the header, or keep another value."""
        if key == "wcs":
            msg = "the coordinates follow from the place in the parent; make another Cutout to change them"
            raise UsageError(msg, key=key)
        if key == "meta":
            self._said = dict(value)
        elif key == "header":
            self._header = value
            self._unsaid -= {key}
        elif key == "mask":
            self.mask = value
            self._unsaid -= {key}
        elif key in self._own or key in PLANE_OF or key in KEY_OF or key == "flags" or _is_plane(value):
            plane = PLANE_OF.get(key, key)
            if plane not in self._own:
                self._names = {**self._names, plane: key}
            self._set_plane(plane, value)
        else:
            self._extras = {**(self._extras or {}), key: value}

    def __delitem__(self, key: str) -> None:
        """Take a plane or another value out; a mask and a header go back to what the pixels say."""
        if key in ("meta", "image", "data", "wcs"):
            msg = f"a cutout cannot be without its {key!r}"
            raise UsageError(msg, key=key)
        if key not in self:
            self._refuse(key)
        if key == "header":
            self._header = None
        elif key == "mask":
            self._own.pop(key, None)
        elif self._extras and key in self._extras:
            self._extras = {k: v for k, v in self._extras.items() if k != key}
        else:
            self._set_plane(PLANE_OF.get(key, key), None)
        if key in _FIXED:
            self._unsaid |= {key}

    def __contains__(self, key: object) -> bool:
        """Say whether there is such a plane or value; a mask and a header only where they were given."""
        if key in self.keys():
            return True
        return isinstance(key, str) and key not in _FIXED and PLANE_OF.get(key, key) in self._own

    def __iter__(self) -> Iterator[str]:
        """Go through the keys."""
        return iter(self.keys())

    def __len__(self) -> int:
        """Count the keys."""
        return len(self.keys())

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """Give a plain dictionary of both; what `other` has wins."""
        return dict(self.items()) | dict(other.items())

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """Give a plain dictionary of both; what the cutout has wins."""
        return dict(other.items()) | dict(self.items())

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        """Set several things."""
        self.update(other)
        return self

    def keys(self) -> list[str]:
        """Name what there is: ``image``, ``err``, further planes, ``mask``, ``meta``, ``header``, ``wcs``."""
        known = {**KEY_OF, **self._names}
        planes = [known.get(name, name) for name in self._own if name != "mask"]
        fixed = [key for key in _FIXED if key not in self._unsaid]
        return [*planes, *fixed, *(["wcs"] if self.has_wcs else []), *(self._extras or {})]

    def values(self) -> list[Any]:
        """Give what there is, in the order of the keys."""
        return [self[key] for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """Give keys with what they name."""
        return [(key, self[key]) for key in self.keys()]

    def get(self, key: str, default: Any = None) -> Any:
        """Give what a key names, or a default."""
        return self[key] if key in self else default  # noqa: SIM401  # this is get

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Take a plane or another value out and give it; a default where there is none.

        Raises
        ------
        KeyError
            If there is none, and no default.
        UsageError
            If a cutout cannot be without it.
        """
        if key not in self:
            if default is _MISSING:
                self._refuse(key)
            return default
        value = self[key]
        del self[key]
        return value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Give what a key names; set it first where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, others: Mapping[str, Any]) -> None:
        """Set several things."""
        for key, value in others.items():
            self[key] = value

    def _refuse(self, key: str) -> NoReturn:
        """Say that there is nothing of a name."""
        msg = f"the cutout has no {key!r}; it has {', '.join(self)}"
        raise MissingKeyError(msg, key=key)


def _is_plane(value: Any) -> bool:
    """Say whether a value has two axes, as pixels have."""
    return bool(np.ndim(value) == 2)
