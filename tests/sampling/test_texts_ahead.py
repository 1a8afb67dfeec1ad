"""Prompts that were encoded ahead, from the encoder through a store to the sampler."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import UNet2DConditionModel
from doubles.tiny_recipe import BUCKET, row

from idgen.errors import Code, RowError, RunError
from idgen.outputs import encoded_prompts
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Base, Lora, Recipe
from idgen.sampling import bases
from idgen.sampling.bases import load_encoder
from idgen.sampling.caches import Text
from idgen.sampling.prompt_pieces import Reading
from idgen.sampling.sampler import Sampler
from idgen.sampling.texts import StoredTexts
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError

BASE = Base(kind="kolors", weights="tiny:kolors", dtype="float32")
NOBODY = np.zeros((0, 512), np.float32)
PROMPTS = ("a red coat", "一张海报，写着“远方”", "lowres", "")


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)
    return load_encoder(BASE, "cpu")


@pytest.fixture(scope="module")
def store(encoder, tmp_path_factory):
    """A catalogue with some texts."""
    made = LocalStore(tmp_path_factory.mktemp("catalogue"))
    for prompt in PROMPTS:
        made.put(encoded_prompts.path("tiny", encoded_prompts.digest(prompt)), encoder.encode(prompt).to_bytes())
    return made


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_text_comes_back_as_the_encoder_made_it(store, encoder, prompt):
    made, read = encoder.encode(prompt), StoredTexts(store, "tiny", {}).get(prompt)
    assert torch.equal(read.whole(), made.whole())
    assert torch.equal(read.pooled, made.pooled)
    assert read.tokens_cut == made.tokens_cut


def test_texts_made_ahead_change_no_picture_and_leave_the_text_encoder_out(store):
    recipe = Recipe(name="kolors", base=BASE)
    inline = Sampler.load(recipe, lora_scale=1.0, device="cpu")
    ahead = Sampler.load(recipe, lora_scale=1.0, device="cpu", texts=StoredTexts(store, "tiny", {}))
    asked = [
        row(key="a", prompt=PROMPTS[0], negative_prompt="lowres", id_embedding=NOBODY),
        row(key="b", prompt=PROMPTS[1], negative_prompt=None, id_embedding=NOBODY),
    ]
    for one, other in zip(inline.sample(asked, BUCKET), ahead.sample(asked, BUCKET), strict=True):
        assert np.array_equal(one, other)
    assert ahead.pipeline.text_encoder is None
    assert ahead.counts.prompt_encodings == 4, "each looked up once"
    ahead.sample(asked, BUCKET)
    assert ahead.counts.prompt_encodings == 4


CLIP = [
    Recipe(name="sd15", base=Base(weights="tiny:sd15", dtype="float32", text="ahead")),
    Recipe(name="sdxl", base=Base(kind="sdxl", weights="tiny:sdxl", dtype="float32", text="ahead")),
]


def styled(made: Recipe, folder) -> Recipe:
    """`made` with a LoRA of UNet and text encoder that moves every picture."""
    base = bases.load(made.base).pipeline
    for part, place in (("unet", "conv_in"), ("text_encoder", "encoder.layers.0.self_attn.q_proj")):
        tensors = lora_of(part, place, getattr(base, part).get_submodule(place))
        (folder / f"{part}.safetensors").write_bytes(safetensors.torch.save(tensors))
    loras = [Lora(name=part, weights=str(folder / f"{part}.safetensors")) for part in ("unet", "text_encoder")]
    return replace(made, base=replace(made.base, loras=loras))


def lora_of(part: str, place: str, layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The halves of a LoRA for one layer, rank 1."""
    up, down = layer.weight.shape[:2]
    ends = layer.weight.shape[2:]
    numbers = torch.Generator().manual_seed(3)
    return {
        f"{part}.{place}.lora_A.weight": torch.randn(1, down, *ends, generator=numbers),
        f"{part}.{place}.lora_B.weight": torch.randn(up, 1, *[1] * len(ends), generator=numbers) / 10,
    }


