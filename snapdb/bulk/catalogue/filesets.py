"""The files that rows name, each list kept once."""

import ast
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from snapdb.bulk.catalogue.arrow import find_runs, take_texts, to_strings
from snapdb.bulk.catalogue.problem import ProblemCode
from snapdb.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

NO_FILESET = -1
"""Index of rows that name no files, as their images come from an archive."""

_BETWEEN = "\0"
"""Joins the paths of a list column: no path holds it."""


class FileSets:
    """Lists of files, told apart by what they name; each distinct text is parsed once.

    Parameters
    ----------
    check_files
        Whether to see that local files exist.
    """

    def __init__(self, *, check_files: bool) -> None:
        self.sets: list[tuple[str, ...]] = []
        """The lists; rows hold indices into this."""
        self._check_files = check_files
        self._by_text: dict[str, int] = {}
        self._by_set: dict[tuple[str, ...], int] = {}
        self._refused: dict[int, tuple[ProblemCode, str]] = {}
        self._there: dict[str, bool] = {}

    def take(self, column: "pa.Array") -> IntArray:
        """Give the index of each row's list.

        Parameters
        ----------
        column
            Texts (a Python or JSON list, or one path), or lists of paths.

        Returns
        -------
        array, shape (rows,)
            For those that cannot be used, a number that :meth:`refusal` explains.
        """
        joined = _join(column)
        if joined.null_count:
            return self._number([text or "" for text in joined.to_pylist()])
        starts = find_runs(joined)
        if len(starts) == len(joined):
            return self._number(to_strings(joined))
        found = self._number(to_strings(take_texts(joined, starts)))
        return np.repeat(found, np.diff(starts, append=len(joined)))

    def _number(self, texts: Sequence[str]) -> IntArray:
        """Give the index of the list that each text is."""
        for text in dict.fromkeys(texts):
            if text not in self._by_text:
                self._add(text)
        return np.fromiter(map(self._by_text.__getitem__, texts), np.int64, len(texts))

    def refusal(self, index: int) -> tuple[ProblemCode, str] | None:
        """Say why a list cannot be used; None where it can.

        Parameters
        ----------
        index
            From :meth:`take`.
        """
        return self._refused.get(index)

    def _add(self, text: str) -> None:
        """Parse a text that was not seen before."""
        paths, problem = parse_paths(text)
        index = self._by_set.get(paths) if paths else None
        if problem is not None:
            index = -2 - len(self._by_text)
            self._refused[index] = problem
        elif index is None:
            index = len(self.sets)
            self.sets.append(paths)
            self._by_set[paths] = index
            self._look_for(index, paths)
        self._by_text[text] = index if index is not None else NO_FILESET

    def _look_for(self, index: int, paths: Sequence[str]) -> None:
        """See that the files exist."""
        if not self._check_files:
            return
        missing = [path for path in paths if not self._exists(path)]
        if missing:
            folders = [path for path in missing if Path(path).is_dir()]
            text = f"no such file: {', '.join(missing)}"
            if folders:
                text = f"{', '.join(folders)} is a folder: expected a FITS file"
            self._refused[index] = (ProblemCode.MISSING_FILE, text)

    def _exists(self, path: str) -> bool:
        """Tell whether a file exists; addresses are believed."""
        if path not in self._there:
            self._there[path] = "://" in path or Path(path).is_file()
        return self._there[path]


def parse_paths(text: str) -> tuple[tuple[str, ...], tuple[ProblemCode, str] | None]:
    """Read a list of paths.

    Parameters
    ----------
    text
        A Python or JSON list of texts, or one path.

    Returns
    -------
    paths : tuple of str
        In order, normalised; addresses as they are.
    problem : tuple or None
        Kind and text, when it cannot be read.
    """
    text = text.strip()
    if _BETWEEN in text:
        return _finish(text.split(_BETWEEN)[:-1], text)
    if text.startswith("[") != text.endswith("]"):
        return (), (ProblemCode.BAD_FILE_LIST, f"fits_file_paths = {text!r:.120}: unbalanced brackets")
    if not text.startswith("["):
        return _finish([text], text)
    for read in (ast.literal_eval, json.loads):
        try:
            return _finish(read(text), text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    expected = "expected a list such as ['/data/a.fits', '/data/b.fits']"
    return (), (ProblemCode.BAD_FILE_LIST, f"fits_file_paths = {text!r:.120}: {expected}")


def _finish(paths: Any, text: str) -> tuple[tuple[str, ...], tuple[ProblemCode, str] | None]:
    """See that a list holds paths."""
    if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
        return (), (ProblemCode.BAD_FILE_LIST, f"fits_file_paths = {text!r:.120}: expected texts in the list")
    stripped = [p.strip() for p in paths]
    if not any(stripped):
        return (), (ProblemCode.NO_FILES, "fits_file_paths names no file")
    if not all(stripped):
        return (), (ProblemCode.BAD_FILE_LIST, f"fits_file_paths = {text!r:.120}: an empty path")
    return tuple(map(_normalise, stripped)), None


def _normalise(path: str) -> str:
    """Give a path in its shortest form; other addresses than of local files as they are."""
    if path.startswith("file:///"):
        path = unquote(path.removeprefix("file://"))
    return path if "://" in path else os.path.normpath(path)


def _join(column: "pa.Array") -> "pa.Array":
    """Give a column of texts; the paths of lists are joined."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return _join(column.dictionary_decode())
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        # Arrow casts a slice of them to lists of nulls.
        return _join(pa.array(column.to_pylist(), pa.list_(pa.string())))
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if is_list and not types.is_nested(kind.value_type):
        from pyarrow import compute as pc

        joined = pc.binary_join(column.cast(pa.list_(pa.string())), _BETWEEN)
        # A last mark tells a list of one path from a text.
        return pc.binary_join_element_wise(joined, "", _BETWEEN)
    if types.is_nested(kind):  # which Arrow has no text for
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    return column if types.is_string(kind) else column.cast(pa.string())
