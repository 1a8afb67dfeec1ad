"""The faces stage on real photographs."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
from insightface.utils import face_align
from PIL import Image

from idgen.config import FacesConfig, SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.crops import aligned
from idgen.faces.references import ReferenceReader, Request
from idgen.recipes.recipe import FacePack
from idgen.sources.fetch import Fetcher
from idgen.sources.images import decode

PORTRAITS = ("person_a_1", "person_a_2", "person_b_1", "person_b_2", "impostor_1", "impostor_2", "astronaut")


def cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def words(face):
    return [warning.partition(":")[0] for warning in face.warnings]


def cropped(rgb, left, top, right, bottom):
    return np.ascontiguousarray(rgb[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)])


@pytest.fixture(scope="module")
def faces(analyser, photos):
    return {name: analyser.analyse(photos[name], "largest") for name in PORTRAITS}


def test_each_portrait_has_one_upright_face_whose_eyes_are_over_its_mouth(faces):
    for face in faces.values():
        left_eye, right_eye, nose, left_mouth, right_mouth = face.keypoints
        assert (face.faces_found, face.turns) == (1, 0)
        assert not {"photo_turned", "face_cut", "face_fills_frame"} & set(words(face))
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_a_group_of_six_has_six_faces_from_left_to_right(analyser, photos):
    found = [analyser.analyse(photos["t1"], f"index:{n}") for n in range(6)]
    assert [face.faces_found for face in found] == [6] * 6
    assert sorted(found, key=lambda face: face.box[0] + face.box[2]) == found


def test_the_same_person_is_above_all_others(faces):
    same = [cosine(faces[f"person_{x}_1"].embedding, faces[f"person_{x}_2"].embedding) for x in "ab"]
    people = ("person_a_1", "person_b_1", "impostor_1", "impostor_2", "astronaut")
    others = [cosine(faces[x].embedding, faces[y].embedding) for x in people for y in people if x < y]
    assert min(same) > 0.55
    assert max(others) < 0.35


def test_crops_are_insightfaces_own(faces, photos):
    for name, face in faces.items():
        assert (aligned(photos[name], face.keypoints, 112) == face_align.norm_crop(photos[name], face.keypoints)).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("embedding", [True, False])
def test_a_photo_that_lies_on_its_side_without_saying_so_is_turned(analyser, faces, photos, turns, embedding):
    for name, upright in faces.items():
        face = analyser.analyse(np.ascontiguousarray(np.rot90(photos[name], turns)), "largest", embedding=embedding)
        assert face.turns == 4 - turns, name
        assert "photo_turned" in words(face)
        assert face.size == upright.size
        assert np.abs(face.box - upright.box).max() < 1
        if embedding:
            assert cosine(face.embedding, upright.embedding) > 0.99


def test_a_sideways_file_gives_upright_crops_size_and_likeness(tmp_path, analyser, faces, photos):
    Image.fromarray(np.rot90(photos["impostor_1"])).save(tmp_path / "a.png")
    sources = SourcesConfig(warn_side_px=64)
    reader = ReferenceReader(Fetcher(sources, extra_roots=[str(tmp_path)]), lambda pack: analyser, sources)
    (read,) = reader.read([Request((str(tmp_path / "a.png"),))])
    assert tuple(read.reference_size) == faces["impostor_1"].size
    assert cosine(read.id_embedding, faces["impostor_1"].embedding) > 0.99


def test_a_face_that_fills_the_frame_wins_over_the_one_on_its_badge(analyser, faces, photos):
    for name in ("person_a_2", "person_b_2", "impostor_1"):
        left, top, right, bottom = faces[name].box
        inset_x, inset_y = 0.18 * (right - left), 0.18 * (bottom - top)
        close = cropped(photos[name], left + inset_x, top + inset_y, right - inset_x, bottom - inset_y)
        close = cv2.resize(close, (700, round(700 * close.shape[0] / close.shape[1])))
        badge = cv2.resize(photos["impostor_2"], (120, 145), interpolation=cv2.INTER_AREA)
        close[-145:, -120:] = badge
        face = analyser.analyse(close, "largest")
        assert "face_fills_frame" in words(face), name
        likeness = cosine(face.embedding, faces[name].embedding)
        assert likeness > cosine(face.embedding, faces["impostor_2"].embedding) + 0.2


@pytest.mark.parametrize("side", ["left", "top", "right"])
def test_a_face_cut_by_the_photos_edge_is_said(analyser, faces, photos, side):
    for name in ("person_a_2", "person_b_2", "impostor_1", "impostor_2"):
        left, top, right, bottom = faces[name].box
        height, width = photos[name].shape[:2]
        cut = {
            "left": (left + 0.4 * (right - left), 0, width, height),
            "top": (0, top + 0.4 * (bottom - top), width, height),
            "right": (0, 0, right - 0.4 * (right - left), height),
        }[side]
        assert "face_cut" in words(analyser.analyse(cropped(photos[name], *cut), "largest")), name


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "hubble_deep_field"])
def test_a_cup_and_a_galaxy_are_nobody(analyser, pack, name):
    picture = getattr(skimage.data, name)()
    generous = FaceAnalyser(pack, 640, 0.5, threads=1, config=FacesConfig())
    for each in (analyser, generous):
        with pytest.raises(RowError) as caught:
            each.analyse(picture, "largest")
        assert caught.value.code == Code.NO_FACE


@pytest.mark.parametrize("name", ["impostor_1", "person_b_2", "astronaut"])
def test_a_tiny_face_in_a_large_photo_is_found(pack, faces, photos, name):
    scale = 40 / (faces[name].box[3] - faces[name].box[1])
    small = cv2.resize(photos[name], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    large = np.random.default_rng(0).integers(110, 140, (2000, 3000, 3)).astype(np.uint8)
    large[900 : 900 + small.shape[0], 1700 : 1700 + small.shape[1]] = small
    face = FaceAnalyser(pack, 640, 0.8, threads=1, config=FacesConfig(min_face_px=20)).analyse(large, "largest")
    assert "face_far" in words(face)
    assert cosine(face.embedding, faces[name].embedding) > 0.75


@pytest.mark.parametrize("pair", [("person_a_1", "impostor_1"), ("person_a_1", "person_a_2")])
@pytest.mark.parametrize("refuse", [False, True])
def test_references_of_two_people_are_said_or_refused(tmp_path, analyser, photos, pair, refuse):
    for name in pair:
        Image.fromarray(photos[name]).save(tmp_path / f"{name}.png")
    sources = SourcesConfig(warn_side_px=64)
    reader = ReferenceReader(Fetcher(sources, extra_roots=[str(tmp_path)]), lambda pack: analyser, sources)
    uris = tuple(str(tmp_path / f"{name}.png") for name in pair)
    (read,) = reader.read([Request(uris, face_pack=FacePack(), refuse_strangers=refuse)])
    if pair[1] == "person_a_2":
        assert not any("references_differ" in warning for warning in read.warnings)
    elif refuse:
        assert read.code == Code.REFERENCES_DIFFER
    else:
        assert any(warning.startswith("references_differ: 1 and 2") for warning in read.warnings)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 95, "progressive": True}),
        ("JPEG", "RGB", {"quality": 95, "subsampling": 0}),
        ("JPEG", "CMYK", {"quality": 95}),
        ("JPEG", "L", {"quality": 95}),
        ("MPO", "RGB", {"quality": 95}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "LA", {}),
        ("PNG", "I;16", {}),
        ("WEBP", "RGBA", {"quality": 95}),
        ("AVIF", "RGB", {"quality": 95}),
    ],
)
@pytest.mark.parametrize("turn", [1, 6])
def test_every_form_of_a_file_gives_the_same_person(analyser, faces, photos, kind, mode, options, turn):
    image = Image.fromarray(photos["impostor_1"])
    image = image.transpose(Image.Transpose.ROTATE_90) if turn == 6 else image
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    else:
        image = image.quantize(256) if mode == "P" else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **options)
    photo = decode(file.getvalue(), SourcesConfig())
    face = analyser.analyse(photo.rgb, "largest")
    assert face.turns == 0
    assert cosine(face.embedding, faces["impostor_1"].embedding) > 0.85
