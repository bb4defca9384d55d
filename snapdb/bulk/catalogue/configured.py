"""A run's catalogue, as its settings say."""

from typing import TYPE_CHECKING, Any

from snapdb.bulk.catalogue.catalogue import Catalogue
from snapdb.errors import ConfigError

if TYPE_CHECKING:
    from snapdb.bulk.settings.config import Config


def open_catalogue(config: "Config", source: Any = None) -> Catalogue:
    """Open the catalogue of a run.

    Parameters
    ----------
    config
        Its settings: the file, the size of sources without one, and what is checked.
    source
        A catalogue other than the settings' ``source_catalogue``.

    Returns
    -------
    Catalogue
        Of which nothing but the columns' names has been read.

    Raises
    ------
    ConfigError
        If there is neither; or if pyarrow is not installed.
    FormatError
        If it cannot be read.
    ObjectMissingError
        If there is no such file.
    UsageError
        If it is of no kind that is read.
    """
    if source is None:
        source = config.source_catalogue
    if source is None:
        msg = "config.source_catalogue = None: expected the path of a catalogue, or give one to the run"
        raise ConfigError(msg, key="source_catalogue")
    return Catalogue.open(
        source,
        diameter_pixel=config.diameter_pixel,
        diameter_arcsec=config.diameter_arcsec,
        check_file_paths=not config.skip_fits_check,
        check_duplicates=not config.skip_catalogue_validation,
    )
