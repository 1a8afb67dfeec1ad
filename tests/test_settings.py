"""YAML and key=value into Config and Recipe."""

from pathlib import Path

import pytest

from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.recipe_files import load_recipes
from idgen.settings import help_lines, load_config


def refused(words):
    with pytest.raises(RunError) as caught:
        load_config(words)
    assert caught.value.exit_code == Exit.USAGE
    return caught.value.message


def test_later_words_win(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("run: {max_attempts: 5, second_pass: false}\n")
    second.write_text("run: {max_attempts: 6}\n")
    config = load_config([str(first), str(second), "run.max_attempts=7"])
    assert config.run.max_attempts == 7
    assert config.run.second_pass is False


def test_an_unknown_key_names_the_nearest_one():
    assert "max_attempts" in refused(["run.max_atempts=3"])


def test_a_wrong_type_and_a_wrong_choice_are_refused():
    assert "max_attempts" in refused(["run.max_attempts=many"])
    assert "png" in refused(["images.format=gif"])


def test_a_missing_file_is_named():
    assert "nope.yaml" in refused(["nope.yaml"])


def test_a_config_cannot_read_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    path = tmp_path / "a.yaml"
    path.write_text("recipe: ${oc.env:SECRET_TOKEN}\n")
    assert "hunter2" not in refused([str(path)])


def test_people_s_text_is_never_parsed():
    config = load_config(["prompt=a: {b}, ${run.id} 0123", "select.where=sku = '0123'", "reference=0123"])
    assert config.prompt == "a: {b}, ${run.id} 0123"
    assert config.select.where == "sku = '0123'"
    assert config.reference == "0123"


def test_python_objects_in_yaml_are_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("recipe: !!python/object/apply:os.system ['true']\n")
    refused([str(path)])


def test_every_key_is_documented():
    lines = list(help_lines())
    assert len(lines) > 40
    assert all(line.split("\n")[1].strip() for line in lines), [x for x in lines if not x.split("\n")[1].strip()]


def recipes_with(tmp_path, **overrides):
    (tmp_path / "one.yaml").write_text("base: {weights: /w/base}\nadapters: [{name: a, weights: /w/a.bin}]\n")
    return load_recipes(Config(recipes_dir=str(tmp_path), overrides=overrides))


def test_a_recipe_gets_its_file_s_name(tmp_path):
    assert recipes_with(tmp_path)["one"].name == "one"


def test_an_override_changes_one_recipe_and_may_make_another_like_it(tmp_path):
    recipes = recipes_with(tmp_path, one={"batch_size": 3}, two={"like": "one", "defaults": {"lora_scale": 0.6}})
    assert recipes["one"].batch_size == 3
    assert recipes["two"].defaults.lora_scale == 0.6
    assert recipes["two"].base.weights == "/w/base"


def test_one_adapter_s_weights_are_changed_by_its_number(tmp_path):
    (tmp_path / "one.yaml").write_text("base: {weights: /w}\nadapters: [{name: a, weights: /w/a.bin}]\n")
    words = [f"recipes_dir={tmp_path}", "overrides.one.adapters.0.weights=/models/b.bin"]
    (adapter,) = load_recipes(load_config(words))["one"].adapters
    assert (adapter.name, adapter.weights) == ("a", "/models/b.bin")
    with pytest.raises(RunError, match="adapters 0 to 0"):
        load_recipes(load_config([words[0], "overrides.one.adapters.3.weights=/x"]))


def test_an_unknown_recipe_or_recipe_key_is_refused(tmp_path):
    with pytest.raises(RunError, match="did you mean one"):
        recipes_with(tmp_path, onne={"batch_size": 3})
    with pytest.raises(RunError, match="batch_size"):
        recipes_with(tmp_path, one={"batch_sise": 3})


def test_the_shipped_recipes_load():
    assert Path(__file__).parents[1].joinpath("configs/recipes").is_dir()
    assert "faceid-sd15" in load_recipes(Config())
