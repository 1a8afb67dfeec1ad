"""The text actor, and the sampling actor on what it made, as plain objects on a folder: the tiny Kolors, no Ray."""

import dataclasses
import sys
from collections import Counter

import pyarrow as pa
import pytest
import torch

from idgen import weights
from idgen.actors import text_encoding as text_actor
from idgen.actors.facts import RunFacts, SamplerSettings, TextSettings
from idgen.actors.monitor import MonitorState
from idgen.actors.sampler import SamplerActor
from idgen.actors.text_encoding import TextActor
from idgen.config import ImagesConfig, SamplingConfig, TextsConfig
from idgen.errors import Exit, RunError
from idgen.manifest.prompts import TextBlock
from idgen.outputs import encoded_prompts
from idgen.outputs.encoded_prompts import encoder_of
from idgen.outputs.ledger import dataset
from idgen.recipes.recipe import Base, Recipe
from idgen.sampling import bases
from idgen.sampling.caches import Text
from idgen.sampling.families.kolors_text import KolorsText
from idgen.sampling.prompt_pieces import Reading
from idgen.schemas import ANALYSED, TEXT_COUNTS
from idgen.stores.opening import open_store
from idgen.stores.protocol import StoreError

RECIPE = Recipe(name="kolors", base=Base(kind="kolors", weights="tiny:kolors", dtype="float32"), batch_size=4)
PROMPTS = ["a red coat", "红色大衣", "boom", ""]


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"kolors": weights.identity(RECIPE, cache=None)}


class Texts:
    """A text actor and what it is given; `again` is what Ray starts in the place of one that died."""

    def __init__(self, folder, identities, recipe=RECIPE):
        self.store = open_store(str(folder / "out"))
        self.monitor = MonitorState(0)
        self.name = recipe.name
        self.encoder = encoder_of(recipe, identities)
        self.run = RunFacts(
            output=self.store.root,
            run_id="run",
            recipes={recipe.name: recipe},
            identities=identities,
            signature_parameters=[],
        )
        self.again()

    def again(self):
        settings = TextSettings(texts=TextsConfig(num_gpus=0), device="auto", encoders={self.encoder: self.name})
        self.actor = TextActor(self.run, settings, self.monitor)

    def encode(self, prompts, name="0"):
        table = self.actor(pa.Table.from_pylist([dataclasses.asdict(TextBlock(name, self.encoder, list(prompts)))]))
        assert table.schema.equals(TEXT_COUNTS)
        (counts,) = table.to_pylist()
        return counts["rows"], counts["left"], dict(counts["failed"])

    def path(self, prompt):
        return encoded_prompts.path(self.encoder, encoded_prompts.digest(prompt))

    @property
    def stored(self):
        return set(encoded_prompts.stored(self.store, self.encoder))

    @property
    def encoded(self):
        return self.monitor.progress().counts.get("prompt_encodings", 0)


@pytest.fixture
def made(tmp_path, identities):
    return Texts(tmp_path, identities)


@pytest.fixture
def dies(monkeypatch):
    """Prompts whose encoding ends the process: here an exception that no actor catches."""
    fatal, original = set(), KolorsText.encode

    def encode(self, prompt):
        if prompt in fatal:
            raise SystemExit(139)
        return original(self, prompt)

    monkeypatch.setattr(KolorsText, "encode", encode)
    monkeypatch.setattr(MonitorState, "end", _end_unless_dead(MonitorState.end))
    return fatal


def _end_unless_dead(end):
    """What a dead process would have said is not heard."""

    def heard(self, stage, shard):
        if not isinstance(sys.exc_info()[1], SystemExit):
            end(self, stage, shard)

    return heard


def test_every_prompt_of_a_block_is_encoded_once_by_an_encoder_that_is_loaded_once(made):
    assert made.encode(PROMPTS) == (4, 0, {})
    assert made.encode(["another"], "1") == (1, 0, {})
    assert made.stored == {encoded_prompts.digest(prompt) for prompt in [*PROMPTS, "another"]}
    assert made.monitor.progress().counts == {"prompt_encodings": 5, "text_loads": 1}


