"""Ranges over HTTP and S3: from real servers on the loopback, bytes held against the files themselves."""

import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from snapdb.errors import (
    ChangedFileError,
    ConfigError,
    ObjectMissingError,
    StorageError,
    StoreUnavailableError,
    UsageError,
)
from snapdb.model.url import Url, is_url, to_url
from snapdb.storage.ranges import Answer, merge_ranges
from snapdb.storage.remote import (
    RemoteFile,
    RetryPolicy,
    close_connections,
    look_at,
    read_together,
    traffic,
)
from snapdb.testing.range_server import RangeServer

pytest.importorskip("aiohttp")
SIZE = 400_000
QUICK = RetryPolicy(attempts=3, first_wait_s=0.01, timeout_s=0.5)


@pytest.fixture
def content() -> bytes:
    return np.random.default_rng(20261125).bytes(SIZE)


@pytest.fixture
def server(tmp_path: Path, content: bytes) -> Iterator[RangeServer]:
    (tmp_path / "night 1").mkdir()
    (tmp_path / "night 1" / "a.fits").write_bytes(content)
    (tmp_path / "b.fits").write_bytes(content[::-1])
    with RangeServer(tmp_path) as running:
        yield running
    close_connections()


def open_file(server: RangeServer, name: str = "b.fits", policy: RetryPolicy = QUICK) -> RemoteFile:
    return RemoteFile(Url(server.url_of(name)), policy=policy)


# Addresses


@pytest.mark.parametrize("text", ["a.fits", "/d/a.fits", "../x", "C:a.fits", "folder/http.fits"])
def test_paths_are_no_addresses(text: str) -> None:
    assert to_url(text) is None
    assert not is_url(text)


def test_addresses_are_kept_as_they_are() -> None:
    url = to_url("HTTPS://Host.org:8443/a%20b/c.fits.fz?release=3#part")
    assert url == "https://host.org:8443/a%20b/c.fits.fz?release=3"
    assert isinstance(url, Url)
    assert (url.name, url.scheme) == ("c.fits.fz", "https")
    assert url.with_name("d.fits") == "https://host.org:8443/a%20b/d.fits?release=3"
    assert to_url("s3://bucket/a b#1.fits") == "s3://bucket/a b#1.fits"


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2@host.org/a.fits",
        "https://host.org/a.fits?X-Amz-Credential=k&X-Amz-Signature=hunter2",
        "https://host.org/a.fits?access_token=hunter2",
        "s3://key:hunter2@bucket/a.fits",
    ],
)
def test_secrets_in_addresses_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match=r"netrc") as caught:
        to_url(text)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.fields)


@pytest.mark.parametrize(
    "text", ["ftp://host/a.fits", "gs://bucket/a.fits", "https://host/", "s3://bucket", "https:/host/a.fits"]
)
def test_other_addresses_are_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected an address|give addresses as text"):
        to_url(text)


# Ranges


@given(
    ranges=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=12),
    gap=st.integers(0, 40),
)
def test_merged_ranges_hold_all_that_was_asked_and_lie_apart(ranges: list[tuple[int, int]], gap: int) -> None:
    merged, where = merge_ranges(ranges, gap)
    for (begin, length), number in zip(ranges, where, strict=True):
        first, total = merged[number]
        assert first <= begin
        assert begin + length <= first + total
    for (begin, length), (following, _) in pairwise(merged):
        assert following > begin + length + gap


def test_ranges_are_the_files_bytes(server: RangeServer, content: bytes) -> None:
    file = open_file(server, "night%201/a.fits")
    ranges = [(300_000, 17), (0, 5), (3, 100), (SIZE - 4, 100), (SIZE + 900_000, 3), (150_000, 0)]
    before = traffic()
    assert file.read_ranges(ranges) == [content[b : b + n] for b, n in ranges]
    used = traffic() - before
    assert (used.requests, used.retries) == (4, 0)  # 0..5 and 3..103 in one, the empty one in none
    assert used.bytes_received == server.bytes_sent == 17 + 103 + 4


