"""What a person may write as output=."""

from pathlib import Path

import pytest

from idgen.errors import Exit, RunError
from idgen.stores.opening import open_store


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("s3://bucket/out", "s3://bucket/out"),
        ("s3://bucket/out/", "s3://bucket/out"),
        ("s3://bucket", "s3://bucket"),
        ("S3://my.bucket/a/b", "s3://my.bucket/a/b"),
        ("file:///tmp/some%20where", "/tmp/some where"),
        ("/tmp/out/", "/tmp/out"),
        ("out:1", str(Path.cwd() / "out:1")),
    ],
)
def test_a_store_is_opened_by_its_address(s3_bucket, uri, root):
    assert open_store(uri).root == root


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "gs://bucket/x",
        "https://user:s3cret@host/x?X-Amz-Signature=s3cret",
        "s3://",
        "s3:///x",
        "s3://user:s3cret@bucket/x",
        "s3://bucket:9000/x",
        "s3://bucket/a/../b",
        "s3://bucket//a",
        "file://elsewhere/s3cret",
        "file:///x?s3cret",
        "a\0b",
    ],
)
def test_anything_else_is_a_usage_error_that_keeps_secrets(uri):
    with pytest.raises(RunError) as error:
        open_store(uri)
    assert error.value.exit_code == Exit.USAGE
    assert "s3cret" not in str(error.value)
