"""Gates of recipes and runs: which bounds a recipe's pictures are judged by, and what of it is in a key."""

from dataclasses import replace

import pytest

from idgen.checks.gates import Gate
from idgen.config import Config
from idgen.errors import Exit, RunError
from idgen.recipes.book import load_recipes
from idgen.recipes.gates import check_run_gates, gates_for, policy_of
from idgen.recipes.hashes import recipe_hash
from idgen.recipes.recipe import FacePack, Recipe
from idgen.recipes.validation import check_recipe


def test_shipped_recipes_only_warn_and_of_likeness_as_their_pack_tells_people_apart():
    for name, recipe in load_recipes(Config()).items():
        if "@" not in name:
            bounds = gates_for(recipe, {})
            assert bounds["face_similarity"] == Gate(warn=recipe.face_pack.same_person_cosine), name
            assert policy_of(recipe, bounds, {}) == {}, name


def test_a_pack_s_own_figure_is_its_recipe_s_bound():
    assert gates_for(Recipe(face_pack=FacePack(same_person_cosine=0.4)), {})["face_similarity"] == Gate(warn=0.4)


def test_the_run_s_bounds_stand_over_the_recipe_s():
    recipe = Recipe(gates={"face_similarity": {"warn": 0.5, "reject": 0.2}})
    assert gates_for(recipe, {"face_similarity": {"reject": 0.25}})["face_similarity"] == Gate(0.5, 0.25)


def test_gates_change_no_recipe_s_hash():
    gated = Recipe(name="a", gates={"face_similarity": {"reject": 0.2}})
    assert recipe_hash(gated, {}) == recipe_hash(replace(gated, gates={}), {})


def test_what_decides_among_tries_are_the_bounds_that_hold_and_the_rank():
    recipe = Recipe()
    bounds = gates_for(recipe, {"face_similarity": {"reject": 0.25}})
    policy = {"reject": {"face_similarity": 0.25}, "rank_by": "face_similarity"}
    assert policy_of(recipe, bounds, {"judge": "a" * 64, "safety": "b" * 64}) == policy


def test_a_judge_that_decides_is_known_by_its_file():
    bounds = gates_for(Recipe(), {"judge_similarity": {"reject": 0.3}})
    files = {"judge": "a" * 64, "safety": "b" * 64}
    assert policy_of(Recipe(), bounds, files)["networks"] == {"judge": "a" * 64}
    ranked = gates_for(Recipe(), {"sharpness": {"reject": 3.0}})
    assert policy_of(Recipe(rank_by="judge_similarity"), ranked, files)["networks"] == {"judge": "a" * 64}


@pytest.mark.parametrize(
    ("gates", "setting"),
    [("judge_similarity", "checks.likeness.judge"), ("unsafe_score", "checks.safety.weights")],
)
def test_a_gate_on_a_measure_that_nothing_takes_is_refused_as_everything_would_pass(gates, setting):
    bounds = gates_for(Recipe(name="a"), {gates: {"reject": 0.3}})
    with pytest.raises(RunError, match=f"recipe a: .* set {setting}") as caught:
        policy_of(Recipe(name="a"), bounds, {})
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe(name="a", gates={"likeness": {"warn": 0.1}}), "recipe a: gates: no check 'likeness' has bounds"),
        (Recipe(name="a", rank_by="face_pass_result"), "recipe a: rank_by: 'face_pass_result' must be one of"),
    ],
)
def test_a_recipe_whose_gates_judge_nothing_is_refused(recipe, said):
    with pytest.raises(RunError, match=said):
        check_recipe(recipe)


def test_a_run_whose_gates_judge_nothing_is_refused():
    with pytest.raises(RunError, match="no check 'face_similarty'") as caught:
        check_run_gates({"face_similarty": {"reject": 0.1}})
    assert caught.value.exit_code == Exit.USAGE
