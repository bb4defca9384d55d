"""Settings: the names, defaults and ranges that Cutana documents; TOML; what a digest holds."""

import copy
import pickle
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.bulk.settings.setting import Section
from snapdb.bulk.settings.toml import load_config_toml, save_config_toml
from snapdb.errors import ConfigError

# Oracle: the table "Configuration Parameters" of Cutana's documentation, as it stands there.
DOCUMENTED: tuple[tuple[str, Any, Any, Any], ...] = (
    ("max_workers", 16, 1, 1024),
    ("N_batch_cutout_process", 1000, 10, 10000),
    ("max_workflow_time_seconds", 1354571, 600, 5000000),
    ("target_resolution", 256, 16, 2048),
    ("padding_factor", 1.0, 0.25, 10.0),
    ("normalisation.percentile", 99.8, 0, 100),
    ("normalisation.a", None, 0.001, 10000.0),
    ("normalisation.n_samples", 1000, 100, 10000),
    ("normalisation.contrast", 0.25, 0.01, 1.0),
    ("normalisation.crop_width", 64, 0, 5000),
    ("normalisation.crop_height", 64, 0, 5000),
    ("loadbalancer.memory_safety_margin", 0.15, 0.01, 0.5),
    ("loadbalancer.memory_poll_interval", 3, 1, 60),
    ("loadbalancer.memory_peak_window", 30, 10, 300),
    ("loadbalancer.main_process_memory_reserve_gb", 4.0, 0.5, 10.0),
    ("loadbalancer.initial_workers", 1, 1, 8),
    ("loadbalancer.max_sources_per_process", 150000, 1, None),
    ("loadbalancer.log_interval", 30, 5, 300),
    ("ui.preview_samples", 10, 1, 50),
    ("ui.preview_size", 256, 16, 512),
)
DEFAULTS = {
    "name": "cutana_run",
    "log_level": "INFO",
    "console_log_level": "WARNING",
    "source_catalogue": None,
    "output_dir": "cutana_output",
    "output_format": "zarr",
    "data_type": "float32",
    "normalisation_method": "linear",
    "interpolation": "bilinear",
    "fits_extensions": ["PRIMARY"],
    "selected_extensions": [],
    "available_extensions": [],
    "apply_flux_conversion": True,
    "flux_conversion_keywords.AB_zeropoint": "MAGZERO",
    "user_flux_conversion_function": None,
    "normalisation.crop_enable": False,
    "channel_weights": {"PRIMARY": [1.0]},
    "tracking_file": "workflow_tracking.json",
    "config_file": None,
    "loadbalancer.event_log_file": None,
    "ui.auto_regenerate_preview": True,
}
CHOICES = {
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "TRACE"),
    "output_format": ("zarr", "fits"),
    "data_type": ("float32", "uint8"),
    "normalisation_method": ("linear", "log", "asinh", "zscale", "none"),
    "interpolation": ("bilinear", "nearest", "cubic", "lanczos"),
}


def reach(config: Config, path: str) -> tuple[Section, str]:
    """Give the section that holds a setting, and its name there."""
    section, _, name = path.rpartition(".")
    return (config[section] if section else config), name


@pytest.mark.parametrize(("path", "default", "low", "high"), DOCUMENTED, ids=[d[0] for d in DOCUMENTED])
def test_documented_ranges(path: str, default: Any, low: Any, high: Any) -> None:
    section, name = reach(Config(), path)
    assert section[name] == default
    for value in filter(None, (low, high)):
        setattr(section, name, value)
        assert section[name] == value
    beyond = [low - 1] if high is None else [low - 1, high + 1]
    for value in (*beyond, "7", True, float("nan")):
        with pytest.raises(ConfigError, match=rf"config\.{path} = .*: expected an? (integer|number)"):
            setattr(section, name, value)


@pytest.mark.parametrize("path", DEFAULTS)
def test_documented_defaults(path: str) -> None:
    section, name = reach(Config(), path)
    assert section[name] == DEFAULTS[path]