def test_a_prompt_that_kills_its_worker_twice_is_given_up_and_costs_no_other(made, dies):
    dies.add("boom")
    for _ in range(2):
        with pytest.raises(SystemExit):
            made.encode(PROMPTS)
        made.again()
    assert made.encoded == 2, "what was written before the death is not encoded again"
    assert made.encode(PROMPTS) == (4, 0, {made.path("boom"): "worker_crashed"})
    assert made.stored == {encoded_prompts.digest(prompt) for prompt in PROMPTS if prompt != "boom"}
    assert made.encoded == 3
    assert made.monitor.progress().deaths == 2


def test_a_worker_that_was_killed_once_costs_the_prompt_in_hand(made, dies):
    dies.add("boom")
    with pytest.raises(SystemExit):
        made.encode(PROMPTS)
    dies.clear()
    made.again()
    assert made.encode(PROMPTS) == (4, 0, {})
    assert made.encoded == 4


def test_a_prompt_is_not_blamed_for_deaths_while_its_text_is_written(made, monkeypatch):
    put = type(made.store).put
    for _ in range(2):
        monkeypatch.setattr(type(made.store), "put", lambda *_: _raise(SystemExit(137)))
        with pytest.raises(SystemExit):
            made.encode(PROMPTS)
        made.again()
    monkeypatch.setattr(type(made.store), "put", put)
    assert made.encode(PROMPTS) == (4, 0, {})


def test_a_prompt_that_the_encoder_fails_on_is_reported_and_the_others_go_on(made, monkeypatch):
    original = KolorsText.encode
    monkeypatch.setattr(KolorsText, "encode", lambda self, p: 1 / 0 if p == "boom" else original(self, p))
    assert made.encode(PROMPTS) == (4, 0, {made.path("boom"): "internal"})
    assert len(made.stored) == 3


def test_an_encoder_that_fails_on_everything_ends_the_run_and_not_every_row(made, monkeypatch):
    calls = []
    monkeypatch.setattr(KolorsText, "encode", lambda _self, prompt: calls.append(prompt) or 1 / 0)
    with pytest.raises(RunError, match="recipe kolors failed on 20 prompts") as caught:
        made.encode([f"prompt {number}" for number in range(50)])
    assert caught.value.exit_code == Exit.TOO_MANY_FAILED
    assert len(calls) == 20


def test_a_recipe_of_another_family_is_encoded_as_it_reads_prompts(tmp_path):
    plain = Recipe(name="sdxl", base=Base(kind="sdxl", weights="tiny:sdxl", dtype="float32", text="ahead"))
    found = {}
    for recipe in (plain, dataclasses.replace(plain, prompt_syntax="weighted")):
        made = Texts(tmp_path, {"sdxl": weights.identity(recipe, cache=None)}, recipe)
        assert made.encode(["a (red:1.5) coat"]) == (1, 0, {})
        found[recipe.prompt_syntax] = Text.from_bytes(made.store.get(made.path("a (red:1.5) coat")))
        inline = bases.load(recipe.base)
        inline.prompts = Reading.of(recipe)
        inline.place(torch.device("cpu"))
        with torch.inference_mode():
            assert torch.equal(found[recipe.prompt_syntax].whole(), inline.encode("a (red:1.5) coat").embeddings)
    assert not torch.equal(found["plain"].embeddings, found["weighted"].embeddings)


def test_a_device_that_is_full_for_a_moment_is_waited_for(made, monkeypatch):
    load, pauses = text_actor.load_encoder, []
    full = [RuntimeError("CUDA out of memory. Tried 12 GiB")]
    monkeypatch.setattr(text_actor, "load_encoder", lambda *a: _raise(full.pop()) if full else load(*a))
    monkeypatch.setattr(text_actor.time, "sleep", pauses.append)
    assert made.encode(PROMPTS[:1]) == (1, 0, {})
    assert len(pauses) == 1


def test_no_memory_for_one_prompt_is_none_for_all(made, monkeypatch):
    monkeypatch.setattr(KolorsText, "encode", lambda *_: _raise(RuntimeError("CUDA out of memory. Tried 2 GiB")))
    with pytest.raises(RunError, match="memory of cpu") as caught:
        made.encode(PROMPTS)
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_a_stop_leaves_what_is_not_begun(made, monkeypatch):
    original = KolorsText.encode

    def encode(self, prompt):
        made.monitor.request_stop("test")
        return original(self, prompt)

    monkeypatch.setattr(KolorsText, "encode", encode)
    assert made.encode(PROMPTS) == (4, 3, {})
    assert made.encode(["another"], "1") == (1, 1, {})
    assert made.stored == {encoded_prompts.digest(PROMPTS[0])}


