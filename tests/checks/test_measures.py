"""What is measured on finished pictures: drawn people with the real tiny face pack, photos for the rest."""

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import imagehash
import numpy as np
import pytest
import skimage.data
from PIL import Image

from idgen.checks.instruments import Instruments
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture, PictureFacts, SeenFaces
from idgen.checks.table import CHECKS
from idgen.errors import Exit, RunError
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait, draw_scene

FACE_COLUMNS = ("face_similarity", "face_similarity_least", "judge_similarity", "judge_similarity_least", "face_px")
EMPTY = np.full((320, 320, 3), 120, np.uint8)


def portrait(person, look, side=320):
    return draw_portrait(DrawnPerson.sample(person), Look.sample(look, calm=True), side).image


def measured(picture, instruments, **facts):
    return findings(FinishedPicture(picture, PictureFacts(**facts)), CHECKS, instruments=instruments)


def person(number, finder, judge, looks=(1, 2)):
    """Facts of a person's references."""
    photos = [portrait(number, look) for look in looks]
    seen = [finder.see(photo, None, embedding=True) for photo in photos]
    return {
        "id_embeddings": np.stack([one.embedding for one in seen]),
        "judge_embeddings": np.stack([judge.embed(photo, one.points) for photo, one in zip(photos, seen, strict=True)]),
    }


class Counting:
    """A finder that counts its looks."""

    def __init__(self, finder):
        self.finder, self.looks = finder, 0

    def see(self, rgb, near, *, embedding):
        self.looks += 1
        return self.finder.see(rgb, near, embedding=embedding)


@pytest.fixture
def instruments(finder, judge):
    return Instruments(finder=lambda: finder, judge=lambda: judge)


def test_the_right_person_is_like_the_references_to_both_recognisers_and_another_is_not(finder, judge, instruments):
    right = measured(portrait(600_001, 9), instruments, **person(600_001, finder, judge)).values
    wrong = measured(portrait(600_002, 9), instruments, **person(600_001, finder, judge)).values
    for name in ("face_similarity", "judge_similarity"):
        assert right[name] > 0.7 > 0.5 > wrong[name]
        for values in (right, wrong):
            assert values[f"{name}_least"] < values[name]
    assert judge.embed(portrait(600_001, 9), np.array([[1, 1], [9, 1], [5, 5], [2, 9], [8, 9]], np.float32)).shape == (
        128,
    )


def test_likeness_is_the_mean_and_the_least_of_the_cosines_whatever_the_references_lengths(finder, instruments):
    picture = portrait(600_001, 9)
    own = finder.see(picture, None, embedding=True).embedding
    references = [finder.see(portrait(number, 1), None, embedding=True).embedding for number in (600_001, 600_002)]
    cosines = [float(own @ one / np.linalg.norm(own) / np.linalg.norm(one)) for one in references]
    values = measured(picture, instruments, id_embeddings=np.stack([references[0] * 3, references[1]])).values
    assert values["face_similarity"] == pytest.approx(np.mean(cosines), abs=1e-5)
    assert values["face_similarity_least"] == pytest.approx(min(cosines), abs=1e-5)
    assert values["judge_similarity"] is None, "the judge has not seen the references"


def test_a_person_without_a_face_in_the_picture_is_null_with_one_warning(finder, judge, instruments):
    found = measured(EMPTY, instruments, **person(600_001, finder, judge))
    assert {name: found.values[name] for name in FACE_COLUMNS} == dict.fromkeys(FACE_COLUMNS)
    assert found.values["faces_found"] == 0
    assert found.warnings == ("no_face_found: the row has references, but no face is found in the picture",)
    assert found.verdict == "warn"


def test_a_picture_of_nobody_has_nothing_to_miss(instruments):
    found = measured(EMPTY, instruments, id_embeddings=np.zeros((0, 512), np.float32))
    assert (found.values["faces_found"], found.values["face_similarity"], found.warnings) == (0, None, ())


