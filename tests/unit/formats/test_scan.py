"""The byte index, with astropy's own offsets as the oracle, and files that claim what they do not hold."""

import bz2
import gzip
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import CorruptFileError, FormatError, ObjectMissingError, StorageError, UnknownFormatError
from snapdb.formats import scan, unwrap
from snapdb.formats.source import open_source
from snapdb.model.layout import Container

SIMPLE = "SIMPLE  =                    T"


def header_bytes(*lines: str) -> bytes:
    text = "".join(line.ljust(80) for line in (*lines, "END"))
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


def primary(*axes: int, bitpix: int = -32) -> bytes:
    sizes = [f"NAXIS{i}  = {n:>20}" for i, n in enumerate(axes, 1)]
    return header_bytes(
        "SIMPLE  =                    T", f"BITPIX  = {bitpix:>20}", f"NAXIS   = {len(axes):>20}", *sizes
    )


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "PJ()", array=np.array([[1, 2], [3]], dtype=object))]
    )
    hdus = [
        fits.PrimaryHDU(rng.normal(size=(7, 5)).astype("f4")),
        fits.ImageHDU(rng.integers(0, 9, (3, 11)).astype("u2"), name="DQ", ver=2),
        table,
        fits.CompImageHDU(rng.integers(0, 99, (40, 30)).astype("i2"), name="COMP", tile_shape=(10, 30)),
        fits.ImageHDU(name="EMPTY"),
    ]
    path = tmp_path / "mixed.fits"
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("packing", ["plain", "gzip", "bzip2"])
def test_offsets_and_shapes_are_those_of_astropy(mixed: Path, packing: str) -> None:
    raw = mixed.read_bytes()
    mixed.write_bytes({"plain": raw, "gzip": gzip.compress(raw), "bzip2": bz2.compress(raw)}[packing])
    source = open_source(mixed)
    assert source.container is Container(packing)
    with fits.open(io.BytesIO(raw), disable_image_compression=True) as hdus:
        assert len(source.frames) == len(hdus)
        for frame, hdu in zip(source.frames, hdus, strict=True):
            info = hdu.fileinfo()
            assert (frame.header_offset, frame.data_offset) == (info["hdrLoc"], info["datLoc"])
            assert -(-frame.data_size // 2880) * 2880 == info["datSpan"]
            assert frame.name == hdu.name.replace("PRIMARY", "")
    assert source.frames[3].axes == (30, 40)
    assert source.frames[3].tile_shape == (30, 10)
    assert source.frames[3].compression == "RICE_1"
    assert [f.is_plane for f in source.frames] == [True, True, False, True, False]


def test_a_header_may_claim_149_gb_and_nothing_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "boast.fits"
    path.write_bytes(primary(193_000, 193_000) + bytes(2880))
    tracemalloc.start()
    with pytest.raises(CorruptFileError, match=r"claims 148996000000 bytes.*holds 2880") as caught:
        open_source(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert caught.value.fields["claimed"] == 148_996_000_000


def test_a_wrapped_file_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boast.fits.gz"
    path.write_bytes(gzip.compress(primary(193_000, 193_000) + bytes(5000)))
    with pytest.raises(CorruptFileError, match="claims 148996000000 bytes"):
        open_source(path)


def test_a_stream_that_unwraps_to_too_much_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwrap, "FREE_UNWRAPPED_BYTES", 100_000)
    monkeypatch.setattr(unwrap, "MAX_RATIO", 10)
    path = tmp_path / "bomb.fits.bz2"
    path.write_bytes(bz2.compress(primary(1000, 1000) + bytes(4_000_320)))
    with pytest.raises(CorruptFileError, match="unwraps to more than 100000 bytes"):
        open_source(path)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", UnknownFormatError, "an empty file"),
        (b"<!DOCTYPE html><html>404</html>", UnknownFormatError, "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", UnknownFormatError, "Git LFS pointer"),
        (b"#ASDF 1.0.0\n", CorruptFileError, "ASDF"),
        (b"Obj\x01\x04", UnknownFormatError, "Avro"),
        (b"\x89PNG\r\n", UnknownFormatError, "PNG"),
        (b"<?xml version='1.0'?><VOTABLE>", UnknownFormatError, "VOTable"),
        (b"CTYPE1  = 'RA---TAN'\nNAXIS   = 2\n", UnknownFormatError, "written as text"),
        (b"\x00\x01\x02" * 999, UnknownFormatError, "unknown kind"),
        (b"SIMPLE  =                    T".ljust(2880), CorruptFileError, "no END card"),
        (primary(10, 10)[:1000], CorruptFileError, "no END card|BITPIX|claims"),
        (primary(10, 10), CorruptFileError, "claims 400 bytes"),
        (primary(10, -10), CorruptFileError, "negative axis"),
        (primary(10, 10, bitpix=7), CorruptFileError, "BITPIX = 7"),
        (
            header_bytes("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 100000"),
            CorruptFileError,
            "NAXIS",
        ),
        (header_bytes("SIMPLE  =                    T", "NAXIS   = 0"), CorruptFileError, "BITPIX = None"),
        (gzip.compress(primary(50, 50) + bytes(10_000))[:-30], CorruptFileError, "cut short"),
    ],
)
def test_bad_files_are_refused_by_name_and_reason(
    tmp_path: Path, content: bytes, error: type[FormatError], words: str
) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)
    with pytest.raises(error, match=words):
        open_source(path)


def test_an_endless_header_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_HEADER_BYTES", 10_000)
    path = tmp_path / "endless.fits"
    path.write_bytes(b"SIMPLE  =                    T".ljust(80) + b"COMMENT x".ljust(80) * 1000)
    with pytest.raises(CorruptFileError, match="longer than 10000 bytes"):
        open_source(path)


def test_zero_axes_allocate_nothing_and_hold_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zero.fits"
    path.write_bytes(primary(0, 777_777_701))
    frame = open_source(path).frames[0]
    assert (frame.data_size, frame.is_plane) == (0, False)


def test_missing_padding_and_trailing_bytes_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "bare.fits"
    path.write_bytes(primary(10, 10) + bytes(400))
    assert len(open_source(path).frames) == 1
    path.write_bytes(primary(10, 10) + bytes(2880) + b"trailing")
    assert len(open_source(path).frames) == 1


def test_a_missing_file_and_a_folder_are_errors_of_storage(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError):
        open_source(tmp_path / "none.fits")
    with pytest.raises(StorageError):
        open_source(tmp_path)
