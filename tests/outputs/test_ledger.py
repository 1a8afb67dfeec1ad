"""The ledger: strict parts, one view, and merging that never changes it."""

import json
import random
import time
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from doubles.fault_proxy import Fault, FaultProxy
from doubles.pictures import SIGNATURES, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idgen.outputs import compaction, ledger
from idgen.outputs.compaction import compact
from idgen.outputs.ledger_row import StoredImage, ledger_row
from idgen.schemas import LEDGER
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError
from idgen.stores.s3 import S3Store

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CODES = {"ok": "", "rejected": "no_face", "failed": "fetch_failed"}


def row(number=0, status="ok", minutes=0, *, attempt=1, shard_try=0, run_id="run", shard="s", **changes):
    image = StoredImage(f"images/{number}.png", "f" * 64, 10, "png", 32, 48) if status == "ok" else None
    return ledger_row(
        picture(number, attempt=attempt, **changes),
        status=status,
        code=CODES[status],
        stage="publish",
        run_id=run_id,
        shard=shard,
        shard_try=shard_try,
        signature_parameters=SIGNATURES,
        image=image,
        finished_at=NOON + timedelta(minutes=minutes),
    )


def view(store, tmp_path, columns="*"):
    with ledger.connect(256, str(tmp_path / "spill")) as connection:
        rows = ledger.newest(store, connection, columns).read_all().to_pylist()
    return {found["key"]: found for found in rows}


def test_a_row_comes_back_as_it_was_written(store, tmp_path):
    written = row(1, sku="0123", carried='{"colour": "rosé"}', reference_uris=["a", "b"], reference_uri=None)
    path = ledger.write_part(store, "run", "s1", 0, 3, [written])
    assert path == "ledger/parts/run/s1-0-3.parquet"
    found = view(store, tmp_path)[written["key"]]
    assert {name: found[name] for name in LEDGER.names if name not in ("reference_box", "reference_score")} == {
        name: written[name] for name in LEDGER.names if name not in ("reference_box", "reference_score")
    }
    assert found["sku"] == "0123"
    assert found["reference_uris"] == ["a", "b"]


def test_the_schema_of_a_part_is_exactly_the_ledgers(tmp_path):
    store = LocalStore(tmp_path)
    path = ledger.write_part(store, "run", "s1", 0, 0, [row(1)])
    assert pq.read_schema(store.uri(path)).equals(LEDGER)


def test_settings_hold_what_has_no_column(tmp_path):
    found = json.loads(row(1, ip_adapter_scales=[("faceid", 0.30000001192092896)], num_images=4)["settings"])
    assert found == {
        "face_select": "largest",
        "guidance_scale": 7.5,
        "ip_adapter_scale": 0.8,
        "ip_adapter_scales": {"faceid": 0.3},
        "lora_scale": 1.0,
        "num_images": 4,
        "num_inference_steps": 4,
        "scheduler": "ddim",
    }


def test_strangers_and_empty_required_columns_are_refused(tmp_path):
    store = LocalStore(tmp_path)
    with pytest.raises(ValueError, match="colour"):
        ledger.write_part(store, "run", "s", 0, 0, [row(1) | {"colour": "red"}])
    with pytest.raises(ValueError, match="recipe"):
        ledger.write_part(store, "run", "s", 0, 0, [row(1) | {"recipe": None}])
    assert ledger.ledger_files(store) == []


@pytest.mark.parametrize(("status", "code"), [("ok", "no_face"), ("failed", "")])
def test_a_status_and_its_code_agree(status, code):
    with pytest.raises(ValueError, match="with code"):
        ledger_row(
            picture(1), status=status, code=code, stage="", run_id="", shard="", shard_try=0, signature_parameters=[]
        )


def test_a_part_is_never_written_over(store, tmp_path):
    first = ledger.write_part(store, "run", "s", 0, 0, [row(1)])
    second = ledger.write_part(store, "run", "s", 0, 0, [row(2)])
    assert first != second
    assert len(view(store, tmp_path)) == 2


