"""The face actor on a folder, for recipes of the whole family: what it loads, reads, cuts and hands on. No Ray."""

import dataclasses
import io
import shutil
import time

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from doubles.catalogue import PHOTOS
from doubles.tiny_recipe import control, recipe
from PIL import Image

from idgen import weights
from idgen.actors.faces import FaceActor
from idgen.actors.facts import FaceSettings, RunFacts
from idgen.actors.held_gpus import GPU_MS
from idgen.actors.monitor import MonitorState
from idgen.config import FacesConfig, PlannerConfig, SourcesConfig
from idgen.errors import RunError
from idgen.manifest.shards import cut_stream, sizes, write_shards
from idgen.recipes.recipe import AdapterSpec, Base, Control, FacePack, Recipe
from idgen.recipes.variants import needs
from idgen.schemas import ANALYSED, PICTURES
from idgen.sources.clip_pixels import prepare
from idgen.stores.opening import open_store

RUN = "run"
PACK = FacePack(weights="tiny:facepack", det_size_px=320)
RECIPES = {
    made.name: made
    for made in [
        recipe("ip_adapter", face_pack=FacePack(weights="no-such-pack")),  # must never be asked for
        recipe("ip_adapter_plus_face", face_pack=PACK),
        recipe("ip_adapter_full_face", face_pack=PACK),
        recipe("faceid", face_pack=PACK),
        recipe("faceid_plus", face_pack=PACK, controls=[control(name="pose"), control(name="depth")]),
        Recipe(
            name="model-photo",
            base=Base(kind="sdxl"),
            adapters=[AdapterSpec(name="ecomid", kind="ecomid")],
            controls=[Control(name="identity"), Control(name="inpaint"), Control(name="softedge")],
            face_pack=PACK,
        ),
    ]
}
IP_ADAPTER, PLUS_FACE, FULL_FACE, FACEID, FACEID_PLUS, MODEL_PHOTO = RECIPES
STATE = {"status": "", "code": "", "detail": "", "stage": ""}


def photo(name):
    return str(PHOTOS / f"{name}.png")


def picture(number, asked, *photos, **changes):
    fixed = {
        "key": f"{number:032x}", "position": number, "image_index": 0, "attempt": 1, "replaces": "", "recipe_hash": "h",
        "load_group": "g", "bucket": "b", "carried": "{}", **STATE, "row_id": f"r{number}", "recipe": asked,
        "reference_uris": [photo(name) for name in photos] or None, "face_select": "largest", "seed": number,
        "prompt": "p", "width": 64, "height": 96, "num_inference_steps": 2, "scheduler": "ddim", "guidance_scale": 5.0,
    }  # fmt: skip
    return {**fixed, **changes}


class Faces:
    """One face actor and the shards that it is given."""

    def __init__(self, tmp_path, **faces):
        self.store = open_store(str(tmp_path / "out"))
        self.monitor = MonitorState(0)
        hashes = {"face_pack": weights.face_pack_identity(RECIPES[FACEID], cache=None)["face_pack"]}
        identities = {name: hashes if weights.needs_face_pack(made) else {} for name, made in RECIPES.items()}
        run = RunFacts(
            output=self.store.root, run_id=RUN, recipes=RECIPES, identities=identities, signature_parameters=[]
        )
        settings = FaceSettings(faces=FacesConfig(**faces), sources=SourcesConfig(), roots=[str(PHOTOS), str(tmp_path)])
        self.actor = FaceActor(run, settings, self.monitor)
        self._scratch = tmp_path
        tmp_path.mkdir(exist_ok=True)

    def table(self, pictures):
        references = pa.array([""] * len(pictures))
        table = pa.Table.from_pylist(pictures, schema=PICTURES).append_column("reference", references)
        asked = pictures[0]["recipe"]
        cut = cut_stream(table.to_batches(), {asked: sizes(RECIPES[asked], PlannerConfig(), 0)})
        (ref,) = write_shards(self.store, RUN, "", cut, self._scratch)
        return self.actor(pa.Table.from_pylist([dataclasses.asdict(ref)]))

    def rows(self, *pictures):
        table = self.table(pictures)
        assert table.schema.equals(ANALYSED)
        return table.to_pylist()

    @property
    def counts(self):
        found = self.monitor.progress().counts
        return found["face_analyses"], found["fetches"]


@pytest.fixture
def faces(tmp_path):
    return Faces(tmp_path)


def crops(row, asked):
    (need,) = needs(RECIPES[asked]).pictures
    found = dict(row["crops"])
    assert list(found) == [need.name]
    return [np.frombuffer(crop, np.uint8).reshape(need.size_px, need.size_px, 3) for crop in found[need.name]]


def image(row, column):
    return Image.open(io.BytesIO(dict(row["images"])[column]))


def pixels(name):
    return np.asarray(Image.open(photo(name)).convert("RGB"))


def test_a_recipe_without_faces_loads_no_pack_and_analyses_nothing(faces):
    given, stood_in = faces.rows(
        picture(1, IP_ADAPTER, ip_adapter_image_uri=photo("no-face")), picture(2, IP_ADAPTER, "ada", "no-face")
    )
    assert np.array_equal(crops(given, IP_ADAPTER)[0], prepare(pixels("no-face"), 224, "crop"))
    assert np.array_equal(crops(stood_in, IP_ADAPTER)[0], prepare(pixels("ada"), 224, "crop"))
    assert len(crops(stood_in, IP_ADAPTER)) == 2
    assert given["id_embedding"] is stood_in["id_embedding"] is stood_in["reference_box"] is None
    assert len(stood_in["reference_digest"]) == 2
    assert faces.counts == (0, 2)


