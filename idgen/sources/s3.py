"""Photos from S3 and stores that speak its language. Endpoint and credentials come from the environment alone."""

import contextlib
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.deadline import Deadline, TransientError, with_tries
from idgen.stores.s3_access import S3Access

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 256 * 2**10
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{1,253}[A-Za-z0-9]")
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, NoAuthTokenError)


class S3Files:
    """Fetches s3://bucket/key; thread-safe, one client, made at the first fetch."""

    def __init__(self, config: SourcesConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._made: S3Client | None = None

    def fetch(self, uri: str) -> bytes:
        """Return the object's bytes; what follows the bucket is the key as it is spelled, `?`, `#` and `%` included.

        Raises RowError: `uri_forbidden` for a bucket not in sources.buckets, else a code of fetch. A store that does
        not let the role list the bucket answers 403 for missing keys too: `fetch_denied`.
        """
        bucket, key = self.place_of(uri)
        deadline = Deadline(self._config.deadline_s)
        return with_tries(lambda: self._get(bucket, key, deadline), deadline)

    def place_of(self, uri: str) -> tuple[str, str]:
        """Return bucket and key, if the bucket may be read. Raises RowError `uri_forbidden`."""
        bucket, _, key = uri.partition("://")[2].partition("/")
        if not _BUCKET.fullmatch(bucket) or not key:
            raise RowError(Code.URI_FORBIDDEN, "write s3://bucket/key, without credentials")
        if self._config.buckets and bucket not in self._config.buckets:
            raise RowError(Code.URI_FORBIDDEN, f"bucket {bucket} is not in sources.buckets")
        return bucket, key

    def _get(self, bucket: str, key: str, deadline: Deadline) -> bytes:
        try:
            body = self._client().get_object(Bucket=bucket, Key=key)["Body"]
            with contextlib.closing(body), deadline.cutting(_cutter(body)):
                return self._read(body)
        except ClientError as error:
            raise _of_status(error) from None
        except _NO_CREDENTIALS:
            raise RowError(Code.FETCH_DENIED, "no credentials for S3 in the environment") from None
        except ParamValidationError:
            raise RowError(Code.URI_FORBIDDEN, "no S3 key") from None
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise TransientError(RowError(Code.FETCH_TIMEOUT, f"S3: {type(error).__name__}")) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:  # the body's errors are not retried by boto
            raise TransientError(
                RowError(Code.FETCH_FAILED, f"S3: the transfer broke off: {type(error).__name__}")
            ) from error

    def _read(self, body: "StreamingBody") -> bytes:
        data = bytearray()
        while chunk := body.read(CHUNK_BYTES):
            data += chunk
            if len(data) > self._config.max_bytes:
                raise RowError(Code.TOO_MANY_BYTES, f"more than {self._config.max_bytes} bytes")
        return bytes(data)

    def _client(self) -> "S3Client":
        with self._lock:  # boto3's making of clients is not thread-safe, its clients are
            if self._made is None:
                access = S3Access()
                settings = ClientConfig(
                    connect_timeout=self._config.connect_timeout_s,
                    read_timeout=min(20.0, self._config.deadline_s),
                    retries={"total_max_attempts": 3, "mode": "standard"},
                    max_pool_connections=max(10, self._config.threads),
                    s3=access.addressing(),
                )
                self._made = boto3.session.Session(botocore_session=access.session).client(
                    "s3", config=settings, endpoint_url=access.endpoint or None, verify=access.ca_file or None
                )
            return self._made


def _of_status(error: ClientError) -> Exception:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    name = str(error.response.get("Error", {}).get("Code", ""))[:60]
    if status == 404:
        return RowError(Code.REFERENCE_MISSING, f"S3 answered {name}")
    if 400 <= status < 500 and status not in (408, 429):
        return RowError(Code.FETCH_DENIED, f"S3 answered {status} {name}")
    return TransientError(RowError(Code.FETCH_FAILED, f"S3 answered {status} {name}"))


def _cutter(body: "StreamingBody") -> Callable[[], None]:
    """Return what wakes a reader of `body`; botocore has no public door to its response, urllib3 has one for this."""
    response = getattr(body, "_raw_stream", None)

    def cut() -> None:
        """Shut the connection down under a read that hangs."""
        with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
            response.shutdown()  # type: ignore[union-attr]

    return cut
