"""Opens the store that a configuration names."""

import re
from urllib.parse import unquote, urlsplit

from idgen.errors import Exit, RunError
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectStore, check_path
from idgen.stores.s3 import S3Store

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):/", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def open_store(uri: str) -> ObjectStore:
    """Return the store at a local path, `file:///folder` or `s3://bucket/prefix`; nothing is read or made yet.

    Anything else raises RunError (exit 2). The message never repeats the address, which may hold a password.
    """
    if not uri or not uri.isprintable():
        raise RunError(Exit.USAGE, "output: give a local folder or s3://bucket/prefix")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return LocalStore(uri)
    if scheme[1].lower() == "file":
        return LocalStore(_file_path(uri))
    if scheme[1].lower() == "s3":
        return _s3_store(uri)
    raise RunError(
        Exit.USAGE, f"{scheme[1]}: this kind of store is not supported; give a local folder or s3://bucket/prefix"
    )


def _file_path(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise RunError(
            Exit.USAGE, "file: give three slashes and a folder of this machine, for example file:///data/out"
        )
    return unquote(parts.path)


def _s3_store(uri: str) -> S3Store:
    bucket, _, prefix = uri.split("://", 1)[-1].partition("/")
    try:
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("not the name of a bucket")
        prefix = prefix.rstrip("/")
        return S3Store(bucket, check_path(prefix) if prefix else "")
    except ValueError as error:
        raise RunError(Exit.USAGE, "s3: give s3://bucket/prefix, without user, port, query or dots") from error
