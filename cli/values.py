"""Types of the options' values: angles, sizes, versions, parameters."""

import json
import math
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

_ARCSEC = {"arcsec": 1.0, "as": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0, "deg": 3600.0, "mas": 1e-3}
_VERSION_DIGITS = 9
"""What the registry's columns of 32 bits hold for sure."""
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-z\"']*)\s*")


class AngleType(click.ParamType[float]):
    """A sky coordinate: degrees, or sexagesimal with or without letters."""

    name = "angle"

    def __init__(self, axis: str) -> None:
        self.axis = axis

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give degrees."""
        try:
            degrees = float(value)
        except ValueError:
            return self._from_sexagesimal(str(value), param, ctx)
        if not math.isfinite(degrees):
            self.fail(f"{value!r} is not an angle; expected degrees, or {self._example}", param, ctx)
        return degrees

    @property
    def _example(self) -> str:
        """How the coordinate is written."""
        return "12h30m10.5s" if self.axis == "ra" else "-20d10m30s"

    def _from_sexagesimal(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read hours or degrees, minutes and seconds; the library's reader needs astropy."""
        from snapdb.errors import UsageError
        from snapdb.sky.units import to_degrees

        try:
            return float(to_degrees(text, name=self.axis))
        except UsageError:
            self.fail(f"{text!r} is not an angle; expected degrees, or {self._example}", param, ctx)


@dataclass(frozen=True, slots=True)
class Size:
    """Edge of a cutout, as pixels or as an angle."""

    pixels: int | None = None
    arcsec: float | None = None

    def to_pixels(self, pixel_scale: float | None) -> int | None:
        """Give pixels; enough of them to reach as far as an angle asks.

        Parameters
        ----------
        pixel_scale
            Arcseconds a pixel; None where it is not known.

        Returns
        -------
        int or None
            None where an angle was asked for and the scale is not known.
        """
        if self.pixels is not None:
            return self.pixels
        if self.arcsec is None or not pixel_scale:
            return None
        # Less than a thousandth of a pixel is rounding of the scale, not a wish for one more.
        return max(1, math.ceil(self.arcsec / pixel_scale - 1e-3))


class SizeType(click.ParamType["Size"]):
    """Pixels (``51``) or an angle (``30arcsec``, ``2arcmin``, ``0.01deg``)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        """Give a :class:`Size`."""
        if isinstance(value, Size):
            return value
        match = _SIZE.fullmatch(str(value))
        number, unit = (float(match[1]), match[2]) if match else (0.0, "")
        if unit in _ARCSEC and number > 0:
            return Size(arcsec=number * _ARCSEC[unit])
        if unit in ("", "pix", "px") and number >= 1 and number == int(number):
            return Size(pixels=int(number))
        msg = f"{value!r} is not a size; expected whole pixels (51), or an angle (30arcsec, 2arcmin, 0.01deg)"
        return self.fail(msg, param, ctx)


class VersionType(click.ParamType[tuple[int, int]]):
    """A version of a process: ``1`` or ``1.2``."""

    name = "version"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Give (major, minor)."""
        match = re.fullmatch(r"([0-9]+)(?:\.([0-9]+))?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a version; expected MAJOR or MAJOR.MINOR, such as 1.2", param, ctx)
        if len(match[1]) > _VERSION_DIGITS or len(match[2] or "") > _VERSION_DIGITS:
            self.fail(f"{value!r:.80} is not a version; its numbers have at most 9 digits", param, ctx)
        return int(match[1]), int(match[2] or 0)


class ParameterType(click.ParamType[tuple[str, Any]]):
    """One parameter of a process: ``name=value``, the value as JSON or TOML writes it, else taken as text."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Give (name, value)."""
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not a parameter; expected NAME=VALUE, such as threshold=5.0", param, ctx)
        for read in (json.loads, lambda text: tomllib.loads(f"value = {text}")["value"]):
            with suppress(ValueError):
                return name.strip(), read(text)
        return name.strip(), text


class RadiusType(click.ParamType[float]):
    """An angle with its unit (``5arcsec``, ``2arcmin``, ``0.5deg``); a plain number is degrees."""

    name = "angle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give degrees."""
        match = _SIZE.fullmatch(str(value))
        if match and (match[2] in _ARCSEC or not match[2]):
            return float(match[1]) * _ARCSEC[match[2] or "deg"] / 3600.0
        msg = f"{value!r} is not a radius; expected an angle such as 5arcsec, 2arcmin or 0.5deg"
        return self.fail(msg, param, ctx)


class PropertyType(click.ParamType[tuple[str, str, Any]]):
    """A test of a property: ``name=value``, ``name>=number`` or ``name<=number``."""

    name = "test"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, Any]:
        """Give (name, ``=``, ``min`` or ``max``, value)."""
        match = re.fullmatch(r"\s*([^<>=!~]+?)\s*(<=|>=|=)\s*(.*?)\s*", str(value))
        if match is None:
            msg = f"{value!r} is no test; expected NAME=VALUE, NAME>=NUMBER or NAME<=NUMBER"
            return self.fail(msg, param, ctx)
        try:
            wanted = json.loads(match[3])
        except ValueError:
            wanted = match[3]
        return match[1], {"<=": "max", ">=": "min", "=": "="}[match[2]], wanted


RA = AngleType("ra")
DEC = AngleType("dec")
SIZE = SizeType()
RADIUS = RadiusType()
PROPERTY = PropertyType()
VERSION = VersionType()
PARAMETER = ParameterType()
