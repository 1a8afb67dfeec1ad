"""The trainer of the tiny world at toy size: every stage runs, its world loads, and a stopped run loses nothing.

What was learnt is not asked here: toy nets learn nothing.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from drawn_world import autoencoder, evaluate, people, prompts, recipes, recogniser
from drawn_world.attention_cpu import plain_attention
from drawn_world.loop import Loop
from drawn_world.pictures import Pictures, unit
from drawn_world.plan import PLANS, Length
from drawn_world.prompts import Facts
from drawn_world.stages import STAGES
from drawn_world.towers import Sd15Text
from drawn_world.workspace import PausedError, Workspace
from idgen.recipes.book import load_recipes
from idgen.settings import load_config
from idgen.tiny.people import EXPRESSIONS, SHIRTS

CALM = [Facts(scene, shirt, expression) for scene in ("city",) for shirt in SHIRTS for expression in EXPRESSIONS[:2]]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    space = Workspace(folder=tmp_path_factory.mktemp("toy"), plan=PLANS["toy"])
    for stage in STAGES.values():
        stage(space)
    return space


def journal(space):
    return [json.loads(line) for line in (space.folder / "journal.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_every_stage_runs_and_every_recipe_is_sampled_by_the_product(trained):
    lines = journal(trained)
    assert all(np.isfinite([one for one in line.values() if isinstance(one, float)]).all() for line in lines)
    sampled = {line["recipe"] for line in lines if line["stage"] == "evaluate"}
    assert sampled == {
        "drawn",
        "autoencoder",
        *recipes.recipes(trained.folder / "world", load_recipes(load_config([evaluate.DEMO]))),
    }
    assert {"faceid-sd15", "faceid-plusv2-sd15", "instantid", "pulid-v1", "ecomid", "kolors-faceid-plus"} < sampled
    assert (trained.folder / "evaluation.png").is_file()


@pytest.mark.slow
def test_the_exported_scheduler_clips_no_latents(trained):
    settings = json.loads((trained.folder / "world" / "sd15" / "scheduler" / "scheduler_config.json").read_text())
    assert (settings["clip_sample"], settings["prediction_type"]) == (False, "v_prediction")


@pytest.mark.slow
def test_finished_stages_are_not_run_again(trained):
    before = len(journal(trained))
    for name in set(STAGES) - {"export", "evaluate"}:
        STAGES[name](trained)
    assert len(journal(trained)) == before


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["autoencoder", "sd15", "plus"])
def test_a_run_that_was_stopped_and_went_on_ends_in_the_same_weights(trained, stage, tmp_path, monkeypatch):
    for part in ("data", "weights", "tokenizers", "encoders"):
        (tmp_path / part).mkdir()
        for path in (trained.folder / part).iterdir():
            if not path.stem.startswith(stage):
                (tmp_path / part / path.name).symlink_to(path)
    space = replace(trained, folder=tmp_path)
    update = Loop.update

    def until_the_second_step(loop, *given):
        update(loop, *given)
        if loop.done == 2:
            object.__setattr__(space, "deadline", 0.0)

    monkeypatch.setattr(Loop, "update", until_the_second_step)
    with pytest.raises(PausedError):
        STAGES[stage](space)
    monkeypatch.undo()
    STAGES[stage](replace(space, deadline=float("inf")))
    ours, theirs = (torch.load(one.weights(stage), weights_only=True) for one in (space, trained))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_recogniser_as_a_torch_module_is_the_face_packs():
    embedder, net = recogniser.Embedder(), recogniser.Recogniser()
    for number in range(3):
        photo = people.reference(people.HELD_OUT, number)
        points = torch.from_numpy(photo.points)[None]
        crops = recogniser.face_crops(unit(torch.from_numpy(photo.pixels)[None]), points)
        wanted = embedder.embed(photo)
        np.testing.assert_allclose(net(unit(torch.from_numpy(people.aligned(photo, 112))[None]))[0], wanted, atol=1e-4)
        assert np.corrcoef(net(crops)[0], wanted)[0, 1] > 0.999


def test_prompts_say_the_facts_and_neutral_texts_say_none():
    rng = np.random.default_rng(1)
    for facts in CALM:
        for _ in range(20):
            said = prompts.english(facts, rng, whole=True)
            assert facts.shirt in said
            assert facts.expression[:4] in said
            assert "city" in said
            assert prompts._SHIRTS_ZH[facts.shirt] in prompts.chinese(facts, rng)
    words = {word for _ in range(300) for word in prompts.neutral(rng).replace(",", " ").split()}
    assert "blurry" in words
    assert not words & {*SHIRTS, *EXPRESSIONS, "city", "beach", "portrait", "person"}


@pytest.mark.slow
def test_the_longest_prompt_fits_into_clip(trained):
    rng, words = np.random.default_rng(2), Sd15Text(trained).words
    texts = [prompts.english(facts, rng) for facts in CALM for _ in range(30)]
    texts += [prompts.neutral(rng) for _ in range(100)]
    assert sum(len(words(text).input_ids) > 77 for text in texts) <= 0.05 * len(texts)


@pytest.mark.slow
def test_latents_are_standardised_and_pictures_come_back_the_same(trained):
    net = AutoencoderKL(**autoencoder.config(trained.plan))
    net.load_state_dict(torch.load(trained.weights("autoencoder_raw"), weights_only=True))
    pictures = Pictures(trained)
    pixels, _, _ = pictures.batch(8, 0.35, np.random.default_rng(3))
    with torch.no_grad():
        before = net.decode(net.encode(pixels).latent_dist.mean).sample
        autoencoder.standardise(net, pictures)
        latents = net.encode(pixels).latent_dist.mean
        torch.testing.assert_close(net.decode(latents).sample, before, atol=1e-3, rtol=1e-3)
    assert latents.mean().abs() < 0.3
    assert abs(latents.std() - 1) < 0.3


@pytest.mark.parametrize("shape", [(2, 1, 9, 16), (1, 3, 5, 8)])
def test_plain_attention_is_torchs(shape):
    query, key, value = torch.randn(3, *shape)
    wanted = nn.functional.scaled_dot_product_attention(query, key, value)
    with plain_attention(torch.device("cpu")):
        assert nn.functional.scaled_dot_product_attention(query, key, value) is not wanted
        torch.testing.assert_close(nn.functional.scaled_dot_product_attention(query, key, value), wanted)
        causal = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(causal, nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True))


def test_a_loop_writes_the_mean_of_its_weights(tmp_path):
    space = Workspace(folder=tmp_path, plan=PLANS["toy"])
    net = nn.Linear(2, 1)
    loop = Loop("line", net, Length(steps=200, batch=8, rate=0.05), space)
    for _ in loop:
        x = torch.from_numpy(loop.numbers().normal(size=(8, 2))).float()
        loss = ((net(x) - x.sum(1, keepdim=True)) ** 2).mean()
        loop.update(loss, {"loss": loss})
    raw = net.weight.detach().clone()
    loop.finish()
    assert not torch.equal(raw, net.weight)
    torch.testing.assert_close(torch.load(space.weights("line"), weights_only=True)["weight"], net.weight.detach())
    assert not space.checkpoint("line").exists()


def test_the_evaluations_wording_is_one_that_was_trained():
    facts = Facts("beach", "orange", "smiling")
    assert prompts.plain(facts) == "portrait of a person in an orange shirt, smiling, beach background"
    assert prompts.plain(facts, in_chinese=True) == "肖像，一位穿着橙色衬衫的人，微笑，海滩背景"
