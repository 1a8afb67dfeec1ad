from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import Desk, row
from test_keys import pictures, resolved

from idgen.columns import BY_NAME
from idgen.errors import CODES, Code
from idgen.manifest.settings import SettingsTable
from idgen.schemas import PICTURES

SUM = "ab" * 32


def refusal(**changes) -> tuple[str, str]:
    """Code and detail of the one row that is refused beside a good one."""
    as_text = all(isinstance(value, str) for value in changes.values())
    good, refused = pictures([row(1), row(2, **changes)], as_text=as_text)
    assert (good["status"], good["code"]) == ("", "")
    assert (refused["status"], refused["stage"], refused["bucket"]) == ("rejected", "plan", "")
    return refused["code"], refused["detail"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("width", "500"), ("width", "32"), ("height", "4096"), ("height", "-8"), ("width", "512.5"),
        ("num_inference_steps", "0"), ("num_inference_steps", "1001"), ("guidance_scale", "nan"),
        ("guidance_scale", "inf"), ("guidance_scale", "-1"), ("guidance_scale", "1e40"), ("ip_adapter_scale", "11"),
        ("lora_scale", "x"), ("scheduler", "magic"), ("face_select", "index:x"), ("face_select", "smallest"),
        ("face_select", "index:-1"), ("seed", "-1"), ("seed", "9223372036854775808"), ("seed", "1.5"),
        ("num_images", "0"), ("num_images", "1001"), ("output_name", "../x"), ("output_name", ".x"),
        ("output_name", "a//b"), ("output_name", "a/b/c/d/e"), ("output_name", "x" * 65), ("output_name", "a b"),
        ("output_name", "a%2e"), ("output_name", "/a"), ("output_format", "gif"), ("reference_sha256", "abc"),
        ("reference_sha256", f"{SUM}|{SUM}"), ("strength", "0"), ("strength", "2"), ("paste_back", "maybe"),
        ("face_box", "[0, 0, 1]"), ("face_box", "[0.5, 0, 0.5, 1]"), ("face_box", "0|0|2|1"), ("face_box", "[a"),
        ("ip_adapter_scales", '{"nobody": 1}'), ("ip_adapter_scales", "[1]"), ("ip_adapter_scales", "x"),
        ("ip_adapter_scales", '{"faceid": 99}'), ("prompt", "x" * 4001), ("prompt", "line\nbreak"),
        ("prompt", "nul\x00"), ("face_box", '[{"a": 1}, 0, 1, 1]'), ("face_box", "[" * 100_000),
        ("face_box", f"[0, 0, 1, 1{'0' * 400}]"), ("ip_adapter_scales", '{"faceid": [1]}'),
        ("sku", "tab\t"), ("row_id", "x" * 257), ("reference_uri", "a\x7f.jpg"), ("shot", "\u2028"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_refuses_its_row_and_names_the_column(column: str, value: str):
    code, detail = refusal(**{column: value})
    assert code == Code.BAD_VALUE
    assert detail.startswith(f"{column}: ")
    assert len(value) < 3 or value not in detail


def test_two_strengths_for_the_first_adapter_are_refused():
    """One would be unused, and equal pictures would have two keys."""
    code, detail = refusal(ip_adapter_scale="0.5", ip_adapter_scales='{"faceid": 0.7}')
    assert (code, detail.partition(":")[0]) == (Code.BAD_VALUE, "ip_adapter_scales")


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"prompt": None}, Code.MISSING_VALUE, "prompt"),
        ({"prompt": " "}, Code.MISSING_VALUE, "prompt"),
        ({"reference_uri": None}, Code.MISSING_VALUE, "reference_uri"),
        ({"reference_uri": ""}, Code.MISSING_VALUE, "reference_uri"),
        ({"reference_uris": ["a", "b"]}, Code.BAD_VALUE, "reference_uris"),
        ({"reference_uri": None, "reference_uris": ["a", "b", "c", "d"]}, Code.BAD_VALUE, "reference_uris"),
        ({"reference_uri": None, "reference_uris": ["a", ""]}, Code.BAD_VALUE, "reference_uris"),
        ({"recipe": "nobody"}, Code.UNKNOWN_RECIPE, "recipe"),
        ({"init_image_uri": "a.jpg"}, Code.COLUMN_NOT_USED, "init_image_uri"),
        ({"control_depth_scale": 1.0}, Code.COLUMN_NOT_USED, "control_depth_scale"),
    ],
)
def test_a_row_that_lacks_or_brings_what_it_must_not_is_refused(changes, code: Code, column: str):
    found, detail = refusal(**changes)
    assert found == code
    assert detail.startswith(column)
    assert CODES[code].status == "rejected"


@pytest.mark.parametrize(
    "type_",
    [
        pa.struct([("faceid", pa.list_(pa.float32()))]),
        pa.struct([("faceid", pa.struct([("deep", pa.list_(pa.float32()))]))]),
        pa.map_(pa.string(), pa.list_(pa.float32())),
    ],
)
def test_strengths_nested_too_deep_refuse_their_row_alone(type_):
    deep = [0.5] if not pa.types.is_struct(type_) or pa.types.is_list(type_[0].type) else {"deep": [0.5]}
    columns = {
        "row_id": ["a", "b"],
        "reference_uri": ["a.jpg", "b.jpg"],
        "prompt": ["one", "two"],
        "ip_adapter_scales": pa.array(
            [None, [("faceid", deep)] if pa.types.is_map(type_) else {"faceid": deep}], type_
        ),
    }
    good, refused = resolved(pa.table(columns))
    assert good["status"] == ""
    assert (refused["code"], refused["detail"]) == (Code.BAD_VALUE, "ip_adapter_scales: must be a finite number")


