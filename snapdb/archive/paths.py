"""The path rules of images outside an archive: a base, a path below it, or one full path."""

import os
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import UsageError

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePaths:
    """Where an image's file is."""

    full: Path | None = None
    """Absolute; None for an image in memory."""
    base: Path | None = None
    """Absolute; None when the image has no base."""

    @property
    def relative(self) -> Path | None:
        """The path below the base, or the full one without a base."""
        if self.full is None or self.base is None:
            return self.full
        return self.full.relative_to(self.base)


def resolve_paths(
    *,
    full_filepath: PathLike | None = None,
    filepath: PathLike | None = None,
    base_path: PathLike | None = None,
    base_dir: PathLike | None = None,
    path: PathLike | None = None,
    no_base_path: bool = False,
) -> ImagePaths:
    """Apply the rules of the parameters that name an image's file.

    Parameters
    ----------
    full_filepath, path : path, optional
        The whole path; relative ones start at the working directory.
    filepath : path, optional
        The path below `base_path`.
    base_path, base_dir : path, optional
        The base; two names for one thing.
    no_base_path : bool
        Whether `filepath` is the whole path.

    Returns
    -------
    ImagePaths
        Absolute paths.

    Raises
    ------
    UsageError
        If they contradict each other.
    """
    base = _one(base_path, base_dir, "base_path", "base_dir")
    whole = _one(full_filepath, path, "full_filepath", "path")
    if no_base_path and base is not None:
        msg = f"no_base_path=True and base_path={base} contradict each other; give one of them"
        raise UsageError(msg, base_path=str(base))
    if base is None:
        below = _absolute(filepath)
        if whole is not None and below is not None and whole != below:
            msg = f"filepath {below} and full_filepath {whole} are different files"
            raise UsageError(msg, filepath=str(below), full_filepath=str(whole))
        return ImagePaths(full=whole or below)
    joined = None if filepath is None else Path(os.path.normpath(base / filepath))
    if whole is not None and joined is not None and whole != joined:
        msg = f"filepath {filepath} below base_path {base} is not full_filepath {whole}"
        raise UsageError(msg, filepath=str(filepath), full_filepath=str(whole))
    full = whole or joined
    if full is not None and not full.is_relative_to(base):
        msg = f"{full} is not below base_path {base}"
        raise UsageError(msg, full_filepath=str(full), base_path=str(base))
    return ImagePaths(full=full, base=base)


def _absolute(value: PathLike | None) -> Path | None:
    """Make a path absolute without following links."""
    return None if value is None else Path(os.path.abspath(Path(value).expanduser()))  # noqa: PTH100


def _one(first: PathLike | None, second: PathLike | None, name: str, other: str) -> Path | None:
    """Take one of two names for the same thing."""
    a, b = _absolute(first), _absolute(second)
    if a is not None and b is not None and a != b:
        msg = f"{name}={a} and {other}={b} are two names for one thing, and differ; give one of them"
        raise UsageError(msg)
    return a if a is not None else b
