"""Drawn people: the same person under other looks, the same pixels for the same seeds, truth that fits the picture."""

import dataclasses

import numpy as np
import pytest

from drawn_world.prompts import Facts, plain
from idgen.tiny.people import EXPRESSIONS, HAIR_STYLES, SCENES, SHIRTS, DrawnPerson, Look
from idgen.tiny.render import draw_portrait, draw_scene

SEEDS = range(30)


def portrait(person_seed: int, look_seed: int, size_px: int = 128, calm: bool = False):
    return draw_portrait(DrawnPerson.sample(person_seed), Look.sample(look_seed, calm=calm), size_px)


def people_of(count: int, start: int) -> list[DrawnPerson]:
    return [DrawnPerson.sample(start + i) for i in range(count)]


def test_equal_seeds_give_equal_people_looks_and_pixels():
    assert DrawnPerson.sample(5) == DrawnPerson.sample(5)
    assert Look.sample(5) == Look.sample(5)
    assert np.array_equal(portrait(5, 6).image, portrait(5, 6).image)
    first, second = (draw_scene(people_of(3, 40), seed=9) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.keypoints, second.keypoints)


def test_other_seeds_give_other_people():
    assert len({DrawnPerson.sample(seed) for seed in range(200)}) == 200


def test_another_look_changes_the_picture_and_nothing_of_the_person():
    one, other = portrait(3, 1).image.astype(int), portrait(3, 2).image.astype(int)
    assert np.abs(one - other).mean() > 10


def test_a_person_is_more_like_themselves_than_like_others_when_only_the_expression_changes():
    calm = Look.sample(0, calm=True)
    serious, smiling = (dataclasses.replace(calm, expression=name) for name in ("serious", "smiling"))
    first = [draw_portrait(DrawnPerson.sample(seed), serious, 96).image.astype(float) for seed in SEEDS]
    second = [draw_portrait(DrawnPerson.sample(seed), smiling, 96).image.astype(float) for seed in SEEDS]
    away = np.array([[np.abs(a - b).mean() for b in second] for a in first])
    assert (away.argmin(1) == np.arange(len(SEEDS))).all()


@pytest.mark.parametrize("size_px", [64, 128, 256])
def test_box_and_keypoints_lie_inside_the_portrait_in_insightface_order(size_px: int):
    for seed in SEEDS:
        drawing = portrait(seed, seed, size_px)
        assert drawing.image.shape == (size_px, size_px, 3)
        assert drawing.image.dtype == np.uint8
        assert drawing.boxes.dtype == drawing.keypoints.dtype == np.float32
        _assert_faces_fit(drawing.boxes, drawing.keypoints, size_px, size_px)
        left_eye, right_eye, nose, left_mouth, right_mouth = drawing.keypoints[0]
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("count", [0, 1, 4, 8])
@pytest.mark.parametrize(("width_px", "height_px"), [(320, 320), (320, 192), (200, 300)])
def test_a_scene_has_one_entry_per_person_and_all_faces_apart(count: int, width_px: int, height_px: int):
    for seed in range(5):
        drawing = draw_scene(people_of(count, 10 * seed), seed, width_px, height_px)
        assert drawing.image.shape == (height_px, width_px, 3)
        assert drawing.boxes.shape == (count, 4)
        assert drawing.keypoints.shape == (count, 5, 2)
        _assert_faces_fit(drawing.boxes, drawing.keypoints, width_px, height_px)
        for i, first in enumerate(drawing.boxes):
            for second in drawing.boxes[i + 1 :]:
                assert (np.minimum(first[2:], second[2:]) <= np.maximum(first[:2], second[:2])).any()


def test_keypoints_do_not_depend_on_the_size():
    small, large = portrait(7, 8, 128).keypoints, portrait(7, 8, 256).keypoints
    np.testing.assert_allclose(small * 2, large, rtol=1e-4)


def test_eyes_are_white_or_dark_where_the_keypoints_say():
    """A look at the pixels: around an eye's keypoint there is much more contrast than on the forehead's skin."""
    for seed in (0, 4, 7):
        drawing = portrait(seed, seed, 256, calm=True)
        for x, y in drawing.keypoints[0, :2].astype(int):
            assert drawing.image[y - 8 : y + 8, x - 8 : x + 8].astype(float).std() > 40


def test_calm_looks_are_nearly_frontal_quiet_and_serious_or_smiling():
    for seed in range(100):
        look = Look.sample(seed, calm=True)
        assert abs(look.yaw) <= 0.07
        assert look.noise == 0
        assert look.expression in EXPRESSIONS[:2]


def test_every_style_scene_shirt_and_expression_is_drawn_and_named():
    person, look = DrawnPerson.sample(0), Look.sample(0, calm=True)
    for style in HAIR_STYLES:
        draw_portrait(dataclasses.replace(person, hair_style=style), look, 64)
    seen = set()
    for scene, shirt, expression in zip(SCENES, SHIRTS, EXPRESSIONS * 2, strict=True):
        other = dataclasses.replace(look, scene=scene, shirt=shirt, expression=expression)
        seen.add(draw_portrait(person, other, 64).image.tobytes())
        said = plain(Facts.of_look(other)).replace(",", "").split()
        assert {scene, shirt, expression} <= set(said)
    assert len(seen) == len(SCENES)


def _assert_faces_fit(boxes: np.ndarray, keypoints: np.ndarray, width_px: int, height_px: int) -> None:
    for box, points in zip(boxes, keypoints, strict=True):
        assert (box[:2] >= 0).all()
        assert box[2] <= width_px
        assert box[3] <= height_px
        assert (points > box[:2]).all()
        assert (points < box[2:]).all()
