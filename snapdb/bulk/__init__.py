"""Stamps of whole catalogues: plan, extract, shape, write.

===============================  =================================================================
name                             what it is
===============================  =================================================================
:func:`get_default_config`       settings of a run, under the names that Cutana's users know
:func:`load_config_toml`         settings from a TOML file, Cutana's among them
:func:`save_config_toml`         settings to a TOML file
:class:`Config`                  what these three handle
:func:`load_and_validate_catalogue`  a catalogue as a DataFrame; an error that names every bad row
:class:`Catalogue`               a catalogue in pieces, sound rows apart from problems
:class:`Orchestrator`            a run: ``run()``, ``start_processing()``, ``get_progress()`` ...
:class:`ProgressReport`          how far it is
:func:`open`                     :class:`Stamps` that a run wrote: by id, by position, in batches
:func:`iter_batches`             stamps in batches that touch no disk
:func:`preview`                  a contact sheet before the run
===============================  =================================================================

Names load what they need on first use.

Examples
--------
>>> from snapdb.bulk import get_default_config
>>> config = get_default_config()
>>> config.target_resolution = 64
>>> config.normalisation.percentile
99.8
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapdb.bulk.catalogue.catalogue import Catalogue, load_and_validate_catalogue
    from snapdb.bulk.catalogue.problem import CatalogueValidationError, Problem
    from snapdb.bulk.reading.contact_sheet import preview
    from snapdb.bulk.reading.reader import Stamps
    from snapdb.bulk.reading.reader import open as open  # noqa: A004  # snapdb.bulk.open, as zarr.open
    from snapdb.bulk.reading.stream import iter_batches
    from snapdb.bulk.running.orchestrator import Orchestrator
    from snapdb.bulk.running.progress import ProgressReport
    from snapdb.bulk.settings.config import Config, get_default_config
    from snapdb.bulk.settings.toml import load_config_toml, save_config_toml

# `open` is not among them: a star import would hide the built-in one.
__all__ = [
    "Catalogue",
    "CatalogueValidationError",
    "Config",
    "Orchestrator",
    "Problem",
    "ProgressReport",
    "Stamps",
    "get_default_config",
    "iter_batches",
    "load_and_validate_catalogue",
    "load_config_toml",
    "preview",
    "save_config_toml",
]

_HOMES = {
    "Catalogue": "snapdb.bulk.catalogue.catalogue",
    "CatalogueValidationError": "snapdb.bulk.catalogue.problem",
    "Config": "snapdb.bulk.settings.config",
    "Orchestrator": "snapdb.bulk.running.orchestrator",
    "Problem": "snapdb.bulk.catalogue.problem",
    "ProgressReport": "snapdb.bulk.running.progress",
    "Stamps": "snapdb.bulk.reading.reader",
    "get_default_config": "snapdb.bulk.settings.config",
    "iter_batches": "snapdb.bulk.reading.stream",
    "load_and_validate_catalogue": "snapdb.bulk.catalogue.catalogue",
    "load_config_toml": "snapdb.bulk.settings.toml",
    "open": "snapdb.bulk.reading.reader",
    "preview": "snapdb.bulk.reading.contact_sheet",
    "save_config_toml": "snapdb.bulk.settings.toml",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    import importlib

    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    msg = f"module 'snapdb.bulk' has no attribute {name!r}; it has {', '.join(_HOMES)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_HOMES})