@pytest.mark.parametrize("name", CHOICES)
def test_documented_choices(name: str) -> None:
    config = Config()
    for value in CHOICES[name]:
        config[name] = value.upper()
        assert config[name] == value
    with pytest.raises(
        ConfigError, match=f"config.{name} = 'other': expected one of {', '.join(CHOICES[name])}"
    ):
        config[name] = "other"


def test_every_setting_says_what_it_is() -> None:
    kinds: list[type[Section]] = [Config, *Config.sections().values()]
    assert all(setting.text.endswith((".", "log.")) for kind in kinds for setting in kind.settings())


def test_attributes_items_and_sections_are_one() -> None:
    config = get_default_config()
    config["target_resolution"] = 64
    config.normalisation.a = 0.5
    config["normalisation"]["percentile"] = 99
    config["normalisation"] = {"n_samples": 500}
    assert (config.target_resolution, config["normalisation"].a) == (64, 0.5)
    assert (config.normalisation.percentile, config.normalisation.n_samples) == (99.0, 500)
    assert "ui" in config
    assert config.get("nothing", 3) == 3
    assert dict(config)["name"] == "cutana_run"
    assert repr(Config()) == "Config()"
    assert "target_resolution=64" in repr(config)


def test_settings_are_set_by_their_full_name() -> None:
    config = Config()
    config.assign("normalisation.a", 0.25)
    config.assign("target_resolution", 32)
    assert (config.normalisation.a, config.target_resolution) == (0.25, 32)
    for path in ("normalisation.b", "normalization.a", "name.a", "ui."):
        with pytest.raises(ConfigError, match="no such setting"):
            config.assign(path, 1)


def test_keys_of_a_table_are_set_one_by_one() -> None:
    """The first takes the place of the default, which nobody chose."""
    config = Config()
    config.assign("channel_weights.VIS", [1.0, 0.0])
    config.assign("channel_weights.NIR", [0.0, 1.0])
    config.assign("criteria.band", "r")
    assert config.channel_weights == {"VIS": [1.0, 0.0], "NIR": [0.0, 1.0]}
    assert config.criteria == {"band": "r"}
    assert Config().channel_weights == {"PRIMARY": [1.0]}
    with pytest.raises(ConfigError, match="CHANNEL"):
        config.assign("channel_weights.VIS", "much")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    config = Config()
    with pytest.raises(ConfigError, match="did you mean 'target_resolution'"):
        config.target_resolutoin = 3
    with pytest.raises(ConfigError, match=r"config\.normalisation\.percentil.*did you mean 'percentile'"):
        config.normalisation.percentil = 3
    with pytest.raises(AttributeError, match="did you mean 'N_batch_cutout_process'"):
        _ = config.n_batch_cutout_process
    with pytest.raises(KeyError, match="no such setting"):
        config["nothing"]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("interpolation", "bicubic", "cubic"),
        ("data_type", np.uint8, "uint8"),
        ("target_resolution", np.int64(64), 64),
        ("padding_factor", np.float32(0.5), 0.5),
        ("memory_limit", "2 GB", 2 * 10**9),
        ("memory_limit", "512 MiB", 512 * 2**20),
        ("planes", "noise", ["noise"]),
        ("flux_unit", "none", None),
        ("output_dir", Path("a/b"), "a/b"),
        ("selected_extensions", ["VIS", 2, {"name": "VIS", "ext": "IMAGE"}], None),
        ("channel_weights", {"VIS": [1, 0.5], "NIR": (0, 1)}, {"VIS": [1.0, 0.5], "NIR": [0.0, 1.0]}),
        ("criteria", {"band": ["r"], "provenance_tag": "best"}, None),
    ],
)
def test_what_values_become(name: str, value: Any, kept: Any) -> None:
    config = Config()
    config[name] = value
    assert config[name] == (value if kept is None and name != "flux_unit" else kept)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("channel_weights", {}, "expected {'CHANNEL'"),
        ("channel_weights", {"a": [1.0], "b": [1.0, 2.0]}, "as many for each channel"),
        ("channel_weights", {"a": [float("nan")]}, "finite"),
        ("channel_weights", {"a": [0.0]}, "not all 0"),
        ("channel_weights", [1.0], "expected {'CHANNEL'"),
        ("selected_extensions", "VIS", "expected a list"),
        ("selected_extensions", [-1], "expected a list"),
        ("selected_extensions", [{"hdu": 1}], "expected a list"),
        ("memory_limit", "much", "an amount of memory"),
        ("memory_limit", 1000, "at least 64 MB"),
        ("planes", [], "some of data, noise, flags"),
        ("choose", "best", "one of all, first, deepest, best_centred"),
        ("criteria", {"bnd": "r"}, "did you mean 'band'"),
        ("criteria", {"ra": 3.0}, "positions are the catalogue's"),
        ("diameter_pixel", 0, "a number above 0, at most 10000, or None"),
        ("user_flux_conversion_function", 3, "a function"),
        ("apply_flux_conversion", 1, "True or False"),
        ("output_dir", "", "text that is not empty"),
        ("normalisation", 3, "a dictionary"),
    ],
)
def test_what_is_refused(name: str, value: Any, text: str) -> None:
    config = Config()
    before = copy.deepcopy(config)
    with pytest.raises(ConfigError) as caught:
        config[name] = value
    assert text in str(caught.value)
    assert f"config.{name}" in str(caught.value)
    assert config == before


