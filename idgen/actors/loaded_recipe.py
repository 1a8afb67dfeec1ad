"""The recipe that a sampling actor holds: one at a time, loaded when a shard of another load group comes."""

import time
from collections import Counter
from dataclasses import asdict

from idgen import weights
from idgen.actors.facts import RunFacts, SamplerSettings, device_of
from idgen.actors.monitor import Monitor
from idgen.actors.recipe_faults import RecipeFaults
from idgen.outputs.encoded_prompts import encoder_of
from idgen.sampling.memory import give_back_memory
from idgen.sampling.sampler import Sampler
from idgen.sampling.texts import StoredTexts
from idgen.schemas import PictureRow
from idgen.stores.protocol import ObjectStore


class LoadedRecipe:
    """The sampler of the newest load group that was asked for, and what all samplers so far did."""

    def __init__(self, run: RunFacts, settings: SamplerSettings, monitor: Monitor, store: ObjectStore) -> None:
        """`store` holds the texts that were encoded ahead."""
        self._run = run
        self._settings = settings
        self._store = store
        self._faults = RecipeFaults(monitor)
        self._load_group = ""
        self._sampler: Sampler | None = None
        self._texts_ahead = False
        self._work: Counter[str] = Counter()  # of samplers that were dropped, and the loads

    @property
    def sampler(self) -> Sampler | None:
        """What is loaded now."""
        return self._sampler

    def get(self, row: PictureRow) -> Sampler:
        """Return the sampler for pictures of the row's load group; another one is dropped first.

        Raises RowError(WEIGHTS_UNUSABLE) when the recipe's files cannot be used, RunError when this node lacks them or
        has others than the driver.
        """
        if self._sampler is None or self._load_group != row["load_group"]:
            self._faults.refuse_known(row["load_group"])
            self._drop()
            self._sampler = self._load(row)
            self._load_group = row["load_group"]
        return self._sampler

    def _load(self, row: PictureRow) -> Sampler:
        sampling = self._settings.sampling
        recipe = self._run.recipes[row["recipe"]]
        found = weights.model_identity(recipe, cache=weights.hash_cache())
        weights.check_node(recipe, found, self._run.identities[recipe.name])
        encoder = encoder_of(recipe, self._run.identities)
        started_s = time.monotonic()
        self._texts_ahead = bool(encoder)
        with self._faults.told(row["load_group"]):
            sampler = Sampler.load(
                recipe,
                lora_scale=row["lora_scale"],
                device=device_of(sampling.device, sampling.num_gpus),
                compile=sampling.compile,
                texts=StoredTexts(self._store, encoder, self._settings.failed_texts) if encoder else None,
            )
        self._work.update(loads=1, load_ms=round(1000 * (time.monotonic() - started_s)))
        return sampler

    def _drop(self) -> None:
        """Let go of the loaded recipe before the next one comes: two do not fit."""
        if self._sampler is not None:
            self._work.update(self._done(self._sampler))
            device = self._sampler.device
            self._sampler.release()
            self._sampler = None
            give_back_memory(device)

    def work_counts(self) -> Counter[str]:
        """Return what was loaded and done so far."""
        work = Counter(self._work)
        if self._sampler is not None:
            work.update(self._done(self._sampler))
        return work

    def _done(self, sampler: Sampler) -> dict[str, int]:
        """What the loaded recipe did so far. Where texts were made ahead, looking one up is no encoding."""
        work: dict[str, int] = asdict(sampler.counts)
        if self._texts_ahead:
            work["texts_read"] = work.pop("prompt_encodings")
        return work
