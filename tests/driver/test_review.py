"""jobs/review.py: reads decisions.csv strictly, records once, says what it left out. It starts no Ray."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from doubles.catalogue import InProcess
from doubles.pictures import SIGNATURES, picture

from idgen.outputs.ledger import write_part
from idgen.outputs.ledger_row import StoredImage, ledger_row
from idgen.reviews.decisions import newest_decisions
from idgen.stores.local import LocalStore

KEYS = [picture(n)["key"] for n in range(4)]
HEADER = "key,row_id,decision,reason,date\n"
DATE = "2026-11-30T09:15:00Z"


@pytest.fixture
def shop(tmp_path):
    """A catalogue of three ok pictures; the fourth could not be made."""
    made = InProcess(tmp_path)
    image = StoredImage("images/x.png", "00" * 32, 1, "png", 8, 8)
    facts = {"stage": "publish", "run_id": "r", "shard": "s", "shard_try": 0, "signature_parameters": SIGNATURES}
    rows = [ledger_row(picture(n), status="ok", image=image, **facts) for n in range(3)]
    rows.append(ledger_row(picture(3), status="failed", code="internal", **facts))
    write_part(LocalStore(made.output), "r", "s", 0, 0, rows)
    return made


def line(number, decision="accepted", reason="", date=DATE):
    return f"{KEYS[number]},row-{number},{decision},{reason},{date}\n"


def review(shop, text, *more, expect=0, encoding="utf-8"):
    path = Path(shop.output).parent / "decisions.csv"
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return shop.run(f"decisions={path}", "review.by=mara", *more, job="review", expect=expect)


def recorded(shop):
    return {row["row_id"]: row for row in newest_decisions(LocalStore(shop.output)).to_pylist()}


def test_decisions_are_recorded_once(shop):
    text = HEADER + line(0) + line(1, "rejected", '"hand, and ""eyes"""') + line(2, date="2026-11-30T10:15:00+01:00")
    said = review(shop, text)
    assert "accepted 2, rejected 1" in said
    assert "recorded 3 decisions by mara" in said
    assert "rerun.decision=rejected" in said
    found = recorded(shop)
    assert found["row-1"]["reason"] == 'hand, and "eyes"'
    assert {row["decided_by"] for row in found.values()} == {"mara"}
    assert found["row-0"]["decided_at"] == found["row-2"]["decided_at"] == datetime(2026, 11, 30, 9, 15, tzinfo=UTC)
    said = review(shop, text)
    assert "nothing to do: every decision is recorded already" in said
    assert len(list(Path(shop.output, "reviews").rglob("*.parquet"))) == 1
    assert not Path(shop.output, "lease.json").exists()


def test_the_newest_line_of_a_picture_counts(shop):
    review(shop, HEADER + line(0, "rejected", date="2026-11-30T11:00:00Z") + line(0, "accepted"))
    assert recorded(shop)["row-0"]["decision"] == "rejected"


def test_who_decided_is_the_login_name_by_default(shop, monkeypatch):
    monkeypatch.setenv("LOGNAME", "tom")
    review(shop, HEADER + line(0), "review.by=")
    assert recorded(shop)["row-0"]["decided_by"] == "tom"


@pytest.mark.parametrize("name", ["0123", "yes", "a: b", "${oc.env:HOME}"])
def test_names_of_people_are_text(shop, name):
    review(shop, HEADER + line(0), f"review.by={name}")
    assert recorded(shop)["row-0"]["decided_by"] == name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_that_spreadsheets_stored_again_are_read(shop, encoding, separator, end):
    text = (HEADER + line(0, reason="schöne Hände") + "\n").replace(",", separator).replace("\n", end)
    review(shop, text, encoding=encoding)
    assert recorded(shop)["row-0"]["reason"] == "schöne Hände"


def test_columns_may_stand_in_another_order(shop):
    review(shop, f"date,decision,key,row_id,reason\n{DATE},rejected,{KEYS[0]},row-0,x\n")
    assert recorded(shop)["row-0"]["decision"] == "rejected"


def test_a_reason_is_one_line_without_control_characters(shop):
    review(shop, HEADER + line(0, reason='"two\nlines\x1b[31m\u2028here"'))
    assert recorded(shop)["row-0"]["reason"] == "two lines [31m here"


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("'=cold light", "=cold light"),
        ("'+1 finger", "+1 finger"),
        ("'-", "-"),
        ("'@left hand", "@left hand"),
        ("''=twice", "''=twice"),
        ("'quoted'", "'quoted'"),
        ("it's -1", "it's -1"),
    ],
)
def test_the_mark_before_what_spreadsheets_take_for_a_formula_is_not_part_of_the_text(shop, cell, read):
    review(shop, HEADER + f"{KEYS[0]},'=row,rejected,{cell},{DATE}\n")
    found = recorded(shop)
    assert {name: row["reason"] for name, row in found.items()} == {"=row": read}


def test_an_acceptance_of_an_image_that_is_gone_is_told_and_left_out(shop):
    again = StoredImage("images/x.png", "11" * 32, 1, "png", 8, 8)
    facts = {"stage": "publish", "run_id": "s", "shard": "s", "shard_try": 0, "signature_parameters": SIGNATURES}
    Path(shop.output, "ledger/parts/r/s-0-0.parquet").unlink()
    rows = [ledger_row(picture(n, attempt=2), status="ok", image=again, **facts) for n in range(2)]
    write_part(LocalStore(shop.output), "s", "s", 0, 0, rows)
    said = review(shop, HEADER + line(0) + line(1, "rejected"))
    assert "accepted before the picture was made again, look at it again, left out: 1, for example " in said
    assert set(recorded(shop)) == {"row-1"}


