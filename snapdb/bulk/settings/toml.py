"""Settings in TOML files, Cutana's among them."""

import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snapdb.bulk.settings.config import Config
from snapdb.bulk.settings.setting import Section
from snapdb.errors import ConfigError

_NOT_SETTINGS = (
    "session_timestamp",
    "num_sources",
    "num_sources_estimated",
    "fits_files",
    "num_unique_fits_files",
    "external_fitsbolt_cfg",
    "process_id",
    "timestamp",
    "created_at",
    "batch_index",
    "job_tracker_session_id",
    "memory_limit_gb",
)
"""What Cutana keeps among its settings: results of its analysis, its workers' names, another package's."""
_NOT_LOADBALANCER = (
    "max_workers",
    "N_batch_cutout_process",
    "memory_limit_gb",
    "memory_limit_bytes",
    "resource_source",
    "cpu_count",
    "memory_available_gb",
    "memory_total_gb",
    "safety_margin",
)
"""What Cutana's runs note among the settings of the load balancer: of the machine, and of other settings."""

_TYPE_TAG, _ENUM_TAG = "__numpy_dtype__", "__enum__"


def save_config_toml(config: Config, filepath: str | Path) -> str:
    """Save settings to a TOML file, which appears whole; its folder is made.

    Functions cannot be saved, and a warning names them.

    Parameters
    ----------
    config
        The settings, all of which must be allowed.
    filepath
        Of the file; one that is there is replaced.

    Returns
    -------
    str
        Path of the file.

    Raises
    ------
    ConfigError
        If settings are not allowed, or do not go together.
    StorageError
        If the file cannot be written.
    """
    import tomli_w

    from snapdb.storage import write_atomically

    config.check()
    text = tomli_w.dumps(_to_table(config))
    path = Path(filepath)
    with write_atomically(path, overwrite=True) as out:
        out.write(text.encode())
    return str(path)


def load_config_toml(filepath: str | Path) -> Config:
    """Load settings from a TOML file; what it does not name has its default; ``config_file`` is its path.

    Files that Cutana wrote load too. What it keeps beside settings is left out, with
    a warning that names it.

    Parameters
    ----------
    filepath
        Of the file.

    Returns
    -------
    Config
        The settings.

    Raises
    ------
    ConfigError
        If the file cannot be read, names an unknown setting, or gives one a value that
        is not allowed; the message names file and setting.
    """
    path = Path(filepath)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        msg = f"settings file {path} cannot be read: {err}"
        raise ConfigError(msg, path=str(path)) from err
    config = Config()
    ignored = _leave_out(values)
    try:
        config.update(_untag(values))
        config.check()
    except ConfigError as err:
        msg = f"settings file {path}: {err.message}"
        raise ConfigError(msg, **{**err.fields, "path": str(path)}) from err
    config.config_file = str(path)
    if ignored:
        warnings.warn(f"{path}: {', '.join(ignored)} left out, as no setting of a run", stacklevel=2)
    return config


def _leave_out(values: dict[str, Any]) -> list[str]:
    """Take out what Cutana keeps beside settings, and name it."""
    ignored = [name for name in _NOT_SETTINGS if values.pop(name, None) is not None]
    balancer = values.get("loadbalancer")
    if isinstance(balancer, dict):
        found = (name for name in _NOT_LOADBALANCER if balancer.pop(name, None) is not None)
        ignored += [f"loadbalancer.{name}" for name in found]
    return ignored


def _to_table(section: Section) -> dict[str, Any]:
    """Give a section as TOML can say it."""
    return dict(_to_entries(section))


def _to_entries(section: Section) -> Iterator[tuple[str, Any]]:
    """Yield names with values; None is left out where it is the default, and "none" elsewhere."""
    for setting in section.settings():
        value = section[setting.name]
        if callable(value):
            text = f"config.{section.path(setting.name)} is a function, which TOML cannot hold; set it again"
            warnings.warn(text, stacklevel=5)
        elif value is not None:
            yield setting.name, value
        elif setting.default is not None:
            yield setting.name, "none"
    for name in section.sections():
        yield name, _to_table(section[name])


def _untag(value: Any) -> Any:
    """Give the plain value inside Cutana's tags for numpy types and enumerations."""
    if isinstance(value, Mapping):
        return {name: _untag(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_untag(v) for v in value]
    if isinstance(value, str) and value.startswith(_TYPE_TAG):
        return value.removeprefix(_TYPE_TAG)
    if isinstance(value, str) and value.startswith(_ENUM_TAG):
        text = value.rpartition("__")[2]
        return int(text) if text.lstrip("-").isdigit() else text
    return value