@pytest.mark.parametrize("reads", [{}, {"prompt_syntax": "weighted", "long_prompt": "chunks"}], ids=["stock", "pieces"])
@pytest.mark.parametrize("made", CLIP, ids=lambda made: made.name)
def test_texts_of_clip_made_ahead_are_the_same_with_loras_and_in_pieces(made, reads, tmp_path):
    made = replace(styled(made, tmp_path), **reads)
    long = "a red coat, (silk:1.3) lining, " * 12
    asked = [
        row(key="a", prompt=long, negative_prompt=None, id_embedding=NOBODY),
        row(key="b", prompt="a red coat", negative_prompt="lowres", id_embedding=NOBODY),
    ]
    encoder = load_encoder(made.base, "cpu", Reading.of(made))
    store = LocalStore(tmp_path / "catalogue")
    for prompt in (long, "a red coat", "lowres", ""):
        store.put(encoded_prompts.path("tiny", encoded_prompts.digest(prompt)), encoder.encode(prompt).to_bytes())
    inline = Sampler.load(made, lora_scale=1.0, device="cpu")
    ahead = Sampler.load(made, lora_scale=1.0, device="cpu", texts=StoredTexts(store, "tiny", {}))
    pictures = inline.sample(asked, BUCKET)
    for one, other in zip(pictures, ahead.sample(asked, BUCKET), strict=True):
        assert np.array_equal(one, other)
    assert inline.warnings(asked, BUCKET) == ahead.warnings(asked, BUCKET)
    towers = FAMILIES[made.base.kind].text_encoders
    assert [getattr(ahead.pipeline, tower) for tower in towers] == [None] * len(towers)
    plain = Sampler.load(replace(made, base=replace(made.base, loras=[])), lora_scale=1.0, device="cpu")
    assert not np.array_equal(plain.sample(asked, BUCKET)[0], pictures[0])


@pytest.mark.parametrize("made", CLIP, ids=lambda made: made.name)
def test_an_encoder_alone_holds_no_unet(made):
    held = [gone for gone in gc.get_objects() if isinstance(gone, UNet2DConditionModel)]
    encoder = load_encoder(made.base, "cpu")
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, UNet2DConditionModel)] == held
    assert encoder.encode("a").embeddings.shape[0] == 77


def test_a_text_that_is_gone_is_its_rows_code_and_may_be_tried_again(store):
    with pytest.raises(RowError, match="texts/tiny/") as caught:
        StoredTexts(store, "tiny", {}).get("never encoded")
    assert (caught.value.code, caught.value.retriable) == (Code.TEXT_MISSING, True)


def test_a_text_that_is_no_text_is_gone_so_that_the_next_pass_encodes_it_again(store, monkeypatch):
    path, whole = (
        encoded_prompts.path("tiny", encoded_prompts.digest("half")),
        set(encoded_prompts.stored(store, "tiny")),
    )
    store.put(path, b"half a file")
    with pytest.raises(RowError) as caught:
        StoredTexts(store, "tiny", {}).get("half")
    assert caught.value.code == Code.TEXT_MISSING
    assert set(encoded_prompts.stored(store, "tiny")) == whole, "what a pass looks at to tell what is to be encoded"

    def forbidden(_paths):
        raise StoreError("the store answered 403")

    store.put(path, b"")
    monkeypatch.setattr(store, "delete", forbidden)
    with pytest.raises(RowError, match="not a stored text") as caught:
        StoredTexts(store, "tiny", {}).get("half")
    assert caught.value.code == Code.TEXT_MISSING


def test_a_store_that_is_away_costs_no_text(store, monkeypatch):
    def never(_paths):
        pytest.fail("a text was deleted that nobody could look at")

    def away(_path):
        raise StoreError("the store answered 503")

    monkeypatch.setattr(store, "get", away)
    monkeypatch.setattr(store, "delete", never)
    with pytest.raises(RowError, match="503") as caught:
        StoredTexts(store, "tiny", {}).get(PROMPTS[0])
    assert caught.value.code == Code.TEXT_MISSING


def test_a_prompt_that_could_not_be_encoded_says_why_and_not_what_it_is(store):
    failed = {encoded_prompts.path("tiny", encoded_prompts.digest("boom")): "worker_crashed"}
    with pytest.raises(RowError) as caught:
        StoredTexts(store, "tiny", failed).get("boom")
    assert caught.value.code == Code.WORKER_CRASHED
    assert "boom" not in str(caught.value)
    assert Text.from_bytes(store.get(encoded_prompts.path("tiny", encoded_prompts.digest(""))))  # others are untouched
    assert StoredTexts(store, "tiny", failed).get("")


def test_a_folder_without_a_text_encoder_is_told_in_a_line(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "unet").mkdir()
    with pytest.raises(RunError, match="text encoder"):
        load_encoder(Base(kind="kolors", weights=str(tmp_path)), "cpu")
