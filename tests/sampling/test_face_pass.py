"""The face pass on drawn people, found by the real tiny face pack; what samples is a double that paints a person."""

from dataclasses import replace

import numpy as np
import pytest
from doubles.catalogue import PHOTOS
from doubles.pictures import told
from doubles.tiny_recipe import TINY, row
from PIL import Image

from idgen import weights
from idgen.actors.face_packs import SMALL_FACES
from idgen.errors import Code, RowError
from idgen.faces import keypoints
from idgen.faces.analysis import FaceAnalyser
from idgen.recipes.recipe import FacePass
from idgen.sampling.face_pass import FaceRepair, second_seed
from idgen.sampling.finishing import finish
from idgen.sampling.rows import Bucket, ControlUse
from idgen.sampling.sampler import Sampler

SETTINGS = FacePass(below_px=150, side_px=256, num_inference_steps=3, scheduler="ddim", strength=0.5)
IDENTITY = ControlUse(name="identity", scale=1.0)
BUCKET = Bucket(
    width=320, height=480, num_inference_steps=4, scheduler="ddim", guidance_scale=7.0, face_pass=True,
    controls=(IDENTITY, ControlUse(name="softedge", scale=0.6)),
)  # fmt: skip


@pytest.fixture(scope="module")
def finder():
    return FaceAnalyser(weights.locate("tiny:facepack"), 320, 0.5, threads=1, config=SMALL_FACES)


def photo(name, side=320):
    return np.asarray(Image.open(PHOTOS / f"{name}.png").convert("RGB").resize((side, side), Image.Resampling.LANCZOS))


def scene(*people, size=(320, 480)):
    """A picture with people in it: (name, left, top, side)."""
    out = np.full((size[1], size[0], 3), (120, 140, 150), np.uint8)
    for name, left, top, side in people:
        out[top : top + side, left : left + side] = photo(name, side)[: size[1] - top, : size[0] - left]
    return out


class Painter:
    """Notes what it is asked for, and gives back the start picture, darker; or what `gives` says."""

    adapters = TINY.adapters

    def __init__(self, gives=None):
        self.calls = []
        self._gives = gives or (lambda asked: (asked.init_image * 0.8).astype(np.uint8))

    def sample(self, rows, bucket):
        self.calls.append((rows, bucket))
        return [self._gives(asked) for asked in rows]


def run(finder, pictures, rows=None, *, painter=None, wanted=None, bucket=BUCKET, settings=SETTINGS):
    painter = painter or Painter()
    rows = rows or [row() for _ in pictures]
    repair = FaceRepair(painter, finder, settings)
    made = repair.run(pictures, rows, bucket, wanted or [None] * len(pictures))
    return [told(one) for one in made], painter


def changed(one, other):
    """Left, top, right, bottom of what differs."""
    y, x = np.nonzero((one != other).any(axis=2))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_a_small_face_is_sampled_again_and_all_else_is_bit_equal(finder):
    picture = scene(("ada", 100, 200, 96))
    face = finder.analyse(picture, "largest")
    ((done,), painter) = run(finder, [picture])
    assert done.result == "done"
    left, top, right, bottom = changed(picture, done.picture)
    reach = 0.25 * max(face.box[2:] - face.box[:2]) + 1
    assert left >= face.box[0] - reach
    assert top >= face.box[1] - reach
    assert right <= face.box[2] + reach
    assert bottom <= face.box[3] + reach
    x, y = np.round(face.keypoints[2]).astype(int)
    assert abs(int(done.picture[y, x].sum()) - 0.8 * picture[y, x].sum()) < 60, "the nose is the new one's"
    assert len(painter.calls) == 1


