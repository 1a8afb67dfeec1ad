"""Chapters of prompts that are encoded ahead: whoever encoded one is gone before anything else begins. No Ray here."""

from types import SimpleNamespace

import pytest

from idgen.actors.monitor import MonitorState
from idgen.driver import prompts_ahead
from idgen.manifest.prompts import TextBlock

BLOCKS = [TextBlock(f"{number}", "glm-float16", [f"look {number}", f"other {number}"]) for number in range(5)]


@pytest.fixture
def steps(monkeypatch):
    """What happens, in order: rounds of two blocks by their names, and the processes that are waited for."""
    told = []

    def encode(one_round, _settings, _pool, line):
        told.append([block.name for block in one_round])
        for block in one_round:
            if block.name == "4":
                line.monitor.request_stop("test")
            failed = [(f"texts/{block.name}", "internal")] if block.name in "13" else []
            yield {"rows": 2, "left": 0, "failed": failed, "node": "n", "pid": int(block.name) // 2}

    monkeypatch.setattr(prompts_ahead, "BLOCKS_PER_ROUND", 2)
    monkeypatch.setattr(prompts_ahead.pipeline, "encode", encode)
    monkeypatch.setattr(prompts_ahead.cluster, "wait_for_end", lambda workers: told.append(set(workers)))
    return told


def encode(blocks):
    return prompts_ahead._encode(iter(blocks), None, None, SimpleNamespace(monitor=MonitorState(0)))


def test_the_actors_of_a_round_are_gone_before_the_next_one_loads_and_before_sampling(steps):
    assert encode(BLOCKS[:4]) == {"texts/1": "internal", "texts/3": "internal"}
    assert steps == [["0", "1"], {("n", 0)}, ["2", "3"], {("n", 1)}]


def test_nobody_waits_when_the_run_was_asked_to_stop(steps):
    encode([BLOCKS[0], BLOCKS[4], *BLOCKS[1:4]])
    assert steps == [["0", "4"]]
