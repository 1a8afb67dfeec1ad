"""The text actor: one block of prompts in, a file per prompt in the store, one count row out.

A text encoder of 12.5 GB need not sit beside a UNet that is busy all night. These actors encode what the plan asks for
and end; only then sampling begins. Every prompt is one PUT, and a prompt that is there is not encoded again.
"""

import faulthandler
import logging
import os
import time
from collections.abc import Mapping

import pyarrow as pa
import ray
import torch

from idgen import weights
from idgen.actors.facts import RunFacts, TextSettings, device_of
from idgen.actors.held_gpus import HeldGpus
from idgen.actors.lost_device import end_if_lost
from idgen.actors.monitor import Monitor
from idgen.actors.recipe_faults import RecipeFaults
from idgen.errors import Code, Exit, RowError, RunError
from idgen.machine_faults import is_shortage
from idgen.manifest.prompts import TextBlock
from idgen.outputs import encoded_prompts
from idgen.recipes.recipe import Recipe
from idgen.sampling.bases import load_encoder
from idgen.sampling.families.protocol import TextEncoder
from idgen.sampling.memory import give_back_memory
from idgen.sampling.prompt_pieces import Reading
from idgen.schemas import TEXT_COUNTS
from idgen.stores.protocol import StoreError

PUT_PATIENCE_S = 300.0
"""How long the store may be away before the run ends over it: the retries inside one PUT last seconds."""
_PAUSE_S = 5.0
ROOM_PATIENCE_S = 60.0
"""How long the device may be full when an encoder is to be loaded: a sampling process that was ended takes seconds."""
FAILURES_IN_A_ROW = 20
"""So many prompts without a good one are the encoder's fault, not theirs."""

log = logging.getLogger(__name__)


class TextActor:
    """Plain class; pipeline.py gives it to Ray Data. Raises StoreError when the store stays away."""

    def __init__(self, run: RunFacts, settings: TextSettings, monitor: Monitor) -> None:
        self._gpus = HeldGpus(settings.texts.num_gpus or 0)
        self._faults = RecipeFaults(monitor)
        self._loaded = ""
        self._encoder: TextEncoder | None = None
        self._failures = 0  # since the last good prompt
        self._run = run
        self._settings = settings
        self._monitor = monitor
        self._device = device_of(settings.device, settings.texts.num_gpus or 0)
        self._store = run.open("texts")

    def __call__(self, item: pa.Table) -> pa.Table:
        """Encode the prompts of the TextBlock that `item` (one row) is, as far as they are not stored."""
        block = TextBlock(**item.to_pylist()[0])
        orders = self._monitor.begin_shard("texts", block.name)
        failed: dict[str, str] = {}
        prompts = [] if orders.stop else block.prompts
        left = len(block.prompts) - len(prompts)
        for at, prompt in enumerate(prompts):
            digest = encoded_prompts.digest(prompt)
            path = encoded_prompts.path(block.encoder, digest)
            if digest in orders.given_up:
                failed[path] = Code.WORKER_CRASHED
                continue
            if orders.shard_try and self._store.head(path):
                continue  # the worker that died had it
            try:
                encoder = self._load(block.encoder)
            except RowError as error:  # the rows of the recipes that have it fail, those of others are made
                digests = [encoded_prompts.digest(prompt) for prompt in prompts[at:]]
                failed |= {encoded_prompts.path(block.encoder, digest): error.code for digest in digests}
                break
            if self._monitor.begin("texts", block.name, [digest]):
                left = len(prompts) - at
                break
            if data := self._encode(encoder, prompt, block.name):
                self._put(path, data)
                self._monitor.count({"prompt_encodings": 1})
                self._failures = 0
            else:
                failed[path] = Code.INTERNAL
                self._fail(block.encoder)
        self._monitor.end_shard("texts", block.name, self._gpus.counts())
        return _counts(block, left, failed)

    def __del__(self) -> None:
        """Give the device's memory back before the process ends; Ray Data drops its actors' objects first."""
        self._drop()

    def _encode(self, encoder: TextEncoder, prompt: str, block: str) -> bytes:
        """Return what is stored of a prompt, b"" where the encoder fails on it; ends the attempt that was marked."""
        faulthandler.dump_traceback_later(self._settings.texts.deadline_s, exit=True)
        try:
            return encoder.encode(prompt).to_bytes()
        except Exception as error:
            end_if_lost(error, log)
            if is_shortage(error):  # every prompt takes as much
                raise RunError(
                    Exit.UNAVAILABLE, f"encoding a prompt does not fit the memory of {self._device}"
                ) from error
            log.exception("a prompt of block %s cannot be encoded", block)
            return b""
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._monitor.end("texts", block)

    def _fail(self, name: str) -> None:
        """Count a prompt that could not be encoded. Raises RunError when it is no use to go on."""
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise RunError(
                Exit.TOO_MANY_FAILED,
                f"the text encoder of recipe {self._settings.encoders[name]} failed on {self._failures} prompts in a "
                "row; see the run's logs",
            )

    def _put(self, path: str, data: bytes) -> None:
        """Write a text, again and again for minutes. Raises the last StoreError."""
        ends_at = time.monotonic() + PUT_PATIENCE_S
        while True:
            try:
                return self._store.put(path, data)
            except StoreError as error:
                if time.monotonic() > ends_at:
                    raise
                log.warning("%s not written yet, trying again: %s", path, error)
                time.sleep(_PAUSE_S)

    def _load(self, name: str) -> TextEncoder:
        if self._encoder is None or self._loaded != name:
            self._faults.refuse_known(name)
            self._drop()
            recipe = self._run.recipes[self._settings.encoders[name]]
            found = weights.text_identity(recipe, cache=weights.hash_cache())
            weights.check_node(recipe, found, self._run.identities[recipe.name])
            with self._faults.told(name):
                self._encoder = self._read(recipe)
            self._loaded = name
            self._monitor.count({"text_loads": 1})
        return self._encoder

    def _read(self, recipe: Recipe) -> TextEncoder:
        """Read the encoder; waits a while for a device that is full."""
        ends_at = time.monotonic() + ROOM_PATIENCE_S
        while True:
            try:
                return load_encoder(recipe.base, self._device, Reading.of(recipe))
            except Exception as error:
                if not is_shortage(error) or time.monotonic() > ends_at:
                    raise
                log.warning("no room for the text encoder yet: %s", type(error).__name__)
            # outside of `except`, where the error's frames would keep the half that was read alive
            give_back_memory(torch.device(self._device))
            time.sleep(_PAUSE_S)

    def _drop(self) -> None:
        """Let go of the loaded encoder before the next one comes: two do not fit."""
        if self._encoder is not None:
            self._encoder = None
            give_back_memory(torch.device(self._device))


def _counts(block: TextBlock, left: int, failed: Mapping[str, str]) -> pa.Table:
    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
    values = (block.name, len(block.prompts), left, list(failed.items()), node, os.getpid())
    columns = [pa.array([value], field.type) for value, field in zip(values, TEXT_COUNTS, strict=True)]
    return pa.table(columns, schema=TEXT_COUNTS)