def test_a_store_that_is_away_for_a_while_costs_time_and_for_good_the_run(made, monkeypatch):
    put, tries = type(made.actor._store).put, []

    def away(self, path, data, **more):
        tries.append(path)
        if len(tries) < 3:
            raise StoreError("the store answered 503")
        put(self, path, data, **more)

    monkeypatch.setattr(text_actor, "_PAUSE_S", 0.01)
    monkeypatch.setattr(type(made.actor._store), "put", away)
    assert made.encode(["a red coat"]) == (1, 0, {})
    assert len(tries) == 3
    monkeypatch.setattr(text_actor, "PUT_PATIENCE_S", 0.0)
    tries.clear()
    with pytest.raises(StoreError, match="503"):
        made.encode(["another"], "1")


def test_another_text_encoder_on_this_node_is_refused(tmp_path, identities):
    other = {"kolors": {**identities["kolors"], "text": "0" * 64}}
    with pytest.raises(RunError, match="text on") as caught:
        Texts(tmp_path, other).encode(PROMPTS)
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_an_actor_that_ends_lets_go_of_its_encoder(made, monkeypatch):
    given_back = []
    made.encode(PROMPTS)
    monkeypatch.setattr(text_actor, "give_back_memory", given_back.append)
    made.actor = None
    assert given_back == [torch.device("cpu")]


def _raise(error):
    raise error


def picture(number, prompt):
    state = {"status": "", "code": "", "detail": "", "stage": ""}
    return {
        "shard": "s", "key": f"{number:032x}", "position": number, "image_index": 0, "attempt": 1, "replaces": "",
        "recipe_hash": "h", "load_group": "g", "bucket": "b", "carried": "{}", **state, "row_id": f"r{number}",
        "recipe": "kolors", "prompt": prompt, "negative_prompt": None, "num_images": 1, "seed": number, "width": 64,
        "height": 64, "num_inference_steps": 2, "scheduler": "euler", "guidance_scale": 5.0, "output_format": "png",
        "lora_scale": 1.0,
    }  # fmt: skip


def sample(made, prompts, failed):
    settings = SamplerSettings(sampling=SamplingConfig(num_gpus=0), images=ImagesConfig(), failed_texts=failed)
    pictures = [picture(number, prompt) for number, prompt in enumerate(prompts)]
    SamplerActor(made.run, settings, made.monitor)(pa.Table.from_pylist(pictures, schema=ANALYSED))
    return {row["prompt"]: row for row in dataset(made.store).to_table().to_pylist()}


def test_the_sampling_actor_encodes_nothing_and_a_missing_text_costs_its_own_row(made, monkeypatch):
    made.encode(PROMPTS)
    made.store.delete([made.path("boom")])
    monkeypatch.setattr(KolorsText, "load", lambda *_: pytest.fail("the text encoder beside the UNet"))
    ledger = sample(made, [*PROMPTS[:3], "crashed"], {made.path("crashed"): "worker_crashed"})
    codes = {prompt: (row["status"], row["code"], row["retriable"]) for prompt, row in ledger.items()}
    assert codes == {
        "a red coat": ("ok", "", False),
        "红色大衣": ("ok", "", False),
        "boom": ("failed", "text_missing", True),
        "crashed": ("failed", "worker_crashed", False),
    }
    assert made.path("boom") in ledger["boom"]["detail"]
    counts = Counter(made.monitor.progress().counts)
    assert counts["prompt_encodings"] == 4, "those of the text actor alone"
    assert counts["texts_read"] >= 3


def test_a_recipe_that_encodes_inline_needs_no_texts(made, identities):
    inline = dataclasses.replace(RECIPE, base=dataclasses.replace(RECIPE.base, text="inline"))
    made.run = dataclasses.replace(made.run, recipes={"kolors": inline})
    assert sample(made, ["a red coat"], {})["a red coat"]["status"] == "ok"
    assert made.monitor.progress().counts["prompt_encodings"] == 2, "the prompt and the empty negative one"
    assert not made.stored
