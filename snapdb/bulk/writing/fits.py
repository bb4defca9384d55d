"""PartStamps as FITS files: one a source, under Cutana's names and keywords, or one a part.

Headers are put together card by card as bytes (FITS Standard 4.0, sections 4.1 and 4.2), which takes
a hundredth of the time of header objects. There is no time of processing in them: the same run gives
the same bytes.
"""

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.bulk.cutting.part_stamps import PartStamps
from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel
from snapdb.bulk.planning.weights import name_outputs
from snapdb.bulk.writing.cards import BLOCK, pad_header, write_card, write_number
from snapdb.bulk.writing.files import WrittenFile, checksum, write_file
from snapdb.errors import StorageError
from snapdb.types import PixelArray

PLANE, CHANNEL = "PLANE", "CHANNEL"
"""Keywords that say what an extension of a source is."""
_LONGEST_NAME = 150
_UNSAFE = re.compile(r"[^\w.+@=,-]")
_LONGEST_ID = 60
"""Signs of an id before ``_noise`` or ``_flags``."""
_LINEAR = ("crval1", "crval2", "crpix1", "crpix2", "cd1_1", "cd1_2", "cd2_1", "cd2_2")


def write_stamps(folder: Path, part: Part, stamps: PartStamps, recipe: Recipe) -> list[WrittenFile]:
    """Write the stamps of a part; sources that failed have none.

    Files of single sources lie in a folder a part, which takes its name when it is complete.

    Parameters
    ----------
    folder : Path
        Of the output.
    part : Part
        The sources.
    stamps : PartStamps
        What was made of them; its table is told the files.
    recipe : Recipe
        How.

    Returns
    -------
    list of WrittenFile
        In the order of the sources.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    made = FitsStamps(part, stamps, recipe)
    good = np.flatnonzero(~stamps.columns["failed"]).tolist()
    names = stamps.columns["file"] = [""] * len(part)
    hdus = stamps.columns["hdu"] = np.full(len(part), -1)
    hdus[good] = 1
    if recipe.fits_batches:
        name = f"stamps-{part.index:07d}.fits"
        pieces = [made.empty_primary(), *(made.extensions(i) for i in good)]
        write_file(folder / name, pieces)
        first = 1
        for i in good:
            names[i], hdus[i] = name, first
            first += len(made.layers(i))
        return [WrittenFile(name, sum(map(len, pieces)), checksum(pieces))]
    home = f"batch-{part.index:07d}"
    for i in good:
        names[i] = f"{home}/{made.name(i)}"
    return _write_folder(folder, home, [(names[i], made, i) for i in good])


def _write_folder(
    folder: Path, home: str, wanted: Sequence[tuple[str, "FitsStamps", int]]
) -> list[WrittenFile]:
    """Write files into a folder that takes its name when all are there; one of that name is replaced."""
    temporary, final = folder / f".{home}.{os.getpid()}.part", folder / home
    written = []
    try:
        temporary.mkdir(parents=True)
        for name, made, i in wanted:
            content = made.primary(i) + made.extensions(i)
            _write_small(f"{temporary}/{name.rpartition('/')[2]}", content)
            written.append(WrittenFile(name, len(content), checksum([content])))
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    except OSError as err:
        shutil.rmtree(temporary, ignore_errors=True)
        msg = f"{final} cannot be written: {err.strerror or err}; make room, or choose another folder"
        raise StorageError(msg, path=str(final)) from err
    return written


def _write_small(path: str, content: bytes) -> None:
    """Write one of many small files with as few calls of the system as there can be."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What one extension holds."""

    plane: str
    """``data``, ``noise`` or ``flags``."""
    channel: int
    """Of the stamp; 0 for flags, which all channels have in common."""
    name: str
    """Of the extension in the file of one source."""
    label: str
    """Of the channel; empty for flags."""
    pixels: PixelArray
    """Shape (H, W)."""


