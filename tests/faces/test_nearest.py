"""Of several faces, the one nearest to a place; the drawn people and the tiny face pack."""

import numpy as np
import pytest
from doubles.catalogue import PHOTOS
from PIL import Image

from idgen import weights
from idgen.config import FacesConfig
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.choice import nearest


def test_the_nearest_face_is_the_one_whose_middle_is_nearest():
    boxes = np.array([[0, 0, 10, 10, 0.9], [0, 0, 100, 100, 0.5], [90, 90, 100, 100, 0.9]], np.float32)
    assert [nearest(boxes, place) for place in ((0, 0), (60, 60), (200, 99))] == [0, 1, 2]


@pytest.mark.parametrize(("place", "left_px"), [((40.0, 60.0), 0), ((400.0, 60.0), 320)])
def test_a_place_decides_over_the_largest_and_the_warning_says_so(place, left_px):
    people = np.full((320, 640, 3), 130, np.uint8)
    for left, name, side in ((0, "ada", 320), (330, "ben", 240)):
        people[:side, left : left + side] = np.asarray(
            Image.open(PHOTOS / f"{name}.png").convert("RGB").resize((side, side))
        )
    analyser = FaceAnalyser(weights.locate("tiny:facepack"), 640, 0.5, threads=1, config=FacesConfig())
    face = analyser.analyse(people, "largest", near=place)
    assert face.faces_found == 2
    assert left_px < face.box[0] < left_px + 240
    assert any("nearest to where it was wanted" in note for note in face.warnings)
