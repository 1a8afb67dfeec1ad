"""Kolors' base is two roles: actors that encode prompts ahead load one, sampling actors the other."""

import shutil
from dataclasses import replace

import pytest
from doubles.tiny_recipe import recipe as tiny_recipe

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Base, Recipe
from idgen.weights.fetching import wanted_names
from idgen.weights.layouts import check_layout

PICTURE = ["unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/config.json",
           "vae/diffusion_pytorch_model.fp16.safetensors", "scheduler/scheduler_config.json"]  # fmt: skip
SHARDS = [f"text_encoder/model.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
INDEX = "text_encoder/model.safetensors.index.fp16.json"
TEXT = ["text_encoder/config.json", *SHARDS, "tokenizer/tokenizer.model", "tokenizer/tokenizer_config.json"]
LISTED = '{"text_encoder": ["kolors", "ChatGLMModel"], "tokenizer": ["kolors", "ChatGLMTokenizer"]}'
ORIGINAL = ["model_index.json", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/config.json",
            "text_encoder/config.json", "text_encoder/modeling_chatglm.py", "text_encoder/tokenizer.model",
            *(f"text_encoder/pytorch_model-0000{i}-of-00007.bin" for i in range(1, 8))]  # fmt: skip


def write(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(LISTED if name == "model_index.json" else name)


@pytest.fixture
def kolors(tmp_path) -> Recipe:
    """A base of a few bytes, with the files that the hub has."""
    write(tmp_path / "base", ["model_index.json", *PICTURE, *TEXT, INDEX])
    return Recipe(name="k", base=Base(kind="kolors", weights=str(tmp_path / "base")))


@pytest.mark.parametrize(("file", "role"), [*((name, "base") for name in PICTURE), *((name, "text") for name in TEXT)])
def test_each_file_counts_in_the_role_that_loads_it(kolors, tmp_path, file, role):
    before = weights.identity(kolors, cache=None)
    assert before.keys() == {"base", "text"}
    (tmp_path / "base" / file).write_text("changed")
    after = weights.identity(kolors, cache=None)
    assert {name for name in before if before[name] != after[name]} == {role}


def test_where_prompts_are_encoded_changes_no_identity_but_what_a_sampling_node_holds(kolors):
    inline = replace(kolors, base=replace(kolors.base, text="inline"))
    expected = weights.identity(kolors, cache=None)
    assert weights.identity(inline, cache=None) == expected
    assert weights.model_identity(inline, cache=None) == expected
    assert weights.model_identity(kolors, cache=None).keys() == {"base"}
    assert weights.text_identity(kolors, cache=None).keys() == {"text"}


def test_a_node_needs_only_what_its_actors_load_and_is_compared_with_the_driver_by_it(kolors, tmp_path):
    expected = weights.identity(kolors, cache=None)
    shutil.copytree(tmp_path / "base", tmp_path / "texts")
    for name in ("unet", "vae"):
        shutil.rmtree(tmp_path / "texts" / name)
    encoding = replace(kolors, base=replace(kolors.base, weights=str(tmp_path / "texts")))
    weights.check_node(encoding, weights.text_identity(encoding, cache=None), expected)
    for name in ("text_encoder", "tokenizer"):
        shutil.rmtree(tmp_path / "base" / name)
    weights.check_node(kolors, weights.model_identity(kolors, cache=None), expected)
    (tmp_path / "texts" / SHARDS[1]).write_text("another")
    with pytest.raises(RunError, match=r"recipe k: text on .* differ"):
        weights.check_node(encoding, weights.text_identity(encoding, cache=None), expected)


@pytest.mark.parametrize(
    ("gone", "says"),
    [(SHARDS[0], "1 of 2 shards"), (INDEX, "which lists its shards"), ("tokenizer", "tokenizer folder has no files"),
     ("text_encoder", "text_encoder folder has no weights"), ("unet", "no unet folder")],
)  # fmt: skip
def test_half_a_base_is_refused(kolors, tmp_path, gone, says):
    path = tmp_path / "base" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(RunError, match=says) as caught:
        weights.identity(kolors, cache=None)
    assert caught.value.exit_code == Exit.USAGE


def test_the_authors_own_layout_is_answered_with_the_name_of_the_other_one(tmp_path):
    write(tmp_path / "original", ORIGINAL)
    made = Recipe(name="k", base=Base(kind="kolors", weights=str(tmp_path / "original")))
    for part in weights.parts(made):
        with pytest.raises(RunError, match=r"original is Kolors in the authors' own .*weights=Kwai-Kolors/Kolors-diff"):
            weights.files_of(part, made)
        with pytest.raises(RunError, match="Kwai-Kolors/Kolors-diffusers"):
            wanted_names(part, made, ORIGINAL, "")  # told before 25 GB come


def test_a_base_in_one_file_is_refused(tmp_path):
    (tmp_path / "one.safetensors").touch()
    made = Recipe(name="k", base=Base(kind="kolors", weights=str(tmp_path / "one.safetensors")))
    with pytest.raises(RunError, match="a single file; Kolors is read from a folder"):
        weights.identity(made, cache=None)


def test_fetch_takes_each_part_s_files_in_the_one_form_that_is_loaded(kolors):
    clutter = ["README.md", "text_encoder/modeling_chatglm.py", "unet/diffusion_pytorch_model.safetensors"]
    plain = [name.replace(".fp16", "") for name in SHARDS]
    there = ["model_index.json", *PICTURE, *TEXT, INDEX, INDEX.replace(".fp16", ""), *plain, *clutter]
    base, text = weights.parts(kolors)
    assert sorted(wanted_names(base, kolors, there, "")) == sorted(["model_index.json", *PICTURE])
    assert sorted(wanted_names(text, kolors, there, "")) == sorted(["model_index.json", *TEXT, INDEX])


def test_fp16_is_fetched_for_every_dtype_where_the_hub_has_nothing_else(kolors):
    exact = replace(kolors, base=replace(kolors.base, dtype="float32"))
    _, text = weights.parts(exact)
    assert {*SHARDS, INDEX} <= set(wanted_names(text, exact, [*PICTURE, *TEXT, INDEX], ""))


@pytest.mark.parametrize(("there", "says"), [("kolors", "a Kolors base, but"), ("sdxl", "not a Kolors base, but")])
def test_check_tells_kolors_from_sdxl_whose_layers_are_the_same(there, says):
    declared = {"kolors": "sdxl", "sdxl": "kolors"}[there]
    made = Recipe(name="k", base=Base(kind=declared, weights=f"tiny:{there}"))
    with pytest.raises(RunError, match=f"{says} the recipe's base.kind is {declared}"):
        check_layout(weights.parts(made)[0], made)


def test_check_knows_the_text_encoder():
    made = tiny_recipe("kolors_faceid_plus", "kolors")
    base, text, *_ = weights.parts(made)
    assert check_layout(base, made).endswith(" files")
    assert check_layout(text, made).startswith("chatglm, ")
