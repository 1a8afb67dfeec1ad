"""YAML and key=value into Config and Recipe."""

import pytest

from idgen.errors import Exit, RunError
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


def test_a_setting_of_the_command_line_wins_wherever_it_stands(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("recipe: of-the-file\nrun: {max_attempts: 5}\nprompt: of the file\n")
    config = load_config(["recipe=mine", "prompt=mine", str(path), "run.max_attempts=7"])
    assert (config.recipe, config.prompt, config.run.max_attempts) == ("mine", "mine", 7)


def test_a_change_by_name_of_a_list_names_the_key_and_both_files(tmp_path):
    first, second = tmp_path / "list.yaml", tmp_path / "by-name.yaml"
    first.write_text("overrides: {other: {batch_size: 2}, faceid-sd15: {adapters: [{name: faceid}]}}\n")
    second.write_text("overrides: {faceid-sd15: {adapters: {faceid: {weights: x.bin}}}}\n")
    words = refused([str(first), str(second)])
    key = "overrides.faceid-sd15.adapters"
    assert words.startswith(f"{key}: {first} gives it as a list, but {second} changes it by name")
    change = "overrides.faceid-sd15.adapters.0.weights=x.bin"
    assert f"{first} gives it as a list, but {change} changes" in refused([change, str(first)])


@pytest.mark.parametrize("name", ["pulid-v1.1", "pulid-v1.1@sdxl-lightning-4step", "shop-2026.11.30", "plain"])
def test_a_recipe_whose_name_has_a_version_in_it_is_changed_from_the_command_line(name):
    config = load_config([f"overrides.{name}.base.weights=/a/b=c.d", f"overrides.{name}.adapters.0.weights=x"])
    assert config.overrides == {name: {"base": {"weights": "/a/b=c.d"}, "adapters": {"0": {"weights": "x"}}}}


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