def test_of_several_faces_the_one_is_meant_that_is_where_it_was_asked_else_the_largest(finder, instruments):
    people = [DrawnPerson.sample(600_010 + at) for at in range(3)]
    drawing = draw_scene(people, 7, 320, 320)
    seen = finder.see(drawing.image, None, embedding=True)
    areas = (seen.boxes[:, 2] - seen.boxes[:, 0]) * (seen.boxes[:, 3] - seen.boxes[:, 1])
    assert len(seen.boxes) == len(drawing.boxes) == 3
    assert seen.chosen == int(areas.argmax())
    for points in drawing.keypoints.astype(np.float32):
        values = measured(drawing.image, instruments, target_keypoints=points).values
        assert values["faces_found"] == 3
        assert values["face_place_error"] < 0.15, "the detector's own error is 0.03 of a face's width"
    moved = measured(drawing.image, instruments, target_keypoints=drawing.keypoints[0].astype(np.float32) + 15).values
    assert moved["face_place_error"] > 0.2


def test_the_size_of_a_face_follows_the_picture(finder, instruments):
    small, large = (measured(portrait(600_001, 9, side), instruments).values["face_px"] for side in (160, 320))
    assert large == pytest.approx(2 * small, rel=0.06)
    box = finder.see(portrait(600_001, 9, 320), None, embedding=False).box
    assert large == pytest.approx(max(box[2] - box[0], box[3] - box[1]))


def test_faces_are_looked_for_once_in_a_picture_whatever_is_measured(finder, judge):
    counting = Counting(finder)
    instruments = Instruments(finder=lambda: counting, judge=lambda: judge)
    facts = person(600_001, finder, judge)
    for count in (1, 2):
        measured(portrait(600_001, 9), instruments, **facts)
        assert counting.looks == count
    seen = finder.see(portrait(600_001, 9), None, embedding=True)
    known = measured(portrait(600_001, 9), instruments, seen=seen, **facts)
    assert counting.looks == 2, "somebody has looked at these pixels already"
    assert known.values["judge_similarity"] > 0.7, "which the judge has not"
    measured(portrait(600_001, 9), instruments, seen=SeenFaces(boxes=np.zeros((0, 5), np.float32)), **facts)
    assert counting.looks == 2


class Broken:
    def see(self, rgb, near, *, embedding):
        raise ZeroDivisionError("secret words")

    def embed(self, rgb, points):
        raise MemoryError("secret words")

    def score(self, rgb):
        raise OSError("secret words")


def test_an_instrument_that_breaks_costs_its_own_measures_and_says_so_once(finder, judge):
    facts, picture = person(600_001, finder, judge), portrait(600_001, 9)
    whole = measured(picture, Instruments(finder=lambda: finder, judge=lambda: judge), **facts).values
    found = measured(picture, Instruments(finder=lambda: finder, judge=lambda: Broken()), **facts)
    assert found.warnings == ("check_failed: judge (MemoryError)",)
    assert found.values == whole | {"judge_similarity": None, "judge_similarity_least": None}
    found = measured(picture, Instruments(finder=lambda: Broken(), safety=lambda: Broken()), **facts)
    assert found.warnings == ("check_failed: faces (ZeroDivisionError)", "check_failed: safety (OSError)")
    gone = {*FACE_COLUMNS, "faces_found"}
    assert found.values == {name: None if name in gone else value for name, value in whole.items()}


@pytest.mark.parametrize("name", ["finder", "judge", "safety"])
def test_an_instrument_that_this_node_cannot_have_ends_the_run(finder, judge, name):
    def missing():
        raise RunError(Exit.UNAVAILABLE, "not on this node")

    instruments = Instruments(**{"finder": lambda: finder, "judge": lambda: judge, name: missing})
    with pytest.raises(RunError, match="not on this node"):
        measured(portrait(600_001, 9), instruments, **person(600_001, finder, judge))


def test_columns_without_a_value_because_something_broke_are_named(finder, judge):
    facts, picture = person(600_001, finder, judge), portrait(600_001, 9)
    assert not measured(EMPTY, Instruments(finder=lambda: finder, judge=lambda: judge), **facts).broken
    found = measured(picture, Instruments(finder=lambda: Broken(), safety=lambda: Broken()), **facts)
    assert found.broken == {*FACE_COLUMNS, "faces_found", "unsafe_score"}


def test_the_ground_of_a_picture_whose_faces_could_not_be_looked_for_is_not_measured():
    """With the faces in it, it would be another figure than with a finder that is well."""
    found = measured(on_white(), Instruments(finder=lambda: Broken()), white_ground=True)
    assert (found.values["ground_white_fraction"], found.values["ground_deviation"]) == (None, None)
    assert {"ground_white_fraction", "ground_deviation"} < found.broken
    assert not {"ground_white_fraction"} & measured(on_white(), Instruments(finder=lambda: Broken())).broken


