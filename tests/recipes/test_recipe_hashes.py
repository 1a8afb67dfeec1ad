"""What makes two recipes the same."""

from dataclasses import replace

from idgen.recipes.hashes import recipe_hash
from idgen.recipes.recipe import AdapterSpec, Base, Control, Defaults, Licence, Recipe

RECIPE = Recipe(
    name="one", base=Base(weights="/a"), adapters=[AdapterSpec(name="f", weights="/a.bin")], licence=Licence(name="x")
)
WEIGHTS = {"base": "11", "adapter:f": "22"}


def test_where_weights_lie_does_not_change_the_hash():
    moved = replace(RECIPE, base=Base(weights="/elsewhere"), adapters=[AdapterSpec(name="f", weights="/b.bin")])
    assert recipe_hash(moved, WEIGHTS) == recipe_hash(RECIPE, WEIGHTS)


def test_nor_does_where_lies_what_adapters_and_nets_have_beside_their_weights():
    def placed(folder: str) -> Recipe:
        spec = AdapterSpec(
            name="e", kind="ecomid", weights=f"{folder}/e", image_encoder=f"{folder}/eva", face_parser=f"{folder}/p",
            context_weights=f"{folder}/i",
        )  # fmt: skip
        net = Control(name="identity", weights=f"{folder}/net", config=f"{folder}/settings")
        return replace(RECIPE, adapters=[spec], controls=[net])

    assert recipe_hash(placed("/a"), WEIGHTS) == recipe_hash(placed("https://b.example"), WEIGHTS)
    assert recipe_hash(placed("/a"), WEIGHTS) != recipe_hash(RECIPE, WEIGHTS)


def test_other_weights_change_the_hash():
    assert recipe_hash(RECIPE, {**WEIGHTS, "base": "12"}) != recipe_hash(RECIPE, WEIGHTS)


def test_precision_changes_the_hash():
    assert recipe_hash(replace(RECIPE, base=Base(dtype="bfloat16")), WEIGHTS) != recipe_hash(RECIPE, WEIGHTS)


def test_what_rows_hold_themselves_does_not_change_the_hash():
    other = replace(RECIPE, defaults=Defaults(height=512), batch_size=2, title="A title")
    assert recipe_hash(other, WEIGHTS) == recipe_hash(RECIPE, WEIGHTS)


def test_limits_and_settings_that_are_empty_change_no_key():
    wider = replace(RECIPE, max_side_px=4096, max_references=9, size_multiple_px=16)
    assert recipe_hash(wider, WEIGHTS) == recipe_hash(RECIPE, WEIGHTS)


def test_a_catalogue_made_yesterday_is_known_today():
    """Pinned: if this fails, every key of every catalogue changes."""
    assert recipe_hash(RECIPE, WEIGHTS) == "94a664dee7ffb567"


def test_by_which_text_encoder_prompts_are_encoded_changes_the_hash_and_where_does_not():
    kolors = {**WEIGHTS, "text": "34"}
    recipes = [replace(RECIPE, base=Base(kind="kolors", text=where)) for where in (None, "ahead", "inline")]
    assert len({recipe_hash(recipe, kolors) for recipe in recipes}) == 1
    assert recipe_hash(recipes[0], {**kolors, "text": "35"}) != recipe_hash(recipes[0], kolors)


def test_how_prompts_are_read_changes_the_hash_and_as_ever_is_as_good_as_nothing():
    weighted, chunks = replace(RECIPE, prompt_syntax="weighted"), replace(RECIPE, long_prompt="chunks")
    assert len({recipe_hash(recipe, WEIGHTS) for recipe in (RECIPE, weighted, chunks)}) == 3
    assert recipe_hash(replace(RECIPE, prompt_syntax="plain", long_prompt="cut"), WEIGHTS) == "94a664dee7ffb567"
