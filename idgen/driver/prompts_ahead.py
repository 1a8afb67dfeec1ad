"""The driver's side of encoding prompts ahead: encodes what is missing, and ends the actors before it returns."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from idgen import pipeline
from idgen.actors import cluster
from idgen.actors.facts import TextSettings
from idgen.actors.pool_sizes import Pool
from idgen.driver.line_results import collect_results
from idgen.driver.progress_display import ProgressDisplay
from idgen.driver.setup import Run
from idgen.driver.watch import StopRequest
from idgen.manifest.planner import RETRIES
from idgen.manifest.prompts import TextBlock, text_blocks, write_prompts
from idgen.outputs.encoded_prompts import encoder_of, stored

BLOCKS_PER_ROUND = 2000
"""128,000 prompts: Ray holds them all at a time, and every round loads the encoder again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """What was done before a pass."""

    failed: dict[str, str] = field(default_factory=dict)
    """Path of a text that could not be made -> code, for the rows that want it."""
    seconds: float = 0.0


def encode_ahead(run: Run, chosen: str, line: pipeline.Line, stop: StopRequest, shown: ProgressDisplay) -> Ahead:
    """Encode the prompts of a pass that recipes want encoded ahead and the store lacks; mostly there are none.

    `chosen` is planner.TO_MAKE or .RETRIES. Raises RunError and StoreError.
    """
    recipes, identities = line.run.recipes, line.run.identities
    encoders = {name: encoder for name in recipes if (encoder := encoder_of(recipes[name], identities))}
    if not encoders:
        return Ahead()
    memory_mb = run.config.planner.memory_mb
    there = partial(stored, run.store)
    prompts = write_prompts(recipes, encoders, chosen, there, run.scratch, memory_mb)
    if not prompts:
        return Ahead()
    pool = cluster.text_pool(run.config, prompts, line.pool_state, stop.check)
    settings = TextSettings(
        texts=replace(run.config.texts, num_gpus=pool.gpus),
        device=run.config.sampling.device,
        encoders={encoder: name for name, encoder in encoders.items()},
    )
    started_s = time.monotonic()
    with shown.encoding(prompts, line.monitor.progress()):
        failed = _encode(text_blocks(run.scratch, "again-" if chosen == RETRIES else ""), settings, pool, line)
    seconds = time.monotonic() - started_s
    return Ahead(failed=failed, seconds=seconds)


def _encode(blocks: Iterator[TextBlock], settings: TextSettings, pool: Pool, line: pipeline.Line) -> dict[str, str]:
    """Run the line of prompts, return the texts that could not be made.

    After each round its actors are gone: neither the next ones nor the sampling actors fit beside them.
    """
    failed: dict[str, str] = {}
    while not line.monitor.stopping() and (one_round := list(islice(blocks, BLOCKS_PER_ROUND))):
        planned = sum(len(block.prompts) for block in one_round)
        done = collect_results(pipeline.encode(one_round, settings, pool, line), planned, line)
        for block in done:
            failed |= dict(block["failed"])
        if not line.monitor.stopping():
            cluster.wait_for_end({(block["node"], block["pid"]) for block in done})
    return failed
