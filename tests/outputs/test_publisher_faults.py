"""A store that answers 503, SlowDown, resets and half bodies now and then: publishing converges, and nothing lies."""

import random

import pytest
from doubles.fault_proxy import Fault, FaultProxy
from doubles.pictures import SIGNATURES, finished, picture

from idgen.config import ImagesConfig
from idgen.outputs import ledger
from idgen.outputs.publisher import Publisher
from idgen.outputs.verify import verify
from idgen.stores.protocol import StoreError
from idgen.stores.s3 import S3Store

BATCHES, ROWS = 8, 4
FAULTS = [
    Fault(status=503),
    Fault(status=500, body=b"<Error><Code>InternalError</Code></Error>"),
    Fault(reset="before"),
    Fault(reset="after"),
    Fault(cut_request=700),
    Fault(delay_s=0.2, bytes_per_s=2_000),
]


def publish(store, keys_done, shard_try):
    rows = []
    target = Publisher(
        store,
        run_id="run-1",
        shard="s",
        shard_try=shard_try,
        images=ImagesConfig(),
        signature_parameters=SIGNATURES,
        published=rows.extend,
        part_patience_s=0.0,
    )
    try:
        for first in range(0, BATCHES * ROWS, ROWS):
            batch = [picture(n, output_name=f"n{n}") for n in range(first, first + ROWS)]
            batch = [row for row in batch if row["key"] not in keys_done]
            if batch:
                target.submit(batch, [finished(row["position"]) for row in batch], "sample", 1.0)
    finally:
        target.close()
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_every_fifth_request_breaks_and_every_picture_is_published_once(s3_server, s3_bucket, monkeypatch, seed):
    direct = S3Store(s3_bucket, "p")
    chance = random.Random(seed)

    def plan(request):
        return chance.choice(FAULTS) if chance.random() < 0.2 else None

    with FaultProxy(s3_server.endpoint, plan) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        rows = publish(S3Store(s3_bucket, "p"), set(), 0)
    assert len(rows) == ledger.dataset(direct).count_rows() == BATCHES * ROWS
    found = verify(direct, hashes=True)
    assert found.sound
    assert found.checked == sum(row["status"] == "ok" for row in rows)
    assert found.checked >= BATCHES * ROWS - 1  # five breaks in a row: 0.03 % each
    assert found.wrong_hash == found.names_old == found.names_unknown == []


def test_a_shard_whose_store_goes_away_is_finished_by_the_next_try(s3_server, s3_bucket, monkeypatch):
    direct = S3Store(s3_bucket, "p")
    refused = b"<Error><Code>AccessDenied</Code></Error>"  # not tried again, so the test is quick

    def plan(request):
        return Fault(status=403, body=refused) if request.number > 20 else None

    with FaultProxy(s3_server.endpoint, plan) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        broken = S3Store(s3_bucket, "p")
        with pytest.raises(StoreError, match="AccessDenied"):
            publish(broken, set(), 0)
    done = ledger.shard_keys(direct, "run-1", "s")
    assert 0 < len(done) < BATCHES * ROWS
    assert verify(direct).sound
    rows = publish(direct, done, 1)
    assert len(rows) == BATCHES * ROWS - len(done)
    keys = ledger.dataset(direct).to_table(columns=["key"])["key"].to_pylist()
    assert len(keys) == len(set(keys)) == BATCHES * ROWS
    assert verify(direct, hashes=True).sound