def test_a_shard_knows_its_own_keys_only(store):
    ledger.write_part(store, "run", "s1", 0, 0, [row(1), row(2)])
    ledger.write_part(store, "run", "s1", 1, 0, [row(3, "failed")])
    ledger.write_part(store, "run", "s1-0", 0, 0, [row(4)])
    ledger.write_part(store, "run", "s10", 0, 0, [row(5)])
    ledger.write_part(store, "other", "s1", 0, 0, [row(6)])
    assert ledger.shard_keys(store, "run", "s1") == {picture(number)["key"] for number in (1, 2, 3)}
    assert ledger.shard_keys(store, "run", "s2") == set()


def test_an_empty_ledger_has_an_empty_view(store, tmp_path):
    assert view(store, tmp_path) == {}
    assert compact(store, "run") is None


def test_failed_never_hides_ok_and_the_newest_counts_otherwise(store, tmp_path):
    ledger.write_part(store, "a", "s", 0, 0, [row(1, "ok", 0), row(2, "failed", 0), row(3, "rejected", 0), row(4)])
    ledger.write_part(
        store, "b", "s", 0, 0, [row(1, "failed", 5), row(2, "ok", 5), row(3, "failed", 5), row(4, "rejected", 5)]
    )
    found = view(store, tmp_path, "key, status")
    assert [found[picture(number)["key"]]["status"] for number in (1, 2, 3, 4)] == ["ok", "ok", "failed", "rejected"]


# ---- against a plain model ------------------------------------------------------------------------------------------

ENTRY = st.tuples(
    st.integers(0, 3),  # key
    st.sampled_from(["ok", "rejected", "failed"]),
    st.integers(0, 2),  # minutes
    st.integers(1, 2),  # attempt
    st.integers(0, 1),  # shard_try
    st.sampled_from(["run-a", "run-b"]),
)


def model(entries):
    """The rule in its own words: newest, except that failed never hides ok."""
    found = {}
    for number in {entry[0] for entry in entries}:
        mine = [entry for entry in entries if entry[0] == number]

        def age(entry):
            return (*entry[2:], entry[1] == "ok", entry[1])

        newest = max(mine, key=age)
        oks = [entry for entry in mine if entry[1] == "ok"]
        found[picture(number)["key"]] = max(oks, key=age) if newest[1] == "failed" and oks else newest
    return found


def write(store, entries, parts):
    rng = random.Random(len(entries))
    rows = [row(n, s, m, attempt=a, shard_try=t, run_id=r) for n, s, m, a, t, r in entries]
    rng.shuffle(rows)
    for sequence in range(parts):
        if rows[sequence::parts]:
            ledger.write_part(store, f"r{sequence % 2}", "s", 0, sequence, rows[sequence::parts])


def comparable(found):
    names = ("status", "attempt", "shard_try", "run_id", "finished_at")
    return {key: tuple(value[name] for name in names) for key, value in found.items()}


def expected(entries):
    return {key: (s, a, t, r, NOON + timedelta(minutes=m)) for key, (_, s, m, a, t, r) in model(entries).items()}


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ENTRY, min_size=1, max_size=14), st.integers(1, 4), st.data())
def test_view_and_merging_follow_the_model(tmp_path_factory, entries, parts, data):
    folder = tmp_path_factory.mktemp("ledger")
    store = LocalStore(folder / "store")
    write(store, entries, parts)
    assert comparable(view(store, folder)) == expected(entries)
    compact(store, "now")
    assert comparable(view(store, folder)) == expected(entries)
    later = data.draw(st.lists(ENTRY, max_size=4))
    if later:
        write(store, later, 1)
    compact(store, "later")
    assert comparable(view(store, folder)) == expected(entries + later)
    assert len(ledger.ledger_files(store)) == 1
    table = ledger.dataset(store).to_table()
    assert table.num_rows <= 2 * len(expected(entries + later))  # the newest, and the newest ok


