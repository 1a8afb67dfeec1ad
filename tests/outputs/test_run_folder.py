"""The run's own folder: small files, redacted, _SUCCESS last; and its log."""

import json
import logging
from datetime import UTC, datetime

import pytest
import yaml

from idgen.errors import Exit, RunError
from idgen.outputs.run_folder import RunFolder
from idgen.outputs.run_log import RunLog
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError

SECRETS = ["c4nary", "hf_c4narytoken123", "AKIAC4NARY1234567890"]
TEXT = f"https://u:{SECRETS[0]}@h.example/x?X-Amz-Signature={SECRETS[0]}&v=1 {SECRETS[1]} {SECRETS[2]}"


def paths(store):
    return [found.path for found in store.list("")]


def assert_no_secret(store):
    for path in paths(store):
        data = store.get(path)
        assert all(secret.encode() not in data for secret in SECRETS), path


def test_what_is_written_reads_back(store):
    folder = RunFolder(store, "run-1")
    config = {"manifest": "m.csv", "run": {"max_attempts": 3, "hosts": ["a", "b"]}, "no": False, "sku": "0123"}
    folder.write_config(config)
    assert yaml.safe_load(store.get("runs/run-1/config.yaml")) == config
    folder.write_progress({"ok": 3, "at": datetime(2026, 1, 2, tzinfo=UTC)})
    folder.write_progress({"ok": 4})
    assert json.loads(store.get("runs/run-1/progress.json")) == {"ok": 4}


def test_success_is_written_last_and_the_shards_are_gone(store):
    folder = RunFolder(store, "run-1")
    store.put("runs/run-1/plan/shards-0.parquet", b"full addresses")
    store.put("runs/run-1/plan/summary.json", b"{}")
    order = []

    class Watched:
        def __getattr__(self, name):
            order.append(name)
            return getattr(store, name)

    folder.store = Watched()
    folder.finish({"exit_code": 0})
    assert paths(store) == ["runs/run-1/_SUCCESS", "runs/run-1/plan/summary.json", "runs/run-1/summary.json"]
    assert order == ["put", "list", "delete", "put"]


@pytest.mark.parametrize("exit_code", [1, 3, 5])
def test_any_other_end_keeps_the_shards_and_is_no_success(store, exit_code):
    folder = RunFolder(store, "run-1")
    store.put("runs/run-1/plan/shards-0.parquet", b"full addresses")
    folder.finish({"exit_code": exit_code})
    assert paths(store) == ["runs/run-1/plan/shards-0.parquet", "runs/run-1/summary.json"]


@pytest.mark.parametrize("run_id", ["", "..", "a/b", ".x", "a b", "x" * 200, "a\n"])
def test_a_run_id_is_one_plain_name(tmp_path, run_id):
    with pytest.raises(RunError) as error:
        RunFolder(LocalStore(tmp_path), run_id)
    assert error.value.exit_code == Exit.USAGE


def test_no_secret_gets_into_the_folder(store):
    folder = RunFolder(store, "run-1")
    folder.write_config({"manifest": TEXT, TEXT: [TEXT, {"deep": TEXT}]})
    folder.finish({"exit_code": 0, "manifest": TEXT})
    log = RunLog(folder, "driver", flush_s=60)
    logger = logging.getLogger("test-secrets")
    logger.addHandler(log)
    try:
        raise ValueError(TEXT)
    except ValueError:
        logger.exception("broke on %s\nforged line", TEXT)
    logger.removeHandler(log)
    log.close()
    assert len(paths(store)) == 4
    assert_no_secret(store)
    lines = store.get(paths(store)[2]).decode().splitlines()
    assert len(lines) == 1
    assert "ValueError" in json.loads(lines[0])["message"]


def records(store):
    return [
        json.loads(line)["message"]
        for found in store.list("runs/run-1/logs/")
        for line in store.get(found.path).decode().splitlines()
    ]


def test_the_log_is_written_regularly_and_in_order(store):
    log = RunLog(RunFolder(store, "run-1"), "driver", flush_s=0.1)
    logger = logging.getLogger("test-log")
    logger.addHandler(log)
    logger.warning("first")
    log.flush()
    assert records(store) == ["first"]
    logger.warning("second")
    log.flush()
    logger.removeHandler(log)
    log.close()
    assert records(store) == ["first", "second"]
    assert len(list(store.list("runs/run-1/logs/"))) == 1


def test_a_long_log_goes_on_in_another_file(tmp_path):
    store = LocalStore(tmp_path)
    log = RunLog(RunFolder(store, "run-1"), "driver", flush_s=60)
    logger = logging.getLogger("test-long")
    logger.addHandler(log)
    for number in range(30):
        logger.warning("%d %s", number, "x " * 50_000)
        log.flush()
    logger.removeHandler(log)
    log.close()
    assert [int(message.split()[0]) for message in records(store)] == list(range(30))
    assert len(list(store.list("runs/run-1/logs/"))) > 1


def test_a_store_that_is_away_loses_no_line(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    log = RunLog(RunFolder(store, "run-1"), "driver", flush_s=60)

    def away(*arguments, **options):
        raise StoreError("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "put", away)
        log.emit(logging.makeLogRecord({"msg": "kept"}))
        log.flush()
    log.close()
    assert records(store) == ["kept"]