def test_many_threads_measure_what_one_does(finder, judge, instruments):
    facts = person(600_001, finder, judge)
    pictures = [portrait(600_000 + at, 9, 256 + 8 * (at % 3)) for at in range(12)]
    alone = [measured(picture, instruments, **facts).values for picture in pictures]
    meeting = threading.Barrier(6)

    def look(at):
        meeting.wait()
        return measured(pictures[at], instruments, **facts).values

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(look, range(12))) == alone


def values_of(picture, **facts):
    return measured(picture, Instruments(), **facts).values


def test_a_blurred_photo_is_less_sharp_and_the_measure_is_opencv_s():
    photo = skimage.data.astronaut()
    blurred = [cv2.GaussianBlur(photo, (0, 0), sigma) for sigma in (1, 2, 4)]
    sharp, *less = (values_of(one)["sharpness"] for one in (photo, *blurred))
    assert [sharp, *less] == sorted([sharp, *less], reverse=True)
    assert less[0] < 0.3 * sharp
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert sharp == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-5)


def test_clipped_pixels_are_those_without_any_detail():
    photo = np.clip(skimage.data.astronaut(), 1, 254)
    assert values_of(photo)["clipped_fraction"] == 0
    photo[:128] = 255
    photo[128:192] = 0
    photo[192:256, :, 0] = 255  # red alone is a colour
    assert values_of(photo)["clipped_fraction"] == pytest.approx(192 / 512)
    bright = np.clip(skimage.data.astronaut().astype(int) * 2, 0, 255).astype(np.uint8)
    assert values_of(bright)["clipped_fraction"] > values_of(skimage.data.astronaut())["clipped_fraction"] + 0.05


def bits(one, other):
    return imagehash.hex_to_hash(one) - imagehash.hex_to_hash(other)


def test_near_pictures_share_most_bits_and_others_do_not():
    photo = skimage.data.astronaut()
    known = values_of(photo)["perceptual_hash"]
    assert len(known) == 16
    assert bits(known, str(imagehash.phash(Image.fromarray(photo)))) <= 4, "the library's own, of the whole picture"
    smaller = cv2.resize(photo, (384, 384), interpolation=cv2.INTER_AREA)
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 8, photo.shape), 0, 255).astype(np.uint8)
    for near in (smaller, noisy, cv2.GaussianBlur(photo, (0, 0), 2)):
        assert bits(known, values_of(near)["perceptual_hash"]) <= 4
    for other in (skimage.data.coffee(), skimage.data.chelsea(), photo[:, ::-1]):
        assert bits(known, values_of(np.ascontiguousarray(other))["perceptual_hash"]) >= 16


def on_white(level=255, shade=0):
    """A person in front of a studio's wall, standing on the lower edge."""
    picture = np.full((480, 320, 3), level, np.uint8)
    picture[:, :, :] -= np.linspace(0, shade, 320).astype(np.uint8)[None, :, None]
    picture[100:, 90:230] = (40, 60, 140)
    return picture


def test_the_ground_is_measured_only_where_white_was_asked_for():
    for name in ("ground_white_fraction", "ground_deviation"):
        assert values_of(on_white())[name] is None
    asked = values_of(on_white(), white_ground=True)
    assert (asked["ground_white_fraction"], asked["ground_deviation"]) == (1.0, 0.0), "the legs below are not ground"
    grey = values_of(on_white(235), white_ground=True)
    assert (grey["ground_white_fraction"], grey["ground_deviation"]) == (0.0, 0.0), "even, but not white"
    shaded = values_of(on_white(255, 40), white_ground=True)
    assert 0.2 < shaded["ground_white_fraction"] < 0.8
    assert shaded["ground_deviation"] > 10


def test_a_face_at_the_edge_is_no_ground():
    picture = on_white()
    picture[0:60, 0:60] = (200, 150, 120)
    boxes = np.array([[-5, -5, 60, 60, 0.9]], np.float32)
    without = values_of(picture, white_ground=True)
    seen = values_of(picture, white_ground=True, seen=SeenFaces(boxes=boxes))
    assert without["ground_white_fraction"] < 0.95
    assert seen["ground_white_fraction"] == 1.0
    covered = np.array([[0, 0, 320, 480, 0.9]], np.float32)
    assert values_of(picture, white_ground=True, seen=SeenFaces(boxes=covered))["ground_white_fraction"] is None