@pytest.mark.parametrize("asked", [PLUS_FACE, FULL_FACE])
def test_a_face_is_looked_for_only_in_rows_that_bring_no_cut_one(faces, asked):
    given, found = faces.rows(picture(1, asked, ip_adapter_image_uri=photo("ada")), picture(2, asked, "ada"))
    assert given["reference_box"] is None
    assert len(found["reference_box"]) == 4
    assert not np.array_equal(crops(given, asked)[0], crops(found, asked)[0])
    assert faces.counts == (1, 1)


def test_a_mask_of_the_face_reaches_the_crop(faces, tmp_path):
    mask = np.zeros_like(pixels("ada"))
    high, wide = mask.shape[:2]
    mask[high // 4 : -high // 4, wide // 4 : -wide // 4] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masked, bare = faces.rows(
        picture(1, FULL_FACE, "ada", reference_mask_uri=str(tmp_path / "mask.png")), picture(2, FULL_FACE, "ada")
    )
    assert (crops(masked, FULL_FACE)[0] == 255).sum() > (crops(bare, FULL_FACE)[0] == 255).sum() + 10_000


def test_controls_and_the_image_to_start_from_come_at_the_row_s_size_under_their_columns(faces):
    row, other = faces.rows(
        picture(1, FACEID_PLUS, "ada", control_pose_uri=photo("ben"), init_image_uri=photo("cleo"), width=96),
        picture(2, FACEID_PLUS, "ada", control_depth_uri=photo("ben")),
    )
    assert dict(row["images"]).keys() == {"control_pose_uri", "init_image_uri"}
    assert image(row, "control_pose_uri").size == image(row, "init_image_uri").size == (96, 96)
    assert [column for column, _ in other["images"]] == ["control_depth_uri"]
    assert image(other, "control_depth_uri").size == (64, 96)
    assert crops(row, FACEID_PLUS)[0].std() > 10
    assert faces.counts == (1, 3)


def test_a_bad_control_image_costs_its_own_row(faces):
    bad, good = faces.rows(
        picture(1, FACEID_PLUS, "ada", control_pose_uri=photo("corrupt")),
        picture(2, FACEID_PLUS, "ada", control_pose_uri=photo("ben")),
    )
    assert (bad["code"], bad["stage"], bad["images"]) == ("image_corrupt", "faces", None)
    assert bad["detail"].startswith("control_pose_uri: ")
    assert good["code"] == ""


def test_shards_of_two_recipes_fetch_a_photo_once(faces):
    first = faces.rows(picture(1, FACEID, "ada"))
    second = faces.rows(picture(2, FACEID_PLUS, "ada"))
    faces.rows(picture(3, IP_ADAPTER, "ada"))
    assert first[0]["id_embedding"] == second[0]["id_embedding"]
    assert faces.counts == (2, 1)


def test_rows_of_a_person_share_the_bytes_of_their_crops_and_maps(faces):
    one = faces.table([picture(1, FACEID_PLUS, "ada", control_pose_uri=photo("ben"))])
    many = faces.table([picture(n, FACEID_PLUS, "ada", control_pose_uri=photo("ben")) for n in range(40)])
    assert one.nbytes > 150_000
    assert many.nbytes < one.nbytes + 40 * 8_000
    assert many["crops"].to_pylist() == one["crops"].to_pylist() * 40


def test_a_broken_face_pack_is_no_fault_of_rows_that_look_for_no_face(tmp_path, monkeypatch):
    pack = tmp_path / "pack"
    shutil.copytree(weights.locate("tiny:facepack"), pack)
    (pack / "rec_drawn.onnx").unlink()
    for asked in (PLUS_FACE, FACEID):  # of FACEID's pack `Faces` takes the hashes
        broken = dataclasses.replace(RECIPES[asked], face_pack=dataclasses.replace(PACK, weights=str(pack)))
        monkeypatch.setitem(RECIPES, asked, broken)
    pictures = [
        picture(1, PLUS_FACE, ip_adapter_image_uri=photo("ada")),
        picture(2, PLUS_FACE, "ada"),
        picture(3, PLUS_FACE, ip_adapter_image_uri=photo("missing-file")),
        picture(4, PLUS_FACE),
    ]
    together = Faces(tmp_path / "together").rows(*pictures)
    ends = ["", "weights_unusable", "reference_missing", "missing_value"]
    assert [row["code"] for row in together] == ends
    assert [Faces(tmp_path / row["row_id"]).rows(row)[0]["code"] for row in pictures] == ends
    assert crops(together[0], PLUS_FACE)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime has CUDA")
def test_faces_that_have_a_part_of_a_gpu_are_found_there_or_the_run_ends_saying_why(tmp_path):
    """Never on the CPU unasked: a catalogue would take ten times as long and nobody knew why."""
    with pytest.raises(RunError, match=r"onnxruntime .* has no CUDA: pip install onnxruntime-gpu"):
        Faces(tmp_path / "auto", num_gpus=0.25).rows(picture(1, FACEID, "ada"))
    (row,) = Faces(tmp_path / "cpu", num_gpus=0.25, device="cpu").rows(picture(1, FACEID, "ada"))
    assert row["status"] == ""


def test_a_face_actor_tells_how_long_it_held_its_part_of_a_gpu(tmp_path, faces):
    shared = Faces(tmp_path / "shared", num_gpus=0.5, device="cpu")
    started = time.monotonic()
    shared.rows(picture(1, FACEID, "ada"))
    held_ms = shared.monitor.progress().counts[GPU_MS]
    assert 500 * (time.monotonic() - started) - 100 < held_ms <= 500 * (time.monotonic() - started) + 5000
    faces.rows(picture(1, FACEID, "ada"))
    assert GPU_MS not in faces.monitor.progress().counts
