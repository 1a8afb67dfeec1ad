"""Kolors' prompts are encoded as its stock pipeline encodes them, to the last bit; padding is kept once."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from diffusers import KolorsPipeline
from safetensors.torch import load_file, save_file

from idgen.errors import RunError
from idgen.recipes.recipe import Base
from idgen.sampling import bases
from idgen.sampling.caches import Text
from idgen.sampling.families.kolors_text import KolorsText
from idgen.tiny import world

GOLDEN = Path(__file__).parents[3] / "shared/goldens/bases/kolors-tiny"
FOLDERS = [folder for folder in (world.locate("kolors"), GOLDEN) if folder.is_dir()]
PROMPTS = [
    "",
    "一张照片：一位女士在花园里，手里拿着写有“春天”的牌子",
    "a woman in a garden, a sign that reads 春天 🌸",
    "x",
    "neon " * 300,
    "special <unk> </s> <s> <pad> [gMASK] [sMASK] sop eop <|user|> tokens",
    "\x00\n\t  ",
]
CPU = torch.device("cpu")


def load(folder, dtype="float32"):
    return KolorsText.load(Base(kind="kolors", weights=str(folder), dtype=dtype), CPU)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_prompt_is_encoded_as_the_stock_pipeline_does(folder, dtype):
    ours = load(folder, dtype)
    stock = KolorsPipeline.from_pretrained(folder, dtype=getattr(torch, dtype))
    lengths = []
    for prompt in PROMPTS:
        with torch.inference_mode():
            embeddings, negative, pooled, _ = stock.encode_prompt(prompt, negative_prompt=prompt)
        text = ours.encode(prompt)
        assert text.whole().dtype == text.pooled.dtype == getattr(torch, dtype)
        assert text.whole().shape == (256, stock.text_encoder.config.hidden_size)
        assert torch.equal(text.whole(), embeddings[0])
        assert torch.equal(text.whole(), negative[0])
        assert torch.equal(text.pooled, pooled[0])
        lengths.append(len(text.embeddings))
    assert lengths[0] == 2  # the two tokens that every prompt begins with
    assert lengths[3] > 2
    assert lengths[4] == 256
    assert max(lengths[1:4]) < 100


def test_special_tokens_written_in_a_prompt_are_what_the_stock_tokenizer_makes_of_them(folder, tmp_path):
    plain = load(folder)
    for prompt in ("<unk>", "</s>", "[gMASK]", "<|user|>"):
        assert len(plain.encode(prompt).embeddings) > 3  # letters, not one token
    shutil.copytree(folder, tmp_path / "base")
    settings = tmp_path / "base/tokenizer/tokenizer_config.json"
    known = {"0": {"content": "<unk>"}, "2": {"content": "</s>"}}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"added_tokens_decoder": known}))
    # as older versions of transformers saved it
    stock = KolorsPipeline.from_pretrained(tmp_path / "base", dtype=torch.float32)
    ours = load(tmp_path / "base")
    assert len(ours.encode("<unk>").embeddings) == 3  # one token then, in both
    for prompt in PROMPTS:
        with torch.inference_mode():
            assert torch.equal(ours.encode(prompt).whole(), stock.encode_prompt(prompt)[0][0])


def test_what_is_cut_is_counted(folder):
    text = load(folder)
    assert [text.encode(prompt).tokens_cut for prompt in ("", "a garden")] == [0, 0]
    whole = len(text.tokenizer("neon " * 300).input_ids)
    assert text.encode("neon " * 300).tokens_cut == whole - 256 > 0


def test_an_overlong_prompt_is_written_nowhere(capfd, caplog):
    text = load(world.locate("kolors"))
    transformers.utils.logging.set_verbosity_debug()
    transformers.utils.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG):
            assert text.encode("xylophone " * 300).tokens_cut > 0
    finally:
        transformers.utils.logging.set_verbosity_warning()
        transformers.utils.logging.disable_propagation()
    told = capfd.readouterr()
    assert "xylophone" not in caplog.text + told.out + told.err


def test_the_layer_that_nothing_reads_is_let_go(folder):
    encoder = load(folder).encoder
    assert not any("output_layer" in name for name, _ in encoder.named_parameters())
    assert not any(tensor.requires_grad for tensor in encoder.parameters())
    assert not encoder.training


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_text_encoder_in_shards_is_read(tmp_path, variant):
    shutil.copytree(world.locate("kolors"), tmp_path / "base")
    stock = KolorsPipeline.from_pretrained(tmp_path / "base", dtype=torch.float16)
    shutil.rmtree(tmp_path / "base/text_encoder")
    stock.text_encoder.save_pretrained(tmp_path / "base/text_encoder", max_shard_size="200KB", variant=variant)
    shards = list((tmp_path / "base/text_encoder").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    if variant:
        for name in ("unet", "vae"):
            path = tmp_path / "base" / name / "diffusion_pytorch_model.safetensors"
            path.rename(path.with_suffix(".fp16.safetensors"))
    expected = load(world.locate("kolors")).encode("a garden")
    assert torch.equal(load(tmp_path / "base").encode("a garden").whole(), expected.whole())


def test_missing_weights_are_told_but_for_those_that_nothing_reads(tmp_path):
    shutil.copytree(world.locate("kolors"), tmp_path / "base")
    path = tmp_path / "base/text_encoder/model.safetensors"
    whole = load_file(path)
    unused = {"output_layer.weight", "rotary_pos_emb.inv_freq"}
    assert unused < whole.keys()
    save_file({n: t for n, t in whole.items() if n not in unused}, path, metadata={"format": "pt"})
    expected = load(world.locate("kolors")).encode("a garden").whole()
    assert torch.equal(load(tmp_path / "base").encode("a garden").whole(), expected)
    needed = "encoder.layers.1.mlp.dense_h_to_4h.weight"
    save_file({n: t for n, t in whole.items() if n != needed}, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match=f"1 weights of the text_encoder are missing, {needed}"):
        load(tmp_path / "base")


def test_no_text_is_the_empty_prompt_encoded():
    base = bases.load(Base(kind="kolors", weights="tiny:kolors", dtype="float32"))
    assert torch.equal(base.no_text().whole(), base.encode("").whole())
    assert base.encode("").whole().any()


class Ahead:
    """Texts made ahead, in another precision and place."""

    def __init__(self) -> None:
        self.asked = []

    def get(self, prompt: str) -> Text:
        self.asked.append(prompt)
        return Text.folded(torch.full((256, 128), 2.0), 7, torch.full((128,), 3.0))


def test_with_prompts_encoded_ahead_neither_text_encoder_nor_tokenizer_is_there(tmp_path):
    shutil.copytree(world.locate("kolors"), tmp_path / "base")
    shutil.rmtree(tmp_path / "base/text_encoder")
    shutil.rmtree(tmp_path / "base/tokenizer")
    texts = Ahead()
    base = bases.load(Base(kind="kolors", weights=str(tmp_path / "base"), dtype="bfloat16"), texts)
    base.place(CPU)
    text = base.encode("a garden")
    assert texts.asked == ["a garden"]
    assert (text.tokens_cut, text.whole().shape, text.whole().dtype) == (7, (256, 128), torch.bfloat16)
    assert text.pooled.dtype == torch.bfloat16
    assert base.no_text().pooled[0] == 3
    assert texts.asked[1:] == [""]
