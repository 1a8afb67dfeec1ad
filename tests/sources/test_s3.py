"""Against a real S3 server, through a proxy that breaks what it is told to break."""

import boto3
import pytest
from doubles.fault_proxy import Fault, FaultProxy
from doubles.http_server import seconds_of

from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.sources.fetch import Fetcher

PHOTO = bytes(range(256)) * 2000


@pytest.fixture
def bucket(s3_bucket):
    for key in ("photos/a.jpg", "b c?d#1%20.jpg"):
        boto3.client("s3").put_object(Bucket=s3_bucket, Key=key, Body=PHOTO)
    return s3_bucket


@pytest.fixture
def proxy(s3_server, bucket, monkeypatch):
    """The same server behind a proxy; set `proxy.plan`."""
    monkeypatch.setattr("idgen.sources.deadline.FIRST_WAIT_S", 0.01)
    with FaultProxy(s3_server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


def code_of(call):
    with pytest.raises(RowError) as caught:
        call()
    return caught.value.code


def test_an_object_arrives_whole(bucket):
    assert Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg") == PHOTO


def test_a_key_is_taken_as_it_is_spelled(bucket):
    assert Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/b c?d#1%20.jpg") == PHOTO


@pytest.mark.parametrize("uri", ["s3://{}/none.jpg", "s3://no-such-bucket-here/a.jpg"])
def test_what_is_not_there_is_missing(bucket, uri):
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(uri.format(bucket))) == Code.REFERENCE_MISSING


def test_a_large_object_is_refused(bucket):
    fetcher = Fetcher(SourcesConfig(max_bytes=1000))
    assert code_of(lambda: fetcher.fetch(f"s3://{bucket}/photos/a.jpg")) == Code.TOO_MANY_BYTES


@pytest.mark.parametrize(
    "uri",
    [
        "s3://{}", "s3://{}/", "s3:///photos/a.jpg", "s3://me:pw@{}/photos/a.jpg", "s3://a/b.jpg", "s3://../b.jpg",
        "s3://127.0.0.1:9000/b.jpg", "s3://arn:aws:s3:::x/b.jpg", "s3://b\nucket/b.jpg",
    ],
)  # fmt: skip
def test_what_is_no_bucket_and_key_is_forbidden(bucket, uri):
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(uri.format(bucket))) == Code.URI_FORBIDDEN


def test_only_listed_buckets_are_read(bucket, proxy):
    assert Fetcher(SourcesConfig(buckets=[bucket])).fetch(f"s3://{bucket}/photos/a.jpg") == PHOTO
    asked = len(proxy.requests)
    fetcher = Fetcher(SourcesConfig(buckets=["another"]))
    assert code_of(lambda: fetcher.fetch(f"s3://{bucket}/photos/a.jpg")) == Code.URI_FORBIDDEN
    assert len(proxy.requests) == asked


@pytest.mark.parametrize(("status", "code"), [(403, Code.FETCH_DENIED), (400, Code.FETCH_DENIED)])
def test_a_refusal_is_a_refusal_at_the_first_try(bucket, proxy, status, code):
    proxy.plan = lambda request: Fault(status=status, body=b"<Error><Code>AccessDenied</Code></Error>")
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg")) == code
    assert len(proxy.requests) == 1


def test_without_credentials_access_is_denied(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg")) == Code.FETCH_DENIED


@pytest.mark.parametrize("fault", [Fault(cut=1000), Fault(cut=400_000), Fault(status=503), Fault(reset="before")])
def test_a_passing_failure_passes(bucket, proxy, fault):
    proxy.plan = lambda request: fault if request.number <= 2 else None
    assert Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg") == PHOTO
    assert len(proxy.requests) == 3


def test_a_body_that_always_breaks_is_a_broken_transfer_after_four_tries(bucket, proxy):
    proxy.plan = lambda request: Fault(cut=1000)
    assert code_of(lambda: Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg")) == Code.FETCH_FAILED
    assert len(proxy.requests) == 4


def test_the_deadline_holds_against_a_slow_body(bucket, proxy):
    proxy.plan = lambda request: Fault(bytes_per_s=2000)
    fetcher = Fetcher(SourcesConfig(deadline_s=1.5))
    codes = []
    seconds = seconds_of(lambda: codes.append(code_of(lambda: fetcher.fetch(f"s3://{bucket}/photos/a.jpg"))))
    assert codes == [Code.FETCH_TIMEOUT]
    assert seconds < 5.0


def test_a_detail_names_the_object_and_no_credentials(bucket, proxy):
    proxy.plan = lambda request: Fault(status=403, body=b"<Error><Code>InvalidAccessKeyId</Code></Error>")
    with pytest.raises(RowError) as caught:
        Fetcher(SourcesConfig()).fetch(f"s3://{bucket}/photos/a.jpg")
    assert f"s3://{bucket}/photos/a.jpg" in caught.value.detail
    assert "InvalidAccessKeyId" in caught.value.detail
