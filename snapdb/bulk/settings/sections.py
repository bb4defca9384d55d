"""The sections inside the settings: the stretch, the zero point's keyword, the load, the preview."""

from snapdb.bulk.settings.kinds import maybe_number, maybe_whole, maybe_words, number, switch, whole, words
from snapdb.bulk.settings.setting import Section


class Normalisation(Section):
    """How values are stretched."""

    _PREFIX = "normalisation."

    percentile = number(
        99.8, 0, 100, "Share of the pixels, in percent, that lies between black and white.", effect="pixels"
    )
    a = maybe_number(
        None,
        0.001,
        10000.0,
        "Where linear turns to logarithmic; None: 0.7 for asinh (0.001 to 3), 1000 for log (0.01 to 10000).",
        effect="pixels",
    )
    n_samples = whole(1000, 100, 10000, "Pixels that zscale samples.", effect="pixels")
    contrast = number(0.25, 0.01, 1.0, "Contrast of zscale.", effect="pixels")
    asinh_n_samples = maybe_whole(
        None, 100, 1_000_000, "Pixels that asinh takes percentiles of; None: all.", effect="pixels"
    )
    crop_enable = switch("Take white from the middle of the stamp alone.", default=False, effect="pixels")
    crop_width = whole(64, 0, 5000, "Width of that middle, in pixels of the stamp.", effect="pixels")
    crop_height = whole(64, 0, 5000, "Height of that middle, in pixels of the stamp.", effect="pixels")


class FluxKeywords(Section):
    """Where the zero point stands."""

    _PREFIX = "flux_conversion_keywords."

    AB_zeropoint = words(
        "MAGZERO",
        "Header keyword of the AB zero point, in magnitudes. With the default, what the archive has of a "
        "registered file counts first, then what a header map knows of its instrument; any other "
        "keyword, such as MAGZERO@image or MAGZERO@primary, is taken at its word.",
        effect="pixels",
    )


class LoadBalancer(Section):
    """How the load is spread.

    Memory is bounded by the size of the parts and by ``memory_limit``; what steers
    Cutana's polling is kept, so that its files load, and changes nothing.
    """

    _PREFIX = "loadbalancer."

    memory_safety_margin = number(0.15, 0.01, 0.5, "Share of the free memory that is left alone.")
    memory_poll_interval = whole(3, 1, 60, "Seconds between looks at the memory.")
    memory_peak_window = whole(30, 10, 300, "Seconds over which the peak is taken.")
    main_process_memory_reserve_gb = number(4.0, 0.5, 10.0, "Memory of the main process, in GB.")
    initial_workers = whole(1, 1, 8, "Workers at the start.")
    max_sources_per_process = maybe_whole(150_000, 1, None, "Sources of one job at most; None: no limit.")
    log_interval = whole(30, 5, 300, "Seconds between lines of the log.")
    event_log_file = maybe_words("File for events, a JSON text a line.")
    skip_memory_calibration_wait = switch("Start all workers at once.", default=False)


class Interface(Section):
    """How previews look."""

    _PREFIX = "ui."

    preview_samples = whole(10, 1, 50, "Stamps in a preview.")
    preview_size = whole(256, 16, 512, "Edge of a stamp in a preview, in pixels.")
    auto_regenerate_preview = switch("Draw the preview again when a setting changes.", default=True)
