"""Prompts are encoded as the stock pipelines encode them, to the last bit; overlong ones are counted, never logged."""

import logging
from pathlib import Path

import diffusers
import pytest
import torch
import transformers

from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.sampling.prompt_pieces import Reading, pieces, tokenize
from idgen.tiny import tokenizer, world

GOLDENS = Path(__file__).parents[3] / "shared/goldens/bases"
FOLDERS = {
    "sd15": [world.locate("sd15"), GOLDENS / "sd15-tiny"],
    "sdxl": [world.locate("sdxl"), GOLDENS / "sdxl-tiny"],
}
CASES = [(kind, folder) for kind, folders in FOLDERS.items() for folder in folders if folder.is_dir()]
PROMPTS = ["a woman in a garden", "", "neon " * 100]


def load(kind, folder, dtype="float32"):
    base = bases.load(Base(kind=kind, weights=str(folder), dtype=dtype))
    base.place(torch.device("cpu"))
    return base


def stock(kind, base, prompt, negative=None):
    """Return what the pipeline's own method gives with guidance: prompt, negative, and pooled ones of SDXL."""
    more = {} if kind == "sdxl" else {"device": "cpu", "num_images_per_prompt": 1}
    more |= {"do_classifier_free_guidance": True, "negative_prompt": negative}
    with torch.inference_mode():
        return base.pipeline.encode_prompt(prompt, **more)


@pytest.mark.parametrize(("kind", "folder"), CASES, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@torch.inference_mode()
def test_a_prompt_is_encoded_as_the_stock_pipeline_does(kind, folder, dtype):
    base = load(kind, folder, dtype)
    for prompt in PROMPTS:
        prompt_embeds, negative_embeds, *pooled = stock(kind, base, prompt, negative=prompt)
        text = base.encode(prompt)
        assert text.embeddings.dtype == base.dtype
        assert torch.equal(text.embeddings, prompt_embeds[0])
        assert torch.equal(text.embeddings, negative_embeds[0])
        if kind == "sdxl":
            assert torch.equal(text.pooled, pooled[0][0])
            assert torch.equal(text.pooled, pooled[1][0])
        else:
            assert text.pooled is None
    assert not torch.equal(base.encode("a cat").embeddings, base.encode("a dog").embeddings)


@pytest.mark.parametrize("zeros", [True, False])
@torch.inference_mode()
def test_no_text_is_zeros_on_sdxl_where_its_pipeline_says_so_and_else_the_empty_prompt(zeros):
    base = load("sdxl", world.locate("sdxl"))
    base.pipeline.register_to_config(force_zeros_for_empty_prompt=zeros)
    _, negative, _, pooled = stock("sdxl", base, "a cat", negative=None)
    text = base.no_text()
    assert torch.equal(text.embeddings, negative[0])
    assert torch.equal(text.pooled, pooled[0])
    assert bool(text.embeddings.any()) != zeros
    assert text.tokens_cut == 0


@torch.inference_mode()
def test_no_text_is_the_empty_prompt_on_sd15():
    base = load("sd15", world.locate("sd15"))
    assert torch.equal(base.no_text().embeddings, base.encode("").embeddings)
    assert torch.equal(base.no_text().embeddings, stock("sd15", base, "a cat", negative=None)[1][0])


@torch.inference_mode()
@pytest.mark.parametrize("other", ["tokenizer", "tokenizer_2"])
def test_what_is_cut_is_counted_by_the_tokenizer_that_cuts_more(other, tmp_path):
    base = load("sdxl", world.locate("sdxl"))
    assert base.encode("garden " * 20).tokens_cut == 0
    tokenizer.write(tmp_path / "letters")
    (tmp_path / "letters/merges.txt").write_text("#version: 0.2\n")  # every letter is a token
    letters = transformers.CLIPTokenizer.from_pretrained(tmp_path / "letters")
    setattr(base.pipeline, other, letters)
    assert base.encode("garden " * 20).tokens_cut == len(letters("garden " * 20).input_ids) - 77 == 6 * 20 + 2 - 77


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_an_overlong_prompt_is_written_nowhere(kind, capfd, caplog):
    base = load(kind, world.locate(kind))
    secret = "xylophone " * 100
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_debug()
        library.utils.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG):
            assert base.encode(secret).tokens_cut > 0
            told = capfd.readouterr()
            assert "xylophone" not in caplog.text + told.out + told.err
            stock(kind, base, secret)  # which does
            assert "xylophone" in caplog.text
    finally:
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_warning()
            library.utils.logging.disable_propagation()


@pytest.mark.parametrize(("kind", "folder"), CASES, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("special", ["<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>"])
def test_a_special_token_in_a_prompt_is_text_like_any_other(kind, folder, special):
    base = load(kind, folder)
    for name in ["tokenizer", "tokenizer_2"][: 2 if kind == "sdxl" else 1]:
        tokenizer = getattr(base.pipeline, name)
        ids = tokenize(tokenizer, f"a shirt {special} blue")[0][0].tolist()
        end = ids.index(tokenizer.eos_token_id)
        assert ids.count(tokenizer.bos_token_id) == 1
        assert ids[:end].count(tokenizer.eos_token_id) == 0
        assert "blue" in tokenizer.decode(ids[:end])
        assert len(ids) == 77


@pytest.mark.parametrize("prompt", ["a red shirt, smiling!", "sale! new", "!!", "plain"])
def test_a_pad_token_that_people_write_stays_what_the_stock_pipeline_reads(prompt):
    tokenizer = load("sdxl", world.locate("sdxl")).pipeline.tokenizer_2
    tokenizer.add_special_tokens({"pad_token": "!"})  # as SDXL's own second tokenizer has it
    stock_ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    for reading in (Reading(), Reading(weighted=True), Reading(chunks=True)):
        (piece,), cut = pieces(tokenizer, prompt, reading)
        assert (piece.ids.tolist(), cut) == (stock_ids.tolist(), 0)
