"""What is to be encoded ahead of a pass: each prompt once per text encoder."""

from dataclasses import replace

import pytest
from planning import HASHES, RECIPE, row

from idgen.manifest.planner import RETRIES, TO_MAKE
from idgen.manifest.prompts import BLOCK_PROMPTS, text_blocks, write_prompts
from idgen.outputs.encoded_prompts import digest
from idgen.recipes.recipe import FacePass

ENCODERS = {"faceid": "glm-float16", "other": "glm-float16"}


@pytest.fixture
def asked(desk):
    """Encoder -> prompts that a plan leaves to encode."""

    def find(chosen=TO_MAKE, encoders=ENCODERS, stored=()):
        listing = {"glm-float16": [digest(prompt) for prompt in stored]}
        count = write_prompts(desk.recipes, encoders, chosen, lambda name: listing.get(name, ()), desk.scratch, 256)
        found = {}
        for block in text_blocks(desk.scratch, ""):
            found.setdefault(block.encoder, []).extend(block.prompts)
        assert count == sum(map(len, found.values()))
        return found

    return find


def test_recipes_with_the_same_text_encoder_share_a_prompt(desk, asked):
    desk.plan([row(1, prompt="红色"), row(2, prompt="红色", recipe="other"), row(3, prompt="blue", guidance_scale=1.0)])
    negative = RECIPE.defaults.negative_prompt
    assert asked() == {"glm-float16": sorted(["红色", "blue", negative])}
    both = asked(encoders={"faceid": "a", "other": "b"})
    assert both == {"a": sorted(["红色", "blue", negative]), "b": sorted(["红色", negative])}


def test_only_recipes_that_want_it_are_asked_for(desk, asked):
    desk.plan([row(1, prompt="red", guidance_scale=1.0), row(2, prompt="blue", recipe="other", guidance_scale=1.0)])
    assert asked(encoders={"other": "b"}) == {"b": ["blue"]}


def test_a_negative_prompt_counts_with_guidance_alone_and_none_is_the_empty_one(desk, asked):
    null = replace(RECIPE, defaults=replace(RECIPE.defaults, negative_prompt=None))
    desk.recipes, desk.hashes = {"faceid": null}, HASHES
    rows = [row(1, prompt="red", negative_prompt="ugly", guidance_scale=1.0), row(2, prompt="red", guidance_scale=1.5)]
    desk.plan(rows)
    assert asked(encoders={"faceid": "glm-float16"}) == {"glm-float16": ["", "red"]}
    desk.plan([row(1, prompt="red", negative_prompt="ugly", guidance_scale=1.5)])
    assert asked(encoders={"faceid": "glm-float16"}) == {"glm-float16": ["red", "ugly"]}


def test_where_prompts_are_read_in_pieces_the_empty_one_counts_too(desk, asked):
    desk.recipes, desk.hashes = {"faceid": replace(RECIPE, long_prompt="chunks")}, HASHES
    desk.plan([row(1, prompt="red", guidance_scale=1.0)])
    assert asked(encoders={"faceid": "clip"}) == {"clip": ["", "red"]}


def test_a_face_pass_with_guidance_needs_the_negative_prompt_of_a_row_without(desk, asked):
    repaired = replace(RECIPE, face_pass=FacePass(), columns=[*RECIPE.columns, "face_pass"])
    desk.recipes, desk.hashes = {"faceid": repaired}, HASHES
    given = {"negative_prompt": "ugly", "guidance_scale": 1.0}
    desk.plan([row(1, prompt="red", face_pass="off", **given), row(2, prompt="blue", **given)])
    assert asked(encoders={"faceid": "clip"}) == {"clip": ["blue", "red"]}
    desk.plan([row(1, prompt="red", face_pass="auto", **given), row(2, prompt="blue", **given)])
    assert asked(encoders={"faceid": "clip"}) == {"clip": ["blue", "red", "ugly"]}


def test_what_is_stored_already_or_settled_is_left_out(desk, asked):
    rows = [row(n, prompt=f"look {n}", guidance_scale=1.0) for n in range(4)]
    desk.plan(rows[:1])
    desk.make()
    desk.plan(rows)
    assert asked() == {"glm-float16": ["look 1", "look 2", "look 3"]}
    assert asked(stored=["look 2", "look 0"]) == {"glm-float16": ["look 1", "look 3"]}
    assert asked(stored=["look 1", "look 2", "look 3"]) == {}


def test_a_second_pass_asks_for_its_own_prompts(desk, asked):
    desk.plan([row(n, prompt=f"look {n}", guidance_scale=1.0) for n in range(3)])
    desk.make(lambda picture: "text_missing" if picture["prompt"] == "look 1" else "ok")
    assert desk.retries()
    assert asked(RETRIES) == {"glm-float16": ["look 1"]}


def test_blocks_hold_one_encoder_each_and_everything_once(desk):
    both = [("faceid", n) for n in range(100)] + [("other", n) for n in range(30)]
    desk.plan([row(i, recipe=name, prompt=f"look {n}", guidance_scale=1.0) for i, (name, n) in enumerate(both)])
    write_prompts(desk.recipes, {"faceid": "a", "other": "b"}, TO_MAKE, lambda _: (), desk.scratch, 256)
    blocks = list(text_blocks(desk.scratch, "again-"))
    assert len({block.name for block in blocks}) == len(blocks)
    assert all(block.name.startswith("again-") and 0 < len(block.prompts) <= BLOCK_PROMPTS for block in blocks)
    assert [block.encoder for block in blocks] == sorted(block.encoder for block in blocks), "one load each"
    found = [(block.encoder, prompt) for block in blocks for prompt in block.prompts]
    assert len(found) == len(set(found)) == 130
