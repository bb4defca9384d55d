"""The folder that a run writes to."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.bulk.running.journal import FOLDER
from snapdb.bulk.settings.config import Config
from snapdb.bulk.writing.shards import FLAGS, NOISE
from snapdb.bulk.writing.shards import IMAGES as STAMPS
from snapdb.bulk.writing.table import IMAGES, INDEX, MAPPING, REPORT
from snapdb.errors import ConfigError, ObjectExistsError, UsageError

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_OF_RUNS = (FOLDER, INDEX, IMAGES, REPORT, MAPPING, "batch-*", "stamps-*.fits")
_OF_ZARR = ("zarr.json", STAMPS, NOISE, FLAGS)
"""What a run writes into its folder."""


def check_call(config: Config, *, resume: bool, overwrite: bool) -> None:
    """See that what is asked of a run goes together.

    Parameters
    ----------
    config : Config
        Its settings.
    resume, overwrite : bool
        What shall become of a run that is there.

    Raises
    ------
    ConfigError
        If settings say that nothing is written.
    UsageError
        If a run shall be both gone on with and replaced.
    """
    if not config.write_to_disk:
        msg = (
            "config.write_to_disk = False: a run writes its stamps; take them from "
            "snapdb.bulk.iter_batches(config), which writes nothing, or set write_to_disk to True"
        )
        raise ConfigError(msg, key="write_to_disk", value=False)
    if resume and overwrite:
        msg = "resume goes on with the run that is there, overwrite replaces it: ask for one of them"
        raise UsageError(msg)


def check_archive(archive: Any) -> "Archive | None":
    """See that what shall be an archive is one, and give it back.

    Parameters
    ----------
    archive : object
        As it was given.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if archive is None:
        return None
    from snapdb.archive.archive import Archive

    if not isinstance(archive, Archive):
        msg = f"archive is of {type(archive)}: expected what snapdb.connect(...) gives, or None"
        raise UsageError(msg)
    return archive


def check_folder(folder: Path, *, is_run: bool, overwrite: bool, is_zarr: bool) -> None:
    """See that a folder may be written to, and take out a run that shall be replaced.

    FITS files may lie beside what is not of a run, such as the settings; a zarr group has its
    folder for itself.

    Parameters
    ----------
    folder : Path
        Of the output.
    is_run : bool
        Whether a run is in it.
    overwrite : bool
        Whether a run may be replaced; nothing else ever is.
    is_zarr : bool
        Whether a zarr group shall be written.

    Raises
    ------
    ObjectExistsError
        If what is there must stay.
    """
    if not folder.exists() or (folder.is_dir() and all(_is_leftover(p) for p in folder.rglob("*"))):
        return
    from snapdb.archive.guard import check_output

    check_output(folder, overwrite=True)
    own = _find_own(folder)
    if not is_run:
        if folder.is_dir() and not own and not is_zarr:
            return
        names = ", ".join(p.name for p in own[:3]) or "other files"
        msg = (
            f"{folder} holds no run of bulk cutouts, but {names}, which is never written over: choose "
            "another name"
        )
        raise ObjectExistsError(msg, path=str(folder))
    if not overwrite:
        msg = (
            f"{folder} holds a run already; resume it (run(resume=True), --resume), replace it "
            "(run(overwrite=True), --overwrite), or choose another name"
        )
        raise ObjectExistsError(msg, path=str(folder))
    for path in own:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _find_own(folder: Path) -> list[Path]:
    """List what has a name that a run gives."""
    names = (*_OF_RUNS, *(_OF_ZARR if (folder / "zarr.json").exists() else ()))
    return sorted(path for name in names for path in folder.glob(name))


def _is_leftover(path: Path) -> bool:
    """Say whether this is what a run leaves that is killed in its first moment."""
    return path.is_dir() or path.name.endswith(".part")


def choose_output(config: Config, output: str | Path | None) -> Path:
    """Give the folder of the stamps."""
    folder = Path(output if output is not None else config.output_dir)
    if output is None and config.output_format == "zarr" and folder.suffix != ".zarr":
        return folder / f"{config.name}.zarr"
    return folder
