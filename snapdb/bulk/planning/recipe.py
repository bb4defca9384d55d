"""What a run makes of its sources: the settings that the engine obeys, as one plain frozen value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from snapdb.bulk.planning.placing import RUN_PX
from snapdb.errors import ConfigError

if TYPE_CHECKING:
    from snapdb.bulk.settings.config import Config

MIB = 2**20
ZEROPOINT_KEY = "MAGZERO"
"""Keyword of the zero point, by default."""
_COMPRESSIONS = ("lz4", "zstd", "none")
_PART_BYTES = 64 * MIB
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How stamps are cut, shaped and written; it travels to workers."""

    resolution: int = 256
    """Pixels of a stamp's side."""
    padding: float = 1.0
    """Times the source's size is what is cut."""
    interpolation: str = "bilinear"
    conserve: bool = False
    """Whether resampling keeps the total flux, not the surface brightness."""
    method: str = "linear"
    """The stretch."""
    stretch: Mapping[str, Any] = field(default_factory=dict)
    """Its parameters, by the names of :func:`snapdb.bulk.shape.stretch`."""
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: {"PRIMARY": (1.0,)})
    """Channel -> its weight in each output channel."""
    extensions: tuple[Any, ...] = ("PRIMARY",)
    """HDUs of each file that are channels."""
    selected: tuple[Any, ...] = ()
    """Channels that are taken; all where it is empty, or where all are labels of files of one image."""
    convert_flux: bool = True
    zeropoint_key: str = ZEROPOINT_KEY
    flux_unit: str = "Jy"
    dtype: str = "float32"
    output_format: str = "zarr"
    raw: bool = False
    """Whether pixels are written as they were cut, each stamp of its own size."""
    planes: tuple[str, ...] = ()
    """Further planes of which stamps are written: ``noise``, ``flags``."""
    batch: int = 1000
    """The most stamps of a part, where a chunk is not said to be greater."""
    compression: str = "lz4"
    memory_limit: int = 0
    """Bytes that the run may take, 0 for no limit."""
    choose: str = "first"
    """Which images of an archive serve a source: ``all``, ``first``, ``deepest``, ``best_centred``."""
    criteria: Mapping[str, Any] = field(default_factory=dict)
    """Which images of an archive are asked for."""
    fits_batches: bool = False
    """Whether FITS stamps share a file a part, not one a source."""
    chunk: int | None = None
    """Stamps of a chunk, where it is said; a part has no fewer."""
    diameter_pixel: float | None = None
    """Of sources that have no size."""
    diameter_arcsec: float | None = None
    """Of sources that have no size."""
    convert: Callable[..., Any] | None = None
    """The user's own conversion of flux: called with the pixels of a window and the header of its image."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.raw and self.output_format != "fits":
            msg = (
                "do_only_cutout_extraction with output_format = 'zarr': stamps as they were cut differ in "
                "size, and an array has one; ask for output_format = 'fits'"
            )
            raise ConfigError(msg, output_format=self.output_format)
        if self.compression not in _COMPRESSIONS:
            msg = f"compression = {self.compression!r}: expected one of {', '.join(_COMPRESSIONS)}"
            raise ConfigError(msg, compression=self.compression)

    @classmethod
    def from_config(cls, config: "Config") -> Self:
        """Take the engine's part of a run's settings.

        Parameters
        ----------
        config : Config
            Checked settings.

        Raises
        ------
        ConfigError
            If settings contradict each other.
        """
        config.check()
        stretch: dict[str, Any] = {"percentile": config.normalisation.percentile, "a": config.transition}
        stretch |= {n: config.normalisation[n] for n in ("n_samples", "contrast", "asinh_n_samples")}
        if config.normalisation.crop_enable:
            stretch["crop"] = (config.normalisation.crop_height, config.normalisation.crop_width)
        return cls(
            resolution=config.target_resolution,
            padding=config.padding_factor,
            interpolation=config.interpolation,
            conserve=config.flux_conserved_resizing,
            method=config.normalisation_method,
            stretch=stretch,
            weights={name: tuple(row) for name, row in config.channel_weights.items()},
            extensions=tuple(config.fits_extensions),
            selected=tuple(config.selected_extensions),
            convert_flux=config.apply_flux_conversion
            and config.flux_unit is not None
            and config.user_flux_conversion_function is None,
            zeropoint_key=config.flux_conversion_keywords.AB_zeropoint,
            flux_unit=config.flux_unit or "",
            dtype=config.data_type,
            output_format=config.output_format,
            raw=config.do_only_cutout_extraction,
            planes=tuple(p for p in config.planes if p != "data"),
            batch=config.N_batch_cutout_process,
            compression=config.compression,
            memory_limit=config.memory_limit or 0,
            choose=config.choose,
            criteria=dict(config.criteria or {}),
            fits_batches=config.fits_batches,
            chunk=config.chunk_stamps,
            diameter_pixel=config.diameter_pixel,
            diameter_arcsec=config.diameter_arcsec,
            convert=config.user_flux_conversion_function if config.apply_flux_conversion else None,
        )

    @property
    def outputs(self) -> int:
        """Channels of a stamp."""
        return max((len(w) for w in self.weights.values()), default=1)

    @property
    def stamp_bytes(self) -> int:
        """Bytes of one stamp in the array."""
        return self.resolution**2 * self.outputs * (1 if self.dtype == "uint8" else 4)

    @property
    def chunk_stamps(self) -> int:
        """Stamps of one chunk: so few that one is read cheaply, so many that chunks are few."""
        return self.chunk or max(1, min(_CHUNK_BYTES // self.stamp_bytes, 64, self.batch))

    @property
    def part_bytes(self) -> int:
        """Room that a part may take while it is made."""
        if self.memory_limit:
            return min(_PART_BYTES, max(self.memory_limit // 16, 4 * MIB))
        return _PART_BYTES

    @property
    def run_pixels(self) -> int:
        """Pixels of windows that are read together: each takes up to 16 bytes on its way."""
        if self.memory_limit:
            return min(RUN_PX, max(self.memory_limit // 64, 2**18))
        return RUN_PX

    @property
    def part_stamps(self) -> int:
        """Stamps of a part, whole chunks and one at least; its room while it is made is bounded."""
        working = self.stamp_bytes
        if len(self.weights) > 1:  # stamps of one channel are shaped in the cache, others wait for each other
            working += self.resolution**2 * 4 * len(self.weights)
        count = min(self.batch, max(self.part_bytes // working, 1))
        return max(count // self.chunk_stamps, 1) * self.chunk_stamps
