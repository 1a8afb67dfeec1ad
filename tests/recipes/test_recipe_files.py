"""Recipe and base files, and what overrides make of them."""

import pytest

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.recipes.book import load_recipes
from idgen.recipes.recipe import Base, FacePass, Licence, Lora
from idgen.settings import load_config

ONE = """
title: One
base: {weights: /w/base, vae: /w/vae, vae_dtype: float16}
adapters: [{name: a, weights: /w/a.bin}, {name: b, weights: /w/b.bin}]
defaults: {width: 256, num_inference_steps: 20}
licence: {name: research only, note: Of faces.}
columns: [lora_scale]
"""
BIG = """
title: Big
base: {kind: sdxl, weights: /w/big}
adapters: [{name: clip, kind: ip_adapter, weights: /w/c.bin, image_encoder: /w/clip}]
licence: {name: apache-2.0, commercial_use: true}
columns: [ip_adapter_image_uri]
"""
FAST = """
title: Fast
family: sd15
base:
  weights: /w/fast
  steps: [2, 4]
  loras: [{name: lcm, weights: /w/lcm.safetensors}]
defaults: {num_inference_steps: 4, guidance_scale: 1.0, negative_prompt: null}
licence: {name: openrail, commercial_use: true, note: Of the base.}
timestep_spacing: trailing
seconds_per_picture: 0.25
"""
TURBO = "{title: Turbo, family: sdxl, base: {weights: /w/turbo}, licence: {name: apache-2.0, commercial_use: true}}"


@pytest.fixture
def folders(tmp_path):
    """Two recipes and two bases, one of each family; as words of a command line."""
    for kind, files in (("recipes", {"one": ONE, "big": BIG}), ("bases", {"fast": FAST, "turbo": TURBO})):
        (tmp_path / kind).mkdir()
        for name, text in files.items():
            (tmp_path / kind / f"{name}.yaml").write_text(text)
    return [f"recipes_dir={tmp_path / 'recipes'}", f"bases_dir={tmp_path / 'bases'}"]


def recipes_with(folders, *words):
    return load_recipes(load_config([*folders, *words]))


def refused(folders, *words) -> str:
    with pytest.raises(RunError) as caught:
        recipes_with(folders, *words)
    assert caught.value.exit_code == Exit.USAGE
    return caught.value.message


def test_a_recipe_gets_its_file_s_name(folders):
    assert recipes_with(folders)["one"].name == "one"


def test_an_override_changes_one_recipe_and_may_make_another_like_it(folders):
    recipes = recipes_with(
        folders, "overrides.one.batch_size=3", "overrides.two.like=one", "overrides.two.defaults.lora_scale=0.6"
    )
    assert recipes["one"].batch_size == recipes["two"].batch_size == 3
    assert (recipes["two"].defaults.lora_scale, recipes["two"].base.weights) == (0.6, "/w/base")


def test_one_of_a_list_is_changed_by_its_number_or_its_name(folders):
    recipes = recipes_with(
        folders, "overrides.one.adapters.0.weights=/models/0.bin", "overrides.one.adapters.b.weights=/models/b.bin",
        "base_overrides.fast.base.loras.lcm.scale=0.5",
    )  # fmt: skip
    assert [(a.name, a.weights) for a in recipes["one"].adapters] == [("a", "/models/0.bin"), ("b", "/models/b.bin")]
    assert [(lora.weights, lora.scale) for lora in recipes["one@fast"].base.loras] == [("/w/lcm.safetensors", 0.5)]
    for place in ("3", "c"):
        message = refused(folders, f"overrides.one.adapters.{place}.weights=/x")
        assert message == f"overrides.one.adapters.{place}: the recipe has adapters 0 to 1 (a, b)"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("overrides.onne.batch_size=3", "did you mean one"),
        ("overrides.one.batch_sise=3", "batch_size"),
        ("overrides.one=3", "give settings"),
        ("overrides.one@fasst.batch_size=3", "did you mean one@fast"),
        ("overrides.one@turbo.batch_size=3", "one works with the bases fast"),
        ("overrides.one@fast.defaults.widht=3", "width"),
        ("overrides.new@fast.like=one", "a name with @"),
        ("overrides.new.like=one@turbo", "one works with the bases fast"),
        ("base_overrides.fasst.base.weights=/x", "did you mean 'fast'"),
        ("overrides.one.adapters.0=3", "give settings"),
        ("overrides.one.base.kind=flux", "base.kind"),
        ("base_overrides.fast.step=[4]", "base fast: Key 'step' not in 'BaseFile'"),
        ("base_overrides.fast.defaults.num_inference_step=4", "'num_inference_steps'"),
        ("overrides.one.adapters.0.kind=faceid_plusv3", "faceid_plusv2"),
        ("overrides.one.base.loras=[{name: a, scale: much}]", "scale"),
    ],
)
def test_what_is_wrong_with_an_override_is_told_when_the_recipes_are_read(folders, word, says):
    assert says in refused(folders, word)


