"""The settings of a run of bulk cutouts, under the names that Cutana's users know."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from snapdb.bulk.settings.criteria import search_criteria
from snapdb.bulk.settings.kinds import (
    choice,
    extensions,
    function,
    maybe_choice,
    maybe_number,
    maybe_whole,
    maybe_words,
    memory,
    number,
    several,
    switch,
    weights,
    whole,
    words,
)
from snapdb.bulk.settings.sections import FluxKeywords, Interface, LoadBalancer, Normalisation
from snapdb.bulk.settings.setting import Effect, Section, Setting, refused

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "TRACE")
"""Levels of a log."""

METHODS = ("linear", "log", "asinh", "zscale", "none")
"""Stretches."""

INTERPOLATIONS = ("bilinear", "nearest", "cubic", "lanczos")
"""How stamps are enlarged; shrinking averages over areas."""

CHOICES = ("all", "first", "deepest", "best_centred")
"""Which of several images that cover a source give stamps."""

_OF_FORMAT = {"compression": "zarr", "chunk_stamps": "zarr", "fits_batches": "fits"}
_TRANSITIONS = {"asinh": (0.7, 0.001, 3.0), "log": (1000.0, 0.01, 10000.0)}


class Config(Section):
    """Settings of a run; every one is checked when it is set.

    Attributes and items are the same: ``config.target_resolution = 64`` and
    ``config["target_resolution"] = 64``. Sections hold more: ``config.normalisation.a = 0.7``.

    Raises
    ------
    ConfigError
        When a name is no setting, or a value is not allowed.

    Examples
    --------
    >>> config = get_default_config()
    >>> config.normalisation_method = "log"
    >>> config.transition
    1000.0
    >>> config.target_resolution = 5
    Traceback (most recent call last):
    ...
    snapdb.errors.tree.ConfigError: config.target_resolution = 5: expected an integer from 16 to 2048
    """

    name = words("cutana_run", "Of the run.")
    log_level = choice("INFO", LOG_LEVELS, "Kept for Cutana's files; a run writes a report, no log.")
    console_log_level = choice(
        "WARNING", LOG_LEVELS, "Kept for Cutana's files; progress goes to status_panel or on_progress."
    )

    source_catalogue = maybe_words("File of the catalogue: CSV, parquet, FITS or VOTable.")
    output_dir = words("cutana_output", "Where the stamps go.")
    output_format = choice("zarr", ("zarr", "fits"), "Of the stamps.", effect="layout")
    data_type = choice("float32", ("float32", "uint8"), "Of the stamps' pixels.", effect="pixels")
    write_to_disk = switch("Write stamps; False is for those that are taken as a stream.", default=True)

    max_workers = whole(16, 1, 1024, "Workers at most; there are never more than cores.")
    N_batch_cutout_process = whole(
        1000,
        10,
        10000,
        "Stamps that are worked on, and written, together; fewer where memory asks for it.",
        effect="layout",
    )
    max_workflow_time_seconds = whole(1_354_571, 600, 5_000_000, "Stop, to be resumed, after this time.")
    process_threads = maybe_whole(None, 1, 128, "Threads of numerical libraries in a worker; None: one.")
    memory_limit = memory("Memory of all workers together at most, such as '4 GB'; None: no limit.")

    target_resolution = whole(256, 16, 2048, "Edge of a stamp, in pixels.", effect="pixels")
    padding_factor = number(
        1.0, 0.25, 10.0, "Edge of what is cut out, in sizes of the source.", effect="pixels"
    )
    normalisation_method = choice("linear", METHODS, "Stretch.", effect="pixels")
    interpolation = choice(
        "bilinear", INTERPOLATIONS, "How stamps are enlarged.", aliases={"bicubic": "cubic"}, effect="pixels"
    )
    flux_conserved_resizing = switch(
        "Resizing keeps the sum over the pixels, not their level.", default=False, effect="pixels"
    )
    do_only_cutout_extraction = switch(
        "Write pixels as they were cut, not resized, mixed or stretched.",
        default=False,
        effect="pixels",
    )
    planes = several(["data"], ("data", "noise", "flags"), "Which planes give stamps.", effect="pixels")

    fits_extensions = extensions(["PRIMARY"], "Extensions with images.", effect="pixels")
    selected_extensions = extensions(
        [],
        "Those to use, by name, number or part of the file's name; empty: all of them. "
        "A name that fits nothing is a label where each file has one image, and refused elsewhere.",
        effect="pixels",
    )
    available_extensions = extensions([], "Those that were found; kept for the user.")

    apply_flux_conversion = switch(
        "Convert counts to fluxes by the zero point.", default=True, effect="pixels"
    )
    flux_unit = maybe_choice(
        "Jy", ("nJy", "uJy", "Jy"), "Of converted fluxes; None: leave counts.", effect="pixels"
    )
    user_flux_conversion_function = function("Called with pixels and header instead; deprecated.")

    channel_weights = weights(
        {"PRIMARY": [1.0]}, "Channel -> its weight in each output channel; unnormalised, in order."
    )

    diameter_pixel = maybe_number(
        None, 0, 10000, "Size of sources without one, in pixels.", above=True, effect="pixels"
    )
    diameter_arcsec = maybe_number(
        None, 0, 3600, "Size of sources without one, in arcsec.", above=True, effect="pixels"
    )
    choose = choice("best_centred", CHOICES, "Which of several images of a source are cut.", effect="pixels")
    criteria = search_criteria("Which images of the archive are used, as find_images takes it.")

    skip_catalogue_validation = switch("Do not look for duplicates.", default=False, effect="pixels")
    skip_fits_check = switch("Do not look whether the catalogue's files exist before the run.", default=False)

    compression = choice("lz4", ("lz4", "zstd", "none"), "Of zarr chunks.", effect="layout")
    chunk_stamps = maybe_whole(
        None,
        1,
        10000,
        "Stamps a zarr chunk, and of a batch at least; None: up to 256 kB, and no more than a batch.",
        effect="layout",
    )
    fits_batches = switch("One FITS file a batch, not one a source.", default=False, effect="layout")

    tracking_file = words("workflow_tracking.json", "Kept for Cutana's files; unused.")
    config_file = maybe_words("File that these settings were read from; load_config_toml sets it.")

    normalisation: Normalisation
    flux_conversion_keywords: FluxKeywords
    loadbalancer: LoadBalancer
    ui: Interface

    @classmethod
    def sections(cls) -> dict[str, type[Section]]:
        """Name the sections inside this one."""
        return {
            "normalisation": Normalisation,
            "flux_conversion_keywords": FluxKeywords,
            "loadbalancer": LoadBalancer,
            "ui": Interface,
        }

    @property
    def transition(self) -> float | None:
        """``normalisation.a``, or what stands for None with the method; None where there is no such thing."""
        if self.normalisation_method not in _TRANSITIONS:
            return None
        given = self.normalisation.a
        return _TRANSITIONS[self.normalisation_method][0] if given is None else given

    def assign(self, path: str, value: Any) -> None:
        """Set a setting by its full name.

        Parameters
        ----------
        path
            Such as ``normalisation.a``, or ``channel_weights.VIS`` for one key of a table.
        value
            What it shall be.

        Raises
        ------
        ConfigError
            If there is no such setting, or it cannot have that value.
        """
        section, _, name = path.partition(".")
        if name and section in self.sections():
            self[section][name] = value
        elif name and isinstance(table := self._table(section), Mapping):
            self[section] = {**table, name: value}
        else:
            self[path] = value

    def _table(self, name: str) -> Any:
        """Give the keys that were set of a setting that is a table; None where it is none."""
        setting = next((s for s in self.settings() if s.name == name), None)
        if setting is None or not isinstance(setting.default, Mapping):
            return None
        return {} if self[name] == setting.default else self[name]

    def check(self) -> None:
        """See that every value is allowed, and that they go together.

        Raises
        ------
        ConfigError
            Naming the setting, its value, and what is expected.
        """
        super().check()
        _check_transition(self)
        _check_crop(self)
        _check_output(self)

    def parameters(self) -> dict[str, Any]:
        """Give what decides the stamps' pixels, as a provenance holds it.

        Lists of pairs stand for dictionaries whose order counts.
        """
        return dict(self._effective(("pixels",)))

    def digest(self) -> str:
        """Give a text that differs when the output would: its pixels, or how they lie on disk.

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        ConfigError
            If settings do not go together.
        """
        from snapdb.model.canonical import to_canonical_json, to_json_value

        self.check()
        values = to_json_value(dict(self._effective(("pixels", "layout"))), "config")
        return hashlib.sha256(to_canonical_json(values).encode()).hexdigest()

    def _effective(self, effects: tuple[Effect, ...]) -> Iterator[tuple[str, Any]]:
        """Yield the settings with one of these effects, as far as they count beside the others."""
        for section in (self, *(self[name] for name in self.sections())):
            for setting in section.settings():
                if setting.effect in effects and self._counts(section.path(setting.name)):
                    yield section.path(setting.name), _to_plain(setting, section[setting.name])
        yield "normalisation.a", self.transition

    def _counts(self, path: str) -> bool:
        """Tell whether a setting has a say beside the others."""
        if path == "normalisation.a":  # what it stands for is given instead
            return False
        if path.startswith("normalisation.crop_"):
            return self.normalisation.crop_enable
        if path in ("normalisation.n_samples", "normalisation.contrast"):
            return self.normalisation_method == "zscale"
        return path not in _OF_FORMAT or self.output_format == _OF_FORMAT[path]


def get_default_config() -> Config:
    """Make settings that all have their defaults."""
    return Config()


def _check_transition(config: Config) -> None:
    """Refuse a parameter `a` that the method does not take."""
    method, given = config.normalisation_method, config.normalisation.a
    if given is None or method not in _TRANSITIONS:
        return
    _, low, high = _TRANSITIONS[method]
    if not low <= given <= high:
        expected = f"a number from {low:g} to {high:g} with the method {method}, or None"
        raise refused("normalisation.a", given, expected)


def _check_crop(config: Config) -> None:
    """Refuse a crop that is no part of the stamp."""
    if not config.normalisation.crop_enable:
        return
    for name in ("crop_width", "crop_height"):
        if not 1 < config.normalisation[name] <= config.target_resolution:
            path = Normalisation.path(name)
            expected = f"more than 1, at most target_resolution = {config.target_resolution}"
            raise refused(path, config.normalisation[name], expected)


def _check_output(config: Config) -> None:
    """Refuse outputs that cannot be."""
    if config.do_only_cutout_extraction:
        if config.output_format != "fits":
            expected = "'fits' with do_only_cutout_extraction, as stamps are of different sizes"
            raise refused("output_format", config.output_format, expected)
        if config.data_type != "float32":
            expected = "'float32' with do_only_cutout_extraction, which changes no pixel"
            raise refused("data_type", config.data_type, expected)
    if config.diameter_pixel is not None and config.diameter_arcsec is not None:
        raise refused("diameter_arcsec", config.diameter_arcsec, "None, as diameter_pixel is set too")


def _to_plain(setting: Setting[Any], value: Any) -> Any:
    """Give a value as JSON can hold it, with the order of channels."""
    if setting.name == "channel_weights":
        return [[name, row] for name, row in value.items()]
    return describe_function(value) if callable(value) else value


def describe_function(function: Callable[..., Any]) -> dict[str, str]:
    """Name a function, with a digest of its code.

    Parameters
    ----------
    function
        Any that Python can call.
    """
    code = getattr(function, "__code__", None)
    digest = hashlib.sha256(_describe_code(code).encode()).hexdigest() if code is not None else ""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return {"function": f"{function.__module__}.{name}", "code": digest}


def _describe_code(code: CodeType) -> str:
    """Write what a function does, without where it stands."""
    constants = [_describe_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code.hex(), code.co_names, code.co_varnames, constants))
