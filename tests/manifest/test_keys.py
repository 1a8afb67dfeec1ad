import json
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import HASHES, RECIPES, Desk, row

from idgen.column import Scope
from idgen.columns import BY_NAME
from idgen.config import SourcesConfig
from idgen.manifest.addresses import Addresses
from idgen.manifest.keys import canonical_float
from idgen.manifest.reading import POSITION
from idgen.manifest.resolve import Resolver
from idgen.manifest.settings import SettingsTable

SIGNED = "https://shop.example/p.jpg?v=2&X-Amz-Signature={0}&X-Amz-Date={0}"

KNOWN_KEY = "960c958d9159d146b696adab6b842c08"
KNOWN_SEED = 7154475288461710802

SOURCES = SourcesConfig()


def pictures(rows, *, folder="/data", hashes=HASHES, recipes=RECIPES, as_text=False, policy=None):
    """Resolve rows given as dicts; unknown columns are carried."""
    names = list(dict.fromkeys(name for item in rows for name in item))
    arrays = [
        pa.array([item.get(name) for item in rows], BY_NAME[name].type if name in BY_NAME and not as_text else None)
        for name in names
    ]
    return resolved(pa.table(arrays, names), folder=folder, hashes=hashes, recipes=recipes, policy=policy)


def resolved(
    manifest, *, folder="/data", hashes=HASHES, recipes=RECIPES, policy=None, secrets=tuple(SOURCES.secret_parameters)
):
    """Resolve a manifest that is a table."""
    names = manifest.column_names
    (batch,) = manifest.append_column(POSITION, pa.array(range(len(manifest)))).combine_chunks().to_batches()
    places = Addresses(folder, SOURCES.signature_parameters, secrets)
    table = SettingsTable(
        recipes, hashes, default_recipe="faceid", default_format="png", schedulers=["ddim", "euler"],
        policy=lambda recipe, shot: policy or {},
    )  # fmt: skip
    return Resolver(names, table, places).resolve(batch).to_pylist()


def key(**changes) -> str:
    (made,) = pictures([row(1, **changes)])
    assert made["code"] == "", made["detail"]
    return made["key"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("prompt", "else"), ("negative_prompt", ""), ("reference_uri", "s3://photos/9.jpg"), ("seed", 7),
        ("width", 640),
        ("height", 640), ("num_inference_steps", 31), ("scheduler", "euler"), ("guidance_scale", 7.25),
        ("ip_adapter_scale", 0.5), ("ip_adapter_scales", {"faceid": 0.5}), ("lora_scale", 0.5), ("recipe", "other"),
        ("face_select", "index:1"), ("face_box", [0.0, 0.0, 0.5, 0.5]),
    ],
)  # fmt: skip
def test_what_decides_the_pixels_is_in_the_key(column: str, value):
    assert key(**{column: list(value.items()) if isinstance(value, dict) else value}) != key()


def test_a_secret_that_is_no_signature_stays_in_the_key_and_is_written_nowhere():
    photo = "https://h.example/a.jpg?token={}"
    assert key(reference_uri=photo.format("ada")) != key(reference_uri=photo.format("ben")), "perhaps two people"
    for changes in ({}, {"width": 7, "reference_uri": None, "reference_uris": [photo.format("ada")]}):
        given = pa.Table.from_pylist(
            [row(1, **{"reference_uri": photo.format("ada"), "link": photo.format("c4n4ry")} | changes)]
        )
        (now,), (before,) = resolved(given), resolved(given, secrets=())
        assert now["key"] == before["key"]
        assert "c4n4ry" in before["carried"]
        assert "c4n4ry" not in now["carried"]


POLICY = {"reject": {"face_similarity": 0.3}, "rank_by": "face_similarity"}


def test_tries_and_what_decides_among_them_are_in_the_key():
    def of(tries, policy):
        (made,) = pictures([row(1, tries=tries)], policy=policy)
        return made["key"], made["seed"], made["tries"]

    other = {**POLICY, "reject": {"face_similarity": 0.31}}
    keys = [of(4, POLICY)[0], of(2, POLICY)[0], of(4, other)[0], key()]
    assert len(set(keys)) == 4
    assert of(4, POLICY) == of(4, dict(POLICY))


@pytest.mark.parametrize(("tries", "policy"), [(1, POLICY), (None, POLICY), (4, {})])
def test_one_try_or_nothing_that_holds_leaves_the_key_as_it_was(tries, policy):
    (made,) = pictures([row(1, tries=tries)], policy=policy)
    assert (made["key"], made["tries"]) == (key(), None)


@pytest.mark.parametrize("tries", [0, 9, -1])
def test_tries_are_1_to_8(tries):
    (made,) = pictures([row(1, tries=tries)], policy=POLICY)
    assert (made["code"], made["detail"]) == ("bad_value", "tries: must be 1 to 8")


def test_only_ids_names_and_formats_decide_nothing():
    for name, column in BY_NAME.items():
        assert (column.scope is Scope.CARRIED) == (
            name in ("row_id", "num_images", "sku", "person_id", "shot", "output_name", "output_format")
        )


def test_the_recipes_weights_are_in_the_key():
    assert pictures([row(1)], hashes={**HASHES, "faceid": "cc" * 16})[0]["key"] != key()


def test_a_value_that_equals_the_default_changes_no_key():
    assert key(width=512, guidance_scale=7.5, face_select="largest", ip_adapter_scale=1.0) == key()


def test_tonights_signed_link_gives_last_nights_key():
    assert key(reference_uri=SIGNED.format("1")) == key(reference_uri=SIGNED.format("2"))
    assert key(reference_uri=SIGNED.format("1")) != key(reference_uri="https://shop.example/p.jpg?v=3")


