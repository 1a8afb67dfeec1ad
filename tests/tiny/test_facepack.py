"""The face pack keeps what its README says, measured end to end through insightface's own FaceAnalysis."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import idgen.tiny
from drawn_world.face_pack.measure import held_out_scene, load_pack, measure_detection, measure_verification
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait, draw_scene

PACK = Path(idgen.tiny.__path__[0]) / "facepack"
FILES = ("det_drawn.onnx", "rec_drawn.onnx")


@pytest.fixture(scope="module")
def app():
    return load_pack(PACK)


def test_the_pack_gives_a_detector_and_a_512_number_recogniser(app):
    assert set(app.models) == {"detection", "recognition"}
    drawing = draw_portrait(DrawnPerson.sample(0), Look.sample(0, calm=True))
    (face,) = app.get(np.ascontiguousarray(drawing.image[:, :, ::-1]))
    assert face.normed_embedding.shape == (512,)
    assert face.kps.shape == (5, 2)
    np.testing.assert_allclose(face.kps, drawing.keypoints[0], atol=8)


@pytest.mark.slow
def test_scenes_are_detected_with_recall_and_precision_of_97_percent_and_keypoints_within_3_percent(app):
    result = measure_detection(app, [held_out_scene(index) for index in range(210)])
    assert result.faces > 400
    assert result.recall >= 0.97
    assert result.precision >= 0.97
    assert result.keypoint_error_mean <= 0.03


@pytest.mark.slow
def test_portraits_are_detected_once_each_with_keypoints_within_3_percent(app):
    portraits = [draw_portrait(DrawnPerson.sample(520_000 + i), Look.sample(520_000 + i), 256) for i in range(100)]
    result = measure_detection(app, portraits)
    assert (result.recall, result.precision) == (1.0, 1.0)
    assert result.keypoint_error_mean <= 0.03


@pytest.mark.slow
def test_no_face_is_found_where_nobody_is(app):
    found = [len(app.det_model.detect(draw_scene([], 530_000 + seed).image[:, :, ::-1])[0]) for seed in range(60)]
    assert sum(found) == 0


@pytest.mark.slow
def test_unseen_people_are_told_apart_with_an_auc_of_99_percent(app):
    checked = measure_verification(app, people=60)
    assert checked.missed == 0
    assert checked.auc >= 0.99


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_under_one_megabyte_and_is_the_one_the_readme_names(name: str):
    content = (PACK / name).read_bytes()
    assert len(content) < 1_000_000
    assert hashlib.sha256(content).hexdigest() in (PACK / "README.md").read_text(encoding="utf-8")
