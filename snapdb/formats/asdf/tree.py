"""Which nodes of an ASDF tree are images, and where their numbers lie."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, BinaryIO

import numpy as np

from snapdb.errors import ConfigError, CorruptFileError
from snapdb.formats.frame import Block, StoredArray
from snapdb.formats.quiet import caught_warnings

Tree = Mapping[str, Any]
_KINDS = {
    "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1", "uint16": "u2", "uint32": "u4",
    "uint64": "u8", "float16": "f2", "float32": "f4", "float64": "f8", "bool8": "u1",
}  # fmt: skip
"""ASDF's name of a type -> numpy's."""
_ASIDE = frozenset({"meta", "history", "asdf_library", "wcs"})
_DEEPEST = 4


def load_tree(stream: BinaryIO, name: str) -> Tree:
    """Read the YAML of a file, without its arrays.

    Parameters
    ----------
    stream : binary file
        The file, seekable.
    name : str
        What errors call it.

    Raises
    ------
    ConfigError
        The package asdf is not installed.
    CorruptFileError
        It is no YAML.
    """
    try:
        from asdf.util import load_yaml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        from yaml import YAMLError  # type: ignore[import-not-found,import-untyped,unused-ignore]  # comes with asdf
    except ImportError as err:
        msg = f"{name}: ASDF files need the packages asdf and gwcs; pip install 'snapdb[gwcs]'"
        raise ConfigError(msg, package="asdf") from err
    stream.seek(0)
    with caught_warnings():
        try:
            tree = load_yaml(stream, tagged=True)
        except (YAMLError, ValueError, OSError, RecursionError) as err:
            msg = f"{name}: the YAML of this ASDF file cannot be read ({str(err).splitlines()[0]})"
            raise CorruptFileError(msg, path=name) from err
    if not isinstance(tree, Mapping):
        msg = f"{name}: this ASDF file holds no tree of keys"
        raise CorruptFileError(msg, path=name)
    return tree


def find_arrays(tree: Tree, blocks: Sequence[Block], name: str) -> list[StoredArray]:
    """Find the two-dimensional arrays of numbers, those of metadata and coordinates left out.

    Parameters
    ----------
    tree : mapping
        From :func:`load_tree`.
    blocks : sequence of Block
        Of the file.
    name : str
        What errors call it.

    Raises
    ------
    CorruptFileError
        An array claims more than its block holds.
    """
    found = []
    for path, node, unit in _walk(tree, (), 0):
        array = _to_array(path, node, unit, blocks, name)
        if array is not None:
            found.append(array)
    return found


def name_left_out(tree: Tree) -> tuple[str, ...]:
    """Say in words which arrays :func:`find_arrays` leaves out, and why; or that there is none at all.

    Parameters
    ----------
    tree : mapping
        From :func:`load_tree`.

    Returns
    -------
    tuple of str
        Such as ``"cube: a cube of 333x151x4"``.
    """
    nodes = [(".".join(path), node) for path, node, _ in _walk(tree, (), 0)]
    reasons = [(name, _find_obstacle(node)) for name, node in nodes]
    said = tuple(f"{name}: {reason}" for name, reason in reasons if reason)
    return said if nodes or not _has_wcs(tree, 0) else ("coordinates without pixels",)


def _has_wcs(node: Tree, depth: int) -> bool:
    """Tell whether there are coordinates somewhere."""
    inner = [value for value in node.values() if isinstance(value, Mapping)]
    return "wcs" in node or (depth < _DEEPEST and any(_has_wcs(value, depth + 1) for value in inner))


def _walk(
    node: Tree, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Tree, str | None]]:
    """Give the nodes that look like arrays; a quantity's is its value."""
    for key, value in node.items():
        if str(key) in _ASIDE:
            continue
        if not isinstance(value, Mapping):
            if _is_tagged(value):
                yield (*path, str(key)), {"data": value}, None
            continue
        inner = value.get("value")
        if _is_array(value):
            yield (*path, str(key)), value, None
        elif isinstance(inner, Mapping) and _is_array(inner):
            yield (*path, str(key)), inner, str(value.get("unit") or "") or None
        elif depth < _DEEPEST:
            yield from _walk(value, (*path, str(key)), depth + 1)


def _is_array(node: Tree) -> bool:
    stored = "source" in node and "shape" in node and "datatype" in node
    return stored or (_is_tagged(node) and "data" in node)


def _is_tagged(node: Any) -> bool:
    """Tell whether a node says that it is an array: one whose numbers stand in the tree is known by that."""
    return "core/ndarray-" in str(getattr(node, "_tag", ""))


def _find_obstacle(node: Tree) -> str:
    """Say what an array is that is no plane of plain numbers in one piece; nothing where it is one."""
    if "source" not in node:
        return "an array stored inline, which is not supported (write it as a block)"
    shape = node["shape"]
    if not isinstance(node["source"], int):
        return "an array stored in another file, which is not supported"
    if not isinstance(shape, list) or not all(isinstance(n, int) for n in shape):
        return "an array of open length, which is not supported"
    if len(shape) != 2 or not all(n > 0 for n in shape):
        word = {0: "a single number", 1: "a vector of "}.get(len(shape), "a cube of ")
        return word + _write_size(shape)
    return _find_odd_numbers(node, shape)


def _write_size(shape: Sequence[int]) -> str:
    """Write a shape as FITS orders axes."""
    return "x".join(str(n) for n in reversed(shape))


def _find_odd_numbers(node: Tree, shape: Sequence[int]) -> str:
    """Say what is odd about the numbers of a plane; nothing where they are plain and in one piece."""
    datatype = node["datatype"]
    name = f"an array {_write_size(shape)}"
    if not isinstance(datatype, str) or datatype not in _KINDS:
        word = datatype if isinstance(datatype, str) else "records or texts"
        return f"{name} of {word}, which is not supported"
    width = np.dtype(_KINDS[datatype]).itemsize
    if node.get("strides") not in (None, [shape[1] * width, width]):
        return f"{name} whose numbers do not lie in one piece, which is not supported"
    return ""


def _to_array(
    path: tuple[str, ...], node: Tree, unit: str | None, blocks: Sequence[Block], name: str
) -> StoredArray | None:
    """Describe an array; None where it is not two-dimensional, or not of plain numbers in one piece."""
    if _find_obstacle(node):
        return None
    shape, source = node["shape"], node["source"]
    kind = np.dtype(_KINDS[node["datatype"]]).newbyteorder("<" if node.get("byteorder") == "little" else ">")
    begin = int(node.get("offset", 0))
    if not -len(blocks) <= source < len(blocks):
        msg = f"{name}: {'.'.join(path)} lies in block {source}; the file has {len(blocks)}"
        raise CorruptFileError(msg, path=name)
    block = blocks[source]
    claimed = prod(shape) * kind.itemsize
    if begin < 0 or begin + claimed > block.size:
        msg = (
            f"{name}: {'.'.join(path)} claims {claimed} bytes, its block holds {block.size}; "
            "the file is truncated or damaged"
        )
        raise CorruptFileError(msg, path=name, claimed=claimed, actual=block.size)
    return StoredArray(
        path=path, shape=(shape[0], shape[1]), kind=kind.str, block=block, begin=begin, unit=unit
    )