def test_the_second_sampling_gets_the_face_the_person_and_the_settings_of_the_pass(finder):
    picture = scene(("ada", 100, 200, 96))
    first = row(
        seed=7, ip_adapter_scale=0.9, ip_adapter_scales={"faceid": 0.7, "other": 0.3}, identity_scale=0.1,
        control_images={"identity": picture, "softedge": picture}, paste_back=True, init_image=picture,
        mask=picture[..., 0], told_sizes={"target_width_px": 320, "target_height_px": 480},
    )  # fmt: skip
    _, painter = run(finder, [picture], [first], bucket=replace(BUCKET, n_references=3))
    (((asked,), bucket),) = painter.calls
    assert bucket == Bucket(
        width=256, height=256, num_inference_steps=3, scheduler="ddim", guidance_scale=5.0, strength=0.5,
        n_references=3, controls=(IDENTITY,),
    )  # fmt: skip
    assert asked.id_embedding is first.id_embedding
    assert (asked.prompt, asked.negative_prompt) == (first.prompt, first.negative_prompt)
    assert asked.scale("faceid", 0) == SETTINGS.ip_adapter_scale == 0.5
    assert asked.scale("other", 1) == 0.3
    assert asked.identity_scale == SETTINGS.controlnet_conditioning_scale
    assert asked.seed == second_seed(7) != 7
    assert (asked.mask, asked.paste_back, list(asked.control_images)) == (None, False, ["identity"])
    assert asked.told_sizes == {}, "the square is no picture of that size"
    assert asked.init_image.shape == (256, 256, 3)
    face = finder.analyse(picture, "largest")
    side = round(2 * max(face.box[2:] - face.box[:2]))
    corner = np.round((face.box[:2] + face.box[2:] - side) / 2)
    points = (face.keypoints - corner) * 256 / side
    assert np.array_equal(asked.control_images["identity"], keypoints.draw(points, (256, 256)))
    seen = finder.analyse(asked.init_image, "largest")
    assert np.abs(seen.keypoints - points).max() < 8, "the drawing lies on the face of the start picture"


def test_without_identity_net_nothing_is_drawn(finder):
    picture = scene(("ada", 100, 200, 96))
    _, painter = run(finder, [picture], bucket=replace(BUCKET, controls=()))
    (((asked,), bucket),) = painter.calls
    assert bucket.controls == ()
    assert asked.control_images == {}


def test_both_similarities_are_told_and_a_better_face_has_a_better_one(finder):
    references = [finder.analyse(photo(name), "largest").embedding for name in ("ada", "ada")]
    asked = row(id_embedding=np.stack([references[0], 3 * references[1]]))
    picture = scene(("ben", 100, 200, 96))
    square_of_ada = Image.fromarray(scene(("ada", 0, 0, 256), size=(256, 256)))
    ((done,), _) = run(finder, [picture], [asked], painter=Painter(lambda _: np.asarray(square_of_ada)))
    assert done.result == "done"
    own = finder.analyse(picture, "largest").embedding
    cosine = float(own @ references[0] / np.linalg.norm(own) / np.linalg.norm(references[0]))
    assert done.similarity_before == pytest.approx(cosine, abs=1e-5)
    assert done.similarity > done.similarity_before + 0.1


def test_references_count_alike_however_long_their_embeddings_are(finder):
    one, two = (finder.analyse(photo(name), "largest").embedding for name in ("ada", "ben"))
    picture = scene(("ada", 100, 200, 96))
    cosines = [
        run(finder, [picture], [row(id_embedding=np.stack([one, two * factor]))])[0][0].similarity_before
        for factor in (1, 50)
    ]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)


def test_without_references_there_is_no_similarity(finder):
    ((done,), _) = run(finder, [scene(("ada", 100, 200, 96))], [row(id_embedding=np.zeros((0, 512), np.float32))])
    assert (done.result, done.similarity_before, done.similarity) == ("done", None, None)


def test_large_faces_and_pictures_without_one_are_left_alone_and_not_sampled(finder):
    large, empty = scene(("ada", 0, 0, 320)), scene()
    (done, painter) = run(finder, [large, empty])
    assert [one.result for one in done] == ["large_enough", "no_face"]
    assert painter.calls == []
    assert done[0].picture is large
    assert done[1].picture is empty
    assert done[0].similarity == done[0].similarity_before != None  # noqa: E711
    assert (done[1].similarity_before, done[1].similarity) == (None, None)


def test_below_px_is_the_side_from_which_a_face_is_left_alone(finder):
    picture = scene(("ada", 100, 200, 96))
    box = finder.analyse(picture, "largest").box
    side = float(max(box[2] - box[0], box[3] - box[1]))
    results = [
        run(finder, [picture], settings=replace(SETTINGS, below_px=below))[0][0].result
        for below in (int(side), int(side) + 1)
    ]
    assert results == ["large_enough", "done"]


