"""Where the blocks of an ASDF file lie (ASDF Standard 1.6.0, "Low-level file layout")."""

import struct
from typing import BinaryIO

from snapdb.errors import CorruptFileError
from snapdb.formats.frame import Block

MAGIC = b"#ASDF"
"""What an ASDF file begins with."""
_BLOCK = b"\xd3BLK"
_FIELDS = struct.Struct(">I4sQQQ16s")
_STREAMED = 1
MAX_TREE_BYTES = 256 * 2**20
"""The longest YAML that is read; those of real images have some 100 kB."""
MAX_BLOCKS = 100_000
"""The most blocks that one file may have."""
MAX_RATIO = 2000
"""The most that a block may claim to grow when it is decompressed; DEFLATE reaches 1032."""
_CHUNK = 2**20


def scan_blocks(stream: BinaryIO, size: int, *, name: str = "file") -> list[Block]:
    """Walk over the headers of the blocks.

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
    list of Block
        In the order of the file.

    Raises
    ------
    CorruptFileError
        A block claims more than the file holds, or the YAML has no end.
    """
    at: int | None = _first_block(stream, name)
    blocks: list[Block] = []
    while at is not None and len(blocks) < MAX_BLOCKS:
        stream.seek(at)
        head = stream.read(6 + _FIELDS.size)
        if len(head) < 6 + _FIELDS.size or not head.startswith(_BLOCK):
            break
        block, at = _read_block(head, at, size, f"{name}: block {len(blocks)}")
        blocks.append(block)
    return blocks


def _read_block(head: bytes, at: int, size: int, where: str) -> tuple[Block, int | None]:
    """Read the header of a block; give it, and where the next one begins."""
    (length,) = struct.unpack_from(">H", head, 4)
    flags, compression, allocated, used, data, _ = _FIELDS.unpack_from(head, 6)
    begin = at + 6 + length
    if flags & _STREAMED:
        return Block(offset=begin, used=max(size - begin, 0), size=max(size - begin, 0)), None
    word = compression.rstrip(b"\0").decode("ascii", "replace")
    if length < _FIELDS.size or used > allocated or begin + used > size:
        msg = (
            f"{where} claims {used} of {allocated} bytes from byte {begin} on, the file has {size}; "
            "it is truncated or damaged"
        )
        raise CorruptFileError(msg, claimed=used, actual=max(size - begin, 0))
    if data > used * (MAX_RATIO if word else 1):
        msg = f"{where} claims that {used} bytes hold {data}; the file is damaged"
        raise CorruptFileError(msg, claimed=data, actual=used)
    return Block(offset=begin, used=used, size=data, compression=word), begin + allocated


def _first_block(stream: BinaryIO, name: str) -> int | None:
    """Find the first block: behind the end of the YAML and what pads it."""
    stream.seek(0)
    head = bytearray()
    scanned = 0
    while True:
        chunk = stream.read(_CHUNK)
        head += chunk
        at = head.find(_BLOCK, max(scanned - len(_BLOCK), 0))
        if at >= 0:
            return at
        if not chunk:
            return None
        scanned = len(head)
        if scanned > MAX_TREE_BYTES:
            msg = f"{name}: no block within {MAX_TREE_BYTES} bytes; the YAML has no end"
            raise CorruptFileError(msg, path=name)
