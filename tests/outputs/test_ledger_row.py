"""What a ledger row may hold of what the shop wrote."""

import json

import pytest

from idgen.config import SourcesConfig
from idgen.outputs.ledger_row import asked_columns

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


def test_carried_columns_without_signatures_stay_byte_for_byte():
    carried = '{"b": 1,"a":"https://h.example/p?sp=ada", "c": [null, true]}'
    assert asked_columns({"carried": carried}, PARAMETERS)["carried"] == carried


def test_what_the_face_pass_did_is_told_and_whether_a_photo_s_pixels_are_in_the_picture():
    told = {
        "target_keypoints": [float(n) for n in range(10)], "face_pass_result": "done", "face_similarity_before": 0.25,
        "face_similarity": 0.5,
    }  # fmt: skip
    written = asked_columns({"key": "k", "paste_back": True, "face_pass": "auto", **told}, PARAMETERS)
    assert {name: written[name] for name in told} == told
    assert json.loads(written["settings"]) == {"paste_back": True, "face_pass": "auto"}


def test_rows_that_nobody_looked_at_tell_nothing_of_faces():
    written = asked_columns({"key": "k"}, PARAMETERS)
    names = ("target_keypoints", "face_pass_result", "face_similarity_before", "face_similarity")
    assert [written[name] for name in names] == [None] * 4
