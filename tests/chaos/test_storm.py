"""Samplers, face actors, monitor, driver and a whole node killed at seeded moments: nothing lost, nothing twice.

The cluster claims GPUs, every part is the product's own but the networks. The first form is short.
"""

import sys
from collections import Counter

import pytest
from doubles.gpu_cluster import gpu_cluster
from doubles.storm import BATCH_ROWS, IN_HAND, Storm, images


@pytest.fixture(scope="module")
def cluster():
    with gpu_cluster((2, 1)) as made:
        yield made


SHORT = pytest.param(200, 20, 6, 0.5, marks=[pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(900)])
LONG = pytest.param(2000, 100, 30, 0.25, marks=[pytest.mark.cluster, pytest.mark.chaos, pytest.mark.timeout(3600)])


@pytest.mark.parametrize(("count", "photos", "kills", "quick_s"), [SHORT, LONG])
def test_after_a_storm_every_picture_is_there_once_with_the_bytes_of_a_calm_run(
    cluster, tmp_path, count, photos, kills, quick_s
):
    shop = Storm(tmp_path, cluster, count, photos, quick_s)
    calm = tmp_path / "calm"
    calm.mkdir()
    expected = shop.undisturbed(calm)
    assert len(expected) == count

    shop.run_through(seed=7, kills=kills, every_s=(0.5, 2.0))
    assert shop.kills.total() >= kills // 2, shop.kills
    assert Counter(shop.statuses().values()) == {"ok": count}
    assert len(shop.ledger()) == count, "one row each"
    assert images(shop) == expected
    sys.stderr.write(f"{dict(shop.kills)} killed: {count} pictures, 0 lost, 0 twice, {shop.repeated()} sampled again\n")
    assert shop.repeated() <= shop.kills.total() * 2 * BATCH_ROWS * IN_HAND
