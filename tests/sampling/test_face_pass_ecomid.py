"""The whole face pass on tiny EcomID: real face pack, real sampler with IdentityNet, drawn people on a wall."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles.catalogue import PHOTOS
from doubles.pictures import told
from doubles.tiny_recipe import bucket_for, recipe, row_for
from PIL import Image

from idgen import weights
from idgen.actors.face_packs import SMALL_FACES
from idgen.faces.analysis import FaceAnalyser
from idgen.recipes.recipe import FacePass
from idgen.sampling.face_pass import FaceRepair
from idgen.sampling.face_square import around, soft_mask
from idgen.sampling.finishing import finish
from idgen.sampling.sampler import Sampler

ECOMID = recipe("ecomid")
SETTINGS = FacePass(below_px=150, side_px=64, num_inference_steps=10)  # 4 are run
SIZE = (320, 480)
BUCKET = bucket_for(ECOMID, width=SIZE[0], height=SIZE[1], face_pass=True)
PEOPLE = ("ada", "ben", "cleo")


def photo(name):
    return Image.open(PHOTOS / f"{name}.png").convert("RGB")


def scene(name, left=100, top=200, side=96):
    wall = np.random.default_rng(5).integers(100, 140, (SIZE[1], SIZE[0], 3), np.uint8)
    wall[top : top + side, left : left + side] = np.asarray(photo(name).resize((side, side), Image.Resampling.LANCZOS))
    return wall


@pytest.fixture(scope="module")
def repair():
    torch.set_num_threads(1)
    finder = FaceAnalyser(weights.locate("tiny:facepack"), 320, 0.5, threads=1, config=SMALL_FACES)
    return FaceRepair(Sampler.load(ECOMID, lora_scale=1.0, device="cpu"), finder, SETTINGS)


def asked(repair, number, name):
    found = repair.finder.analyse(np.asarray(photo(name)), "largest")
    return row_for(ECOMID, number, key=name, seed=number, id_embedding=found.embedding[None])


@pytest.fixture(scope="module")
def rows(repair):
    return [asked(repair, number, name) for number, name in enumerate(PEOPLE)]


def far(one, other):
    return int(np.abs(one.astype(int) - other).max())


def test_a_small_face_is_found_made_anew_blended_and_all_else_is_bit_equal(repair, rows):
    picture = scene("ada")
    face = repair.finder.analyse(picture, "largest")
    (done,) = map(told, finish([picture], rows[:1], BUCKET, [None], repair, [[]]))
    assert done.result == "done"
    assert done.similarity_before > 0.9
    square = around(face.box, SIZE, SETTINGS.crop_scale)
    touched = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    inner = soft_mask(face.box, square, SIZE)
    touched[square.top : square.top + square.side, square.left : square.left + square.side] = inner
    assert np.array_equal(done.picture[touched == 0], picture[touched == 0])
    assert far(done.picture[touched == 255], picture[touched == 255]) > 20
    assert (touched == 0).mean() > 0.9


def test_every_person_s_face_is_the_same_alone_and_in_a_batch(repair, rows):
    pictures = [scene(name, 40 * number, 120 * number, 80 + 8 * number) for number, name in enumerate(PEOPLE)]
    together = [told(one) for one in repair.run(pictures, rows, BUCKET, [None] * 3)]
    turned = [told(one) for one in repair.run(pictures[::-1], rows[::-1], BUCKET, [None] * 3)[::-1]]
    for number in range(3):
        (alone,) = map(told, repair.run([pictures[number]], [rows[number]], BUCKET, [None]))
        assert alone.result == "done"
        assert far(alone.picture, together[number].picture) <= 2, "rounding moves a value by a level"
        assert far(alone.picture, turned[number].picture) <= 2
        assert far(alone.picture, pictures[number]) > 20


@pytest.mark.parametrize(
    "change",
    [
        {"strength": 0.8}, {"ip_adapter_scale": 0.0}, {"controlnet_conditioning_scale": 0.0}, {"guidance_scale": 1.0},
        {"scheduler": "euler"}, {"num_inference_steps": 20}, {"crop_scale": 3.0},
    ],
)  # fmt: skip
def test_every_setting_of_the_pass_shows(repair, rows, change):
    picture = scene("ada")
    (plain,) = repair.run([picture], rows[:1], BUCKET, [None])
    (other,) = replace(repair, settings=replace(SETTINGS, **change)).run([picture], rows[:1], BUCKET, [None])
    assert far(plain.pixels, other.pixels) > 2


def test_the_face_is_of_the_row_s_person_prompt_and_seed_and_needs_identity_net(repair, rows):
    picture = scene("ada")
    (plain,) = repair.run([picture], rows[:1], BUCKET, [None])
    for other in (
        replace(rows[0], id_embedding=rows[1].id_embedding),
        replace(rows[0], prompt="a man in the rain"),
        replace(rows[0], seed=99),
    ):
        (made,) = repair.run([picture], [other], BUCKET, [None])
        assert far(plain.pixels, made.pixels) > 2
    (without,) = repair.run([picture], rows[:1], replace(BUCKET, controls=()), [None])
    assert far(plain.pixels, without.pixels) > 2
    again = replace(rows[0], ip_adapter_scale=0.1, identity_scale=0.1)
    (made,) = repair.run([picture], [again], BUCKET, [None])
    assert np.array_equal(made.pixels, plain.pixels), "the scales are the pass's"
