"""Long runs under repeated kills: `make chaos`. The short form of each stands in test_deaths.py and runs in CI."""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from doubles.catalogue import Catalogue, rows
from doubles.storm import TITLES, processes

pytestmark = [pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(3600)]


def test_actors_killed_every_few_seconds_lose_and_repeat_nothing(tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(96))
    log = tmp_path / "attempts"
    dice, kills = random.Random(1), 0
    process = shop.start("sampling.batch_size=4", "planner.shard_seconds=16", faults={"log": str(log), "sleep_s": 0.2})
    text = []
    reader = threading.Thread(target=lambda: text.append(process.stdout.read()))
    reader.start()
    published = 0
    while process.poll() is None:
        time.sleep(dice.uniform(1, 4))
        victims = [pid for stage in ("sampler", "faces") for pid in processes(TITLES[stage], str(log))]
        if victims and len(shop.ledger()) > published:  # an actor that is still loading was killed before
            published = len(shop.ledger())
            os.kill(dice.choice(victims), signal.SIGKILL)
            kills += 1
    reader.join()
    assert process.returncode == 0, text[0][-4000:]
    assert kills >= 3
    assert Counter(shop.statuses().values()) == {"ok": 96}
    assert len(shop.ledger()) == 96
    attempts = sum(Counter(log.read_text().split()).values())
    assert attempts <= 96 + kills * 4 * 4, f"{kills} kills, {attempts} attempts"
    sys.stderr.write(f"{kills} kills, {attempts} attempts for 96 pictures\n")


def test_a_driver_killed_at_ever_other_points_ends_with_every_picture_once(tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(48))
    words = ("sampling.batch_size=2", "planner.shard_seconds=8")
    for point in (1, 7, 15, 24, 40):
        process = shop.start(*words, faults={"sleep_s": 0.2})
        shop.kill_when(process, published=point)
    shop.run(*words)
    assert Counter(shop.statuses().values()) == {"ok": 48}
    assert len(shop.ledger()) == 48
    assert len(list(Path(shop.output, "images").rglob("*.png"))) == 48
    assert set(shop.results()) == {row["row_id"] for row in rows(48)}