def test_unknown_pictures_are_told_and_left_out(shop):
    strange = "f" * 32
    said = review(shop, HEADER + line(0) + line(3) + f"{strange},gone,rejected,,{DATE}\n")
    assert "not in this catalogue, left out: 2, for example " in said
    assert strange in said
    assert set(recorded(shop)) == {"row-0"}


def test_a_file_of_another_catalogue_is_refused(shop):
    assert "is it the file of another output?" in review(shop, HEADER + f"{'f' * 32},x,rejected,,{DATE}\n", expect=2)
    assert recorded(shop) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 must be the header key,row_id,decision,reason,date"),
        ("key,row_id,decision\n", "line 1 must be the header"),
        (HEADER.replace("reason", "reson"), "line 1: there is no column 'reson', did you mean 'reason'?"),
        (HEADER.replace("\n", ",more\n"), "there is no column 'more'"),
        (HEADER + line(0) + line(1, "acepted"), "line 3: decision: there is no 'acepted', did you mean 'accepted'?"),
        (HEADER + line(0, "Rejected"), "line 2: decision: there is no 'Rejected', did you mean 'rejected'?"),
        (HEADER + line(0, ""), "line 2: decision: there is no ''; there are: accepted, rejected"),
        (HEADER + line(0, date="30.11.2026"), "line 2: date: must be ISO 8601, as in 2026-11-30T09:15:00Z"),
        (HEADER + line(0, date="2999-01-01T00:00:00Z"), "line 2: date: 2999-01-01T00:00:00Z has not come yet"),
        (HEADER + line(0, date="0001-01-01T00:00:00+05:00"), "line 2: date: 0001-01-01T00:00:00+05:00 cannot be"),
        (HEADER + line(0, date="9999-12-31T23:59:59-05:00"), "line 2: date: 9999-12-31T23:59:59-05:00 cannot be"),
        (HEADER + line(0, reason="x" * 501), "line 2: reason: has 501 characters, allowed are 500"),
        (HEADER + "abc,r,accepted,,2026-11-30\n", "line 2: key: must be 32 digits"),
        (HEADER + line(0) + "a,b\n", "line 3: 2 cells, the header has 5"),
        (HEADER + line(0) + line(1, reason='"never closed'), "line 3: a quote"),
        (HEADER + line(0) + line(0, "rejected"), "is accepted and rejected at the same moment"),
        (HEADER + 7 * "abc,r,accepted,,2026-11-30\n", "and 2 more"),
        (b"key,row_id\xff\n", "is not UTF-8"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line_and_nothing_is_recorded(shop, text, says):
    said = review(shop, text, expect=2)
    assert says in said
    assert "Traceback" not in said
    assert recorded(shop) == {}


def test_dates_without_a_zone_are_utc_and_today_is_not_the_future(shop):
    review(
        shop,
        HEADER + line(0, date="2026-11-30 09:15") + line(1, date=(datetime.now(UTC) + timedelta(hours=9)).isoformat()),
    )
    assert recorded(shop)["row-0"]["decided_at"] == datetime(2026, 11, 30, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["decisions="], "decisions=<decisions.csv"),
        (["decisions=/nowhere.csv"], "there is no file /nowhere.csv"),
        (["decisions=/"], "cannot be read"),
        (["output="], "output="),
        (["output=/dev/shm/no-catalogue-here"], "no catalogue"),
        ([f"review.by={'x' * 300}"], "review.by"),
    ],
)
def test_what_a_review_needs_is_said(shop, words, says):
    assert says in review(shop, HEADER + line(0), *words, expect=2)


def test_a_review_waits_for_no_run_that_writes(shop, monkeypatch):
    """A lease that is renewed belongs to somebody."""
    from idgen.outputs.lease import Lease

    with Lease(LocalStore(shop.output), "night", renew_s=0.2, lifetime_s=2.0):
        said = review(shop, HEADER + line(0), expect=4)
    assert "is being written by run 'night'" in said
    assert recorded(shop) == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rerun.set.width=64"], "needs rerun.decision=rejected"),
        (["rerun.decision=rejected", "rerun.status=[ok]"], "give one of them"),
        (["rerun.decision=rejected", "rerun.set.seed=5"], "rerun.set.seed: every picture gets a new seed"),
        (["rerun.decision=rejected", "rerun.set.guidance_scle=5"], "did you mean 'guidance_scale'"),
        (["rerun.decision=acepted"], "rerun.decision"),
        (["images.publish=all"], "images.publish"),
        (["rerun.missing=true", "run.max_held_fraction=2"], "run.max_held_fraction=2: must be a share from 0 to 1"),
    ],
)
def test_a_rerun_that_cannot_be_meant_is_refused(shop, words, says):
    assert says in shop.run(*words, job="rerun", expect=2)


def test_cells_of_a_rerun_are_text(shop):
    from idgen.settings import load_config

    config = load_config(["rerun.decision=rejected", "rerun.set.prompt=a: b, ${x} 0123", "rerun.set.width=064"])
    assert config.rerun.set == {"prompt": "a: b, ${x} 0123", "width": "064"}
    assert json.dumps(config.rerun.set)