def test_ranges_of_several_files_come_in_one_batch(tmp_path: Path, content: bytes) -> None:
    for n in range(8):
        (tmp_path / f"{n}.fits").write_bytes(content[n:])
    with RangeServer(tmp_path, latency_s=0.2) as server:
        files = [open_file(server, f"{n}.fits") for n in range(8)]
        parts = read_together([(f, [(0, 9), (200_000, 9)]) for f in files])
    close_connections()
    assert parts == [[content[n:][:9], content[n:][200_000:200_009]] for n in range(8)]
    assert server.most_at_once == 16


def test_reading_nothing_asks_nothing(server: RangeServer) -> None:
    assert open_file(server).read_ranges([]) == []
    assert read_together([]) == []
    assert server.requests == []


# What stores do


@pytest.mark.parametrize("failure", [500, 503, 429, "drop", "cut", "stall"])
def test_a_store_that_fails_is_asked_again(server: RangeServer, content: bytes, failure: int | str) -> None:
    server.failures.extend([failure])
    assert open_file(server).read_ranges([(10, 50_000)]) == [content[::-1][10:50_010]]
    assert len(server.requests) == 2


def test_a_store_that_stays_silent_is_given_up_with_what_was_tried(server: RangeServer) -> None:
    server.failures.extend([503] * 10)
    with pytest.raises(StoreUnavailableError, match=r"3 attempts \(status 503\)") as caught:
        open_file(server).read_ranges([(0, 10)])
    assert caught.value.transient
    assert (caught.value.attempts, len(server.requests)) == (3, 3)


def test_a_host_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with RangeServer(tmp_path) as server:
        url = server.url_of("a.fits")
    with pytest.raises(StoreUnavailableError, match="3 attempts"):
        RemoteFile(Url(url), policy=QUICK).read_ranges([(0, 1)])


def test_what_is_missing_is_missing_at_once(server: RangeServer) -> None:
    with pytest.raises(ObjectMissingError, match=r"gone\.fits does not exist"):
        open_file(server, "gone.fits").read_ranges([(0, 1)])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_says_where_passwords_go(server: RangeServer, status: int) -> None:
    server.failures.append(status)
    with pytest.raises(StorageError, match="netrc") as caught:
        open_file(server).read_ranges([(0, 1)])
    assert not caught.value.transient


def test_a_server_that_ignores_ranges_is_refused_before_it_sends_the_file(tmp_path: Path) -> None:
    with (tmp_path / "big.fits").open("wb") as stream:
        stream.truncate(2 * 2**30)
    with RangeServer(tmp_path, ranges=False) as server:
        with pytest.raises(StorageError, match=r"ignores ranges .* \(2147483648 bytes\); download it"):
            open_file(server, "big.fits").read_ranges([(0, 2880)])
        close_connections()
        assert server.bytes_sent < 64 * 2**20  # what buffers of both sides took


def test_a_small_file_that_comes_whole_is_taken(tmp_path: Path) -> None:
    (tmp_path / "small.fits").write_bytes(b"x" * 2880)
    with RangeServer(tmp_path, ranges=False) as server:
        assert open_file(server, "small.fits").read_ranges([(0, 65536)]) == [b"x" * 2880]


def test_a_changed_object_is_noticed_within_one_reading(server: RangeServer) -> None:
    file = open_file(server)
    file.read_ranges([(0, 10)])
    (server.folder / "b.fits").write_bytes(b"y" * SIZE)
    with pytest.raises(ChangedFileError):
        file.read_ranges([(0, 10)])
    assert server.requests[-1].headers["if-match"].startswith('"')


def test_an_object_changed_since_it_was_registered_is_noticed_by_its_stamp(server: RangeServer) -> None:
    path = server.folder / "b.fits"
    found = open_file(server).fingerprint()
    stamp = (found.size, found.mtime_ns)
    times = path.stat()
    same = RemoteFile(Url(server.url_of("b.fits")), stamp=stamp)
    assert len(same.read_ranges([(0, 10)])[0]) == 10
    path.write_bytes(b"z" * SIZE)  # as large, and within the same second: only the ETag tells
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1000))
    with pytest.raises(ChangedFileError, match=r"snapdb ingest --update http"):
        RemoteFile(Url(server.url_of("b.fits")), stamp=stamp).read_ranges([(0, 10)])


def test_looking_at_many_gives_an_answer_for_each(server: RangeServer, content: bytes) -> None:
    here, gone = Url(server.url_of("b.fits")), Url(server.url_of("gone.fits"))
    found = look_at([here, gone])
    assert isinstance(found[gone], ObjectMissingError)
    assert found[here].size == SIZE
    assert server.bytes_sent == 1


