"""Every kind of end: its exit code, its summary.json, and what it must not leave behind. None of these needs Ray."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from doubles.catalogue import PHOTOS, InProcess, rows

from idgen.driver import run as driver
from idgen.sources.precheck import Precheck

CANARY = "c4n4ry51gn4tur3"


@pytest.fixture
def shop(tmp_path):
    made = InProcess(tmp_path)
    made.write([{**row, "photo": f"{PHOTOS}/{row['photo']}.png"} for row in rows(3)])
    return made


def runs(shop):
    return sorted(Path(shop.output, "runs").iterdir())


def test_a_commercial_run_of_research_weights_is_refused_before_anything_starts(shop):
    text = shop.run("run.commercial=true", expect=4)
    assert "research only" in text
    summary = shop.summary()
    assert summary["exit_code"] == 4
    assert "commercial" in summary["error"]
    assert not Path(shop.output, "lease.json").exists()


def test_a_plan_leaves_only_what_people_read(shop):
    signed = f"https://shop.example/a.png?X-Amz-Signature={CANARY}"
    shop.write([{"row_id": "a", "photo": signed, "prompt": "x", "others": json.dumps([signed])}])
    assert "  your own columns, carried along: others\n" in shop.run(job="plan")
    (run,) = runs(shop)
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {"plan/summary.json", "plan/refused.csv"}
    assert not any(CANARY in path.read_text() for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["token", "access_token", "X-Amz-Signature"])
def test_a_secret_in_an_address_is_in_no_file_of_a_run(shop, name):
    secret = f"https://shop.example/a.png?v=1&{name}={CANARY}"
    row = {"photo": secret, "others": json.dumps([secret]), "link": secret, "mask_image_uri": secret}
    shop.write([{"row_id": "a", "prompt": None} | row, {"row_id": secret, "prompt": "x", "face_select": "none"} | row])
    shop.run("report.enabled=true", f"notes=[{secret}]")
    files = [path for path in Path(shop.output).rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += str(pq.read_table(path).to_pylist()).encode()
        assert CANARY.encode() not in text, path
    assert {row["reference_uri"] for row in shop.results().values() if "reference_uri" in row} <= {
        None,
        secret.split("&")[0],
    }


def test_a_base_of_another_family_is_told_which_go_and_nothing_else(shop):
    shop.write([{**row, "recipe": "faceid-sdxl@sd15"} for row in rows(1)])
    text = shop.run(job="plan")
    assert "faceid-sdxl works with the bases " in text
    assert "use a name that `jobs/weights.py list` shows" in text
    assert "configs/recipes" not in text


def test_a_plan_tells_what_cannot_work_before_anything_is_fetched(shop):
    fine = rows(1)[0]
    shop.write([fine | {"row_id": "cloud", "photo": "gs://shop/a.png"}])
    text = shop.run("run.max_failed_fraction=0.5", job="plan", expect=3)
    assert "to make 0" in text
    assert "uri_forbidden: 1" in text
    shop.write([fine, fine | {"row_id": "gone", "photo": f"{Path(shop.manifest).parent}/gone.png", "prompt": "y"}])
    text = shop.run(job="plan")
    assert "warning: photo_missing: " in text
    assert "gone.png" in text


def test_a_plan_tells_blank_rows_and_ids_that_no_row_has(shop, tmp_path):
    shop.manifest = str(tmp_path / "m.csv")
    photo = f"{PHOTOS}/{rows(1)[0]['photo']}.png"
    Path(shop.manifest).write_text(f"row_id,reference_uri,prompt\na,{photo},x\n,,\n,,\nb,{photo},y\n")
    (tmp_path / "ids.txt").write_text("a\nmissed\n")
    text = shop.run(f"select.file={tmp_path}/ids.txt", f"sources.roots=[{PHOTOS}]", job="plan")
    assert "rows without any value, left out: 2\n" in text
    assert "ids of select.file that are in no row: 1, for example missed\n" in text
    (tmp_path / "ids.txt").write_text("'a'\n")
    assert "none of its 1 ids" in shop.run(f"select.file={tmp_path}/ids.txt", job="plan", expect=2)


@pytest.mark.parametrize("slow", ["addresses", "prompts"])
def test_a_stop_is_heard_while_a_run_is_planned(shop, slow, monkeypatch):
    if slow == "prompts":
        shop.write([row | {"prompt": "a coat " + "neon " * 80} for row in rows(2)])
        monkeypatch.setattr(Precheck, "is_missing", lambda *_: False)
        monkeypatch.setattr(driver, "print_plan", lambda *_: pytest.fail("the whole plan was made"))
    text = shop.run("run.deadline_s=0.000001", expect=5)
    assert "stopped: deadline; run the same command again to continue" in text
    assert "to make" not in text
    assert shop.summary()["exit_code"] == 5


def test_a_plan_warns_of_what_nobody_reads_in_a_prompt(shop):
    shop.write([row | {"prompt": "(red:1.3) coat " + "neon " * 80} for row in rows(2)])
    text = shop.run(job="plan")
    assert "  warning: prompt_syntax: (word:1.3) is read as plain text" in text
    assert "(2 pictures, for example row " in text
    assert "  warning: prompt_cut: longer than what the text encoder reads" in text


def test_rows_that_are_all_forbidden_end_with_3_once_and_then_there_is_nothing_to_do(shop):
    shop.write([row | {"photo": "gs://shop/a.png"} for row in rows(2)])
    assert "asked 2 = ok 0 + rejected 2 " in shop.run("run.max_failed_fraction=0.5", expect=3)
    assert not list(Path(shop.output).rglob("_SUCCESS"))
    assert "skipped 2" in shop.run("run.max_failed_fraction=0.5", expect=0)


def test_a_long_header_of_own_columns_is_cut(shop):
    shop.write([{**row, **{f"own{n}\x1b{'x' * 99}": "1" for n in range(23)}} for row in rows(1)])
    (line,) = [line for line in shop.run(job="plan").splitlines() if "your own columns" in line]
    assert line.startswith("  your own columns, carried along: own0?xxx")
    assert line.endswith("x and 3 more")
    assert len(line) < 900


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["manifest=/nowhere.parquet"], 2, "nowhere"),
        (["recipe=faceid"], 2, "faceid-sdxl"),
        (["run.id=../x"], 2, "run.id"),
        (["output=ftp://x"], 2, "ftp"),
        (["select.where=nonsense("], 2, "select.where"),
        (["select.limit=-1"], 2, "select.limit"),
        (["prompt=a garden"], 2, "reference="),
        (["reference=nope.png"], 2, "nope.png"),
    ],
)
def test_what_cannot_work_is_refused_with_words(shop, words, code, says):
    assert says in shop.run(*words, expect=code)


def test_an_output_that_cannot_be_written_is_no_bug(shop, tmp_path):
    (tmp_path / "file").write_text("in the way")
    text = shop.run(f"output={tmp_path}/file/out", expect=6)
    assert "Traceback" not in text
    assert "bug" not in text


def test_a_store_that_is_away_is_exit_6(shop, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    text = shop.run("output=s3://bucket/out", expect=6)
    assert "Traceback" not in text


def test_a_manifest_where_nothing_can_be_made_ends_with_3_once_and_is_known_afterwards(shop):
    shop.write([{"row_id": f"r{i}", "photo": "ada", "prompt": None} for i in range(20)])
    shop.run("run.max_failed_fraction=0.5", expect=3)
    summary = shop.summary()
    assert summary["rejected"] == summary["asked"] == 20
    assert {row["code"] for row in shop.ledger()} == {"missing_value"}
    shop.run("run.max_failed_fraction=0.5", expect=0)
    assert len(shop.ledger()) == 20


def test_equal_bad_rows_count_as_many_as_they_are(shop):
    shop.write([{"photo": "ada", "prompt": None} for _ in range(20)])
    shop.run("run.max_failed_fraction=0.5", expect=3)
    assert shop.summary()["rejected"] == 20


def test_a_damaged_ledger_part_is_told_set_aside_by_verify_and_its_rows_are_told_again(shop):
    shop.write([{"row_id": f"r{i}", "photo": "ada", "prompt": None} for i in range(3)])
    shop.run("run.id=a")
    (part,) = Path(shop.output, "ledger", "parts").rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:200])
    text = shop.run(expect=6)
    assert "the ledger is damaged: ledger/parts/a/plan-0-0.parquet (200 bytes: " in text
    assert "idgen verify sets it aside" in text
    assert "credentials" not in text
    assert "ledger/parts/a/plan-0-0.parquet" in shop.summary()["error"]
    text = shop.run(job="verify", expect=3)
    assert "damaged: ledger/parts/a/plan-0-0.parquet (200 bytes: " in text
    assert "set aside in " in text
    assert not shop.ledger()
    shop.run()
    assert len(shop.ledger()) == 3


def test_an_empty_manifest_is_nothing_to_do(shop):
    empty = pq.read_table(shop.manifest).slice(0, 0)
    pq.write_table(empty, shop.manifest)
    assert "holds no row" in shop.run()


def test_rerun_asks_what_to_make_again_and_knows_codes(shop):
    assert "rerun.code" in shop.run(job="rerun", expect=2)
    assert "no_face" in shop.run("rerun.code=[no_fase]", job="rerun", expect=2)


def test_a_run_that_ended_well_is_not_gone_on_with(shop):
    empty = pq.read_table(shop.manifest).slice(0, 0)
    pq.write_table(empty, shop.manifest)
    shop.run("run.id=one")
    assert "has ended" in shop.run("run.id=one", expect=2)
    assert json.loads((runs(shop)[0] / "summary.json").read_text())["exit_code"] == 0, "its summary stays"


def test_status_and_report_say_what_there_is(shop):
    assert "no runs yet" in shop.run(job="status")
    shop.run("run.commercial=true", expect=4)
    assert "exit" in shop.run(job="status")
    assert "no catalogue" in shop.run(job="verify", expect=2)
    assert "research only" in shop.run("run.commercial=true", job="plan", expect=4)
    assert "no run" in shop.run(job="report", expect=2)
