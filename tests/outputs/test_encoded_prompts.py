"""Where texts lie, and what of them goes."""

from dataclasses import replace

from idgen.outputs import encoded_prompts
from idgen.outputs.encoded_prompts import encoder_of
from idgen.recipes.recipe import Base, Lora, Recipe

KOLORS = Recipe(name="a", base=Base(kind="kolors", weights="x"))
HASHES = {"a": {"base": "b" * 64, "text": "c" * 64}, "b": {"base": "d" * 64, "text": "c" * 64}}


def test_recipes_with_the_same_text_encoder_share_a_folder_and_another_precision_has_its_own():
    other = replace(KOLORS, name="b", base=replace(KOLORS.base, vae="another"))
    assert encoder_of(KOLORS, HASHES) == encoder_of(other, HASHES) == "cccccccccccccccc-float16"
    assert encoder_of(replace(KOLORS, base=replace(KOLORS.base, dtype="bfloat16")), HASHES).endswith("-bfloat16")


def test_where_the_text_encoder_is_a_part_of_its_base_all_that_changes_texts_counts():
    base = Base(weights="x", text="ahead", loras=[Lora(name="style", scale=0.5)])
    plain = Recipe(name="a", base=base)
    own = {"base": "b" * 64, "lora:style": "c" * 64, "vae": "d" * 64}
    others = [
        (replace(plain, base=replace(base, loras=[])), own),
        (replace(plain, base=replace(base, loras=[Lora(name="style", scale=0.6)])), own),
        (replace(plain, base=replace(base, dtype="float32")), own),
        (replace(plain, prompt_syntax="weighted"), own),
        (replace(plain, long_prompt="chunks"), own),
        (plain, own | {"base": "e" * 64}),
        (plain, own | {"lora:style": "e" * 64}),
    ]
    folders = [encoder_of(recipe, {"a": identity}) for recipe, identity in [(plain, own), *others]]
    assert len(set(folders)) == len(folders)
    assert encoder_of(replace(plain, base=replace(base, vae="y")), {"a": own | {"vae": "f" * 64}}) == folders[0]


def test_recipes_that_encode_inline_have_no_folder():
    assert encoder_of(replace(KOLORS, base=replace(KOLORS.base, text="inline")), HASHES) == ""
    assert encoder_of(Recipe(name="sd15"), {}) == ""


def test_what_is_stored_is_found_by_its_prompt_and_deleted_by_its_encoder(store):
    prompts = ["", "红色大衣", "a red coat / ../x"]
    for encoder in ("one-float16", "one-float32"):
        for prompt in prompts:
            store.put(encoded_prompts.path(encoder, encoded_prompts.digest(prompt)), b"text")
    store.put("images/aa/aa.png", b"picture")
    assert set(encoded_prompts.stored(store, "one-float16")) == {encoded_prompts.digest(prompt) for prompt in prompts}
    assert not list(encoded_prompts.stored(store, "one-float"))
    encoded_prompts.delete(store, ["one-float16", "never-float16"])
    assert not list(encoded_prompts.stored(store, "one-float16"))
    assert len(list(encoded_prompts.stored(store, "one-float32"))) == 3
    assert store.head("images/aa/aa.png")