def test_a_face_at_the_border_has_its_square_moved_into_the_picture(finder):
    picture = scene(("ada", 224, 384, 96))
    ((done,), painter) = run(finder, [picture])
    assert done.result == "done"
    (((asked,), _),) = painter.calls
    assert not (asked.init_image[-1] == 0).all(), "nothing is filled in"
    left, top, _, _ = changed(picture, done.picture)
    assert left > 224
    assert top > 384


def test_a_face_larger_than_the_picture_is_wide_is_sampled_in_the_largest_square(finder):
    picture = scene(("ada", 0, 60, 320))[:, 60:300]
    settings = replace(SETTINGS, below_px=512)
    ((done,), painter) = run(finder, [picture], settings=settings, bucket=replace(BUCKET, width=240))
    (((asked,), _),) = painter.calls
    assert asked.init_image.shape == (256, 256, 3)
    assert done.result == "done"


@pytest.mark.parametrize(("wanted", "where"), [(None, "large"), ((60.0, 60.0), "small"), ((200.0, 300.0), "large")])
def test_of_several_faces_the_one_nearest_to_the_target_is_taken_else_the_largest(finder, wanted, where):
    picture = scene(("ada", 20, 10, 96), ("ben", 130, 240, 160))
    target = None if wanted is None else list(np.tile(wanted, 5))
    ((done,), _) = run(finder, [picture], wanted=[target])
    _, top, _, _ = changed(picture, done.picture)
    assert ("large" if top > 200 else "small") == where
    assert any(note.startswith("face_pass: several_faces: 2 found") for note in done.warnings)


def test_a_place_that_identity_net_of_strength_0_was_not_told_counts_for_nothing(finder):
    picture = scene(("ada", 20, 10, 96), ("ben", 130, 240, 160))
    rows = [row(identity_scale=scale) for scale in (0.0, 0.3)]
    done, _ = run(finder, [picture, picture], rows, wanted=[[60.0] * 10] * 2)
    assert [changed(picture, one.picture)[1] > 200 for one in done] == [True, False]


def test_rows_without_a_picture_pass_through_and_all_others_share_one_call(finder):
    failed = RowError(Code.NON_FINITE)
    people = [scene((name, 100, 200, 96)) for name in ("ada", "ben")]
    rows = [row(key=str(number), seed=number) for number in range(5)]
    done, painter = run(finder, [people[0], failed, scene(), people[1], scene(("ada", 0, 0, 320))], rows)
    assert [one.result for one in done] == ["done", None, "no_face", "done", "large_enough"]
    assert done[1].picture is failed
    assert [[asked.key for asked in rows] for rows, _ in painter.calls] == [["0", "3"]]


def test_a_face_that_does_not_decode_keeps_the_first_picture_with_a_warning(finder):
    picture = scene(("ada", 100, 200, 96))
    ((done,), _) = run(finder, [picture], painter=Painter(lambda _: RowError(Code.NON_FINITE, "no numbers")))
    assert done.result == "failed"
    assert done.picture is picture
    assert done.similarity == done.similarity_before
    assert any("face_pass_failed: non_finite" in note for note in done.warnings)


def test_a_face_that_the_pass_destroyed_has_no_similarity_and_a_warning(finder):
    ((done,), _) = run(
        finder, [scene(("ada", 100, 200, 96))], painter=Painter(lambda asked: np.full_like(asked.init_image, 130))
    )
    assert done.result == "done"
    assert done.similarity_before is not None
    assert done.similarity is None
    assert any(note.startswith("face_lost") for note in done.warnings)


def test_the_likeness_of_a_bystander_is_not_told_for_a_face_that_the_pass_destroyed(finder):
    picture = scene(("ada", 20, 10, 96), ("ben", 130, 240, 160))
    flat = Painter(lambda asked: np.full_like(asked.init_image, 130))
    ((done,), _) = run(finder, [picture], wanted=[[60.0] * 10], painter=flat)
    assert (done.result, done.similarity) == ("done", None)
    assert any(note.startswith("face_lost") for note in done.warnings)


