"""The sampling actor with the face pass: real face pack, real tiny sampler, whose first sampling "draws" people."""

import dataclasses
import io
import threading

import numpy as np
import pyarrow as pa
import pytest
import torch
from doubles.catalogue import PHOTOS
from doubles.pictures import picture
from doubles.tiny_recipe import TINY
from PIL import Image

from idgen import weights
from idgen.actors.face_packs import FacePacks
from idgen.actors.facts import RunFacts
from idgen.actors.monitor import MonitorState
from idgen.actors.sampler import SamplerActor, SamplerSettings
from idgen.config import FacesConfig, ImagesConfig, SamplingConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.faces.analysis import FaceAnalyser
from idgen.outputs.ledger import dataset
from idgen.recipes.recipe import FacePass
from idgen.sampling.batches import OutOfMemory
from idgen.sampling.sampler import Sampler
from idgen.schemas import ANALYSED
from idgen.stores.opening import open_store

RECIPE = dataclasses.replace(
    TINY,
    face_pack=dataclasses.replace(TINY.face_pack, det_size_px=320),
    face_pass=FacePass(below_px=150, side_px=64, num_inference_steps=2, scheduler="ddim", strength=0.5),
    batch_size=4,
)
WIDTH, HEIGHT = 320, 480


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"tiny": weights.identity(RECIPE, cache=None)}


@pytest.fixture(scope="module")
def ada():
    analyser = FaceAnalyser(weights.locate("tiny:facepack"), 320, 0.5, threads=1, config=FacesConfig())
    return analyser.analyse(np.asarray(Image.open(PHOTOS / "ada.png").convert("RGB")), "largest").embedding


def scene(left=100, top=200, side=96):
    """Ada, small, in front of a wall."""
    out = np.full((HEIGHT, WIDTH, 3), (120, 140, 150), np.uint8)
    photo = Image.open(PHOTOS / "ada.png").convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    out[top : top + side, left : left + side] = np.asarray(photo)
    return out


def png(rgb):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


class Shop:
    """A sampling actor and its store; `scenes` are what the first sampling of a shard gives, by seed."""

    def __init__(self, tmp_path, identities, monkeypatch):
        self.store = open_store(str(tmp_path / "out"))
        self.monitor = MonitorState(0)
        self.scenes, self.calls = {}, []
        self._run = RunFacts(
            output=self.store.root,
            run_id="run",
            recipes={"tiny": RECIPE},
            identities=identities,
            signature_parameters=[],
        )
        self.actor = self.new_actor()
        original = Sampler.sample

        def sample(sampler, rows, bucket):
            self.calls.append((len(rows), bucket.width))
            if bucket.width != WIDTH:
                return original(sampler, rows, bucket)
            return [self.scenes.get(row.seed, scene()) for row in rows]

        monkeypatch.setattr(Sampler, "sample", sample)

    def new_actor(self):
        settings = SamplerSettings(sampling=SamplingConfig(num_gpus=0), images=ImagesConfig())
        return SamplerActor(self._run, settings, self.monitor)

    def run(self, rows):
        """Sample one shard; return its ledger by seed."""
        self.actor(pa.Table.from_pylist(rows, schema=ANALYSED))
        return {row["seed"]: row for row in dataset(self.store).to_table().to_pylist()}

    def pixels(self, row):
        return np.asarray(Image.open(io.BytesIO(self.store.get(row["image_path"]))).convert("RGB"))


@pytest.fixture
def shop(tmp_path, identities, monkeypatch):
    return Shop(tmp_path, identities, monkeypatch)


def asked(number, ada, **changes):
    return picture(
        number, shard="s", width=WIDTH, height=HEIGHT, id_embedding=ada.tolist(), face_pass="auto",
        num_inference_steps=2, output_format="png", **changes,
    )  # fmt: skip


