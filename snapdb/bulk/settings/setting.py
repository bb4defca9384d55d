"""One setting as a typed, checked attribute, and the section that holds it."""

import difflib
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Generic, Literal, Self, TypeVar, overload

from snapdb.errors import ConfigError, SnapdbError

T = TypeVar("T")

Effect = Literal["pixels", "layout"]
"""What a setting changes: the stamps' values, or how they lie on disk."""


def refused(name: str, value: object, expected: str) -> ConfigError:
    """Make the error for a value that a setting cannot have.

    Parameters
    ----------
    name
        Of the setting, with its section.
    value
        What was given.
    expected
        What would do.
    """
    msg = f"config.{name} = {value!r:.80}: expected {expected}"
    return ConfigError(msg, key=name, value=value, expected=expected)


class Setting(Generic[T]):
    """A setting: an attribute of a :class:`Section` that is checked when it is set.

    Parameters
    ----------
    default : T
        Its value until it is set.
    take : callable
        Gives the value to keep, or raises ValueError.
    expected : str
        What `take` takes, for messages.
    text : str
        What the setting says.
    effect : {"pixels", "layout"}, optional
        What it changes in the output; None where it changes nothing.
    optional : bool
        Whether None, or the text "none" that stands for it in TOML, is allowed.
    """

    def __init__(
        self,
        default: T,
        take: Callable[[Any], T],
        expected: str,
        text: str,
        *,
        effect: Effect | None = None,
        optional: bool = False,
    ) -> None:
        self.default = default
        self.expected = f"{expected}, or None" if optional else expected
        self.text = text
        self.effect = effect
        self.optional = optional
        self.name = ""
        self._take = take

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, section: None, owner: type) -> Self: ...
    @overload
    def __get__(self, section: "Section", owner: type) -> T: ...
    def __get__(self, section: "Section | None", owner: type) -> Self | T:
        if section is None:
            return self
        value: T = section.__dict__[self.name]
        return value

    def __set__(self, section: "Section", value: Any) -> None:
        section.__dict__[self.name] = self.take(value, section.path(self.name))

    def take(self, value: Any, path: str) -> T:
        """Check a value.

        Parameters
        ----------
        value
            As given.
        path
            The setting's name, with its section, for the message.

        Returns
        -------
        T
            The value to keep.

        Raises
        ------
        ConfigError
            If the setting cannot have it.
        """
        if self.optional and (value is None or (isinstance(value, str) and value.lower() == "none")):
            return None  # type: ignore[return-value]  # T includes None where it is optional
        try:
            return self._take(value)
        except SnapdbError as err:  # it says what is wrong inside the value
            msg = f"config.{path}: {err}"
            raise ConfigError(msg, key=path, value=value, expected=self.expected) from err
        except (ValueError, TypeError) as err:
            raise refused(path, value, self.expected) from err


class Section:
    """Settings that are read and set as attributes or as items.

    Names that are no setting are refused, so that a slip of the pen is seen.
    """

    _PREFIX = ""

    def __init__(self) -> None:
        for setting in self.settings():
            self.__dict__[setting.name] = deepcopy(setting.default)
        for name, kind in self.sections().items():
            self.__dict__[name] = kind()

    @classmethod
    def settings(cls) -> "tuple[Setting[Any], ...]":
        """List the settings of this section, in order."""
        return tuple(v for v in vars(cls).values() if isinstance(v, Setting))

    @classmethod
    def sections(cls) -> "dict[str, type[Section]]":
        """Name the sections inside this one."""
        return {}

    @classmethod
    def path(cls, name: str) -> str:
        """Give the full name of a setting.

        Parameters
        ----------
        name
            Inside this section.
        """
        return f"{cls._PREFIX}{name}"

    def keys(self) -> Iterator[str]:
        """Yield the names of all settings and sections."""
        yield from (setting.name for setting in self.settings())
        yield from self.sections()

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield names with values."""
        return ((name, self.__dict__[name]) for name in self.keys())

    def get(self, name: str, default: Any = None) -> Any:
        """Give a setting, or the default where there is none of that name.

        Parameters
        ----------
        name
            Of the setting.
        default
            What is given when there is no such setting.
        """
        return self.__dict__.get(name, default)

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Set several settings; dictionaries go into the sections of their names.

        Parameters
        ----------
        values
            A dictionary, another section, or pairs.
        **more
            Further settings.

        Raises
        ------
        ConfigError
            If one is unknown, or cannot have its value.
        """
        for name, value in {**dict(values), **more}.items():
            setattr(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Copy all into plain dictionaries."""
        return {
            name: value.to_dict() if isinstance(value, Section) else deepcopy(value)
            for name, value in self.items()
        }

    def copy(self) -> Self:
        """Make a copy that can be changed by itself."""
        made = type(self)()
        made.update(self.to_dict())
        return made

    def check(self) -> None:
        """See that every value is still allowed, as lists and dictionaries can change in place.

        Raises
        ------
        ConfigError
            Naming the setting, its value, and what is expected.
        """
        for setting in self.settings():
            setting.__set__(self, self.__dict__[setting.name])
        for name in self.sections():
            self.__dict__[name].check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.sections():
            self._set_section(name, value)
        elif name in self.keys():
            super().__setattr__(name, value)
        else:
            raise self._unknown(name)

    def _set_section(self, name: str, value: Any) -> None:
        """Put the values of a dictionary, or of another section, into one of this."""
        if not isinstance(value, dict | Section):
            raise refused(self.path(name), value, "a dictionary of its settings")
        self.__dict__[name].update(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(str(self._unknown(name)))

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(str(self._unknown(name)))
        return self.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Section) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value!r}" for name, value in self._changed())
        return f"{type(self).__name__}({changed})"

    def _changed(self) -> Iterator[tuple[str, Any]]:
        """Yield what differs from the defaults."""
        fresh = type(self)()
        return ((name, value) for name, value in self.items() if value != fresh[name])

    @classmethod
    def _unknown(cls, name: str) -> ConfigError:
        """Make the error for a name that is no setting."""
        known = [*(setting.name for setting in cls.settings()), *cls.sections()]
        near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1)
        hint = next((f"did you mean {k!r}?" for k in known if near and k.lower() == near[0]), "")
        msg = f"config.{cls.path(name)}: there is no such setting; {hint or 'known are ' + ', '.join(known)}"
        return ConfigError(msg, key=cls.path(name))
