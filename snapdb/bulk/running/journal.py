"""What of a run is done: a file a part, written last, that names the part's files and their checksums.

The folder ``run`` beside the stamps holds ``run.json`` (settings, what the plan was) and the rows of
each finished part as ``part-<number>.arrow``. A part counts as done where its file is there and the
files that it names have their size and checksum: so a run may be killed at any moment.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snapdb.bulk.settings.config import Config
from snapdb.bulk.shape.compiled import is_there
from snapdb.bulk.writing.files import WrittenFile, checksum, write_file
from snapdb.bulk.writing.shards import FLAGS, IMAGES, LAYOUT, NOISE
from snapdb.errors import ConflictError, CorruptFileError

FOLDER, RUN = "run", "run.json"
_FILES = b"snapdb.files"
_READ_BYTES = 16 * 2**20
_DIFFERENCES = {
    "settings": "with other settings",
    "layout": "of another version of snapdb",
    "compiled": "begun with compiled code where there is none now, or the other way round",
    "plan": "with another catalogue or other images",
}
"""Fact -> what is said of a run in which it differs."""
_OF_MAKING = ("layout", "compiled")


def describe_run(config: Config) -> dict[str, Any]:
    """Say what a run is, as far as that is known without its catalogue.

    Parameters
    ----------
    config : Config
        Its settings.

    Returns
    -------
    dict
        ``settings``, their digest; ``layout`` and ``compiled``, how stamps are made.
    """
    return {"settings": config.digest(), "layout": LAYOUT, "compiled": is_there()}


class Journal:
    """The record of a run, in the folder of its output.

    Parameters
    ----------
    folder : Path
        Of the output.
    """

    def __init__(self, folder: Path) -> None:
        self.output = folder
        self.folder = folder / FOLDER

    def is_there(self) -> bool:
        """Say whether a run has begun in the folder."""
        return (self.folder / RUN).exists()

    def read_run(self) -> dict[str, Any] | None:
        """Give what was said when the run began; None where there is none.

        Raises
        ------
        CorruptFileError
            If it cannot be read.
        """
        path = self.folder / RUN
        if not self.is_there():
            return None
        try:
            found: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
            found["status"]  # without which it says nothing
        except (OSError, ValueError, TypeError, KeyError) as err:
            msg = f"{path} cannot be read ({err}); choose another folder, or ask to overwrite the run"
            raise CorruptFileError(msg, path=str(path)) from err
        return found

    def write_run(self, facts: dict[str, Any]) -> None:
        """Say what the run is, and how far it is."""
        text = json.dumps(facts, indent=1, sort_keys=True, default=str)
        write_file(self.folder / RUN, [text.encode()])

    def check(self, facts: dict[str, Any]) -> None:
        """See that the run that is there is the one that is asked for.

        Parameters
        ----------
        facts : dict
            Those that :meth:`find_difference` looks at.

        Raises
        ------
        ConflictError
            If it is another run; the message says in what.
        """
        name = self.find_difference(facts)
        if name is not None:
            msg = (
                f"{self.output} holds a run {_DIFFERENCES[name]}: it cannot be resumed; choose another "
                "folder, or replace it (run(overwrite=True), --overwrite)"
            )
            raise ConflictError(msg, path=str(self.output), differs=name)

    def find_difference(self, facts: Mapping[str, Any]) -> str | None:
        """Name the first fact in which the run that is there is another one.

        Parameters
        ----------
        facts : dict
            Those of :func:`describe_run`, and ``plan``, its digest. How stamps are made no longer counts
            when a run is complete.

        Returns
        -------
        str or None
            None where it is the same.
        """
        known = self.read_run() or {}
        for name in (n for n in _DIFFERENCES if n in facts):
            if known.get(name) == facts[name]:
                continue
            if name in _OF_MAKING and known.get("status") == "completed":
                return None
            return name
        return None

    def path_of(self, index: int) -> Path:
        """Give the file of a part."""
        return self.folder / f"part-{index:07d}.arrow"

    def write_part(self, index: int, table: Any, files: Sequence[WrittenFile]) -> None:
        """Say that a part is done; its files must be there.

        Parameters
        ----------
        index : int
            Of the part.
        table : pyarrow.Table
            Its rows.
        files : sequence of WrittenFile
            What it wrote.
        """
        import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        said = json.dumps([[f.path, f.size, f.checksum] for f in files])
        table = table.replace_schema_metadata({_FILES: said.encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        write_file(self.path_of(index), [sink.getvalue()])

    def read_part(self, index: int) -> Any:
        """Give the rows of a finished part.

        Parameters
        ----------
        index : int
            Of the part.
        """
        import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        with pa.OSFile(str(self.path_of(index)), "rb") as source:
            return pa.ipc.open_file(source).read_all()

    def done(self, count: int, *, verify: bool = True) -> set[int]:
        """Find the parts that are done.

        Parameters
        ----------
        count : int
            How many there are.
        verify : bool
            Whether the files' checksums are computed.
        """
        return {i for i in range(count) if self._is_done(i, verify=verify)}

    def _is_done(self, index: int, *, verify: bool) -> bool:
        import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

        if not self.path_of(index).exists():
            return False
        try:
            said = self.read_part(index).schema.metadata[_FILES]
        except (OSError, pa.ArrowInvalid, KeyError, TypeError):
            return False
        return all(self._is_sound(WrittenFile(*f), verify=verify) for f in json.loads(said))

    def _is_sound(self, file: WrittenFile, *, verify: bool) -> bool:
        path = self.output / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        return not verify or checksum_of(path) == file.checksum

    def tidy(self) -> None:
        """Remove what a run that was killed left half-written."""
        own = (p for p in self.output.iterdir() if p.name in (FOLDER, IMAGES, NOISE, FLAGS))
        for path in [*self.output.glob(".*.part"), *(f for p in own for f in p.rglob(".*.part"))]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def iter_tables(self, count: int) -> Iterator[Any]:
        """Give the rows of all parts, one after another."""
        return (self.read_part(i) for i in range(count))

    def close(self, count: int) -> None:
        """Remove the parts' files, whose rows stand in the index now."""
        for index in range(count):
            self.path_of(index).unlink(missing_ok=True)


def checksum_of(path: Path) -> int:
    """Give the CRC32C of a file.

    Parameters
    ----------
    path : Path
        Of the file.
    """
    with path.open("rb") as stream:
        return checksum(iter(lambda: stream.read(_READ_BYTES), b""))