def test_the_transition_follows_the_method() -> None:
    config = Config()
    found = {}
    for method in ("linear", "asinh", "log", "zscale", "none"):
        config.normalisation_method = method
        found[method] = config.transition
    assert found == {"linear": None, "asinh": 0.7, "log": 1000.0, "zscale": None, "none": None}
    config.normalisation.a = 5.0
    config.normalisation_method = "log"
    assert config.transition == 5.0
    config.check()
    config.normalisation_method = "asinh"
    with pytest.raises(ConfigError, match=r"from 0\.001 to 3 with the method asinh"):
        config.check()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"do_only_cutout_extraction": True}, "stamps are of different sizes"),
        (
            {"do_only_cutout_extraction": True, "output_format": "fits", "data_type": "uint8"},
            "changes no pixel",
        ),
        ({"normalisation": {"crop_enable": True, "crop_width": 300}}, "at most target_resolution = 256"),
        ({"normalisation": {"crop_enable": True, "crop_height": 1}}, "more than 1"),
        ({"diameter_pixel": 10, "diameter_arcsec": 3}, "diameter_pixel is set too"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], text: str) -> None:
    config = Config()
    config.update(changes)
    with pytest.raises(ConfigError, match=text):
        config.check()


def test_changes_in_place_are_seen_by_check() -> None:
    config = Config()
    config.channel_weights["VIS"] = [1.0]
    config.check()
    assert Config().channel_weights == {"PRIMARY": [1.0]}
    config.channel_weights["VIS"] = "x"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"config\.channel_weights"):
        config.check()


TEXT = "a text 'with' \"marks\" \\ é 星"


def every_setting() -> Iterator[tuple[str, Any]]:
    """Yield each setting with a value that is not its default."""
    others: dict[str, Any] = {
        "channel_weights": {"VIS": [1.0, 0.25]},
        "criteria": {"band": ["r", "i"], "mjd_min": 59000.5},
        "planes": ["data", "flags"],
        "fits_extensions": ["SCI", 3],
        "selected_extensions": [{"name": "VIS", "ext": "SCI"}],
        "available_extensions": ["A"],
        "memory_limit": 10**9,
        "flux_unit": None,
        "user_flux_conversion_function": None,
        "loadbalancer.max_sources_per_process": None,
        "do_only_cutout_extraction": False,  # goes with few others
        "diameter_arcsec": None,
    }
    choices = {
        "log_level": "TRACE", "console_log_level": "DEBUG", "output_format": "fits", "data_type": "uint8",
        "normalisation_method": "log", "interpolation": "lanczos", "choose": "all", "compression": "none",
    }  # fmt: skip
    numbers: dict[type, Any] = {bool: lambda v: not v, int: lambda v: v + 2, float: lambda v: v * 0.5}
    config = Config()
    for section in (config, *(config[name] for name in config.sections())):
        for setting in section.settings():
            path = section.path(setting.name)
            made = numbers.get(type(setting.default), lambda _: TEXT)(setting.default)
            if setting.default is None:
                made = 100 if "number" in setting.expected or "integer" in setting.expected else "file.csv"
            yield path, others.get(path, choices.get(path, made))