class FitsStamps:
    """The bytes of the FITS files of a part.

    Parameters
    ----------
    part : Part
        The sources.
    stamps : PartStamps
        What was made of them.
    recipe : Recipe
        How.
    """

    def __init__(self, part: Part, stamps: PartStamps, recipe: Recipe) -> None:
        self._part = part
        self._stamps = stamps
        self._recipe = recipe
        self._sets = stamps.columns["images"].tolist()
        self._ids = [str(s) for s in part.sources.source_id]
        self._ra, self._dec = part.sources.ra.tolist(), part.sources.dec.tolist()
        self._numbers = self._write_source_numbers()
        self._wcs = {0: _write_wcs(stamps.columns)}
        self._wcs |= {number: _write_wcs(columns) for number, columns in stamps.raw_wcs.items()}
        if not recipe.raw:
            order = np.ascontiguousarray(np.moveaxis(stamps.images, 3, 1))
            self._planes = order if order.dtype == np.uint8 else order.astype(">f4")
        self._unit = recipe.flux_unit if recipe.convert_flux else ""
        self._is_stretched = recipe.method != "none" and not recipe.raw
        self._fixed = self._fixed_cards()
        self._origins = [_origin_cards(channels) for channels in part.image_sets]
        self._labels = [name_outputs(recipe, channels) for channels in part.image_sets]
        self._primary = b"".join(_PRIMARY).decode() + _SOURCE + self._fixed + _END
        self._templates: dict[tuple[Any, ...], str] = {}
        self._versions: Counter[bytes] = Counter()

    def name(self, index: int) -> str:
        """Give the file of a source: id and position, as Cutana names it.

        Parameters
        ----------
        index : int
            Of the source in the part.
        """
        text = _UNSAFE.sub("_", self._ids[index])
        if text != self._ids[index] or len(text) > _LONGEST_NAME:
            # Another id may look the same when it is made safe.
            text = f"{text[:_LONGEST_NAME]}-{hashlib.sha256(self._ids[index].encode()).hexdigest()[:8]}"
        several = f"_{self._part.start + index}" if self._recipe.choose == "all" else ""
        return f"{text}_{self._ra[index]:.6f}_{self._dec[index]:.6f}{several}_cutout.fits"

    def empty_primary(self) -> bytes:
        """Give the primary HDU of a file of many sources."""
        return pad_header(b"".join(_PRIMARY).decode() + self._fixed + _END).encode()

    def primary(self, index: int) -> bytes:
        """Give the primary HDU of the file of one source.

        Parameters
        ----------
        index : int
            Of the source in the part.
        """
        return pad_header(self._primary % self._source_values(index)).encode()

    def extensions(self, index: int) -> bytes:
        """Give the extensions of a source, headers and data, one a channel; once, in the order of the file.

        Parameters
        ----------
        index : int
            Of the source in the part.
        """
        pieces: list[bytes] = []
        for layer in self.layers(index):
            pieces += [self._image_header(index, layer), _data(layer.pixels)]
        return b"".join(pieces)

    def layers(self, index: int) -> list["Layer"]:
        """Give what the extensions of a source hold, in their order.

        Parameters
        ----------
        index : int
            Of the source in the part.
        """
        raw = self._recipe.raw
        labels = self._labels[self._sets[index]]
        found: list[Layer] = []
        for number, pixels in enumerate(self._stamps.raw[index] if raw else self._planes[index]):
            label = labels[number]
            found.append(Layer("data", number, label, label, pixels))
            noise = self._noise_of(index, number)
            if noise is not None:
                found.append(Layer("noise", number, f"noise_{number}", label, noise))
            flags = self._flags_of(index, number)
            if flags is not None:
                name = f"flags_{number}" if raw and len(labels) > 1 else "flags"
                found.append(Layer("flags", number, name, "", flags.view(np.int32)))
        return found

    def _noise_of(self, index: int, number: int) -> PixelArray | None:
        """Give the noise of a channel of a source."""
        if self._recipe.raw:
            return self._stamps.raw_noise[index].get(number)
        return None if self._stamps.noise is None else self._stamps.noise[index, :, :, number]

    def _flags_of(self, index: int, number: int) -> PixelArray | None:
        """Give the flags of a channel of a source; where they are of all channels, with the first."""
        if self._recipe.raw:
            return self._stamps.raw_flags[index].get(number)
        return self._stamps.flags[index] if self._stamps.flags is not None and number == 0 else None

    def _fixed_cards(self) -> str:
        """Give the cards that are the same for all sources."""
        recipe = self._recipe
        stretch = "none" if recipe.raw else recipe.method
        cards = (
            write_card("STRETCH", stretch, "normalisation_method"),
            write_card("DTYPE", recipe.dtype, "of the pixels"),
            write_card("UNIT", self._unit or "native", "of the pixels before the stretch"),
            write_card("CONSVFLX", recipe.conserve, "whether resampling keeps the total flux"),
        )
        return b"".join(cards).decode()

    def _write_source_numbers(self) -> list[tuple[str, ...]]:
        """Write the numbers of the cards about each source."""
        columns, sources = self._stamps.columns, self._part.sources
        size, scale = columns["size"], columns["pixel_scale"]
        arcsec = scale * (size if self._recipe.raw else self._recipe.resolution)
        places = (columns[name] for name in _PLACES)
        written = map(_write_numbers, (sources.ra, sources.dec, arcsec, size, scale, *places))
        return list(zip(*written, strict=True))

    def _source_values(self, index: int) -> tuple[str, ...]:
        """Give what the cards about a source say."""
        source = write_card("SOURCE", self._ids[index], "identifier of the source").decode()
        return (source, self._origins[self._sets[index]], *self._numbers[index])

    def _image_header(self, index: int, layer: "Layer") -> bytes:
        """Give the header of one extension of a source."""
        values = self._wcs[layer.channel if self._recipe.raw else 0][index]
        batches = self._recipe.fits_batches
        pixels = layer.pixels
        key = (layer.plane, layer.channel, layer.name, pixels.shape, pixels.dtype.char, bool(values))
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._make_template(layer, has_wcs=bool(values))
        if batches:
            name = self._ids[index]
            if layer.plane != "data":
                name = f"{name[:_LONGEST_ID]}_{layer.plane}"
            values = (self._name_cards(name), *self._source_values(index), *values)
        return pad_header(template % values).encode()

    def _name_cards(self, name: str) -> str:
        """Name an extension of a file of many sources; EXTVER counts those of one name."""
        card = write_card("EXTNAME", name, "")
        self._versions[card] += 1
        return (card + write_card("EXTVER", self._versions[card], "")).decode()

    def _make_template(self, layer: "Layer", *, has_wcs: bool) -> str:
        """Give the header of an extension with places for what differs from source to source."""
        height, width = layer.pixels.shape
        batches = self._recipe.fits_batches
        kind = layer.pixels.dtype
        cards = [
            write_card("XTENSION", "IMAGE", "an image extension"),
            write_card("BITPIX", _BITPIX[kind.kind, kind.itemsize], "bits a pixel"),
            write_card("NAXIS", 2, ""),
            write_card("NAXIS1", width, ""),
            write_card("NAXIS2", height, ""),
            write_card("PCOUNT", 0, ""),
            write_card("GCOUNT", 1, ""),
            b"%s" if batches else write_card("EXTNAME", layer.name, "").replace(b"%", b"%%"),
            b"" if batches else write_card("EXTVER", 1, ""),
            write_card(PLANE, layer.plane, "data, noise or flags"),
            write_card(CHANNEL, layer.channel, "of the stamp"),
        ]
        if layer.label:
            cards.append(write_card("FILTER", layer.label, "").replace(b"%", b"%%"))
        if self._unit and (layer.plane == "noise" or (layer.plane == "data" and not self._is_stretched)):
            cards.append(write_card("BUNIT", self._unit, ""))
        text = b"".join(cards).decode() + (_SOURCE if batches else "")
        return text + (_WCS if has_wcs else "") + _END


