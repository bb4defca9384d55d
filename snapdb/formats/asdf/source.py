"""An ASDF file as a scanned source of frames."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from snapdb.formats.asdf.blocks import scan_blocks
from snapdb.formats.asdf.cards import show_value, to_cards
from snapdb.formats.asdf.tree import Tree, find_arrays, load_tree, name_left_out
from snapdb.formats.asdf.wcs import fit_header, load_gwcs, read_info
from snapdb.formats.cards import format_card
from snapdb.formats.frame import HduFrame, StoredArray

if TYPE_CHECKING:
    from astropy.io.fits import Header

FIT_CARD = "GWCSFIT"
"""Keyword of the greatest difference between the gwcs and the cards, pixels."""


def scan_asdf(stream: BinaryIO, size: int, *, name: str = "file") -> list[HduFrame]:
    """Index an ASDF file: a frame of its metadata, then one for each two-dimensional array.

    Parameters
    ----------
    stream : binary file
        Seekable.
    size : int
        Bytes that the file has.
    name : str
        What errors call it.

    Returns
    -------
    list of HduFrame
        As if it were FITS: EXTNAME is the array's key; beside each array named ``data`` stand
        coordinates as cards, fitted to the gwcs of its ``meta``, and the metadata.

    Raises
    ------
    CorruptFileError
        It is damaged, or claims more than it holds.
    ProjectionError
        Its coordinates cannot be made into cards.
    ConfigError
        asdf or gwcs is not installed.
    """
    blocks = scan_blocks(stream, size, name=name)
    tree = load_tree(stream, name)
    meta = to_cards(tree)
    frames = [replace(_frame(0, meta, None), left_out=name_left_out(tree))]
    for number, array in enumerate(find_arrays(tree, blocks, name), 1):
        cards = _array_cards(array)
        if array.path[-1] == "data":
            cards += _coordinates(stream, tree, array, name) + meta
        frames.append(_frame(number, cards, array))
    return frames


def _frame(index: int, cards: bytes, array: StoredArray | None) -> HduFrame:
    """Make a frame of cards and an array."""
    height, width = (0, 0) if array is None else array.shape
    return HduFrame(
        index=index,
        kind="image",
        header_offset=0,
        header=cards,
        data_offset=0 if array is None else array.block.offset,
        data_size=0 if array is None else array.block.used,
        axes=() if array is None else (width, height),
        bitpix=8,
        array=array,
    )


def _array_cards(array: StoredArray) -> bytes:
    """Name an array and its unit."""
    cards = [format_card("EXTNAME", array.path[-1])]
    if array.unit is not None and len(array.unit) < 60:
        cards.append(format_card("BUNIT", array.unit))
    return "".join(cards).encode("ascii", "replace")


def _coordinates(stream: BinaryIO, tree: Tree, array: StoredArray, name: str) -> bytes:
    """Give the coordinates of an image as cards; nothing where it has none."""
    where, meta = _find_meta(tree, array.path[:-1])
    residual = None
    header: Header | None = None
    if meta.get("wcs") is not None:
        header, residual = fit_header(load_gwcs(stream, (*where, "wcs"), name), array.shape, name)
    elif isinstance(meta.get("wcsinfo"), Mapping):
        header = read_info(meta["wcsinfo"])
    if header is None:
        return b""
    cards = [str(card.image) for card in header.cards]
    if residual is not None:
        cards.append(f"{FIT_CARD:<8}= {show_value(round(residual, 12)):>20}".ljust(80))
    return "".join(cards).encode("ascii")


def _find_meta(tree: Tree, parents: tuple[str, ...]) -> tuple[tuple[str, ...], Tree]:
    """Find the node that holds the coordinates of an array: its ``meta``, or what stands beside it."""
    node: Tree = tree
    for key in parents:
        node = node[key]
    meta = node.get("meta")
    if isinstance(meta, Mapping) and ("wcs" in meta or "wcsinfo" in meta):
        return (*parents, "meta"), meta
    return parents, node
