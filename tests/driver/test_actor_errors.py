"""What an actor raises ends the run with its own exit code and in one line; a recipe's fault costs its own rows."""

import shutil

import pytest
import yaml
from doubles.catalogue import ROOT, Catalogue, rows

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
