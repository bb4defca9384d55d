"""An image with pixels: planes read when asked for, kept until freed."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from snapdb.archive import loading
from snapdb.archive.described import DescribedImage
from snapdb.archive.flagging import bad_flags_of
from snapdb.archive.paths import ImagePaths
from snapdb.archive.planes import ArrayPlanes, FilePlanes, PlaneSource
from snapdb.errors import NotFoundError, ShapeError, UsageError
from snapdb.pixels.box import Box
from snapdb.pixels.crops import as_whole
from snapdb.sky.geometry import derive_geometry
from snapdb.types import Header, PixelArray

PLANES = ("data", "noise", "flags")

HEADER_FACTS = (
    "observation_id",
    "sca",
    "band",
    "mjd",
    "exptime",
    "zeropoint",
    "sky_level",
    "data_units",
    "kind",
    "instrument",
    "bad_bits",
)
"""What a header that snapdb writes says of an image besides its WCS."""

_GEOMETRY = frozenset(
    ["ra", "dec", "position_angle", "pixel_scale"]
    + [f"{axis}_corner_{corner}" for axis in ("ra", "dec") for corner in ("00", "01", "10", "11")]
)


class PlanarImage(DescribedImage):
    """A described image with its planes and its header."""

    data_array_list: ClassVar[list[str]] = ["all", *PLANES]

    def _begin(self, paths: ImagePaths) -> None:
        """Set the state of an image that knows nothing yet."""
        super()._begin(paths)
        self._source: PlaneSource | None = None
        self._cached: dict[str, PixelArray] = {}
        self._own: dict[str, PixelArray] = {}
        self._removed: set[str] = set()
        self._geometry: dict[str, Any] | None = None
        self._derived: dict[tuple[Any, ...], Any] = {}

    # Pixels

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the planes there are; no pixel is read."""
        stored = self._planes.names if self._has_source else ()
        return tuple(n for n in dict.fromkeys((*self._own, *stored)) if n not in self._removed)

    @property
    def data(self) -> PixelArray:
        """The pixels ``[y, x]`` in the file's units, read on first use."""
        plane = self._plane("data")
        if plane is None:
            msg = "this image has no data: neither a file nor an array was given"
            raise NotFoundError(msg, plane="data")
        return plane

    @data.setter
    def data(self, array: PixelArray | None) -> None:
        self._set_plane("data", array)

    @property
    def noise(self) -> PixelArray | None:
        """One standard deviation of each pixel in the data's units; None without a noise plane."""
        return self._plane("noise")

    @noise.setter
    def noise(self, array: PixelArray | None) -> None:
        self._set_plane("noise", array)

    @property
    def flags(self) -> PixelArray | None:
        """Integer bits of each pixel, named by `flag_bits`; None without a flags plane."""
        return self._plane("flags")

    @flags.setter
    def flags(self, array: PixelArray | None) -> None:
        self._set_plane("flags", array)

    def _set_plane(self, name: str, array: PixelArray | None) -> None:
        """Put an array in place of a plane, in memory."""
        self._cached.pop(name, None)
        self._derived.clear()
        if array is None:
            self._own.pop(name, None)
            self._removed.add(name)
            return
        self._plan()
        self._removed.discard(name)
        is_sized = self._own.keys() - {name} or self._has_source or self._facts.keys() >= {"width", "height"}
        self._own[name] = loading.check_plane(name, array, self.image_shape if is_sized else None)

    def _plan(self) -> None:
        """Take an image whose file is not there for one that is to be written."""
        if self._loader is not None and self._loader.is_absent:
            self._planned, self._loader = self._loader, None

    def _check_size(self, width: int | None, height: int | None) -> None:
        """See that a size that a caller gives is the image's; keep it where there are no pixels yet."""
        given = {name: v for name, v in (("width", width), ("height", height)) if v is not None}
        if given:
            self._plan()
        for name, value in given.items():
            if not (self._own or self._has_source):
                self._facts[name] = as_whole(value, name=name)
            elif value != self.fact(name):
                msg = f"{name}={value}, but {self.label} has {self.fact(name)}; leave it out"
                raise ShapeError(msg, name=name, given=value)

    @property
    def _has_source(self) -> bool:
        """Whether pixels can be read from somewhere."""
        return self._source is not None or self._record is not None or self._loader is not None

    @property
    def _planes(self) -> PlaneSource:
        """Where pixels are read from, found on first use."""
        if self._source is None:
            if self._record is not None and self._archive is not None:
                self._source = self._archive.planes_of(self._record.id)
            elif self._loader is not None:
                self._source = self._loader.planes
            else:
                self._source = ArrayPlanes({})
        return self._source

    def _plane(self, name: str) -> PixelArray | None:
        """Give a plane and keep it."""
        return self._read((name,), reload=False, cache=True)[0]

    def _read(self, names: Sequence[str], *, reload: bool, cache: bool) -> list[PixelArray | None]:
        """Give planes, None for those that there are not."""
        have = {} if reload else {**self._cached, **self._own}
        if reload and not self._has_source:
            have = dict(self._own)
        missing = [n for n in names if n not in have and n in self.plane_names and self._has_source]
        have |= self._planes.read(missing) if missing else {}
        if cache:
            self._cached |= {n: have[n] for n in missing}
        return [have.get(n) for n in names]

    def read_box(self, names: Sequence[str], box: Box) -> dict[str, PixelArray]:
        """Read one box of planes, from memory where they are there, else from the file.

        Parameters
        ----------
        names : sequence of str
            Planes.
        box : Box
            Inside the image.
        """
        here = {**self._cached, **self._own}
        parts = {n: here[n][box.slices].copy() for n in names if n in here}
        rest = [n for n in names if n not in here]
        return parts | (self._planes.read(rest, box) if rest else {})

    def get_data(
        self,
        which: str = "all",
        always_reload: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
        cache: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
    ) -> list[PixelArray | None]:
        """Read planes.

        Parameters
        ----------
        which : str
            ``data``, ``noise``, ``flags``, another plane's name, or ``all`` for the first three.
        always_reload : bool
            Read the file even when the plane is in memory; what is in memory stays as it is.
        cache : bool
            Keep what was read, for `data`, `noise`, `flags` and later calls.

        Returns
        -------
        list of array
            One array, or three for ``all``; None where there is no such plane. An array
            that is in memory is given itself, not a copy.

        Raises
        ------
        UsageError
            If the image cannot have such a plane.
        """
        names = PLANES if which == "all" else (which,)
        if which not in (*self.data_array_list, *self.plane_names):
            known = ", ".join(dict.fromkeys((*self.data_array_list, *self.plane_names)))
            msg = f"which={which!r} is no plane; expected one of {known}"
            raise UsageError(msg, which=which)
        return self._read(names, reload=always_reload, cache=cache)

    def free(self) -> None:
        """Let go of the pixels that can be read again; arrays that exist only in memory stay."""
        self._cached.clear()
        self._derived.clear()

    def derive(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Give what follows from the pixels, made once and kept until they are freed or replaced.

        Parameters
        ----------
        key : tuple
            What it is, and all that it depends on besides the pixels.
        make : callable
            Makes it.
        """
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def fraction_masked(self, bad_bits: Any = None) -> float:
        """Give the fraction of the pixels that a bad flag marks.

        Parameters
        ----------
        bad_bits : int, str or list, optional
            Which flags are bad: bits, or-ed, names such as ``"SATURATED,HOT"``, all others as
            in ``"~HOT"``, or a list. What the instrument has for bad by default.

        Returns
        -------
        float
            From 0 to 1; 0.0 without flags.

        Raises
        ------
        UsageError
            If a flag is named that the image does not have.
        """
        chosen, flags = bad_flags_of(self, bad_bits), self.flags
        if flags is None or flags.size == 0:
            return 0.0
        return float(np.count_nonzero(chosen.mask(flags)) / flags.size)

    def read_planes(self, names: Sequence[str]) -> list[PixelArray]:
        """Give planes that exist, from memory where they are there; nothing new is kept."""
        planes = self._read(names, reload=False, cache=False)
        return [plane for plane in planes if plane is not None]

    def _fact_in_memory(self, name: str) -> Any:
        """Work a fact out from arrays and WCS."""
        if name in ("width", "height"):
            plane = next(iter(self._own.values()), None)
            height, width = (self.data if plane is None else plane).shape
            return width if name == "width" else height
        if name in _GEOMETRY and self._geometry is None and self.has_wcs:
            self._geometry = derive_geometry(self.get_wcs(), self.width, self.height)
        if self._geometry is not None and name in self._geometry:
            return self._geometry[name]
        return super()._fact_in_memory(name)

    @property
    def has_wcs(self) -> bool:
        """Whether there are world coordinates."""
        return self._wcs is not None or bool(self._has_source and self.fact("wcs_header"))

    def _repr_html_(self) -> str:
        """Show what is known as a table in a notebook; no pixel is read."""
        from html import escape

        names = ("kind", "band", "mjd", "exptime", "ra", "dec", "width", "height", "zeropoint", "instrument")
        rows = [(name, self.fact(name)) for name in names]
        rows.append(("planes", ", ".join(self.plane_names)))
        body = "".join(f"<tr><th>{n}</th><td>{escape(str(v))}</td></tr>" for n, v in rows if v is not None)
        return f"<table><caption>{escape(self.label)}</caption>{body}</table>"

    # Where pixels are from, and go to

    def file_of(self, name: str) -> Path | None:
        """Name the file that a plane is saved to where none is given; None for an image in memory.

        Parameters
        ----------
        name : str
            The plane.
        """
        if self._planned is not None:
            return self._planned.file_of(name)
        if self._loader is None:
            return self.full_filepath
        read = (Path(plane.path) for plane in self._loader.new_planes if plane.layout.name == name)
        return next(read, self._loader.file_of(name))

    def has_in_memory(self, names: Iterable[str]) -> bool:
        """Say whether one of some planes is in memory, so that it may differ from its file.

        Parameters
        ----------
        names : iterable of str
            Planes.
        """
        return any(name in self._own or name in self._cached for name in names)

    def take_file(self, names: Iterable[str]) -> None:
        """Become the image of the file that it was just written to.

        Without coordinates it stays one in memory, since such files are not read as images.

        Parameters
        ----------
        names : iterable of str
            The planes that were written: they can be freed now.
        """
        loader = self._planned or self._loader
        if loader is None or not self.has_wcs:
            return
        self._wcs, self._header = self.get_wcs(), self.header
        self._loader, self._planned, self._source = loader.renewed(), None, None
        self._cached |= {name: self._own.pop(name) for name in names if name in self._own}

    def all_source_paths(self) -> set[Path]:
        """Give the files that this image's pixels are, or its parents' were, read from."""
        return set(self._planes.paths) if self._has_source else set()

    # Header

    @property
    def header(self) -> Header:
        """FITS header of the data: the file's own, or one made of what is known; a copy to keep."""
        if self._header is None:
            self._header = self._own_header()
        return self._header

    def _own_header(self) -> Header:
        """Read the file's header, or make one from the WCS and the facts."""
        from snapdb.formats.header import make_header, read_header

        path, hdu = self.full_filepath, self._data_hdu()
        if path is not None and hdu is not None:
            return read_header(path, hdu)
        if self.url is not None and isinstance(self._planes, FilePlanes):
            return self._planes.read_remote_header("data")
        return make_header(self.wcs_header(), self._header_facts())

    def _header_facts(self) -> dict[str, Any]:
        """Give what a header says of the image; which bits are bad, only where it has flags."""
        facts = {name: self.fact(name) for name in HEADER_FACTS}
        return facts if "flags" in self.plane_names else {**facts, "bad_bits": None}

    def wcs_header(self) -> Header | None:
        """Give the world coordinates as cards that hold all of them; None where there are none."""
        from snapdb.sky.fit import to_header

        return to_header(self.get_wcs(), self.width, self.height) if self.has_wcs else None

    def header_to_save(self) -> Header:
        """Give the header with the facts as they stand now, for a file of snapdb's own."""
        from snapdb.formats.header import with_facts, with_plain_wcs

        facts = self._header_facts()
        facts["date_obs"] = self.properties.get("date_obs")
        if self._needs_cards:
            return with_facts(self.header, facts, self.wcs_header())
        return with_facts(with_plain_wcs(self.header), facts)

    @property
    def _needs_cards(self) -> bool:
        """Whether the header's own coordinates lean on tables that a saved file does not have."""
        return self.has_wcs and self.get_wcs().has_tables