def test_settings_that_may_be_null_or_one_of_a_few_words_come_through(folders):
    words = ("kind=faceid_plus", "clip_fit=pad", "face_crop_px=256", "sha256=null")
    others = ("overrides.big.columns=[]", "overrides.big.defaults.negative_prompt=null")
    recipe = recipes_with(folders, *(f"overrides.big.adapters.0.{word}" for word in words), *others)["big"]
    (adapter,) = recipe.adapters
    assert (adapter.clip_fit, adapter.face_crop_px, adapter.sha256) == ("pad", 256, None)
    assert recipe.defaults.negative_prompt is None
    assert recipes_with(folders, "overrides.big.defaults.negative_prompt=''")["big"].defaults.negative_prompt == ""


def test_every_recipe_goes_with_every_base_of_its_family(folders):
    recipes = recipes_with(folders)
    assert sorted(recipes) == ["big", "big@turbo", "one", "one@fast"]
    assert len(recipes) == 4
    assert "one@turbo" not in recipes
    with pytest.raises(KeyError):
        recipes["one@turbo"]


def test_a_recipe_on_a_base_is_the_recipe_with_that_base_as_a_whole(folders):
    recipe = recipes_with(folders)["one@fast"]
    assert (recipe.name, recipe.title) == ("one@fast", "One on Fast")
    assert recipe.base == Base(weights="/w/fast", steps=[2, 4], loras=[Lora(name="lcm", weights="/w/lcm.safetensors")])
    assert (recipe.defaults.width, recipe.defaults.num_inference_steps, recipe.defaults.guidance_scale) == (256, 4, 1.0)
    assert recipe.defaults.negative_prompt is None
    assert (recipe.timestep_spacing, recipe.seconds_per_picture, recipe.batch_size) == ("trailing", 0.25, 8)
    assert [adapter.name for adapter in recipe.adapters] == ["a", "b"]
    assert recipes_with(folders)["big@turbo"].base.kind == "sdxl"


def test_both_licences_must_allow_commercial_use(folders):
    recipes = recipes_with(folders)
    both = Licence(name="research only; openrail", commercial_use=False, note="Of faces. Of the base.")
    assert recipes["one@fast"].licence == both
    assert recipes["big@turbo"].licence == Licence(name="apache-2.0", commercial_use=True)
    one, other = "overrides.big.licence.registration=[a,b]", "base_overrides.turbo.licence.registration=[c,b]"
    assert recipes_with(folders, one, other)["big@turbo"].licence.registration == ["a", "b", "c"]


def test_overrides_of_recipe_base_and_pair_are_laid_in_this_order(folders):
    recipes = recipes_with(
        folders, "overrides.one.base.weights=/tiny/one", "overrides.one.face_pack.weights=/tiny/pack",
        "base_overrides.fast.base.weights=/tiny/fast", "base_overrides.fast.defaults.width=128",
        "overrides.one.defaults.width=192", "overrides.one@fast.batch_size=2", "overrides.new.like=one@fast",
    )  # fmt: skip
    assert [recipes[name].base.weights for name in ("one", "one@fast", "new")] == ["/tiny/one", *["/tiny/fast"] * 2]
    assert [recipes[name].defaults.width for name in ("one", "one@fast", "new")] == [192, 128, 128]
    assert [recipes[name].batch_size for name in ("one", "one@fast", "new")] == [8, 2, 2]
    assert recipes["one@fast"].face_pack.weights == "/tiny/pack"
    assert "new@fast" in recipes


def test_a_base_file_says_its_family_once(folders, tmp_path):
    (tmp_path / "bases" / "odd.yaml").write_text("family: sd15\nbase: {kind: sdxl, weights: /w}\n")
    with pytest.raises(RunError, match=r"base odd: base\.kind is sdxl, but its family is sd15"):
        recipes_with(folders)["one@odd"]
    (tmp_path / "bases" / "odd.yaml").write_text("family: sd15\nbase: {weights: /w}\ndefaults: {stepps: 3}\n")
    with pytest.raises(RunError, match=r"base odd: .*stepps"):
        recipes_with(folders)["one@odd"]


def test_a_file_s_name_holds_no_at(folders, tmp_path):
    (tmp_path / "recipes" / "a@b.yaml").write_text(ONE)
    assert "a@b.yaml" in refused(folders)


def test_without_recipe_files_the_key_to_set_is_named(tmp_path):
    assert "recipes_dir" in refused([f"recipes_dir={tmp_path}"])


@pytest.mark.slow
def test_the_shipped_recipes_load_alone_and_on_every_base():
    recipes = load_recipes(Config())
    assert len(recipes) > 100
    assert all(recipes[name].name == name for name in recipes)
    plain = {n for n in recipes if "@" not in n and recipes[n].base.kind != "kolors"}  # Kolors has one base only
    assert {name.partition("@")[0] for name in recipes if "@" in name} == plain


def test_a_base_changes_how_faces_are_sampled_again_where_a_recipe_does_that(folders):
    words = ("base_overrides.fast.face_pass.num_inference_steps=4", "overrides.one.face_pass.strength=0.5")
    recipes = recipes_with(folders, *words)
    assert recipes["one"].face_pass == FacePass(strength=0.5)
    assert recipes["one@fast"].face_pass == FacePass(strength=0.5, num_inference_steps=4)
    assert recipes_with(folders, words[0])["one@fast"].face_pass is None
    empty = recipes_with(folders, words[0], "overrides.one.face_pass={}")
    assert empty["one@fast"].face_pass == FacePass(num_inference_steps=4)
    with pytest.raises(RunError, match=r"base fast: .*stepz"):
        recipes_with(folders, "base_overrides.fast.face_pass.stepz=4")
