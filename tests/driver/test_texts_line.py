"""Prompts that are encoded ahead, on real clusters: once each, over kills and stops, by processes that end first."""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from doubles.catalogue import Catalogue

from idgen.outputs.encoded_prompts import digest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ALONE = "texts.num_cpus=2"
"""Text actors that take the whole cluster: with one of them alive nothing else gets a CPU."""
QUICK = ["overrides.kolors.defaults.num_inference_steps=2", "sampling.batch_size=2", "planner.shard_seconds=4"]


class Shop(Catalogue):
    """A catalogue of pictures by Kolors, and what its workers' logs say."""

    def __init__(self, folder):
        super().__init__(folder)
        self.log = folder / "texts.log"

    def write(self, prompts):
        super().write([{"row_id": f"r{i}", "recipe": "kolors", "prompt": prompt} for i, prompt in enumerate(prompts)])

    def faults(self, **texts):
        return {"texts": {"log": str(self.log), **texts}}

    def stop_when(self, process, encoded, timeout_s=200):
        """SIGTERM the driver once that many prompts were begun; return what it printed."""
        deadline = time.monotonic() + timeout_s
        while not self.log.exists() or sum(self.encoded.values()) < encoded:
            assert process.poll() is None, process.stdout.read()[-6000:]
            assert time.monotonic() < deadline, "nothing was encoded in time"
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        return process.communicate(timeout=timeout_s)[0]

    @property
    def encoded(self):
        """Digest -> how often somebody began to encode that prompt."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        assert not [line for line in lines if line[0] == "beside"], "a text actor lives while pictures are sampled"
        return Counter(line[2] for line in lines)

    @property
    def texts(self):
        return sorted(path.stem for path in Path(self.output, "texts").rglob("*.safetensors"))


def once(*prompts):
    return {digest(prompt): 1 for prompt in prompts}


def test_stopped_while_encoding_then_killed_while_sampling_no_prompt_is_encoded_twice(tmp_path):
    shop = Shop(tmp_path)
    prompts = [f"一件红色大衣 number {i}" for i in range(6)]
    shop.write(prompts)
    process = shop.start(ALONE, *QUICK, faults=shop.faults(sleep_s=2))
    text = shop.stop_when(process, encoded=3)
    assert process.returncode == 5, text
    assert "encoding prompts ahead: " in text
    assert not shop.ledger()
    assert 3 <= len(shop.texts) < 7
    assert sum(shop.encoded.values()) == len(shop.texts)

    process = shop.start(ALONE, *QUICK, faults={**shop.faults(), "sleep_s": 1})
    shop.kill_when(process, published=2)
    assert shop.encoded == once("", *prompts)
    assert len(shop.texts) == 7

    shop.run(ALONE, *QUICK, faults=shop.faults())
    assert set(shop.statuses().values()) == {"ok"}
    assert shop.encoded == once("", *prompts), "nothing again"
    work = shop.summary()["work"]
    assert "prompt_encodings" not in work
    assert work["texts_read"] > 0
    assert not shop.texts, "a run that went well leaves none"


def test_a_prompt_that_kills_its_worker_costs_its_own_rows_and_is_not_tried_for_ever(tmp_path):
    shop = Shop(tmp_path)
    shop.write(["a", "boom", "c", "d", "boom"])
    shop.run(ALONE, *QUICK, "sampling.keep_texts=true", faults=shop.faults(die_on=["boom"]))
    results = shop.results()
    assert {row["code"] for row in results.values() if row["prompt"] == "boom"} == {"worker_crashed"}
    assert Counter(row["status"] for row in results.values()) == {"ok": 3, "failed": 2}
    assert shop.encoded == {**once("", "a", "c", "d"), digest("boom"): 2}
    summary = shop.summary()
    assert summary["worker_deaths"] == 2
    assert summary["work"]["prompt_encodings"] == 4
    assert shop.texts == sorted(once("", "a", "c", "d"))
    assert "nothing to do" in shop.run(*QUICK)
    assert not shop.texts, "of recipes that the manifest names"
