"""What an actor raises ends the run with its own exit code and in one line; a recipe's fault costs its own rows."""

import shutil
import signal
import time

import pytest
import ray
import yaml
from doubles.catalogue import ROOT, Catalogue, rows
from doubles.gpu_cluster import Shop, gpu_cluster

from idgen import weights

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
QUICK = ("faces.num_cpus=0.25", "sampling.num_cpus=0.5", "cluster.num_cpus=2", "sampling.batch_size=4")


def errors(text):
    """The lines that say error; none may be a traceback's."""
    assert "Traceback" not in text, text[-3000:]
    return [line for line in text.splitlines() if line.startswith("error:")]


def test_a_wrong_weight_file_and_a_face_pack_without_a_recogniser_cost_only_their_recipes_rows(tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(weights.locate("tiny:facepack"), pack)
    (pack / "rec_drawn.onnx").unlink()
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


def test_a_store_that_is_away_when_actors_start_ends_with_6_and_says_so(tmp_path):
    shop = Catalogue(tmp_path)
    shop.write(rows(4))
    text = shop.run(*QUICK, faults={"store_away": True}, expect=6)
    assert errors(text) == ["error: the output store stays away: not today"]
    summary = shop.summary()
    assert (summary["exit_code"], summary["error"]) == (6, "the output store stays away: not today")


@pytest.mark.parametrize(("words", "number", "expect"), [((), signal.SIGTERM, 5), (("run.deadline_s=25",), None, 5)])
def test_a_run_whose_actors_get_no_place_stops_at_once(tmp_path, words, number, expect):
    with gpu_cluster((2, 1)) as cluster:
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            other = ray.remote(num_cpus=2)(time.sleep).remote(600)  # another run holds the CPUs
            shop = Shop(tmp_path, cluster)
            shop.write(rows(4))
            process = shop.start(*QUICK[:2], *words)
            if number:
                time.sleep(25)
                process.send_signal(number)
            text, _ = process.communicate(timeout=90)
            ray.cancel(other, force=True)
        finally:
            ray.shutdown()
    assert process.returncode == expect, text[-3000:]
    assert not errors(text)
    assert shop.summary()["stop_reason"] == (number.name if number else "deadline")
    assert shop.summary()["unfinished"] == 4
