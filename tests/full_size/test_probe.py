"""What the rehearsal measures, on the tiny weights; the gigabytes themselves are for `make rehearsal`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from idgen.full_size import rehearsal

ROOT = Path(__file__).parents[2]
ALONE = {
    "load_s": 12.3, "weights": 8e9, "weights_mapped": 5e9, "private_peak": 4e9, "resident_loaded": 7e9, "step_s": 2.5,
    "step_gflop": 806.0,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "what"), [("faceid-sdxl", "sampler"), ("kolors-faceid-plus", "texts")])
def test_a_probe_tells_sizes_times_and_what_it_shares(recipe, what):
    done = subprocess.run(
        [sys.executable, "-m", "idgen.full_size.probe", recipe, what, "configs/tiny.yaml"],
        cwd=ROOT, input="share\n", stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found, later = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert found["finite"] == 1
    assert 0 < found["weights"] < 100e6
    if what == "sampler":  # the tiny text encoder is cast from float16, so none of it stays mapped
        assert 0 < found["weights_mapped"] < found["weights"]
    assert found["private_peak"] >= found["private_loaded"]
    assert found["resident_peak"] >= found["resident_loaded"] > found["weights"]
    assert later["pss"] > 0
    if what == "sampler":
        assert found["step_gflop"] > 0.1


@pytest.mark.slow
def test_a_row_of_the_table_has_a_cell_for_every_title():
    job = {"private": {"sampling": 5e9, "texts": 13e9}}
    found = {"recipe": "r", "disk": 9e9, "listed_gb": 9.0, "alone": ALONE, "job": job, "peak_over_weights": 1.125}
    head, line, row = *rehearsal.titles(), rehearsal.row(found)
    assert head.count("|") == line.count("|") == row.count("|")
    assert row.startswith("| r | 9.00 | 9.00 | 12 s | 8.00 | 5.00 | 4.00 | 1.12 | 7.00 | 5.00 | 13.00 | 2.5 s | 806 |")


@pytest.mark.slow
def test_the_promise_counts_own_memory_at_its_peak_and_mapped_weights_over_all_weights():
    assert rehearsal._over(ALONE) == pytest.approx(9 / 8)