def test_the_ledger_tells_of_every_row_what_the_pass_did(shop, ada):
    shop.scenes = {2: scene(side=320, left=0, top=60), 3: np.full((HEIGHT, WIDTH, 3), 90, np.uint8)}
    shop.scenes[4] = RowError(Code.NON_FINITE)
    points = [float(value) for _ in range(5) for value in (150.0, 250.0)]
    told = shop.run([asked(1, ada, target_keypoints=points), *(asked(number, ada) for number in (2, 3, 4))])
    assert {seed: row["face_pass_result"] for seed, row in told.items()} == {
        1: "done", 2: "large_enough", 3: "no_face", 4: None,
    }  # fmt: skip
    assert [told[seed]["status"] for seed in (1, 2, 3, 4)] == ["ok", "ok", "ok", "failed"]
    assert told[1]["face_similarity_before"] > 0.9
    assert told[1]["target_keypoints"] == points
    assert told[2]["face_similarity"] == told[2]["face_similarity_before"] > 0.9
    assert told[3]["face_similarity"] is told[4]["face_similarity"] is None
    made = shop.pixels(told[1])
    assert not np.array_equal(made, scene())
    assert np.array_equal(made[:180], scene()[:180])
    assert np.array_equal(shop.pixels(told[2]), shop.scenes[2])


def test_the_counts_tell_of_passes_and_of_the_calls_they_took(shop, ada):
    shop.run([asked(number, ada) for number in range(1, 7)])
    assert shop.calls == [(4, WIDTH), (4, 64), (2, WIDTH), (2, 64)]
    counts = shop.monitor.progress().counts
    assert (counts["face_passes"], counts["face_pass_calls"]) == (6, 2)


def test_rows_without_the_pass_wait_for_no_face_pack_and_are_measured_all_the_same(shop, ada, monkeypatch):
    get, threads = FacePacks.get, []

    def heard(packs, pack):
        threads.append(threading.current_thread().name)
        return get(packs, pack)

    monkeypatch.setattr(FacePacks, "get", heard)
    told = shop.run([asked(1, ada) | {"face_pass": None}, asked(2, ada) | {"face_pass": "off"}])
    assert threads
    assert all(name.startswith("publish-") for name in threads), "the sampling thread has a GPU to keep busy"
    assert [row["status"] for row in told.values()] == ["ok", "ok"]
    assert all(row["face_similarity"] > 0.9 and row["face_similarity_before"] is None for row in told.values())
    assert {row["face_pass_result"] for row in told.values()} == {None}
    assert shop.calls == [(2, WIDTH)]
    assert "face_passes" not in shop.monitor.progress().counts


def test_another_face_pack_on_this_node_is_refused_before_anything_is_sampled(shop, ada, identities):
    identities = {"tiny": {**identities["tiny"], "face_pack": "0" * 64}}
    shop._run = dataclasses.replace(shop._run, identities=identities)
    shop.actor = shop.new_actor()
    with pytest.raises(RunError, match="face_pack on") as caught:
        shop.run([asked(1, ada)])
    assert caught.value.exit_code == Exit.UNAVAILABLE
    assert shop.calls == []


def test_a_face_pack_that_pictures_cannot_be_measured_with_here_ends_the_run_and_nothing_is_published(
    shop, ada, identities
):
    identities = {"tiny": {**identities["tiny"], "face_pack": "0" * 64}}
    shop._run = dataclasses.replace(shop._run, identities=identities)
    shop.actor = shop.new_actor()
    with pytest.raises(RunError, match="face_pack on") as caught:
        shop.run([asked(number, ada) | {"face_pass": None} for number in (1, 2)])
    assert caught.value.exit_code == Exit.UNAVAILABLE
    assert not list(shop.store.list("images/"))
    assert not list(shop.store.list("ledger/"))


def test_a_pass_that_does_not_fit_halves_the_batch_and_tells_nothing_twice(shop, ada, monkeypatch):
    sample = Sampler.sample

    def tight(sampler, rows, bucket):
        if bucket.width != WIDTH and len(rows) > 2:
            raise OutOfMemory("4 faces")
        return sample(sampler, rows, bucket)

    monkeypatch.setattr(Sampler, "sample", tight)
    told = shop.run([asked(number, ada, prompt="a red coat " * 60) for number in range(1, 5)])
    assert {row["face_pass_result"] for row in told.values()} == {"done"}
    assert {row["batch_rows"] for row in told.values()} == {2}
    assert all(sum("prompt_cut" in note for note in row["warnings"]) == 1 for row in told.values())


