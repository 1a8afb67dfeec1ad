"""Weighted and long prompts: the stock pipelines' own numbers wherever nothing asks for others."""

from dataclasses import replace

import pytest
import torch
import transformers
from doubles.tiny_recipe import BUCKET, TINY, row

from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.sampling.prompt_pieces import STOCK, Reading
from idgen.sampling.sampler import Sampler
from idgen.tiny import tokenizer

WEIGHTED, CHUNKS = Reading(weighted=True), Reading(chunks=True)
BOTH = Reading(weighted=True, chunks=True)
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def base(request):
    made = bases.load(Base(kind=request.param, weights=f"tiny:{request.param}", dtype="float32"))
    made.place(torch.device("cpu"))
    return made


@torch.inference_mode()
def read(base, prompt, reading):
    base.prompts = reading
    return base.encode(prompt)


def equal(one, other):
    same = torch.equal(one.embeddings, other.embeddings) and one.tokens_cut == other.tokens_cut
    return same and (one.pooled is None or torch.equal(one.pooled, other.pooled))


@pytest.mark.parametrize("reading", [WEIGHTED, CHUNKS, BOTH])
@pytest.mark.parametrize("prompt", ["a red shirt", "", "neon " * 75])
def test_a_prompt_without_weights_that_has_room_is_the_stock_pipeline_s(base, reading, prompt):
    assert equal(read(base, prompt, reading), read(base, prompt, STOCK))


def test_weights_of_1_are_no_weights(base):
    assert equal(read(base, "a (red:1.0) (shirt:1)", WEIGHTED), read(base, "a red shirt", STOCK))
    assert equal(read(base, "(neon:1) " * 90, WEIGHTED), read(base, "neon " * 90, STOCK))


def test_a_weight_multiplies_its_tokens_and_the_mean_is_as_it_was(base):
    plain, heavy = read(base, "a red shirt", STOCK), read(base, "a (red:1.5) shirt", WEIGHTED)
    wanted = plain.embeddings.clone()
    towers = [wanted] if plain.pooled is None else wanted.split([one.config.hidden_size for one in base._encoders()], 1)
    for states in towers:
        mean = states.mean().item()
        states[2] *= 1.5  # the mark of the start, a, red
        states *= mean / states.mean()
        assert states.mean().item() == pytest.approx(mean, rel=1e-4)
    assert (heavy.embeddings - wanted).abs().max() < 1e-5
    assert (heavy.embeddings - plain.embeddings).abs().max() > 0.01
    assert plain.pooled is None or torch.equal(heavy.pooled, plain.pooled)


def test_a_long_prompt_is_read_in_pieces_of_75_tokens(base):
    whole, first, rest = (read(base, "neon " * words, CHUNKS) for words in (100, 75, 25))
    assert whole.tokens_cut == 0
    assert torch.equal(whole.embeddings, torch.cat([first.embeddings, rest.embeddings]))
    assert whole.pooled is None or torch.equal(whole.pooled, first.pooled)
    assert read(base, "neon " * 100, STOCK).tokens_cut == 25


def test_a_weight_counts_in_the_piece_where_its_word_is(base):
    plain, heavy = (read(base, "neon " * 80 + word, BOTH).embeddings for word in ("red", "(red:1.5)"))
    assert torch.equal(plain[:77], heavy[:77])
    assert not torch.equal(plain[77:], heavy[77:])


@pytest.mark.parametrize("other", ["tokenizer", "tokenizer_2"])
def test_the_pieces_of_both_encoders_stay_side_by_side_when_one_needs_more(other, tmp_path):
    sdxl = bases.load(Base(kind="sdxl", weights="tiny:sdxl", dtype="float32"))
    tokenizer.write(tmp_path / "letters")
    (tmp_path / "letters/merges.txt").write_text("#version: 0.2\n")  # every letter is a token
    setattr(sdxl.pipeline, other, transformers.CLIPTokenizer.from_pretrained(tmp_path / "letters"))
    assert read(sdxl, "garden " * 20, CHUNKS).embeddings.shape[0] == 2 * 77
    assert read(sdxl, "garden " * 20, STOCK).embeddings.shape[0] == 77


@pytest.fixture(scope="module")
def patient():
    return Sampler.load(replace(TINY, long_prompt="chunks"), lora_scale=0.7, device="cpu")


LONG = "neon " * 90


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_a_row_is_the_same_beside_rows_of_any_length(patient, guidance):
    bucket = replace(BUCKET, guidance_scale=guidance)
    rows = [row(seed=1), row(seed=2, prompt=LONG), row(seed=3, negative_prompt=LONG), row(seed=4, prompt=LONG * 2)]
    alone = [patient.sample([one], bucket)[0] for one in rows]
    together = patient.sample(rows, bucket)
    for one, other in zip(alone, together, strict=True):
        assert abs(one.astype(int) - other).max() <= 1
    assert abs(alone[0].astype(int) - patient.sample([row(seed=1, prompt=LONG)], bucket)[0]).max() > 1


def test_the_shorter_of_prompt_and_negative_prompt_is_filled_up_with_nothing(patient):
    found = patient.condition([row(prompt=LONG)], BUCKET)
    assert found.prompt.shape == found.negative.shape == (1, 154, found.prompt.shape[-1])
    short, empty = patient.base.encode("lowres").embeddings, patient.base.encode("").embeddings
    assert torch.equal(found.negative[0], torch.cat([short, empty]))


def test_rows_of_one_length_are_one_call_of_the_unet(patient):
    rows = [row(seed=1), row(seed=2), row(seed=3, prompt=LONG)]
    assert patient.conditioner.alike(rows, True) == [[0, 1], [2]]
    assert patient.conditioner.alike(rows[:2], True) == [[0, 1]]


def test_nothing_is_said_to_be_cut_where_nothing_is(patient, sampler):
    assert patient.warnings([row(prompt=LONG)], BUCKET) == [[]]
    assert sampler.warnings([row(prompt=LONG)], BUCKET) != [[]]


def test_a_recipe_s_syntax_reaches_its_prompts():
    weighted = Sampler.load(replace(TINY, prompt_syntax="weighted"), lora_scale=0.7, device="cpu")
    plain, heavy = (
        weighted.condition([row(prompt=prompt)], BUCKET).prompt for prompt in ("a red coat", "a (red:1.4) coat")
    )
    assert not torch.equal(plain, heavy)
    assert torch.equal(weighted.condition([row(prompt="a (red:1) coat")], BUCKET).prompt, plain)
