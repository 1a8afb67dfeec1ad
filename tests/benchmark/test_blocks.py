"""A block that fails, hangs or dies costs only itself; real processes do so here."""

import json
import os
import resource
import sys
import time

import pytest

from idgen.benchmark import ahead, speed
from idgen.benchmark.budget import Budget
from idgen.benchmark.figures import Document, Speed, SpeedFigures
from idgen.benchmark.job import NotRun
from idgen.benchmark.processes import BlockError, check, run
from idgen.benchmark.recipes import load
from idgen.benchmark.script import Task, run_blocks, run_script
from idgen.config import BenchmarkConfig
from idgen.errors import Exit, RunError
from idgen.full_size.sets import PARTS

LIVES = "import sys,os,subprocess,time;c=subprocess.Popen([sys.executable,'-c','import time;time.sleep(60)']);"
CHILD = f"{LIVES}open(sys.argv[1],'w').write(str(c.pid));time.sleep(60)"


def python(code, seconds, *words):
    ended = run([sys.executable, "-c", code, *map(str, words)], seconds)
    check(ended, "it")
    return ended


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] == "Z"


def test_a_process_that_hangs_ends_with_its_children(tmp_path):
    start = time.monotonic()
    with pytest.raises(BlockError, match="was not done after 2 s"):
        python(CHILD, 2, tmp_path / "pid")
    assert time.monotonic() - start < 30
    child = int((tmp_path / "pid").read_text())
    while not gone(child) and time.monotonic() - start < 50:  # by itself it would end after 60 s
        time.sleep(0.1)
    assert gone(child)


def test_one_that_does_not_end_on_ctrl_c_is_killed():
    with pytest.raises(BlockError, match="was not done"):
        python("import signal,time;signal.signal(2,signal.SIG_IGN);time.sleep(60)", 1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no such thing')", "it ended with 1: ValueError: no such thing"),
        ("import os,signal;print('so far',flush=True);os.kill(os.getpid(),9)", "it was killed by signal 9: so far"),
    ],
)
def test_why_it_failed_is_one_line(code, words):
    with pytest.raises(BlockError) as error:
        python(code, 30)
    assert str(error.value) == words


def document():
    return Document(device="cpu", size="tiny", budget_s=60.0, started_at="", git_commit="")


def test_each_block_costs_only_itself_and_the_file_tells_so_far_after_each(tmp_path):
    made, path, seen = document(), tmp_path / "figures.json", []

    def good(_budget, keep):
        seen.append({name: block["state"] for name, block in json.loads(path.read_text())["blocks"].items()})
        made.blocks["job"].figures.steps = 7
        keep()
        assert json.loads(path.read_text())["blocks"]["job"]["figures"]["steps"] == 7

    def bug(_budget, _keep):
        raise RuntimeError("first line\nsecond line")

    def not_here(_budget, _keep):
        raise NotRun("nothing to run it with")

    tasks = {
        "door": Task(1, lambda _budget, _keep: python("import os,signal;os.kill(os.getpid(),11)", 30)),
        "correctness": Task(1, lambda _budget, _keep: python("import time;time.sleep(60)", 1)),
        "speed": Task(1, bug),
        "job": Task(1, good),
        "gpu_tests": Task(1, not_here),
    }
    lines = []
    run_blocks(tasks, made, Budget(60), path, lines.append)
    written = json.loads(path.read_text())
    told = {name: (block["state"], block["reason"]) for name, block in written["blocks"].items()}
    assert told == {
        "door": ("failed", "it was killed by signal 11: "),
        "correctness": ("failed", "was not done after 1 s"),
        "speed": ("failed", "RuntimeError: first line"),
        "job": ("done", ""),
        "gpu_tests": ("not run", "nothing to run it with"),
    }
    assert seen == [
        {"door": "failed", "correctness": "failed", "speed": "failed", "job": "not run", "gpu_tests": "not run"}
    ]
    assert "gpu_tests: nothing to run it with" in written["not_run"]
    assert "job: on a GPU" in written["not_run"]
    assert len(lines) == len(tasks)
    assert all(block["seconds"] >= 0 for block in written["blocks"].values())


