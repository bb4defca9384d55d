"""Ranges of objects in S3 and stores that speak its language."""

from typing import TYPE_CHECKING, Any

from snapdb.errors import ChangedFileError, ObjectMissingError, StorageError
from snapdb.model.url import Url
from snapdb.storage.http_ranges import CONNECTIONS
from snapdb.storage.ranges import Answer, UnansweredError

if TYPE_CHECKING:
    from s3fs import S3FileSystem

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_AGAIN = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling"})


class S3Transport:
    """Reads ranges with GetObject, through s3fs.

    Keys, region and endpoint come from where AWS tools look (``AWS_ENDPOINT_URL``,
    ``~/.aws``) and from fsspec's settings; without any keys, buckets are read as the public does.

    Parameters
    ----------
    timeout_s : float
        How long a connection may take, and how long it may be silent.
    """

    def __init__(self, timeout_s: float) -> None:
        self._config = {
            "connect_timeout": timeout_s,
            "read_timeout": timeout_s,
            "max_pool_connections": CONNECTIONS,
            "retries": {"max_attempts": 0},  # snapdb counts its own
        }
        self._files: S3FileSystem | None = None

    async def fetch(self, url: Url, begin: int, length: int, etag: str) -> Answer:
        """Read one range once.

        Raises
        ------
        UnansweredError, ObjectMissingError, ChangedFileError, StorageError
            As :meth:`snapdb.storage.ranges.Transport.fetch`.
        """
        from botocore.exceptions import NoCredentialsError

        try:
            return await self._fetch(url, begin, length, etag)
        except NoCredentialsError:
            self._files = self._make(anon=True)
            return await self._fetch(url, begin, length, etag)

    async def _fetch(self, url: Url, begin: int, length: int, etag: str) -> Answer:
        """Read one range with the keys that there are."""
        import aiohttp
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        if self._files is None:
            self._files = self._make(anon=None)
        bucket, _, key = url.removeprefix("s3://").partition("/")
        asked: dict[str, Any] = {"Range": f"bytes={begin}-{begin + length - 1}"}
        if etag:
            asked["IfMatch"] = etag
        try:
            client = await self._files.set_session()
            try:
                found = await client.get_object(Bucket=bucket, Key=key, **asked)
            except ClientError as err:
                if err.response["Error"].get("Code") != "InvalidRange":
                    raise
                return _to_answer(b"", await client.head_object(Bucket=bucket, Key=key))
            async with found["Body"] as body:
                return _to_answer(await body.read(), found)
        except NoCredentialsError:
            raise
        except ClientError as err:
            raise _translate(url, err) from err
        except (BotoCoreError, aiohttp.ClientError, TimeoutError, ConnectionError) as err:
            raise UnansweredError(type(err).__name__) from err

    def _make(self, *, anon: bool | None) -> "S3FileSystem":
        """Make the file system; its settings win over snapdb's, save for what is counted here."""
        from s3fs import S3FileSystem

        asked = {} if anon is None else {"anon": anon}
        return S3FileSystem(config_kwargs=self._config, skip_instance_cache=True, **asked)

    async def close(self) -> None:
        """Let go of connections."""
        if self._files is not None:
            client = await self._files.set_session()
            await client.close()
            self._files = None


def _to_answer(content: bytes, found: dict[str, Any]) -> Answer:
    """Take what the store says of an object."""
    said = found.get("ContentRange", "").rpartition("/")[2]
    return Answer(
        content=content,
        size=int(said) if said.isdigit() else int(found["ContentLength"]),
        etag=found.get("ETag", ""),
        modified_s=int(found["LastModified"].timestamp()) if "LastModified" in found else 0,
    )


def _translate(url: Url, err: Any) -> Exception:
    """Turn a refusal into an error that says what to do; its own text may name keys and is left out."""
    code = str(err.response["Error"].get("Code", ""))
    status = int(err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING or status == 404:
        msg = f"{url} does not exist ({code}); check the address, or ingest the file from its new one"
        return ObjectMissingError(msg, url=url, status=status)
    if status == 412:
        return ChangedFileError(f"{url} changed while it was read; ingest it again", url=url)
    if status >= 500 or status == 429 or code in _AGAIN:
        return UnansweredError(f"status {status}")
    msg = (
        f"{url} cannot be read: {code or 'refused'} (status {status}); check the address and the AWS settings"
    )
    return StorageError(msg, url=url, status=status)