def test_after_the_pass_the_face_that_was_made_anew_is_looked_at_not_the_largest(finder):
    picture = scene(("ada", 20, 10, 96), ("ben", 130, 240, 160))
    ada, ben = (finder.analyse(picture, "largest", near=place).embedding for place in ((60, 60), (210, 320)))
    ((done,), _) = run(finder, [picture], [row(id_embedding=ada[None])], wanted=[[60.0] * 10])
    assert done.similarity > 0.5 > float(ada @ ben / np.linalg.norm(ada) / np.linalg.norm(ben))


def test_second_seeds_are_seeds_and_differ():
    seeds = [second_seed(seed) for seed in (0, 1, -1, 2**63 - 1)]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert second_seed(1) == 2587693518432265763, "a rerun makes the same picture"


def test_what_is_kept_is_put_back_after_the_pass(finder):
    picture, photo_of_shop = scene(("ada", 100, 200, 96)), scene(("ben", 0, 0, 320))
    mask = np.zeros((480, 320), np.uint8)
    mask[240:] = 255
    kept = row(init_image=photo_of_shop, mask=mask, paste_back=True)
    rows = [kept, replace(kept, paste_back=False), replace(kept, mask=None)]
    repair = FaceRepair(Painter(), finder, SETTINGS)
    pasted, *others = map(told, finish([picture] * 3, rows, BUCKET, [None] * 3, repair, [["note: of a row"]] * 3))
    assert pasted.warnings[0] == "note: of a row"
    assert pasted.result == "done"
    assert np.array_equal(pasted.picture[:240], photo_of_shop[:240])
    assert np.array_equal(pasted.picture[240:], others[0].picture[240:])
    assert not np.array_equal(pasted.picture[240:], picture[240:])
    assert np.array_equal(others[0].picture, others[1].picture)


def test_batches_that_ask_for_no_pass_are_not_looked_at():
    class Blind:
        def analyse(self, *_args, **_words):
            raise AssertionError("looked")

    picture, failed = scene(("ada", 100, 200, 96)), RowError(Code.NON_FINITE)
    bucket = replace(BUCKET, face_pass=False)
    for repair in (None, FaceRepair(Painter(), Blind(), SETTINGS)):
        rows = [row(), row(paste_back=True)]
        done = [told(one) for one in finish([picture, failed], rows, bucket, [None] * 2, repair, [["a: b"], ["c: d"]])]
        assert done[0].picture is picture
        assert done[1].picture is failed
        assert [one.result for one in done] == [None, None]
        assert [one.warnings for one in done] == [("a: b",), ("c: d",)]


def test_a_batch_with_a_pass_is_not_finished_without_one():
    with pytest.raises(ValueError, match="face pass"):
        finish([scene()], [row()], BUCKET, [None], None, [[]])


def test_a_picture_is_the_same_alone_and_in_a_batch(finder, sampler: Sampler):
    """The real tiny sampler."""
    names = ("ada", "ben", "cleo")
    pictures = [scene((name, 30 * number, 100 * number, 96)) for number, name in enumerate(names)]
    rows = [
        row(key=name, seed=number, prompt=f"a portrait of {name}", id_embedding=finder.analyse(photo(name), "largest")
            .embedding[None])
        for number, name in enumerate(names)
    ]  # fmt: skip
    bucket = replace(BUCKET, controls=())
    settings = replace(SETTINGS, side_px=64)
    together, _ = run(finder, pictures, rows, painter=sampler, bucket=bucket, settings=settings)
    turned, _ = run(finder, pictures[::-1], rows[::-1], painter=sampler, bucket=bucket, settings=settings)
    for number in range(3):
        ((alone,), _) = run(
            finder, [pictures[number]], [rows[number]], painter=sampler, bucket=bucket, settings=settings
        )
        assert alone.result == "done"
        for other in (together[number], turned[2 - number]):
            assert np.abs(alone.picture.astype(int) - other.picture).max() <= 2, "rounding moves a value by a level"
        assert np.abs(alone.picture.astype(int) - pictures[number]).max() > 20