def test_what_was_not_asked_for_stands_under_not_run(tmp_path):
    made, path = document(), tmp_path / "figures.json"
    run_blocks({"job": Task(1, lambda _budget, _keep: None)}, made, Budget(60), path, print)
    written = json.loads(path.read_text())
    assert "speed: not asked for" in written["not_run"]
    assert written["blocks"]["speed"]["figures"]["recipes"]["instantid"]["plain"]["images_per_s"] is None


@pytest.mark.slow
def test_a_recipe_that_fails_costs_only_its_own_figures(tmp_path):
    figures, kept = Speed(recipes={name: SpeedFigures() for name in ("nobody", "faceid-plusv2-sd15")}), []
    with pytest.raises(BlockError, match="nobody the measuring process ended with 1: KeyError: 'nobody'"):
        speed.measure(figures, "cpu", "tiny", ahead.Weights(), Budget(300), lambda: kept.append(1))
    assert "KeyError" in figures.recipes["nobody"].error
    assert figures.recipes["faceid-plusv2-sd15"].error is None
    assert figures.recipes["faceid-plusv2-sd15"].compiled.images_per_s > 0
    assert len(kept) == 2


@pytest.mark.slow
def test_who_writes_weights_ahead_ends_with_the_blocks(tmp_path):
    with ahead.written_ahead(["faceid-sdxl"], tmp_path) as weights:
        assert weights.child.poll() is None
    assert weights.child.poll() is not None


@pytest.mark.slow
def test_weights_are_there_once_nobody_writes_any_more_and_texts_that_run_ahead_take_no_room(tmp_path):
    names = ["kolors-faceid-plus", "faceid-plusv2-sd15"]
    with ahead.written_ahead(names, tmp_path, fill=False) as weights:
        first = weights.get(names[0], 240)
        assert weights.child.poll() == 0
        assert load(names[0], first.words, "float16").base.weights == str(tmp_path / PARTS["kolors_without_texts"][0])
        assert weights.get(names[1], 0).seconds > 0
        with pytest.raises(BlockError, match="no weights were written for instantid"):
            weights.get("instantid", 0)


@pytest.mark.slow
def test_who_is_late_with_weights_is_ended_and_costs_those_that_need_them(tmp_path):
    with ahead.written_ahead(["faceid-sdxl"], tmp_path) as weights:
        with pytest.raises(BlockError, match="writing weights was not done after 0 s more"):
            weights.get("faceid-sdxl", -1)
        assert weights.child.poll() is not None


@pytest.mark.slow
def test_a_disk_without_room_is_told_in_one_line_and_no_half_file_stays(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with ahead.written_ahead(["faceid-plusv2-sd15"], tmp_path) as weights:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            with pytest.raises(BlockError) as error:
                weights.get("faceid-plusv2-sd15", 240)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(error.value) == "writing weights ended with 1: OSError: [Errno 27] File too large"
    assert list(tmp_path.iterdir()) == []


def test_what_a_block_leaves_goes_to_those_after_it():
    whole = Budget(100)
    assert whole.part(1, [3]).left_s == pytest.approx(25, abs=1)
    assert whole.part(1).left_s == pytest.approx(100, abs=1)
    assert Budget(0).part(1, [1]).left_s == 0


def test_a_block_whose_time_is_gone_starts_nothing(tmp_path):
    with pytest.raises(BlockError, match="no time was left"):
        python("open(__import__('sys').argv[1], 'w')", 0, tmp_path / "started")
    assert not (tmp_path / "started").exists()


def test_an_unknown_block_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(RunError, match="'sped', did you mean 'speed'") as error:
        run_script(BenchmarkConfig(device="cpu", blocks=["sped"], json=str(tmp_path / "x.json")), print)
    assert error.value.exit_code == Exit.USAGE


def test_a_device_that_is_not_there_is_told_at_once(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RunError, match=r"benchmark\.device=cuda does not work here: torch ended with 1: ") as error:
        run_script(BenchmarkConfig(device="cuda", json=str(tmp_path / "x.json")), print)
    assert error.value.exit_code == Exit.UNAVAILABLE
    assert not (tmp_path / "x.json").exists()
