"""Stamps as a Zarr group (format 3): one array of all stamps, a shard a part, several stamps a chunk.

Each shard is one file that takes its name when it is whole, written by the sharding codec's
layout (Zarr enhancement proposal 2): the chunks one after another, then where each begins and how
long it is, then a checksum of that. So any Zarr reader takes them, and none is needed to write them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.writing.files import checksum, write_file
from snapdb.errors import CorruptFileError
from snapdb.types import PixelArray

IMAGES, NOISE, FLAGS = "images", "noise", "flags"
DIMENSIONS = ("stamp", "y", "x", "channel")
LAYOUT = 3
"""Changes when the same plan gives other bytes or files than before: such a run is not gone on with."""
_SEPARATOR = "."
"""Of the numbers in a shard's name: with "/" each shard would have three folders of its own."""
_LEVEL = {"lz4": 1, "zstd": 1}
"""Of bits shuffled, higher ones of lz4 take more time and save less than a hundredth."""
_BLOCK = 1 << 17
"""Bytes that Blosc compresses together: what it chooses by itself is smaller, and a tenth slower."""


def write_group(folder: Path, count: int, recipe: Recipe) -> None:
    """Write what says how the arrays lie: the group and its arrays, without any stamp.

    Parameters
    ----------
    folder : Path
        Of the group; it is made.
    count : int
        Stamps.
    recipe : Recipe
        Of the run.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    side, arrays = recipe.resolution, {}
    for name, dtype in arrays_of(recipe).items():
        shape = (count, side, side, recipe.outputs) if name != FLAGS else (count, side, side)
        arrays[name] = describe_array(shape, dtype, recipe)
    attributes = {"kind": "snapdb stamps", "index": "index.parquet", "images": "images.parquet"}
    # Naming its members keeps readers from listing the folder, where tables lie that are none.
    members = {"kind": "inline", "must_understand": False, "metadata": arrays}
    group = {
        "zarr_format": 3, "node_type": "group", "attributes": attributes, "consolidated_metadata": members,
    }  # fmt: skip
    write_file(folder / "zarr.json", [json.dumps(group, indent=1).encode()])
    for name, described in arrays.items():
        write_file(folder / name / "zarr.json", [json.dumps(described, indent=1).encode()])


def arrays_of(recipe: Recipe) -> dict[str, np.dtype[Any]]:
    """Name the arrays of a run and their types.

    Parameters
    ----------
    recipe : Recipe
        Of the run.
    """
    found = {IMAGES: np.dtype(recipe.dtype)}
    if NOISE in recipe.planes:
        found[NOISE] = np.dtype(np.float32)
    if FLAGS in recipe.planes:
        found[FLAGS] = np.dtype(np.uint32)
    return found


def describe_array(shape: Sequence[int], dtype: np.dtype[Any], recipe: Recipe) -> dict[str, Any]:
    """Give the metadata of an array of stamps (Zarr core specification, version 3).

    Parameters
    ----------
    shape : sequence of int
        Stamps first.
    dtype : numpy.dtype
        Of the pixels.
    recipe : Recipe
        Of the run.
    """
    rest = list(shape[1:])
    endian: dict[str, Any] = {"name": "bytes"}
    if dtype.itemsize > 1:
        endian["configuration"] = {"endian": "little"}
    inner = [endian]
    if recipe.compression != "none":
        inner.append({"name": "blosc", "configuration": {"typesize": dtype.itemsize, **_blosc(recipe)}})
    sharding = {
        "chunk_shape": [recipe.chunk_stamps, *rest],
        "codecs": inner,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [recipe.part_stamps, *rest]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": _SEPARATOR}},
        "fill_value": 0 if dtype.kind in "iu" else 0.0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "dimension_names": list(DIMENSIONS[: len(shape)]),
        "storage_transformers": [],
    }


def _blosc(recipe: Recipe) -> dict[str, Any]:
    """Say how chunks are compressed."""
    name = recipe.compression
    # Of bits: as quick as of bytes, and smaller; 0.79 for 0.90 of floats, 0.55 for 0.67 of bytes.
    return {"cname": name, "clevel": _LEVEL[name], "shuffle": "bitshuffle", "blocksize": _BLOCK}


def shard_path(folder: Path, name: str, index: int, axes: int) -> Path:
    """Give the file of a shard.

    Parameters
    ----------
    folder : Path
        Of the group.
    name : str
        Of the array.
    index : int
        Of the part.
    axes : int
        Of the array.
    """
    return folder / name / _SEPARATOR.join(("c", str(index), *["0"] * (axes - 1)))


def check_shards(folder: Path) -> None:
    """See that all shards of a complete run are there: readers of Zarr take one that is not for zeros.

    Parameters
    ----------
    folder : Path
        Of the group, or of a run's files, which has no shards.

    Raises
    ------
    CorruptFileError
        If some are gone, or the group cannot be read.
    """
    path = folder / "zarr.json"
    if not path.exists():
        return
    try:
        arrays = json.loads(path.read_text(encoding="utf-8"))["consolidated_metadata"]["metadata"]
        wanted = [folder / name / key for name, array in arrays.items() for key in _list_keys(array)]
    except (OSError, ValueError, LookupError, TypeError) as err:
        msg = f"{path} cannot be read ({err}): it is no group of stamps any more; make them again"
        raise CorruptFileError(msg, path=str(path)) from err
    gone = [shard for shard in wanted if not shard.is_file()]
    if gone:
        msg = (
            f"{folder} has lost {len(gone)} of its {len(wanted)} shards, such as {gone[0]}: their stamps "
            "would be read as zeros; make them again (run(overwrite=True), --overwrite)"
        )
        raise CorruptFileError(msg, path=str(gone[0]))


def _list_keys(array: Mapping[str, Any]) -> list[str]:
    """Give the names of an array's shards below its folder."""
    shape, step = array["shape"], array["chunk_grid"]["configuration"]["chunk_shape"][0]
    between = array["chunk_key_encoding"]["configuration"]["separator"]
    rest = ["0"] * (len(shape) - 1)
    return [between.join(("c", str(i), *rest)) for i in range(-(-shape[0] // step))]


def make_shard(batches: Iterable[PixelArray], recipe: Recipe) -> Iterator[bytes]:
    """Encode the stamps of a part.

    Parameters
    ----------
    batches : iterable of array, shape (n, ...)
        At most ``recipe.part_stamps`` stamps, in order; a batch is done with before the next is taken.
    recipe : Recipe
        Of the run.

    Yields
    ------
    bytes
        Pieces of the file, in order, so that none need be kept when it is written.
    """
    entries = np.full((recipe.part_stamps // recipe.chunk_stamps, 2), np.iinfo(np.uint64).max, "<u8")
    at, encode = 0, _make_encoder(recipe)
    for number, chunk in enumerate(_cut_chunks(batches, recipe.chunk_stamps)):
        piece = encode(np.ascontiguousarray(chunk, chunk.dtype.newbyteorder("<")))
        entries[number] = at, len(piece)
        at += len(piece)
        yield piece
    table = entries.tobytes()
    yield table
    yield checksum([table]).to_bytes(4, "little")


def _cut_chunks(batches: Iterable[PixelArray], size: int) -> Iterator[PixelArray]:
    """Give stamps by chunks, the last one filled up; each is done with before the next is taken."""
    room: PixelArray = np.empty(0)
    held = 0
    for batch in batches:
        at = 0
        while at < len(batch):
            if not held and len(batch) - at >= size:
                yield batch[at : at + size]
                at += size
                continue
            if not len(room):
                room = np.empty((size, *batch.shape[1:]), batch.dtype)
            some = min(size - held, len(batch) - at)
            room[held : held + some] = batch[at : at + some]
            held, at = held + some, at + some
            if held == size:
                yield room
                held = 0
    if held:
        room[held:] = 0
        yield room


def _make_encoder(recipe: Recipe) -> Callable[[PixelArray], bytes]:
    """Give what compresses a chunk."""
    if recipe.compression == "none":
        return methodcaller("tobytes")
    from numcodecs import blosc  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    # Its own threads would make what workers do at the same time slower.
    blosc.use_threads = False
    name, level = recipe.compression.encode(), _LEVEL[recipe.compression]

    def encode(chunk: PixelArray) -> bytes:
        return bytes(blosc.compress(chunk, name, level, blosc.BITSHUFFLE, _BLOCK))

    return encode
