"""A store that breaks: what is readable afterwards is whole, and what can converge does."""

import os

import pytest
from doubles.fault_proxy import Fault, FaultProxy

from idgen.stores import s3
from idgen.stores.local import LocalStore
from idgen.stores.protocol import ObjectExists, StoreError
from idgen.stores.s3 import S3Store

DATA = os.urandom(300_000)


@pytest.fixture
def proxied(s3_server, s3_bucket, monkeypatch):
    """A function that puts a plan between a new store and the server."""
    proxies = []

    def open_with(plan, read_timeout_s=10.0):
        proxy = FaultProxy(s3_server.endpoint, plan)
        proxies.append(proxy)
        proxy.__enter__()
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        return S3Store(s3_bucket, "p", read_timeout_s), proxy

    yield open_with
    for proxy in proxies:
        proxy.__exit__()


@pytest.fixture
def direct(s3_bucket):
    """The same place without faults; made before the proxy changes the endpoint."""
    return S3Store(s3_bucket, "p")


@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(status=500), Fault(reset="before"), Fault(reset="after"), Fault(cut_request=1000)],
)
def test_a_put_survives_two_faults(direct, proxied, fault):
    store, proxy = proxied(lambda request: fault if request.number <= 2 else None)
    store.put("a", DATA)
    assert direct.get("a") == DATA
    assert len(proxy.requests) == 3


def test_no_half_object_is_readable_when_every_put_is_cut(direct, proxied):
    store, proxy = proxied(lambda request: Fault(cut_request=len(request.body) // 2))
    with pytest.raises(StoreError):
        store.put("a", DATA)
    assert len(proxy.requests) == s3.ATTEMPTS
    assert direct.head("a") is None


@pytest.mark.slow
def test_a_store_that_stays_away_is_an_error_after_five_tries(proxied):
    store, proxy = proxied(lambda request: Fault(status=503))
    with pytest.raises(StoreError, match="SlowDown"):
        store.put("a", b"x")
    assert len(proxy.requests) == s3.ATTEMPTS


def test_refused_access_is_not_tried_again(proxied):
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    store, proxy = proxied(lambda request: Fault(status=403, body=body))
    with pytest.raises(StoreError, match="AccessDenied"):
        store.put("a", b"x")
    assert len(proxy.requests) == 1


def test_our_own_lost_success_is_not_somebody_else(direct, proxied):
    store, proxy = proxied(lambda request: Fault(reset="after") if request.number == 1 else None)
    store.put("lease", b"ours", if_absent=True)
    assert direct.get("lease") == b"ours"
    assert [request.method for request in proxy.requests] == ["PUT", "PUT", "GET"]


def test_somebody_elses_object_stays_when_our_first_answer_is_lost(direct, proxied):
    direct.put("lease", b"theirs")
    store, _ = proxied(lambda request: Fault(reset="after") if request.number == 1 else None)
    with pytest.raises(ObjectExists):
        store.put("lease", b"ours", if_absent=True)
    assert direct.get("lease") == b"theirs"


def test_a_conflict_between_conditional_writers_is_asked_again(direct, proxied):
    body = b"<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"
    store, proxy = proxied(lambda request: Fault(status=409, body=body) if request.number == 1 else None)
    store.put("lease", b"ours", if_absent=True)
    assert direct.get("lease") == b"ours"
    assert len(proxy.requests) == 2


def test_a_get_cut_in_its_body_is_asked_again(direct, proxied):
    direct.put("a", DATA)
    store, proxy = proxied(lambda request: Fault(cut=100_000) if request.number <= 2 else None)
    assert store.get("a") == DATA
    assert len(proxy.requests) == 3


def test_a_get_that_is_always_cut_is_an_error_and_never_half_an_object(direct, proxied):
    direct.put("a", DATA)
    store, proxy = proxied(lambda request: Fault(cut=100_000))
    with pytest.raises(StoreError):
        store.get("a")
    assert len(proxy.requests) == s3.ATTEMPTS


def test_a_stalled_get_ends_with_the_timeout(direct, proxied):
    direct.put("a", DATA)
    store, proxy = proxied(lambda request: Fault(delay_s=5) if request.number == 1 else None, read_timeout_s=0.5)
    assert store.get("a") == DATA
    assert len(proxy.requests) == 2


def test_list_and_delete_survive_a_fault(direct, proxied):
    direct.put("a", b"1")
    store, _ = proxied(lambda request: Fault(status=503) if request.number % 2 else None)
    assert [found.path for found in store.list("")] == ["a"]
    store.delete(["a"])
    assert direct.head("a") is None


def test_an_error_holds_no_credentials(direct, proxied, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key")
    store, _ = proxied(lambda request: Fault(status=403, body=b"<Error><Code>AccessDenied</Code></Error>"))
    with pytest.raises(StoreError) as error:
        store.put("a", b"x")
    assert "canary" not in f"{error.value!r} {error.value.__cause__!r}"


def test_a_local_write_that_breaks_leaves_the_old_object_and_no_litter(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    store.put("a/x", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.put("a/x", DATA)
    monkeypatch.undo()
    assert store.get("a/x") == b"old"
    assert os.listdir(tmp_path / "a") == ["x"]


def test_a_killed_local_writer_leaves_nothing_that_is_listed(tmp_path):
    store = LocalStore(tmp_path)
    store.put("a/x", b"1")
    (tmp_path / "a" / ".tmp-0123").write_bytes(b"half")
    assert [found.path for found in store.list("")] == ["a/x"]
