"""The folder that a run writes to."""

import shutil
from pathlib import Path

from snapdb.bulk.settings.config import Config
from snapdb.errors import ConfigError, ObjectExistsError, UsageError


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


def check_folder(folder: Path, *, is_run: bool, overwrite: bool) -> None:
    """See that a folder may be written to, and empty it where it holds a run that shall be replaced.

    Parameters
    ----------
    folder : Path
        Of the output.
    is_run : bool
        Whether a run is in it.
    overwrite : bool
        Whether a run may be replaced; nothing else ever is.

    Raises
    ------
    ObjectExistsError
        If what is there must stay.
    """
    if not folder.exists() or (folder.is_dir() and all(_is_leftover(p) for p in folder.rglob("*"))):
        return
    from snapdb.archive.guard import check_output

    check_output(folder, overwrite=True)
    if not is_run:
        msg = (
            f"{folder} exists and holds no run of bulk cutouts; it is never written over: choose another name"
        )
        raise ObjectExistsError(msg, path=str(folder))
    if not overwrite:
        msg = f"{folder} holds a run already; resume it, ask to overwrite it, or choose another name"
        raise ObjectExistsError(msg, path=str(folder))
    shutil.rmtree(folder)


def _is_leftover(path: Path) -> bool:
    """Say whether this is what a run leaves that is killed in its first moment."""
    return path.is_dir() or path.name.endswith(".part")


def choose_output(config: Config, output: str | Path | None) -> Path:
    """Give the folder of the stamps."""
    folder = Path(output if output is not None else config.output_dir)
    if output is None and config.output_format == "zarr" and folder.suffix != ".zarr":
        return folder / f"{config.name}.zarr"
    return folder