def test_fingerprints_say_what_they_are() -> None:
    tagged = Answer(content=b"", size=9, etag='"abc"', modified_s=1_700_000_000).fingerprint
    assert tagged.sha256 == 'etag:"abc"'
    assert tagged.mtime_ns // 10**9 == 1_700_000_000
    assert Answer(content=b"", size=9, etag='W/"abc"', modified_s=1_700_000_000).fingerprint == tagged
    other = Answer(content=b"", size=9, etag='"abd"', modified_s=1_700_000_000).fingerprint
    assert other.mtime_ns != tagged.mtime_ns
    timed = Answer(content=b"", size=9, modified_s=1_700_000_000).fingerprint
    assert (timed.mtime_ns, timed.sha256) == (1_700_000_000 * 10**9, "modified:1700000000")
    assert Answer(content=b"", size=9).fingerprint.sha256 == ""
    long = Answer(content=b"", size=9, etag=f'"{"a" * 200}"').fingerprint
    assert long.sha256.startswith("etag-sha256:")
    assert len(long.sha256) == 64


def test_a_user_and_a_password_come_from_netrc(
    server: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    open_file(server).read_ranges([(0, 1)])
    assert server.requests[-1].headers["authorization"].startswith("Basic ")


def test_a_missing_package_is_named_with_its_extra(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_connections()
    for package, url in (("aiohttp", server.url_of("b.fits")), ("s3fs", "s3://survey/a.fits")):
        with monkeypatch.context() as missing:
            missing.setitem(sys.modules, package, None)
            with pytest.raises(ConfigError, match=rf"needs {package}; install .*snapdb\[(remote|s3)\]"):
                RemoteFile(Url(url), policy=QUICK).read_ranges([(0, 1)])


# S3

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(s3_address: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    import boto3

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_address}.items():
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3").Bucket("survey")
    made.create()
    made.put_object(Key="night 1/a.fits", Body=content)
    yield made
    close_connections()
    made.objects.all().delete()
    made.delete()


def test_objects_of_s3_give_their_bytes(bucket: object, content: bytes) -> None:
    file = RemoteFile(Url("s3://survey/night 1/a.fits"), policy=QUICK)
    ranges = [(300_000, 17), (0, 5), (SIZE - 4, 100), (SIZE + 10**6, 3)]
    assert file.read_ranges(ranges) == [content[b : b + n] for b, n in ranges]
    assert file.fingerprint().size == SIZE


def test_objects_of_s3_that_changed_or_are_missing_are_named(bucket: object) -> None:
    file = RemoteFile(Url("s3://survey/night 1/a.fits"), policy=QUICK)
    found = file.fingerprint()
    bucket.put_object(Key="night 1/a.fits", Body=b"q" * SIZE)  # type: ignore[attr-defined]  # boto3's
    with pytest.raises(ChangedFileError):
        file.read_ranges([(0, 10)])
    with pytest.raises(ChangedFileError, match="--update s3://"):
        RemoteFile(file.url, stamp=(found.size, found.mtime_ns)).read_ranges([(0, 10)])
    for gone in ("s3://survey/gone.fits", "s3://no-such-bucket/a.fits"):
        with pytest.raises(ObjectMissingError, match="does not exist"):
            RemoteFile(Url(gone), policy=QUICK).read_ranges([(0, 10)])


def test_an_s3_store_that_fails_is_asked_again(
    server: RangeServer, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.url_of("").rstrip("/")}.items():
        monkeypatch.setenv(name, value)
    (server.folder / "survey").mkdir()
    (server.folder / "survey" / "a.fits").write_bytes(content)
    file = RemoteFile(Url("s3://survey/a.fits"), policy=QUICK)
    server.failures.extend([503, "cut", "ok"])
    assert file.read_ranges([(5, 1000)]) == [content[5:1005]]
    server.failures.extend([403])
    with pytest.raises(StorageError, match="AWS settings") as caught:
        file.read_ranges([(0, 1)])
    assert "hunter2" not in str(caught.value)
    server.failures.extend([500] * 10)
    with pytest.raises(StoreUnavailableError, match="3 attempts"):
        file.read_ranges([(0, 1)])