@pytest.mark.parametrize(
    ("type_", "value", "seed"),
    [
        (pa.decimal128(20, 0), Decimal("9007199254740993"), 9007199254740993),
        (pa.decimal128(30, 5), Decimal("9007199254740993.00000"), 9007199254740993),
        (pa.int64(), 2**63 - 1, 2**63 - 1),
        (pa.string(), "9007199254740993", 9007199254740993),
        (pa.float64(), 2.0**53 - 1, 2**53 - 1),
        (pa.float64(), 2.0**53, None),
        (pa.float64(), 9007199254740994.0, None),
        (pa.string(), "9.007199254740993e15", None),
        (pa.decimal128(20, 1), Decimal("1.5"), None),
    ],
)
def test_a_seed_is_taken_exactly_or_refused(type_, value, seed):
    columns = {"reference_uri": ["a.jpg"], "prompt": ["one"], "seed": pa.array([value], type_)}
    (made,) = resolved(pa.table(columns))
    assert made["seed"] == seed
    if seed is None:
        assert made["code"] == Code.BAD_VALUE
        assert made["detail"] in (
            "seed: must be a whole number",
            "seed: is too large for an exact float; write it as text or int64",
        )


def test_steps_that_the_scheduler_cannot_do_refuse_the_row_with_its_limit():
    assert refusal(num_inference_steps="1000") == (Code.BAD_VALUE, "num_inference_steps: ddim allows at most 999")
    (made,) = pictures([row(1, num_inference_steps="1000", scheduler="euler")], as_text=True)
    assert made["status"] == ""


def test_without_a_default_recipe_a_row_must_name_one(desk: Desk):
    from dataclasses import replace

    desk.config = replace(desk.config, recipe="")
    desk.plan([row(1), row(2, recipe="other")])
    assert [picture["row_id"] for picture in desk.pictures()] == ["row-2"]
    assert desk.table("plan/refused.parquet")["code"].to_pylist() == [Code.MISSING_VALUE]


def test_a_recipe_that_needs_no_prompt_gets_its_own(desk: Desk):
    desk.plan([row(1, recipe="other", prompt=None)])
    assert [picture["prompt"] for picture in desk.pictures()] == [""]


def test_null_means_the_recipes_default_and_empty_means_empty(desk: Desk):
    desk.plan([row(1, negative_prompt=""), row(2)])
    negative = {picture["row_id"]: picture["negative_prompt"] for picture in desk.pictures()}
    assert negative == {"row-1": "", "row-2": desk.recipes["faceid"].defaults.negative_prompt}


def test_a_refused_row_counts_as_the_pictures_it_asked_for(desk: Desk):
    assert desk.plan([row(1, num_images=4, width=1), row(2, num_images=2)]).refused == {"bad_value": 4}
    keys = desk.table("plan/refused.parquet")["key"].to_pylist()
    assert len(set(keys)) == 4


def test_a_refusal_keeps_its_key_when_only_the_signature_changes(desk: Desk):
    keys = []
    for night in (1, 2):
        desk.plan([row(1, width=1, reference_uri=f"https://h.example/a.jpg?X-Amz-Signature={night}")])
        keys += desk.table("plan/refused.parquet")["key"].to_pylist()
    assert keys[0] == keys[1]


def test_details_repeat_no_text_of_the_row():
    for column in ("width", "scheduler", "face_select", "output_name", "paste_back", "ip_adapter_scales", "face_box"):
        _, detail = refusal(**{column: "canary words"})
        assert "canary" not in detail


def test_many_combinations_of_settings_are_resolved_like_few(desk: Desk):
    rows = [row(number, ip_adapter_scale=number / 100, width=512 + 8 * (number % 7)) for number in range(60)]
    desk.plan(rows)
    keys = desk.keys()
    narrow = SettingsTable.__init__.__kwdefaults__
    before, narrow["max_entries"] = narrow["max_entries"], 3
    try:
        desk.plan(rows)
    finally:
        narrow["max_entries"] = before
    assert desk.keys() == keys
    assert len(keys) == 60


def test_a_signed_address_stays_whole_in_the_plan(desk: Desk):
    """The workers need it; the plan is deleted when the run ends well."""
    signed = "https://h.example/a.jpg?X-Amz-Signature=1"
    desk.plan([row(1, reference_uri=signed)])
    assert desk.pictures()[0]["reference_uris"] == [signed]
    assert desk.pictures()[0]["reference_uri"] is None


_WORDS = st.one_of(
    st.text(max_size=12), st.sampled_from(["[]", "{}", "[1]", '{"a":1}', "|", "nan", "-0", "1e999", "null"])
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(BY_NAME)), _WORDS, max_size=6), min_size=1, max_size=5))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_in_any_cell_breaks_the_plan(rows):
    """Text manifests: whatever stands in a cell, its row is made or refused with a known code."""
    made = pictures([{"position_of_test": str(i), **row} for i, row in enumerate(rows)], as_text=True)
    assert {picture["position"] for picture in made} == set(range(len(rows)))
    for picture in made:
        assert (picture["code"] == "") == (picture["status"] == "")
        assert picture["code"] == "" or CODES[Code(picture["code"])].status == picture["status"] == "rejected"
        assert all(picture[field.name] is not None for field in PICTURES if not field.nullable)
