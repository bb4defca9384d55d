"""What the first bytes of a file say that it is."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer (the file itself was not fetched)"),
    (b"#ASDF", "an ASDF file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\xfd7zXZ", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
)
_HEADER_WORDS = (b"XTENSION=", b"NAXIS   =", b"CTYPE1  =", b"CRPIX1  =", b"BITPIX  =", b"WCSAXES =")


def name_content(head: bytes) -> str:
    """Name the kind of a file that is not FITS.

    Parameters
    ----------
    head : bytes
        The first bytes, 512 or more where there are so many.

    Returns
    -------
    str
        A noun phrase such as ``"an HTML page"``.
    """
    if not head:
        return "an empty file"
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    return _name_text(head.lstrip()[:2880])


def _name_text(head: bytes) -> str:
    lower = head[:512].lower()
    if lower.startswith((b"<!doctype html", b"<html")) or b"<html" in lower:
        return "an HTML page (perhaps the error page of a download)"
    if b"<votable" in lower:
        return "a VOTable"
    if lower.startswith((b"<?xml", b"<")):
        return "an XML file"
    if lower.startswith((b"simple", *(w.lower() for w in _HEADER_WORDS))) or any(
        w in head for w in _HEADER_WORDS
    ):
        return "a header written as text, without FITS's blocks and pixels"
    if head[:1] in (b"{", b"["):
        return "a JSON file"
    printable = sum(32 <= b < 127 or b in (9, 10, 13) for b in head[:512])
    return "a text file" if head and printable > 0.95 * len(head[:512]) else "an unknown kind of file"