def test_warnings_of_the_photo_the_prompt_and_the_pass_stand_together(shop, ada):
    crowd = scene()
    crowd[:64, :64] = scene(0, 0, 64)[:64, :64]
    shop.scenes[1] = crowd
    told = shop.run([asked(1, ada, prompt="a red coat " * 60, warnings=["small_photo: of 100 px"])])
    words = [note.partition(":")[0] for note in told[1]["warnings"]]
    assert words[:3] == ["small_photo", "prompt_cut", "face_pass"]


def test_what_the_pass_has_looked_at_is_not_looked_at_again_unless_something_is_pasted_over_it(shop, ada, monkeypatch):
    see, looks = FaceAnalyser.see, []

    def counted(analyser, rgb, near, **words):
        looks.append(rgb.sum())
        return see(analyser, rgb, near, **words)

    monkeypatch.setattr(FaceAnalyser, "see", counted)
    shop.scenes = {1: scene(side=320, left=0, top=60), 2: np.full((HEIGHT, WIDTH, 3), 90, np.uint8), 3: scene()}
    told = shop.run([asked(number, ada) for number in (1, 2, 3)])
    assert [told[seed]["face_pass_result"] for seed in (1, 2, 3)] == ["large_enough", "no_face", "done"]
    assert len(looks) == 4, "one each, and one of the face that was made again"
    looks.clear()
    images = [("init_image_uri", png(scene())), ("mask_image_uri", png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))]
    shop.scenes[4] = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    told = shop.run([asked(4, ada, images=images, paste_back=True, init_image_uri="s3://photos/bag.png")])
    assert (told[4]["face_pass_result"], told[4]["faces_found"]) == ("no_face", 1), "the mask keeps the photo's face"
    assert told[4]["face_similarity"] > 0.9
    assert len(looks) == 2


def test_a_bug_in_the_pass_costs_its_own_row(shop, ada, monkeypatch):
    see = FaceAnalyser.see

    def broken(analyser, rgb, near, **words):
        if (rgb == 7).all():
            raise ZeroDivisionError
        return see(analyser, rgb, near, **words)

    monkeypatch.setattr(FaceAnalyser, "see", broken)
    shop.scenes[2] = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    told = shop.run([asked(number, ada) for number in (1, 2, 3)])
    assert {seed: row["code"] for seed, row in told.items()} == {1: "", 2: "internal", 3: ""}


def test_attempt_marks_cover_the_pass(shop, ada, monkeypatch):
    heard = shop.calls
    begin, end = shop.monitor.begin, shop.monitor.end
    monkeypatch.setattr(shop.monitor, "begin", lambda *words: (heard.append("begin"), begin(*words))[1])
    monkeypatch.setattr(shop.monitor, "end", lambda *words: (heard.append("end"), end(*words))[1])
    shop.run([asked(1, ada)])
    assert heard == ["begin", (1, WIDTH), (1, 64), "end"]


def test_what_the_mask_keeps_is_the_photo_s_in_the_stored_picture(shop, ada):
    photo = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[150:400] = 255
    images = [("init_image_uri", png(photo)), ("mask_image_uri", png(mask))]
    told = shop.run([asked(1, ada, images=images, paste_back=True, init_image_uri="s3://photos/bag.png")])
    made = shop.pixels(told[1])
    assert told[1]["face_pass_result"] == "done"
    assert np.array_equal(made[:150], photo[:150])
    assert np.array_equal(made[400:], photo[400:])
    assert not np.array_equal(made[150:400], photo[150:400])
    assert b"compositeWithTrainedAlgorithmicMedia" in shop.store.get(told[1]["image_path"])
