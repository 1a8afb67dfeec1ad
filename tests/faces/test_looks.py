"""How often and how closely a photo is looked at: drawn people and the tiny face pack, as with real ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from doubles.catalogue import PEOPLE, PHOTOS
from PIL import Image

import idgen.tiny
from idgen.config import FacesConfig, SourcesConfig
from idgen.errors import CODES, Code, RowError
from idgen.faces import detection
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.detection import Found
from idgen.faces.references import ReferenceReader, Request
from idgen.sources.fetch import Fetcher
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser(PACK, 320, 0.5, threads=1, config=FacesConfig())


@pytest.fixture
def looks(analyser, monkeypatch):
    """The sizes of what the detector was shown."""
    shown, real = [], analyser._app.det_model.detect

    def detect(bgr, **words):
        shown.append(bgr.shape[1::-1])
        return real(bgr, **words)

    monkeypatch.setattr(analyser._app.det_model, "detect", detect)
    return shown


def portrait(seed, size_px=320):
    return draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), size_px).image


def ordinary():
    yield from (np.asarray(Image.open(PHOTOS / f"{name}.png").convert("RGB")) for name in PEOPLE)
    yield from (portrait(seed) for seed in range(30, 38))


def cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def words(face):
    return [warning.partition(":")[0] for warning in face.warnings]


def on_grey(image, size, left, top):
    """`image` somewhere in a grey photo of `size`."""
    photo = np.full((size[1], size[0], 3), 127, np.uint8)
    photo[top : top + image.shape[0], left : left + image.shape[1]] = image
    return photo


@pytest.mark.parametrize("embedding", [True, False])
def test_an_ordinary_photo_is_looked_at_once(analyser, looks, embedding):
    for number, photo in enumerate(ordinary(), start=1):
        face = analyser.analyse(photo, "largest", embedding=embedding)
        assert len(looks) == number
        assert (face.turns, face.warnings) == (0, ())


def test_a_small_face_costs_one_look_more_and_is_the_same(analyser, looks):
    photo = on_grey(portrait(7, 100), (400, 560), 150, 60)
    face = analyser.analyse(photo, "largest")
    assert looks == [(400, 560), (1200, 1680)]
    assert words(face) == ["small_face"]


def test_a_picture_made_here_is_looked_at_once_however_small_its_face(analyser, looks):
    photo = on_grey(portrait(7, 100), (400, 560), 150, 60)
    face, made = (analyser.analyse(photo, "largest", photo=each) for each in (True, False))
    assert looks[2:] == [(400, 560)]
    assert (made.box == face.box).all()
    assert (made.embedding == face.embedding).all()


def test_a_picture_made_here_is_never_turned(analyser):
    on_its_side = np.ascontiguousarray(np.rot90(portrait(8)))
    assert analyser.analyse(on_its_side, "largest").turns == 3
    with pytest.raises(RowError) as caught:
        analyser.analyse(on_its_side, "largest", photo=False)
    assert caught.value.code == Code.NO_FACE


class Scripted:
    """A detector that finds one face, (box, score), in a photo of each of the sizes given."""

    det_thresh = 0.5

    def __init__(self, **faces):
        self.faces = faces
        self.asked = []

    def detect(self, bgr):
        size = f"w{bgr.shape[1]}"
        self.asked.append(size)
        if size not in self.faces:
            return np.zeros((0, 5), np.float32), np.zeros((0, 5, 2), np.float32)
        box, score = self.faces[size]
        return np.array([[*box, score]], np.float32), np.zeros((1, 5, 2), np.float32)


FILLS = (110, 110, 190, 190)
"""A box in a photo of 100 px with a border of 100: 80 px."""


@pytest.mark.parametrize(
    ("box", "score", "found"),
    [(FILLS, 0.7, 1), (FILLS, 0.55, 0), ((130, 130, 170, 170), 0.9, 0), ((10, 10, 90, 90), 0.9, 0)],
)
def test_after_a_border_only_a_large_and_sure_face_counts(box, score, found):
    """A coffee cup: 0.502 after a border, of a fifth of the photo."""
    seen = detection.find_in_photo(Scripted(w300=(box, score)), np.zeros((100, 100, 3), np.uint8), 640)
    assert len(seen) == found
    if found:
        assert seen.boxes[0, :4].tolist() == [10, 10, 90, 90]
        assert seen.notes[0].startswith("face_fills_frame")


def test_a_picture_made_here_has_a_face_so_a_border_may_show_any_of_it():
    """Small faces of the demo's pictures are found so; the face pass and the judge rest on it."""
    small = ((60, 60, 80, 80), 0.52)
    seen = detection.find(Scripted(w150=small), np.zeros((100, 100, 3), np.uint8))
    assert seen.boxes[0, :4].tolist() == [35, 35, 55, 55]
    assert len(detection.find_in_photo(Scripted(w150=small), np.zeros((100, 100, 3), np.uint8), 640)) == 0


def test_a_pack_that_is_less_generous_stays_so_in_further_looks():
    detector = Scripted(w300=(FILLS, 0.7))
    detector.det_thresh = 0.8
    assert len(detection.find_in_photo(detector, np.zeros((100, 100, 3), np.uint8), 640)) == 0


