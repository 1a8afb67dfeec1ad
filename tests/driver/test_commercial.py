"""run.commercial refuses what the weights' owners do not allow so far, before anything starts: no test here has Ray."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles.catalogue import InProcess

from idgen.config import Config, RunConfig
from idgen.driver.finish import check_licences
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import Licence, Recipe
from idgen.weights import locate

BASE = ["unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/model.fp16.safetensors",
        "tokenizer/tokenizer.model"]  # fmt: skip
REST = ["adapter.bin", "clip/config.json", "clip/model.safetensors"]
ANYWHERE_BUT_HERE = "cluster.address=127.0.0.1:9"
"""A line that went on to Ray would end with another exit code."""


@pytest.fixture
def shop(tmp_path):
    """A catalogue with the weights of Kolors in a few bytes: enough for keys."""
    made = InProcess(tmp_path)
    for name in (*BASE, *REST):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    shutil.copytree(locate("tiny:facepack"), tmp_path / "pack")
    places = [f"base.weights={tmp_path}", f"adapters.0.weights={tmp_path}/adapter.bin",
              f"adapters.0.image_encoder={tmp_path}/clip", f"face_pack.weights={tmp_path}/pack"]  # fmt: skip
    made.weights = [f"overrides.kolors.{places[0]}", *(f"overrides.kolors-faceid-plus.{place}" for place in places)]
    return made


TEXT = {"row_id": "text", "recipe": "kolors", "prompt": "一张海报，写着“远方”"}
FACE = {"row_id": "face", "recipe": "kolors-faceid-plus", "photo": "ada", "prompt": "a sign reads “SPRING”"}


def test_kolors_is_refused_until_somebody_says_that_it_is_registered(shop):
    shop.write([TEXT])
    said = shop.run("run.commercial=true", ANYWHERE_BUT_HERE, *shop.weights, expect=4)
    assert "kolors: Kwai-Kolors" in said
    assert "run.registered=[Kwai-Kolors]" in said
    assert shop.summary()["exit_code"] == 4
    assert shop.ledger() == []
    assert not Path(shop.output, "lease.json").exists()
    assert "registration" in shop.run("run.commercial=true", *shop.weights, job="plan", expect=4)
    shop.run("run.commercial=true", "run.registered=[Kwai-Kolors]", *shop.weights, job="plan")
    shop.run(*shop.weights, job="plan")


def test_no_registration_helps_where_the_face_pack_is_for_research_only(shop):
    shop.write([TEXT, FACE])
    registered = ("run.commercial=true", "run.registered=[Kwai-Kolors]")
    said = shop.run(*registered, ANYWHERE_BUT_HERE, *shop.weights, expect=4)
    assert "weights forbid commercial use (kolors-faceid-plus: Kolors MODEL_LICENSE; face pack research only)" in said
    assert "commercial" in shop.summary()["error"]
    shop.run(*shop.weights, job="plan")


def test_every_owner_must_have_been_asked():
    both = Recipe(name="both", licence=Licence(commercial_use=True, registration=["one", "two"]))
    free = Recipe(name="free", licence=Licence(commercial_use=True))
    plan = SimpleNamespace(recipes={"both": 1}, settled={"free": 1})

    def check(registered):
        config = Config(run=RunConfig(commercial=True, registered=registered))
        check_licences(SimpleNamespace(config=config, recipes={"both": both, "free": free}), plan)

    check(["two", "one", "three"])
    with pytest.raises(RunError, match=r"\(both: two\).*run\.registered=\[one,two\]") as caught:
        check(["one"])
    assert caught.value.exit_code == Exit.REFUSED
    with pytest.raises(RunError, match=r"\(both: one, two\)"):
        check([])


def test_pictures_that_are_there_already_are_no_way_around_it():
    research = Recipe(name="research", licence=Licence(name="research only"))
    run = SimpleNamespace(config=Config(run=RunConfig(commercial=True)), recipes={"research": research})
    with pytest.raises(RunError, match="research only"):
        check_licences(run, SimpleNamespace(recipes={}, settled={"research": 7}))
