"""What an actor raises ends the run with its own exit code and in one line; a recipe's fault costs its own rows."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import onnx
import pytest
import ray
import yaml
from doubles.catalogue import ROOT, Catalogue, rows
from doubles.drawn_judge import write_safety_model
from doubles.gpu_cluster import Shop, gpu_cluster

from idgen import weights

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
QUICK = ("faces.num_cpus=0.25", "sampling.num_cpus=0.5", "cluster.num_cpus=2", "sampling.batch_size=4")


def errors(text):
    """The lines that say error; none may be a traceback's."""
    assert "Traceback" not in text, text[-3000:]
    return [line for line in text.splitlines() if line.startswith("error:")]


def test_a_wrong_weight_file_and_a_broken_face_pack_cost_only_their_recipes_rows(tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(weights.locate("tiny:facepack"), pack)
    broken = onnx.load(pack / "rec_drawn.onnx")
    broken.graph.node[0].op_type = "NoSuchLayer"
    onnx.save(broken, pack / "rec_drawn.onnx")
    recipes = tmp_path / "recipes.yaml"
    tiny = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())["overrides"]["faceid-sd15"]
    wrong = {**tiny, "like": "faceid-sd15", "adapters": {"faceid": {"weights": "tiny:faceid_sdxl"}}}
    blind = {**tiny, "like": "faceid-sd15", "face_pack": {"weights": str(pack)}}
    recipes.write_text(yaml.safe_dump({"overrides": {"wrong": wrong, "blind": blind}}))
    shop = Catalogue(tmp_path)
    names = ("faceid-sd15", "wrong", "blind")
    shop.write([{**row, "recipe": names[n % 3]} for n, row in enumerate(rows(9))])
    text = shop.run(*QUICK, str(recipes), expect=2)
    assert len(errors(text)) == 2
    made = [{row["ledger_status"] for row in shop.results().values() if row["recipe"] == name} for name in names]
    assert made == [{"ok"}, {"failed"}, {"failed"}]
    summary = shop.summary()
    assert (summary["exit_code"], summary["codes"]) == (2, {"weights_unusable": 6})
    assert summary["error"]


@pytest.mark.parametrize("when", ["made", "called"])
def test_a_store_that_is_away_from_actors_ends_with_6_and_says_so(tmp_path, when):
    shop = Catalogue(tmp_path)
    shop.write(rows(4))
    text = shop.run(*QUICK, faults={"store_away": when}, expect=6)
    assert errors(text) == ["error: the output store cannot be reached: not today"]
    summary = shop.summary()
    assert (summary["exit_code"], summary["error"]) == (6, "the output store cannot be reached: not today")


def test_weights_that_a_node_lacks_end_the_run_with_2_and_cost_no_row(tmp_path):
    mine = tmp_path / "faceid.bin"
    shutil.copy(weights.locate("tiny:faceid_sd15"), mine)
    recipes = tmp_path / "recipes.yaml"
    tiny = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())["overrides"]["faceid-sd15"]
    own = {**tiny, "like": "faceid-sd15", "adapters": {"faceid": {"weights": str(mine)}}}
    recipes.write_text(yaml.safe_dump({"overrides": {"own": own}}))
    shop = Catalogue(tmp_path)
    shop.write(rows(4, recipe="own"))
    text = shop.run(*QUICK, str(recipes), faults={"remove": str(mine)}, expect=2)
    (error,) = errors(text)
    assert str(mine) in error
    assert (shop.summary()["exit_code"], shop.ledger()) == (2, [])


def test_a_network_that_checks_measure_with_and_a_node_lacks_ends_the_run_with_2_and_costs_no_row(tmp_path):
    network = write_safety_model(tmp_path / "nsfw.onnx")
    shop = Catalogue(tmp_path)
    shop.write(rows(4))
    text = shop.run(*QUICK, f"checks.safety.weights={network}", faults={"remove": str(network)}, expect=2)
    (error,) = errors(text)
    assert f"checks.safety.weights: {network} is not on" in error
    assert (shop.summary()["exit_code"], shop.ledger()) == (2, [])


@pytest.mark.parametrize("library", ["diffusers", "onnxruntime"])  # the sampling and the face actors'
def test_a_library_that_workers_lack_ends_the_run_with_2_and_is_named(tmp_path, library):
    shop = Catalogue(tmp_path)
    shop.write(rows(4))
    text = shop.run(*QUICK, faults={"lacks": library}, expect=2)
    (error,) = errors(text)
    assert error.startswith(f"error: the node {os.uname().nodename} lacks {library}")
    assert error.endswith(": install the same packages on every node")
    assert (shop.summary()["exit_code"], shop.ledger()) == (2, [])


@pytest.fixture(scope="module")
def full_cluster():
    """A cluster that is large enough, and whose CPUs another run holds."""
    with gpu_cluster((2, 1)) as cluster:
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            other = ray.remote(num_cpus=2)(lambda: time.sleep(3600)).remote()
            yield cluster
            ray.cancel(other, force=True)
        finally:
            ray.shutdown()


def progress(shop):
    """The run's progress.json; {} before there is one."""
    files = list(Path(shop.output, "runs").glob("*/progress.json"))
    return json.loads(files[0].read_text()) if files else {}


def run_id(shop):
    (folder,) = Path(shop.output, "runs").iterdir()
    return folder.name


def wait_until_it_waits(shop, process):
    deadline = time.monotonic() + 120
    while "has a place" not in progress(shop).get("waiting", ""):
        assert process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [(signal.SIGTERM, "SIGTERM", 5), (signal.SIGINT, "Ctrl-C", 130), (None, "deadline", 5)],
)
def test_a_run_whose_actors_get_no_place_says_so_and_stops_in_order(tmp_path, full_cluster, number, reason, code):
    shop = Shop(tmp_path, full_cluster)
    shop.write(rows(4))
    process = shop.start(*QUICK[:2], *(() if number else ("run.deadline_s=60",)))
    wait_until_it_waits(shop, process)
    if number:
        said = shop.run(f"run.id={run_id(shop)}", job="status")
        assert "waiting for 0.25 CPUs: no face actor has a place yet" in said
        process.send_signal(number)
        asked_s = time.monotonic()
    text, _ = process.communicate(timeout=150)
    assert process.returncode == code, text[-3000:]
    assert not number or time.monotonic() - asked_s < 60
    assert not errors(text)
    assert "waiting for 0.25 CPUs" in text
    summary = shop.summary()
    assert (summary["exit_code"], summary["stop_reason"], summary["unfinished"]) == (code, reason, 4)
