"""What a ledger row may hold of what the shop wrote."""

import json

import pyarrow as pa
import pytest

from idgen import list_values, values
from idgen.checks.looking import Findings
from idgen.checks.table import FINDING_COLUMNS
from idgen.column import Column, Role, Scope
from idgen.config import SourcesConfig
from idgen.outputs import ledger_row as columns_of_ledger
from idgen.outputs.ledger_row import asked_columns, ledger_row

PARAMETERS = SourcesConfig().signature_parameters
LINK = "https://me:CANARY@h.example/a.jpg?v=1&se=2&X-Amz-Signature=CANARY&sig=CANARY"


@pytest.mark.parametrize(
    "cell", [LINK, f'["{LINK}"]', f"front: {LINK}", f"{LINK}|{LINK}", "a.jpg?sig=CANARY", LINK.replace("/", r"\/")]
)
def test_no_signature_gets_in_through_carried_columns_and_ids(cell):
    carried = json.dumps({"note": cell, "deep": {"list": [cell]}, "colour": "rosé"})
    written = asked_columns(
        {"key": "k", "carried": carried, "row_id": cell, "sku": cell, "person_id": cell, "shot": cell}, PARAMETERS
    )
    assert "CANARY" not in json.dumps(written)
    assert json.loads(written["carried"])["colour"] == "rosé"


@pytest.mark.parametrize(
    ("role", "check", "kind", "cell"),
    [
        (Role.OPTION, values.uri, pa.string(), LINK),
        (Role.SETTING, values.uri, pa.string(), LINK),
        (Role.SETTING, list_values.uris, pa.list_(pa.string()), [LINK, "a.jpg"]),
    ],
)
def test_no_signature_gets_in_through_a_column_that_is_checked_as_an_address(monkeypatch, role, check, kind, cell):
    style = Column("style_uri", kind, Scope.ROW, role, check=check, meaning="whose style")
    monkeypatch.setattr(columns_of_ledger, "_SETTINGS", (style,))
    written = json.loads(asked_columns({"key": "k", "style_uri": cell}, PARAMETERS)["settings"])
    clean = "https://h.example/a.jpg?v=1"
    assert written == {"style_uri": clean if isinstance(cell, str) else [clean, "a.jpg"]}


def test_carried_columns_without_signatures_stay_byte_for_byte():
    carried = '{"b": 1,"a":"https://h.example/p?sp=ada", "c": [null, true]}'
    assert asked_columns({"carried": carried}, PARAMETERS)["carried"] == carried


def test_where_the_face_was_wanted_is_told_and_whether_a_photo_s_pixels_are_in_the_picture():
    points = [float(n) for n in range(10)]
    asked = {"key": "k", "paste_back": True, "face_pass": "auto", "target_keypoints": points}
    written = asked_columns(asked, PARAMETERS)
    assert written["target_keypoints"] == points
    assert json.loads(written["settings"]) == {"paste_back": True, "face_pass": "auto"}


def failed_row(**more):
    return ledger_row(
        {"key": "k", "warnings": ["a: of the photo"]}, status="failed", stage="sample", code="internal", run_id="r",
        shard="s", shard_try=0, signature_parameters=PARAMETERS, **more,
    )  # fmt: skip


def test_findings_become_columns_and_their_warnings_follow_those_of_the_photo():
    found = Findings({"face_pass_result": "done", "face_similarity": 0.5}, ("b: of the picture",))
    written = failed_row(findings=found)
    assert {column.name: written[column.name] for column in FINDING_COLUMNS} == {
        "face_pass_result": "done", "face_similarity_before": None, "face_similarity": 0.5,
        "face_similarity_least": None, "judge_similarity": None, "judge_similarity_least": None, "faces_found": None,
        "face_px": None, "face_place_error": None, "sharpness": None, "clipped_fraction": None,
        "perceptual_hash": None, "ground_white_fraction": None, "ground_deviation": None, "unsafe_score": None,
    }  # fmt: skip
    assert written["warnings"] == ["a: of the photo", "b: of the picture"]


def test_rows_that_nobody_looked_at_tell_nothing_of_faces():
    written = failed_row()
    assert [written[column.name] for column in FINDING_COLUMNS] == [None] * len(FINDING_COLUMNS)
    assert written["warnings"] == ["a: of the photo"]
    assert written["target_keypoints"] is None
