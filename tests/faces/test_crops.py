"""Crops of drawn people, with the real face pack where a face has to be found."""

from pathlib import Path

import numpy as np
import pytest
from insightface.utils import face_align

import idgen.tiny
from idgen.config import FacesConfig
from idgen.errors import Code, RowError
from idgen.faces.alignment import align
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.crops import FACE_SCALE, aligned, cut, face_square
from idgen.recipes.variants import PictureNeed
from idgen.sources.clip_pixels import prepare
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"
DRAWING = draw_portrait(DrawnPerson.sample(7), Look.sample(7, calm=True), 256)
WHITE = np.array([255, 255, 255])


def need(kind, color="rgb", clip_fit="crop", crop_px=224):
    return PictureNeed(kind, 224, color, clip_fit, crop_px)


@pytest.fixture(scope="module")
def face():
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig()).analyse(DRAWING.image, "largest")


def plain(width, height):
    """Each pixel tells where it lies: red across, green down, in steps of 1."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 250, y % 250, np.zeros_like(x)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("crop_px", [112, 128, 224, 256])
def test_an_aligned_face_is_insightface_s_own(face, crop_px):
    bgr = np.ascontiguousarray(DRAWING.image[..., ::-1])
    assert np.array_equal(aligned(bgr, face.keypoints, crop_px), face_align.norm_crop(bgr, face.keypoints, crop_px))


def test_256_px_frame_the_face_with_more_room_at_its_sides_than_224(face):
    """The eyes of the 224 frame lie at x = 2 x 38.29 and 2 x 73.53, of the 256 one 16 px more to the right."""
    marked = np.zeros_like(DRAWING.image)
    eyes = face.keypoints[:2].round().astype(int)
    for x, y in eyes:
        marked[y - 3 : y + 4, x - 3 : x + 4] = 255
    middles = {px: np.nonzero(aligned(marked, face.keypoints, px)[..., 0] > 128)[1].mean() for px in (224, 256)}
    assert middles[224] == pytest.approx(38.2946 + 73.5318, abs=4)
    assert middles[256] == pytest.approx(38.2946 + 73.5318 + 16, abs=4)


def test_pulid_s_crop_is_the_face_on_ffhq_s_points_and_nothing_else(face):
    asked = PictureNeed("ffhq", 512, "rgb", "crop", 512)
    crop = cut(asked, DRAWING.image, face)
    assert (crop.shape, crop.dtype) == ((512, 512, 3), np.uint8)
    assert np.array_equal(crop, align(DRAWING.image, face.keypoints))
    with pytest.raises(ValueError, match="needs a face"):
        cut(asked, DRAWING.image, None)


@pytest.mark.parametrize("crop_px", [0, -112, 200, 225])
def test_a_side_without_a_frame_is_refused(face, crop_px):
    with pytest.raises(ValueError, match="multiple of 112 or 128"):
        aligned(DRAWING.image, face.keypoints, crop_px)


def test_bgr_is_rgb_turned_round_and_nothing_else(face):
    for kind in ("aligned", "face", "picture"):
        rgb, bgr = (cut(need(kind, color), DRAWING.image, face) for color in ("rgb", "bgr"))
        assert np.array_equal(rgb[..., ::-1], bgr)
        assert not np.array_equal(rgb, bgr)


def test_an_aligned_face_of_another_side_is_brought_to_the_encoder_s(face):
    crop = cut(need("aligned", crop_px=256), DRAWING.image, face)
    assert np.array_equal(crop, prepare(aligned(DRAWING.image, face.keypoints, 256), 224, "crop"))
    assert not np.array_equal(crop, cut(need("aligned"), DRAWING.image, face))


def test_the_square_holds_the_whole_drawn_face_in_its_middle(face):
    square = face_square(DRAWING.image, face.box)
    left, top = (np.array([0, 0]) + offset(DRAWING.image, square))[:2]
    x1, y1, x2, y2 = DRAWING.boxes[0]
    assert square.shape[0] == square.shape[1]
    assert left <= x1 < x2 <= left + len(square)
    assert top <= y1 < y2 <= top + len(square)
    assert len(square) == pytest.approx(FACE_SCALE * max(x2 - x1, y2 - y1), rel=0.25)


def offset(photo, square):
    """Where the square lies in the photo: by the only place where it fits."""
    height, width = square.shape[:2]
    fits = [
        (x, y)
        for y in range(photo.shape[0] - height + 1)
        for x in range(photo.shape[1] - width + 1)
        if np.array_equal(photo[y : y + height, x : x + width], square)
    ]
    assert len(fits) == 1
    return np.array(fits[0])


@pytest.mark.parametrize(
    ("box", "left", "top", "side"),
    [
        ((80, 80, 120, 120), 70, 70, 60),
        ((80, 90, 120, 110), 70, 70, 60),
        ((-5, -5, 35, 35), 0, 0, 60),  # moved into the photo
        ((180, 120, 220, 160), 140, 90, 60),
    ],
)
def test_the_square_is_around_the_box_and_moved_into_the_photo(box, left, top, side):
    rgb = plain(200, 150)
    square = face_square(rgb, np.array(box, np.float32))
    assert np.array_equal(square, rgb[top : top + side, left : left + side])


def test_where_the_photo_ends_the_square_is_white():
    rgb = plain(100, 200)
    square = face_square(rgb, np.array([10, 60, 90, 160], np.float32))  # wants 150, the photo is 100 wide
    assert square.shape == (150, 150, 3)
    inside = (square != WHITE).any(axis=(0, 2))
    assert inside.sum() == 100
    left = int(np.argmax(inside))
    assert left == 25
    assert np.array_equal(square[:, left : left + 100], rgb[35:185])


@pytest.mark.parametrize(
    "box", [(-1e6, -1e6, 1e6, 1e6), (0, 0, 1e9, 3), (5, 5, 5, 5), (9, 9, 2, 2), (500, 500, 600, 600)]
)
@pytest.mark.parametrize("size", [(64, 3000), (3000, 64), (80, 80)])
def test_no_box_makes_a_square_larger_than_its_photo_allows(box, size):
    square = face_square(plain(*size), np.array(box, np.float32))
    assert 1 <= len(square) <= min(max(size), 2 * min(size))


def test_the_mask_leaves_the_face_and_makes_the_rest_white(face):
    mask = np.zeros_like(DRAWING.image)
    x1, y1, x2, y2 = face.box.round().astype(int)
    mask[y1:y2, x1:x2] = 255
    square, bare = face_square(DRAWING.image, face.box, mask), face_square(DRAWING.image, face.box)
    x, y = offset(DRAWING.image, bare)
    inside = np.zeros(square.shape[:2], bool)
    inside[y1 - y : y2 - y, x1 - x : x2 - x] = True
    assert np.array_equal(square[inside], bare[inside])
    assert (square[~inside] == 255).all()
    assert not (bare[~inside] == 255).all()


def test_a_mask_of_another_size_is_stretched_to_the_photo(face):
    mask = np.zeros((32, 64, 3), np.uint8)
    mask[:, :32] = 255  # the left half
    box = np.array([100, 100, 156, 156], np.float32)
    square, bare = face_square(DRAWING.image, box, mask), face_square(DRAWING.image, box)
    assert np.array_equal(square[:, :38], bare[:, :38])
    assert (square[:, -38:] == 255).all()


def test_a_mask_with_nothing_of_the_face_is_refused(face):
    inverted = np.full_like(DRAWING.image, 255)
    x1, y1, x2, y2 = face.box.round().astype(int)
    inverted[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = 0
    with pytest.raises(RowError, match="reference_mask_uri") as caught:
        face_square(DRAWING.image, face.box, inverted)
    assert caught.value.code == Code.BAD_VALUE


def test_without_a_face_the_picture_is_the_face(face):
    whole = prepare(DRAWING.image, 224, "crop")
    assert np.array_equal(cut(need("face"), DRAWING.image, None), whole)
    assert np.array_equal(cut(need("picture"), DRAWING.image, face), whole)
    assert not np.array_equal(cut(need("face"), DRAWING.image, face), whole)
    with pytest.raises(ValueError, match="needs a face"):
        cut(need("aligned"), DRAWING.image, None)