def test_what_accompanies_signatures_tells_two_photos_apart_where_nothing_is_signed():
    for name in ("sp", "Policy", "Expires"):
        one, two = (key(reference_uri=f"https://shop.example/p?{name}={who}") for who in (1, 2))
        assert one != two
    assert key(reference_uri="https://h/p?sp=r&se=1&sig=a") == key(reference_uri="https://h/p?sp=r&se=2&sig=b")


def test_a_sum_takes_the_place_of_the_address():
    one = key(reference_sha256=["AB" * 32])
    assert one == key(reference_sha256=["ab" * 32], reference_uri="s3://photos/moved.jpg")
    assert one != key(reference_sha256=["ac" * 32])


def test_one_photo_has_one_key_in_either_column():
    assert key(reference_uri=None, reference_uris=["s3://photos/1.jpg"]) == key(reference_uri="s3://photos/1.jpg")


def test_accents_have_one_key_however_they_are_stored():
    assert key(prompt="café") == key(prompt=unicodedata.normalize("NFD", "café"))


def test_two_objects_whose_names_differ_in_form_are_two():
    names = [unicodedata.normalize(form, "s3://photos/é.jpg") for form in ("NFC", "NFD")]
    assert key(reference_uri=names[0]) != key(reference_uri=names[1])


def test_files_that_differ_after_a_hash_or_question_mark_are_two():
    assert len({key(reference_uri=f"p/a{sign}{n}.jpg") for sign in "#?" for n in (1, 2)}) == 4


def test_whole_floats_and_negative_zero_have_one_spelling(desk: Desk):
    seen = set()
    for ending, values in (("csv", ["1", "1.0", "1e0", " 1.00 "]), ("jsonl", [1, 1.0]), ("parquet", [1.0])):
        for value in values:
            desk.plan([row(1, guidance_scale=value)], ending=ending)
            seen |= desk.keys()
    assert len(seen) == 1
    assert key(ip_adapter_scale=-0.0) == key(ip_adapter_scale=0.0)
    assert canonical_float(-0.0) == "0.0"
    assert canonical_float(0.1) == canonical_float(0.10000000149011612) == "0.1"


def test_the_seed_is_the_manifests_plus_the_index_or_follows_from_the_key():
    assert [p["seed"] for p in pictures([row(1, seed=2**63 - 3, num_images=3)])] == [2**63 - 3, 2**63 - 2, 2**63 - 1]
    first, second = pictures([row(1, num_images=2)])
    assert first["seed"] != second["seed"]
    assert 0 <= first["seed"] < 2**63
    assert first["seed"] == pictures([row(1, sku="x", row_id="else")])[0]["seed"]


def test_a_key_never_changes_between_versions():
    """Keys are the catalogue's memory: a change here makes every picture again."""
    assert (key(), pictures([row(1)])[0]["seed"]) == (KNOWN_KEY, KNOWN_SEED)


@given(
    st.dictionaries(st.sampled_from(["sku", "shot", "row_id", "season", "brand"]), st.text("abc1", min_size=1)),
    st.lists(st.sampled_from(["prompt", "width", "seed", "reference_uri"]), unique=True),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_only_what_decides_pixels_moves_the_key(free, deciding):
    other = {"prompt": "changed", "width": 768, "seed": 3, "reference_uri": "s3://photos/else.jpg"}
    assert (key(**free, **{name: other[name] for name in deciding}) == key()) == (not deciding)


def test_load_group_and_bucket_part_what_cannot_share_a_batch():
    base, prompt, scale, width, lora, two = (
        pictures([item])[0]
        for item in (
            row(1), row(2), row(1, ip_adapter_scale=0.3), row(1, width=640), row(1, lora_scale=0.5),
            row(1, reference_uri=None, reference_uris=["a.jpg", "b.jpg"]),
        )
    )  # fmt: skip
    assert base["bucket"] == prompt["bucket"] == scale["bucket"] == lora["bucket"]
    assert len({base["bucket"], width["bucket"], two["bucket"]}) == 3
    assert base["load_group"] == width["load_group"] == two["load_group"] != lora["load_group"]


def test_carried_columns_ride_along_as_json_without_signatures():
    (made,) = pictures([row(1, season="ss27", price=1.5, link=SIGNED.format("x"), tags=["a"], gone=None)])
    assert json.loads(made["carried"]) == {
        "season": "ss27", "price": 1.5, "link": "https://shop.example/p.jpg?v=2", "tags": ["a"],
    }  # fmt: skip


def test_ids_and_carried_texts_lose_signatures_wherever_they_stand():
    link = SIGNED.format("CANARY")
    made = pictures(
        [
            row(1, row_id=f"photo {link}", sku=link, note=f'["{link}"]', front=f"front: {link}", two=f"{link}|{link}"),
            row(2, row_id=link, person_id=link, width=1, reference_uri=None, reference_uris=f"{link}|{link}"),
        ],
        as_text=True,
    )
    assert [picture["status"] for picture in made] == ["", "rejected"]
    for picture in made:
        assert not [n for n, cell in picture.items() if "CANARY" in str(cell) and not n.startswith("reference_uri")]
    assert json.loads(made[0]["carried"])["front"] == "front: https://shop.example/p.jpg?v=2"


def test_a_refusal_of_signed_ids_and_lists_keeps_its_key():
    def refused(night):
        link = SIGNED.format(night)
        (picture,) = pictures(
            [row(1, row_id=link, width=1, reference_uri=None, reference_uris=f"{link}|a.jpg")], as_text=True
        )
        return picture["key"]

    assert refused("1") == refused("2")