def test_toml_keeps_every_setting(tmp_path: Path) -> None:
    config = Config()
    for path, value in every_setting():
        section, name = reach(config, path)
        section[name] = value
    config.process_threads = 3
    config.normalisation.a = 12.5
    given = tmp_path / "new" / "run.toml"
    assert save_config_toml(config, given) == str(given)
    again = load_config_toml(given)
    assert again.config_file == str(given)
    config.config_file = str(given)
    assert again == config
    assert again.digest() == config.digest()
    untouched = {"do_only_cutout_extraction", "diameter_arcsec", "user_flux_conversion_function"}
    same = {name for name, value in again.items() if value == Config()[name]}
    assert same == untouched
    assert tomllib.loads(given.read_text())["flux_unit"] == "none"


def test_toml_merges_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("target_resolution = 64\n[normalisation]\na = 0.3\n[channel_weights]\nB = [1]\nA = [2]\n")
    config = load_config_toml(path)
    expected = Config()
    expected.update(
        config_file=str(path),
        target_resolution=64,
        channel_weights={"B": [1.0], "A": [2.0]},
        normalisation={"a": 0.3},
    )
    assert config == expected
    assert list(config.channel_weights) == ["B", "A"]


CUTANA_FILE = """
name = "cutana_run"
log_level = "INFO"
console_log_level = "WARNING"
session_timestamp = "20260101_120000"
output_dir = "/data/cutana_output"
output_format = "zarr"
data_type = "__numpy_dtype__uint8"
write_to_disk = true
skip_catalogue_validation = false
skip_fits_check = false
max_workers = 8
N_batch_cutout_process = 1000
max_workflow_time_seconds = 1354571
do_only_cutout_extraction = false
target_resolution = 150
padding_factor = 1.0
normalisation_method = "asinh"
interpolation = "bicubic"
flux_conserved_resizing = false
fits_extensions = [ "PRIMARY",]
selected_extensions = [ "VIS", { name = "NIR_H", ext = "PRIMARY" },]
available_extensions = []
apply_flux_conversion = true
tracking_file = "workflow_tracking.json"
num_sources = 25
num_sources_estimated = false
fits_files = [ "/data/a.fits",]
num_unique_fits_files = 1

[flux_conversion_keywords]
AB_zeropoint = "MAGZERO"

[normalisation]
percentile = 99.8
a = 0.1
n_samples = 1000
contrast = 0.25
crop_enable = false
crop_height = 64
crop_width = 64

[external_fitsbolt_cfg]
normalisation_method = "__enum__fitsbolt.normalisation.NormalisationMethod__0"

[channel_weights]
VIS = [ 1.0, 0.0, 0.5,]
NIR_H = [ 0.0, 1.0, 0.3,]

[loadbalancer]
memory_safety_margin = 0.15
skip_memory_calibration_wait = false

[ui]
preview_samples = 10
"""


AFTER_A_RUN = """
max_workers = 1
memory_limit_gb = 17.68779106065631

[loadbalancer]
initial_workers = 2
max_sources_per_process = 12500
max_workers = 1
N_batch_cutout_process = 1000
memory_limit_gb = 17.68779106065631
memory_limit_bytes = 18992121036
resource_source = "system"
cpu_count = 2
memory_available_gb = 20.809165954589844
memory_total_gb = 23.540584564208984
safety_margin = 0.15
"""


def test_settings_that_cutana_saved_after_a_run_load(tmp_path: Path) -> None:
    """Oracle: what Cutana 0.4.0's save_config_toml writes when its Orchestrator has run."""
    path = tmp_path / "after.toml"
    path.write_text(AFTER_A_RUN)
    with pytest.warns(UserWarning, match=r"memory_limit_gb, loadbalancer.max_workers.* left out"):
        config = load_config_toml(path)
    assert (config.max_workers, config.loadbalancer.initial_workers) == (1, 2)
    path.write_text("[loadbalancer]\nno_such = 1\n")
    with pytest.raises(ConfigError, match="no_such"):
        load_config_toml(path)


