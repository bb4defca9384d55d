"""A placed image whose pixels have a mask, weights and units that convert."""

import copy
from typing import Any, Self

import numpy as np

from snapdb.archive.placed import PlacedImage
from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.crops import outside_mask
from snapdb.pixels.flags import bad_mask
from snapdb.types import BoolArray, PixelArray

_PROPER = frozenset({"data", "noise", "flags"})


class MeasuredImage(PlacedImage):
    """A placed image with all that says how good its pixels are.

    Planes are copied when they are set, and have the shape of the cutout always.
    """

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the planes there are; ``mask`` is one where it says more than the others do."""
        names = super().plane_names
        if "mask" in names and np.array_equal(self._own["mask"], self._derive_mask()):
            return tuple(name for name in names if name != "mask")
        return names

    def _set_plane(self, name: str, array: PixelArray | None) -> None:
        """Put a copy of an array in place of a plane; the data stay when there is nothing else to put."""
        if array is not None and array is self._own.get(name):
            return
        if array is None and name == "data":
            msg = "the data of a cutout cannot be None; give an array"
            raise UsageError(msg, plane=name)
        if array is None or name in _PROPER:
            given = array if array is None else self._sized(name, array)
            if given is not None and name == "flags" and given.dtype.kind == "b":
                given = given.astype(np.uint8)
            super()._set_plane(name, given)
            return
        plane = self._sized(name, array)
        if plane.dtype.kind not in "biufc":
            msg = f"{name} is an array of type {plane.dtype}; expected numbers"
            raise ShapeError(msg, plane=name)
        self._removed.discard(name)
        self._own[name] = plane.astype(plane.dtype.newbyteorder("="), copy=False)

    def _sized(self, name: str, array: Any) -> PixelArray:
        """Copy an array that has the cutout's shape."""
        plane = np.array(array)
        if plane.shape != self.box.shape:
            msg = f"{name} has shape {plane.shape}, but the cutout has {self.box.shape}"
            raise ShapeError(msg, plane=name, shape=plane.shape)
        return plane

    # Quality

    @property
    def mask(self) -> BoolArray:
        """Which pixels are bad.

        Unless it was set: what lies outside the parent, data or noise that is not finite, noise
        that is not positive, and pixels whose flags have a bad bit. It does not follow
        when data are set later.
        """
        if "mask" not in self._own:
            self._own["mask"] = self._derive_mask()
        return self._own["mask"]

    @mask.setter
    def mask(self, mask: Any) -> None:
        if mask is None:
            msg = "the mask of a cutout cannot be None; give an array, True where a pixel is bad"
            raise UsageError(msg, plane="mask")
        if mask is not self._own.get("mask"):
            self._set_plane("mask", np.array(mask, dtype=bool))

    def _derive_mask(self) -> BoolArray:
        """Work out which pixels are bad from what the planes say."""
        mask = outside_mask(self.box.shape, self.target_box)
        data, noise, flags = (self._own.get(name) for name in ("data", "noise", "flags"))
        if data is not None and data.dtype.kind == "f":
            mask |= ~np.isfinite(data)
        if noise is not None:
            with np.errstate(invalid="ignore"):
                mask |= ~(np.isfinite(noise) & (noise > 0))
        if flags is not None:
            mask |= bad_mask(flags, self.bad_bits)
        return mask

    @property
    def dq(self) -> PixelArray | None:
        """Data quality: the `flags` by subpixal's name. Setting it leaves `mask` as it is."""
        return self.flags

    @dq.setter
    def dq(self, array: PixelArray | None) -> None:
        self._set_plane("flags", array)

    @property
    def weight(self) -> PixelArray | None:
        """Weight of each pixel: the plane of that name, else 1 / noise^2, else None.

        It is 0 outside the parent, and where noise is not finite or not positive.
        """
        own = self._own.get("weight")
        noise = self.noise
        if own is not None or noise is None or "weight" in self._removed:
            return own
        with np.errstate(invalid="ignore"):
            good = np.isfinite(noise) & (noise > 0)
        kind = noise.dtype if noise.dtype.kind == "f" else np.dtype(np.float64)
        square = np.square(noise, dtype=kind)
        with np.errstate(over="ignore", divide="ignore"):
            return np.asarray(np.divide(1, square, out=np.zeros(noise.shape, kind), where=good))

    @weight.setter
    def weight(self, array: PixelArray | None) -> None:
        self._set_plane("weight", array)

    def set_fact(self, name: str, value: Any) -> None:
        """Set a fact in memory; units in any case, an exposure time above 0."""
        if name == "data_units" and isinstance(value, str):
            value = value.lower()
        if name == "exptime" and value is not None and not value > 0:
            msg = f"exptime={value!r}: expected more than 0 seconds"
            raise UsageError(msg, exptime=value)
        super().set_fact(name, value)

    # Units

    def copy(self) -> Self:
        """Make another of it whose planes and facts are its own."""
        made = copy.copy(self)
        made.__dict__ |= {
            "_own": {name: plane.copy() for name, plane in self._own.items()},
            "_cached": {},
            "_derived": {},
            "_removed": set(self._removed),
            "_facts": dict(self._facts),
            "_header": None if self._header is None else self._header.copy(),
        }
        return made

    def to_counts(self) -> Self:
        """Make a copy in counts: of a rate, data, noise and sky times the exposure time.

        Weights and the zero point follow. Integers become floating-point numbers; planes
        of other names stay as they are.

        Raises
        ------
        UsageError
            If the exposure time is not known.
        """
        return self._converted("counts")

    def to_rate(self) -> Self:
        """Make a copy in counts per second; see :meth:`to_counts`.

        Raises
        ------
        UsageError
            If the exposure time is not known.
        """
        return self._converted("rate")

    def _converted(self, units: str) -> Self:
        """Make a copy in other units."""
        made = self.copy()
        if self.data_units == units:
            return made
        exptime = self.exptime
        if exptime is None or not exptime > 0:
            msg = f"{self.label} has exptime={exptime}: without it, {self.data_units} do not become {units}"
            raise UsageError(msg, exptime=exptime)
        factor = exptime if units == "counts" else 1.0 / exptime
        for name, power in (("data", 1), ("noise", 1), ("weight", -2)):
            if name in made._own:  # noqa: SLF001  # of its own class
                made._own[name] = made._own[name] * factor**power  # noqa: SLF001
        for name, fact in (("sky_level", self.sky_level), ("zeropoint", self.zeropoint)):
            if fact is not None:
                made.set_fact(name, fact * factor if name == "sky_level" else fact + 2.5 * np.log10(factor))
        made.set_fact("data_units", units)
        made._header = None  # noqa: SLF001  # it says the old ones
        return made