# ---- merging: every crash point -------------------------------------------------------------------------------------


class Crash(BaseException):
    """Not an Exception: nothing may catch and carry on."""


class CrashingStore:
    """The store of a process that dies before (or after) its n-th change."""

    def __init__(self, store, crash_at, after):
        self._store, self._left, self._after = store, crash_at, after

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in ("put", "put_file", "delete", "copy"):
            return method

        def change(*arguments, **options):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Crash
            if self._left == 0 and name == "delete":  # died in the middle: some are gone
                paths = list(arguments[0])
                method(paths[: len(paths) // 2])
                raise Crash
            result = method(*arguments, **options)
            if self._left == 0:
                raise Crash
            return result

        return change


@pytest.mark.parametrize(("crash_at", "after"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_crash_while_merging_is_harmless(store, tmp_path, crash_at, after):
    entries = [(n, s, m, 1, 0, f"run-{m}") for n in range(3) for m, s in enumerate(("ok", "failed", "rejected"))]
    write(store, entries[:6], 3)
    compact(store, "before")
    write(store, entries[6:], 3)
    with pytest.raises(Crash):
        compact(CrashingStore(store, crash_at, after), "dies")
    assert comparable(view(store, tmp_path)) == expected(entries)
    compact(store, "resumed")
    assert comparable(view(store, tmp_path)) == expected(entries)
    assert len(ledger.ledger_files(store)) == 1


def test_merging_reads_many_small_parts_at_a_time(tmp_path, s3_server, s3_bucket, monkeypatch):
    store = S3Store(s3_bucket, "p")
    for number in range(40):
        ledger.write_part(store, "run", f"s{number}", 0, 0, [row(number)])
    began_s = []

    def slow(request):
        began_s.append(time.monotonic())
        return Fault(delay_s=0.5)

    with FaultProxy(s3_server.endpoint, slow) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        compact(S3Store(s3_bucket, "p"), "run")
    at_once = max(sum(first <= other < first + 0.5 for other in began_s) for first in began_s)
    assert at_once > 12
    assert len(view(store, tmp_path)) == 40


def test_a_damaged_part_stops_merging_and_nothing_is_deleted(store):
    ledger.write_part(store, "run", "s", 0, 0, [row(1)])
    store.put("ledger/parts/run/s-0-1.parquet", b"not parquet")
    with pytest.raises(StoreError, match="s-0-1"):
        compact(store, "now")
    assert len(ledger.ledger_files(store)) == 2
    with pytest.raises(StoreError, match="s-0-1"):
        ledger.shard_keys(store, "run", "s")


def test_a_large_compact_file_is_left_alone_until_enough_joins_it(store, tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_ALWAYS_BYTES", 0)
    entries = [(n, "failed", 0, 1, 0, "run-a") for n in range(3000)]
    ledger.write_part(store, "a", "s", 0, 0, [row(n, s, m, run_id=r) for n, s, m, _, _, r in entries])
    large = compact(store, "a")
    ledger.write_part(store, "b", "s", 0, 0, [row(0, "ok", 1, run_id="run-b"), row(1, "failed", 1, run_id="run-b")])
    small = compact(store, "b")
    assert ledger.ledger_files(store) == [large, small]
    found = view(store, tmp_path, "key, status, run_id")
    assert len(found) == 3000
    assert [found[picture(n)["key"]]["run_id"] for n in range(3)] == ["run-b", "run-b", "run-a"]
    ledger.write_part(store, "c", "s", 0, 0, [row(n, "ok", 2) for n in range(1000)])
    assert ledger.ledger_files(store) != [compact(store, "c")]
    ledger.write_part(store, "d", "s", 0, 0, [row(n, "ok", 3) for n in range(3000)])
    last = compact(store, "d")
    assert ledger.ledger_files(store) == [last]
    assert {found["status"] for found in view(store, tmp_path).values()} == {"ok"}