def test_a_file_of_cutana_loads_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "cutana.toml"
    path.write_text(CUTANA_FILE)
    with pytest.warns(UserWarning, match="session_timestamp, num_sources.*external_fitsbolt_cfg left out"):
        config = load_config_toml(path)
    assert (config.data_type, config.interpolation, config.transition) == ("uint8", "cubic", 0.1)
    assert config.selected_extensions == ["VIS", {"name": "NIR_H", "ext": "PRIMARY"}]
    assert config.channel_weights == {"VIS": [1.0, 0.0, 0.5], "NIR_H": [0.0, 1.0, 0.3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target_resolution = 5", r"config\.target_resolution = 5: expected an integer from 16 to 2048"),
        ("targetresolution = 64", "did you mean 'target_resolution'"),
        ("[normalisation]\na = 5.0\n", None),
        ('normalisation_method = "asinh"\n[normalisation]\na = 5.0\n', "with the method asinh"),
        ("a = = 3", "cannot be read"),
    ],
)
def test_errors_of_files_name_the_file(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    if message is None:
        load_config_toml(path)
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_config_toml(path)
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config_toml(tmp_path / "none.toml")


def test_functions_are_left_out_of_files_with_a_warning(tmp_path: Path) -> None:
    config = Config()
    config.user_flux_conversion_function = lambda data, _header: data
    with pytest.warns(UserWarning, match="user_flux_conversion_function is a function"):
        save_config_toml(config, tmp_path / "run.toml")
    again = load_config_toml(tmp_path / "run.toml")
    assert again.user_flux_conversion_function is None
    assert again.digest() == Config().digest()


def test_the_digest_changes_with_the_output_alone() -> None:
    first = Config().digest()
    changed = set()
    for path, value in every_setting():
        config = Config()
        section, name = reach(config, path)
        section[name] = value
        if config.digest() != first:
            changed.add(path)
    assert changed >= {
        "target_resolution", "padding_factor", "normalisation_method", "interpolation", "data_type",
        "output_format", "channel_weights", "planes", "choose", "criteria", "flux_unit", "compression",
        "flux_conversion_keywords.AB_zeropoint", "normalisation.percentile", "normalisation.crop_enable",
        "selected_extensions", "fits_extensions", "apply_flux_conversion", "N_batch_cutout_process",
    }  # fmt: skip
    assert not changed & {
        "name", "log_level", "output_dir", "max_workers", "memory_limit", "tracking_file", "config_file",
        "source_catalogue", "ui.preview_samples", "loadbalancer.log_interval", "normalisation.n_samples",
    }  # fmt: skip


def test_the_digest_knows_order_meaning_and_code() -> None:
    one, other = Config(), Config()
    one.channel_weights = {"A": [1.0], "B": [2.0]}
    other.channel_weights = {"B": [2.0], "A": [1.0]}
    assert one.digest() != other.digest()
    one, other = Config(), Config()
    one.normalisation_method = other.normalisation_method = "asinh"
    other.normalisation.a = 0.7
    assert one.digest() == other.digest()
    one.user_flux_conversion_function = lambda data, _header: data * 2
    other.user_flux_conversion_function = lambda data, _header: data * 3
    assert one.digest() != other.digest()
    assert one.parameters()["normalisation.a"] == 0.7
    assert "compression" not in one.parameters()


def test_settings_travel(tmp_path: Path) -> None:
    config = Config()
    config.update({"target_resolution": 64, "ui": {"preview_size": 32}})
    for again in (pickle.loads(pickle.dumps(config)), copy.deepcopy(config), config.copy()):
        assert again == config
        again.ui.preview_size = 64
        again.channel_weights["X"] = [1.0]
        assert config.ui.preview_size == 32
        assert "X" not in config.channel_weights
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_config_toml(config, tmp_path / "a.toml")
