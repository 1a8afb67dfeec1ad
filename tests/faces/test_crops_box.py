"""The square of the detector's box: Pillow's own crop of fractions of a pixel, as Kolors' FaceID-Plus is fed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import idgen.tiny
from idgen.config import FacesConfig, SourcesConfig
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.crops import box_square, cut
from idgen.faces.file_analysis import OpenedFiles, look
from idgen.faces.file_tasks import FileTask
from idgen.recipes.recipe import AdapterSpec, FacePack
from idgen.recipes.variants import PictureNeed, picture_need
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"
DRAWING = draw_portrait(DrawnPerson.sample(7), Look.sample(7, calm=True), 256)
NEED = PictureNeed("bbox", 336, "rgb", "crop", 336)


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig())


def noise(width, height):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def by_pillow(rgb, box) -> np.ndarray:
    """A square about the box's middle, cut and resized by Pillow alone, with its default filter."""
    left, top, right, bottom = (np.float32(edge) for edge in box)
    radius = max(right - left, bottom - top) / 2
    across, down = (left + right) / 2, (top + bottom) / 2
    corners = [across - radius, down - radius, across + radius, down + radius]
    return np.asarray(Image.fromarray(rgb).crop(corners).resize((336, 336)))


def test_the_need_of_the_adapter_is_a_square_of_336_px_in_rgb():
    assert picture_need(AdapterSpec(kind="kolors_faceid_plus")) == NEED


@pytest.mark.parametrize(
    "box",
    [
        (50, 40, 90, 100),
        (50.5, 40.5, 91.5, 101.5),  # corners at halves, which round to even
        (50.25, 40.75, 99.3, 88.1),
        (-20.4, -31.7, 60.2, 70.9),
        (150.3, 100.1, 260.8, 190.2),
        (-60.0, -60.0, 260.0, 220.0),
    ],
)
def test_every_pixel_is_what_pillow_cuts_and_resizes(box):
    rgb = noise(200, 160)
    assert np.array_equal(box_square(rgb, np.array(box, np.float32), 336), by_pillow(rgb, box))


def test_random_boxes_are_cut_as_pillow_does():
    rgb, rng = noise(97, 131), np.random.default_rng(1)
    for _ in range(200):
        x, y, width, height = rng.uniform((-30, -30, 4, 4), (90, 120, 90, 90)).astype(np.float32)
        box = np.array([x, y, x + width, y + height], np.float32)
        assert np.array_equal(box_square(rgb, box, 336), by_pillow(rgb, box)), box


def test_corners_are_rounded_one_by_one_so_the_piece_may_be_wider_than_high():
    """10.4..50.6 is 41 pixels across, 10.6..50.8 is 40 down; with one of each the last row would be another one."""
    rgb = noise(80, 80)
    piece = Image.fromarray(rgb[11:51, 10:51])
    box = np.array([10.4, 10.6, 50.6, 50.8], np.float32)
    assert piece.size == (41, 40)
    assert np.array_equal(box_square(rgb, box, 336), np.asarray(piece.resize((336, 336), Image.Resampling.BICUBIC)))


def test_where_the_photo_ends_the_square_is_black():
    white = np.full((100, 100, 3), 255, np.uint8)
    seen = box_square(white, np.array([-50, 0, 50, 100], np.float32), 336)
    assert not seen[:, :160].any()
    assert (seen[:, 176:] == 255).all()


def test_the_square_has_no_margin():
    marked = np.zeros((200, 200, 3), np.uint8)
    marked[60:140, 50:130] = 255
    assert (box_square(marked, np.array([50, 60, 130, 140], np.float32), 336) == 255).all()


@pytest.mark.parametrize(
    "box",
    [(-1e6, -1e6, 1e6, 1e6), (0, 0, 1e9, 3), (5, 5, 5, 5), (9, 9, 2, 2), (5.5, 5.5, 5.6, 5.6), (500, 500, 600, 600)],
)
@pytest.mark.parametrize("size", [(64, 3000), (3000, 64), (80, 80)])
def test_no_box_cuts_a_piece_that_is_much_larger_than_its_photo(box, size, monkeypatch):
    cuts = []
    plain = Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda self, box: cuts.append(plain(self, box)) or cuts[-1])
    assert box_square(noise(*size), np.array(box, np.float32), 336).shape == (336, 336, 3)
    assert all(1 <= side <= 2 * min(size) + 1 for side in cuts[0].size)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_nothing_is_resized_a_second_time(analyser, fit):
    face = analyser.analyse(DRAWING.image, "largest")
    seen = cut(PictureNeed("bbox", 336, "rgb", fit, 336), DRAWING.image, face)
    assert np.array_equal(seen, by_pillow(DRAWING.image, face.box))


def test_a_face_has_to_be_found():
    with pytest.raises(ValueError, match="bbox needs a face"):
        cut(NEED, DRAWING.image, None)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_box_and_pixels_are_of_the_same_upright_picture_however_the_camera_was_held(
    analyser, tmp_path, orientation, turn
):
    """The authors cut the file's pixels by the upright picture's box, which is a defect on phones' photos."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(DRAWING.image, turn)).save(tmp_path / "held.png", exif=exif)
    seen = run_task(analyser, tmp_path / "held.png")
    assert np.array_equal(seen, by_pillow(DRAWING.image, analyser.analyse(DRAWING.image, "largest").box))


def test_what_is_transparent_is_flattened_before_the_cut_and_outside_stays_black(analyser, tmp_path):
    alpha = np.full((*DRAWING.image.shape[:2], 1), 255, np.uint8)
    alpha[:, :40] = 0
    Image.fromarray(np.concatenate([DRAWING.image, alpha], -1)).save(tmp_path / "cut out.png")
    flat = DRAWING.image.copy()
    flat[:, :40] = 255
    seen = run_task(analyser, tmp_path / "cut out.png")
    assert np.array_equal(seen, by_pillow(flat, analyser.analyse(flat, "largest").box))


def run_task(analyser, path) -> np.ndarray:
    """The crop of a file, as the face actor makes it."""
    asked = FileTask(str(path), face_pack=FacePack(weights="tiny:facepack"), face_select="largest", pictures=(NEED,))
    opened = OpenedFiles([path.read_bytes()], SourcesConfig())
    seen = look(asked, opened, lambda rgb, wanted: analyser.analyse(rgb, wanted.face_select))
    return np.frombuffer(seen.crops[NEED.name], np.uint8).reshape(336, 336, 3)