def _write_wcs(columns: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Write the numbers of the world coordinates of each stamp; none where there are none."""
    numbers = [columns[name] for name in _LINEAR]
    there: list[bool] = np.isfinite(np.array(numbers)).all(axis=0).tolist()
    texts = zip(*map(_write_numbers, numbers), strict=True)
    return [found if known else () for found, known in zip(texts, there, strict=True)]


def _write_numbers(column: PixelArray) -> list[str]:
    """Write the numbers of a column, each that recurs once."""
    values = column.tolist()
    texts = {value: write_number(value) for value in set(values)}
    return [texts[value] for value in values]


_BITPIX = {("f", 4): -32, ("u", 1): 8, ("i", 4): 32}


_TRUE = True
_PRIMARY = (
    write_card("SIMPLE", _TRUE, "conforms to the FITS standard"),
    write_card("BITPIX", 8, ""),
    write_card("NAXIS", 0, ""),
    write_card("EXTEND", _TRUE, ""),
)
_END = "END".ljust(80)


def _place(keyword: str, comment: str = "") -> str:
    """Give a card with a place for a number of at most 20 signs."""
    return f"{keyword:8}= %20s" + (f" / {comment}" if comment else "").ljust(50)


_SOURCE = "%s%s" + "".join(
    _place(*card)
    for card in (
        ("RA", "[deg] ICRS, of the source"),
        ("DEC", "[deg] ICRS, of the source"),
        ("SIZEARC", "[arcsec] side of the stamp"),
        ("SIZEPIX", "[pixel] side of the stamp in the image"),
        ("PIXSCALE", "[arcsec] a pixel of the stamp"),
        ("ORIGINX", "first column of the cut, from 0"),
        ("ORIGINY", "first row of the cut, from 0"),
        ("OFFSETX", "[pixel] source from the stamp's middle"),
        ("OFFSETY", "[pixel] source from the stamp's middle"),
        ("FRACOUT", "of the stamp beyond the image"),
        ("FRACBAD", "of its pixels without a value"),
    )
)
"""Cards about a source: two places for whole cards, the others for numbers."""
_PLACES = ("x0", "y0", "offset_x", "offset_y", "outside_fraction", "masked_fraction")
_WCS = b"".join(
    (
        write_card("WCSAXES", 2, ""),
        write_card("CTYPE1", "RA---TAN", ""),
        write_card("CTYPE2", "DEC--TAN", ""),
        write_card("CUNIT1", "deg", ""),
        write_card("CUNIT2", "deg", ""),
        write_card("RADESYS", "ICRS", ""),
    )
).decode() + "".join(_place(name.upper()) for name in _LINEAR)


def _origin_cards(channels: Sequence[Channel]) -> str:
    """Say which images a stamp is cut from."""
    cards = write_card("TILE", ",".join(Path(c.data.path).name for c in channels), "cut from")
    ids = ",".join(c.image_id for c in channels if c.image_id)
    return (cards + (write_card("IMAGEID", ids, "in the archive") if ids else b"")).decode()


def _data(plane: PixelArray) -> bytes:
    """Give pixels in FITS's byte order, whole blocks of them."""
    content = plane.astype(plane.dtype.newbyteorder(">"), copy=False).tobytes()
    return content + bytes(-len(content) % BLOCK)
