"""The run's own folder: small files, redacted, _SUCCESS last; and its log."""

import json
import logging
from datetime import UTC, datetime

import pytest
import yaml

from idgen.errors import Exit, RunError
from idgen.outputs.run_folder import RunFolder
from idgen.outputs.run_log import RunLog, keep_log
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


def test_success_is_written_last(store):
    folder = RunFolder(store, "run-1")
    order = []

    class Watched:
        def put(self, path, data, **options):
            order.append(path)
            store.put(path, data, **options)

    folder.store = Watched()
    folder.finish({"exit_code": 0})
    assert order == ["runs/run-1/summary.json", "runs/run-1/_SUCCESS"]


@pytest.mark.parametrize("exit_code", [1, 3, 5])
def test_any_other_end_is_no_success(store, exit_code):
    RunFolder(store, "run-1").finish({"exit_code": exit_code})
    assert paths(store) == ["runs/run-1/summary.json"]


def test_what_holds_full_addresses_goes_and_what_people_read_stays(store):
    parquet = [f"{name}.parquet" for name in ("index", "p2-index", "refused", "shards-00000", "p2-shards-00000")]
    for name in ["refused.csv", "summary.json", *parquet]:
        store.put(f"runs/run-1/plan/{name}", b"x")
    store.put("runs/run-1/results.parquet", b"x")
    store.put("runs/run-10/plan/index.parquet", b"x")
    for _ in range(2):
        assert RunFolder(store, "run-1").delete_shards()
    assert paths(store) == [
        "runs/run-1/plan/refused.csv", "runs/run-1/plan/summary.json", "runs/run-1/results.parquet",
        "runs/run-10/plan/index.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize("broken", ["list", "delete"])
def test_shards_that_cannot_be_deleted_hide_no_other_error(tmp_path, monkeypatch, caplog, broken):
    store = LocalStore(tmp_path)
    store.put("runs/run-1/plan/index.parquet", b"x")

    def away(*arguments):
        raise StoreError("away")

    monkeypatch.setattr(store, broken, away)
    assert not RunFolder(store, "run-1").delete_shards()
    assert "still holds signed addresses" in caplog.text


def test_signatures_named_in_the_configuration_are_no_text_of_the_run(store):
    link = "https://h.example/m.csv?v=1&token=c4nary&X-Amz-Signature=c4nary"
    folder = RunFolder(store, "run-1", signature_parameters=["token"])
    folder.write_config({"manifest": link, "sources": {"signature_parameters": ["token"]}})
    folder.finish({"exit_code": 0, "manifest": link})
    log = RunLog(folder, "driver", flush_s=60)
    log.emit(logging.makeLogRecord({"msg": f"reading {link}"}))
    log.close()
    assert len(paths(store)) == 4
    assert_no_secret(store)
    assert yaml.safe_load(store.get("runs/run-1/config.yaml")) == {
        "manifest": "https://h.example/m.csv?v=1",
        "sources": {"signature_parameters": ["token"]},
    }


def test_an_actors_log_knows_the_configured_signatures_too(store):
    logger = logging.getLogger("idgen")
    before = list(logger.handlers)
    keep_log(store, "run-1", "faces", signature_parameters=["token"])
    (handler,) = [found for found in logger.handlers if found not in before]
    logger.warning("at https://h.example/m.csv?token=c4nary")
    logger.removeHandler(handler)
    handler.close()
    assert records(store) == ["at https://h.example/m.csv"]


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
