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
