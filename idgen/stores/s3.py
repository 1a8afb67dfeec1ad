"""A store in an S3 bucket. Endpoint, region and credentials come from the environment only.

boto3 writes (one PUT per object, conditional where asked); pyarrow reads datasets. What its retries leave to us:
a GET cut in mid-body, the answer 412 to our own lost success, and 409 between two conditional writers.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.loaders
import pyarrow.fs
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from idgen.stores.protocol import (
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    StoreError,
    UnfinishedWrite,
    check_path,
    check_prefix,
)
from idgen.stores.s3_access import S3Access

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

ATTEMPTS = 5
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
DELETE_BATCH = 1000
_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_BROKEN_BODY = (ResponseStreamingError, IncompleteReadError, ReadTimeoutError)
_Result = TypeVar("_Result")


class S3Store:
    """An ObjectStore under one prefix of one bucket."""

    def __init__(self, bucket: str, prefix: str = "", read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._bucket = bucket
        self._prefix = f"{check_path(prefix)}/" if prefix else ""
        self._read_timeout_s = read_timeout_s
        self._lock = threading.Lock()
        self._filesystem: pyarrow.fs.FileSystem | None = None
        self._access = S3Access()
        self._client = _client(self._access, read_timeout_s)
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")

    def __reduce__(self) -> "tuple[type[S3Store], tuple[str, str, float]]":
        return S3Store, (self._bucket, self._prefix.rstrip("/"), self._read_timeout_s)

    def put(self, path: str, data: bytes, *, content_type: str = "", if_absent: bool = False) -> None:
        """Write a whole object with one PUT; see ObjectStore.put."""
        request: PutObjectRequestTypeDef = {"Bucket": self._bucket, "Key": self._key(path), "Body": data}
        if content_type:
            request["ContentType"] = content_type
        if if_absent:
            request["IfNoneMatch"] = "*"
        try:
            with _as_store_error("put", path):
                _again_on_conflict(lambda: self._client.put_object(**request))
        except ObjectExists:
            # a retry whose first try had won, with the answer lost on the way, is refused by its own object
            if self.get(path) != data:
                raise

    def put_file(self, path: str, source: Path, *, content_type: str = "") -> None:
        """Write a whole object from a local file, in parts when it is large; visible when the last part is in."""
        extra = {"ContentType": content_type} if content_type else {}
        with _as_store_error("put", path):
            self._client.upload_file(str(source), self._bucket, self._key(path), ExtraArgs=extra)

    def get(self, path: str) -> bytes:
        """Return the object's bytes; a body that breaks off is asked for again. Raises ObjectMissing."""
        key = self._key(path)
        with _as_store_error("get", path):
            for attempt in range(1, ATTEMPTS + 1):
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
                try:
                    return body.read()
                except _BROKEN_BODY:
                    if attempt == ATTEMPTS:
                        raise
                    _pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def head(self, path: str) -> ObjectInfo | None:
        """Return size and time, or None when nothing is there."""
        try:
            with _as_store_error("head", path):
                facts = self._client.head_object(Bucket=self._bucket, Key=self._key(path))
        except ObjectMissing:
            return None
        return ObjectInfo(path, facts["ContentLength"], facts["LastModified"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose path starts with `prefix`, in the order of the paths."""
        whole = self._prefix + check_prefix(prefix)
        with _as_store_error("list", prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=whole):
                for found in page.get("Contents", []):
                    path = found["Key"][len(self._prefix) :]
                    if path and not path.endswith("/"):  # consoles make empty objects that look like folders
                        yield ObjectInfo(path, found["Size"], found["LastModified"])

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects, a thousand a request; one that is not there is no error."""
        keys = [self._key(path) for path in paths]
        for start in range(0, len(keys), DELETE_BATCH):
            batch = [{"Key": key} for key in keys[start : start + DELETE_BATCH]]
            with _as_store_error("delete", keys[start]):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True})  # type: ignore[typeddict-item]
            for refused in answer.get("Errors", [])[:1]:
                raise StoreError(f"delete {refused.get('Key')}: {refused.get('Code')}")

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source` inside the store (up to 5 GB). Raises ObjectMissing."""
        origin = {"Bucket": self._bucket, "Key": self._key(source)}
        with _as_store_error("copy", source):
            self._client.copy_object(Bucket=self._bucket, Key=self._key(target), CopySource=origin)  # type: ignore[arg-type]

    def unfinished(self, prefix: str, before: datetime) -> Iterator[UnfinishedWrite]:
        """Yield uploads in parts that began before `before` and were never completed; their parts are paid for."""
        whole = self._prefix + check_prefix(prefix)
        with _as_store_error("list uploads", prefix):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=whole
            ):
                for found in page.get("Uploads", []):
                    if found["Initiated"] < before:
                        yield UnfinishedWrite(found["Key"][len(self._prefix) :], found["UploadId"])

    def discard(self, writes: Iterable[UnfinishedWrite]) -> None:
        """Abort these uploads; one that is not there is no error."""
        for write in writes:
            with suppress(ObjectMissing), _as_store_error("abort upload", write.path):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key(write.path), UploadId=write.upload
                )

    def uri(self, path: str) -> str:
        """Return s3://bucket/key."""
        return f"s3://{self._bucket}/{self._key(path)}"

    def presigned(self, path: str, expires_s: int) -> str:
        """Return a link that opens the object for whoever has it, for `expires_s` seconds (S3 allows seven days)."""
        request = {"Bucket": self._bucket, "Key": self._key(path)}
        with _as_store_error("presign", path):
            # by itself boto3 signs links as of 2006, which newer regions refuse
            client = _client(S3Access(), self._read_timeout_s, signature_version="s3v4")
            return client.generate_presigned_url("get_object", Params=request, ExpiresIn=expires_s)

    def filesystem(self) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return a pyarrow S3 filesystem with the same endpoint, and bucket/prefix inside it."""
        with self._lock:
            if self._filesystem is None:
                region = self._client.meta.region_name
                self._filesystem = _arrow_filesystem(self._access, region, self._read_timeout_s)
        return self._filesystem, f"{self._bucket}/{self._prefix}".rstrip("/")

    def _key(self, path: str) -> str:
        return self._prefix + check_path(path)


def _client(access: S3Access, read_timeout_s: float, signature_version: str | None = None) -> "S3Client":
    """Return a client (thread-safe) of an own session (which is not) with the credentials of this moment."""
    config = Config(
        # max_attempts would count retries, total_max_attempts counts tries
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        max_pool_connections=32,
        signature_version=signature_version,
        s3=access.addressing(),
    )
    access.session.register_component("data_loader", _service_models())
    return boto3.session.Session(botocore_session=access.session).client(
        "s3", config=config, endpoint_url=access.endpoint or None, verify=access.ca_file or None
    )


@cache
def _service_models() -> botocore.loaders.Loader:
    """Return what botocore knows of S3, parsed once per process: 0.1 CPU seconds."""
    return botocore.loaders.create_loader()


def _arrow_filesystem(access: S3Access, region: str, read_timeout_s: float) -> pyarrow.fs.FileSystem:
    options: dict[str, object] = {"region": region} if region and region != "aws-global" else {}
    if access.endpoint:
        parts = urlsplit(access.endpoint)
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
    if access.ca_file:
        options["tls_ca_file_path"] = access.ca_file
    return pyarrow.fs.S3FileSystem(
        allow_delayed_open=True,  # a small file is one PUT instead of a multipart upload
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=read_timeout_s,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        **options,
    )


def _again_on_conflict(call: Callable[[], _Result]) -> _Result:
    """Two conditional writers at one moment: S3 answers 409 to one, which must ask again to hear 412 or win."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalRequestConflict":
                raise
            _pause(attempt)
    return call()


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0.05, 0.1) * 2**attempt)


@contextmanager
def _as_store_error(action: str, path: str) -> Iterator[None]:
    """Turn boto3's errors into ours: what was asked, the store's code, and no header or body."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code in _MISSING:
            raise ObjectMissing(f"{action} {path}: not there") from error
        if code == "PreconditionFailed":
            raise ObjectExists(f"{action} {path}: already there") from error
        raise StoreError(f"{action} {path}: the store answered {code}") from error
    except (BotoCoreError, boto3.exceptions.Boto3Error, OSError) as error:
        raise StoreError(f"{action} {path}: {type(error).__name__}") from error
