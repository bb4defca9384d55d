"""A run as something that an archive knows was made: a provenance with its settings."""

from typing import TYPE_CHECKING

from snapdb.errors import ReadOnlyStoreError, RegistryError
from snapdb.model.provenance import Provenance

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.bulk.planning.plan import Plan
    from snapdb.bulk.settings.config import Config

PROCESS, MAJOR, MINOR = "bulk_cutouts", 1, 0


def register_run(archive: "Archive", config: "Config", plan: "Plan") -> Provenance:
    """Register what stamps were made by; again, that changes nothing.

    Parameters
    ----------
    archive : Archive
        That the images are in.
    config : Config
        Settings of the run.
    plan : Plan
        With the images.

    Returns
    -------
    Provenance
        Of the settings that decide pixels, with the provenances of the images as upstreams.
    """
    from uuid import UUID

    ids = {UUID(c.image_id) for c in plan.images() if c.image_id}
    made_by = {archive.get_record(one).provenance_id for one in sorted(ids)}
    upstreams = [archive.get_provenance(one) for one in sorted(made_by)]
    made = Provenance(PROCESS, MAJOR, MINOR, config.parameters(), upstreams=upstreams)
    archive.add_provenance(made)
    return made


def try_to_register(archive: "Archive", config: "Config", plan: "Plan") -> str:
    """Register what stamps were made by, or say why the archive does not take it: the stamps are there.

    Parameters
    ----------
    archive, config, plan
        As :func:`register_run`.

    Returns
    -------
    str
        Empty where the run is registered.
    """
    try:
        register_run(archive, config, plan)
    except (RegistryError, ReadOnlyStoreError) as err:
        return str(err)
    return ""
