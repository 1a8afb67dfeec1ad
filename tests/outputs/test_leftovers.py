"""What dead runs left is found and removed; what a living one uses stays."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from idgen.outputs.lease import LEASE_PATH
from idgen.outputs.leftovers import STALE_S, leftovers, remove_leftovers
from idgen.stores.local import LocalStore
from idgen.stores.opening import open_store
from idgen.stores.protocol import StoreError

PLAN = ("index.parquet", "p2-shards-00000.parquet", "refused.parquet", "shards-00000.parquet")


def later(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def catalogue(store):
    """Three runs whose drivers were killed, one of which may still be alive: the lease is its own."""
    for run in ("a", "b", "c"):
        for name in (*PLAN, "summary.json", "refused.csv"):
            store.put(f"runs/{run}/plan/{name}", b"x")
        store.put(f"runs/{run}/results.parquet", b"x")
    store.put(LEASE_PATH, json.dumps({"owner": "b"}).encode())
    return store


def plans(*runs):
    return [f"runs/{run}/plan/{name}" for run in runs for name in PLAN]


def paths(store):
    return {found.path for found in store.list("")}


def test_from_beside_a_run_that_holds_the_lease_is_alive(catalogue):
    assert leftovers(catalogue).paths() == plans("a", "c")


def test_a_lease_that_nobody_renewed_for_long_is_left_like_the_rest(catalogue):
    assert leftovers(catalogue, later(STALE_S - 60)).paths() == plans("a", "c")
    assert leftovers(catalogue, later(STALE_S + 60)).paths() == [LEASE_PATH, *plans("a", "b", "c")]


def test_the_run_that_goes_on_keeps_the_index_of_its_killed_try_and_nothing_else(catalogue):
    before = paths(catalogue)
    removed = remove_leftovers(catalogue, "b")
    shards = [f"runs/b/plan/{name}" for name in PLAN if "shards-" in name]
    assert removed == [*plans("a"), *shards, *plans("c")]
    assert before - paths(catalogue) == set(removed)


def test_a_half_written_file_is_dead_when_nothing_was_added_to_it_for_long(tmp_path):
    store = LocalStore(tmp_path)
    draft = "images/ab/.tmp-" + "0" * 32
    for path in (draft, "named/deep/er/.tmp-" + "f" * 32, "images/ab/.tmp-mine", "other/.tmp-" + "0" * 32):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"half")
    assert remove_leftovers(store, "b", later(STALE_S - 60)) == []
    found = leftovers(store, later(STALE_S + 60)).paths()
    assert found == [draft, "named/deep/er/.tmp-" + "f" * 32]
    assert remove_leftovers(store, "b", later(STALE_S + 60)) == found
    assert not (tmp_path / draft).exists()
    assert (tmp_path / "images/ab/.tmp-mine").exists(), "not a name of ours"
    assert (tmp_path / "other").exists()


def test_an_upload_in_parts_that_never_ended_is_aborted(s3_bucket):
    store = open_store(f"s3://{s3_bucket}/some/prefix")
    client = store._client
    for key in ("some/prefix/runs/a/results.parquet", "some/prefix2/runs/a/results.parquet"):
        upload = client.create_multipart_upload(Bucket=s3_bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=s3_bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 5 * 2**20)
    (began_at,) = {upload["Initiated"] for upload in client.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]}
    at = [began_at + timedelta(seconds=STALE_S + more) for more in (-60, 60)]  # the double's clock stands still
    assert leftovers(store, at[0]).paths() == []
    assert leftovers(store, at[1]).paths() == ["runs/a/results.parquet"]
    assert remove_leftovers(store, "b", at[1]) == ["runs/a/results.parquet"]
    assert leftovers(store, at[1]).paths() == []
    left = client.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["some/prefix2/runs/a/results.parquet"]


@pytest.mark.parametrize("broken", ["list", "delete", "unfinished", "discard"])
def test_what_cannot_be_removed_ends_no_run(catalogue, monkeypatch, caplog, broken):
    def away(*arguments):
        raise StoreError("away")

    monkeypatch.setattr(catalogue, broken, away)
    assert remove_leftovers(catalogue, "b") == []
    assert "still there" in caplog.text