def close_up(seed, badge_seed):
    """A face that fills the frame, 512 px wide, with another person's on a badge in the corner."""
    drawing = draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 640)
    left, top, right, bottom = (int(edge) for edge in drawing.boxes[0])
    inset_x, inset_y = (right - left) // 6, (bottom - top) // 6
    face = drawing.image[top + inset_y : bottom - inset_y, left + inset_x : right - inset_x]
    photo = cv2.resize(face, (512, round(512 * face.shape[0] / face.shape[1])))
    photo[-110:, -110:] = portrait(badge_seed, 110)
    return photo


@pytest.mark.parametrize(("seed", "badge"), [(11, 12), (31, 32), (35, 36)])
def test_a_face_that_fills_the_frame_wins_over_the_one_on_its_badge(analyser, seed, badge):
    photo = close_up(seed, badge)
    face = analyser.analyse(photo, "largest")
    assert words(face)[0] == "face_fills_frame"
    assert face.faces_found == 2
    assert min(face.box[2:] - face.box[:2]) > photo.shape[1] / 2


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("embedding", [True, False])
def test_a_photo_on_its_side_gives_what_the_upright_one_gives(analyser, turns, embedding):
    for seed in range(30, 33):
        upright = analyser.analyse(portrait(seed), "largest", embedding=embedding)
        photo = np.ascontiguousarray(np.rot90(portrait(seed), turns))
        face = analyser.analyse(photo, "largest", embedding=embedding)
        assert face.turns == 4 - turns
        assert words(face) == ["photo_turned"]
        assert (face.box == upright.box).all()
        assert (face.keypoints == upright.keypoints).all()
        assert not embedding or (face.embedding == upright.embedding).all()


def test_what_is_cut_of_a_photo_on_its_side_is_cut_of_the_upright_one(tmp_path, analyser):
    sources = SourcesConfig(warn_side_px=64)
    reader = ReferenceReader(Fetcher(sources, extra_roots=[str(tmp_path)]), lambda pack: analyser, sources)
    tall = np.concatenate([portrait(8), np.full((80, 320, 3), 127, np.uint8)])
    for name, photo in (("upright", tall), ("turned", np.rot90(tall))):
        Image.fromarray(photo).save(tmp_path / f"{name}.png")
    upright, turned = reader.read([Request((str(tmp_path / f"{name}.png"),)) for name in ("upright", "turned")])
    assert turned.reference_size == upright.reference_size == [320, 400]
    assert turned.reference_keypoints == upright.reference_keypoints
    assert (turned.id_embedding == upright.id_embedding).all()


@pytest.mark.parametrize(("side", "share", "said"), [("left", 0.4, True), ("top", 0.45, True), ("left", 0.05, False)])
def test_a_face_cut_by_the_photos_edge_is_said(analyser, side, share, said):
    for seed in (30, 31, 32):
        photo = portrait(seed)
        left, top, right, bottom = analyser.analyse(photo, "largest").box
        across, down = (int(left + share * (right - left)), int(top + share * (bottom - top)))
        cut = photo[:, across:] if side == "left" else photo[down:]
        assert ("face_cut" in words(analyser.analyse(np.ascontiguousarray(cut), "largest"))) == said


def test_a_tiny_face_in_a_large_photo_is_found_where_it_is(analyser, looks):
    photo = on_grey(portrait(9, 200), (2400, 1600), 1700, 900)
    alone = analyser.analyse(portrait(9, 200), "largest")
    face = FaceAnalyser.analyse(analyser, photo, "largest")
    assert "face_far" in words(face)
    middle = (face.box[:2] + face.box[2:]) / 2
    assert (np.abs(middle - (alone.box[:2] + alone.box[2:]) / 2 - (1700, 900)) < 8).all()
    assert cosine(face.embedding, alone.embedding) > 0.6


def test_a_photo_without_a_face_is_refused_with_what_to_do_after_a_bounded_number_of_looks(analyser, looks):
    noise = np.random.default_rng(0).integers(110, 140, (1200, 1600, 3)).astype(np.uint8)
    with pytest.raises(RowError) as caught:
        analyser.analyse(noise, "largest")
    assert caught.value.code == Code.NO_FACE
    assert "det_size_px" in CODES[caught.value.code].what_to_do
    assert len(looks) <= 11


def test_the_same_person_is_taken_after_a_turn(analyser, monkeypatch):
    """A's head lies on its side at the left, B stands at the right: turned, B is the one further to the left."""
    photo = np.full((300, 600, 3), 127, np.uint8)
    a, b = [100, 40, 160, 100, 0.7], [400, 200, 460, 260, 0.9]
    a_turned, b_turned = [40, 440, 100, 500, 0.9], [200, 140, 260, 200, 0.6]

    def found(bgr, _photo):
        boxes = [a, b] if bgr.shape[1] == 600 else [b_turned, a_turned]
        return Found(np.array(boxes, np.float32), np.zeros((2, 5, 2), np.float32), ("", ""))

    monkeypatch.setattr(analyser, "_found", found)
    monkeypatch.setattr(analyser, "_turns", lambda _bgr, _face: 1)
    for select, was in (("index:0", a_turned), ("index:1", b_turned), ("best", b_turned), ("center", b_turned)):
        face = analyser.analyse(photo, select, embedding=False)
        assert (face.turns, face.box.tolist()) == (1, was[:4]), select
