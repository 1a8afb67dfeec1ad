"""With the tiny face pack and drawn people: the same code as with a real pack and real photos."""

import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from insightface.app.common import Face as InsightFace

import idgen.tiny
from idgen.config import FacesConfig, SourcesConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.choice import choose
from idgen.faces.references import ReferenceReader, Request
from idgen.sources.fetch import Fetcher
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

PACK = Path(idgen.tiny.__file__).parent / "facepack"
needs_pack = pytest.mark.skipif(not any(PACK.glob("*.onnx")), reason="idgen/tiny/facepack is not made yet")

BOXES = np.array(
    [[100, 40, 160, 100, 0.9], [0, 0, 90, 90, 0.7], [60, 60, 90, 90, 0.95]], dtype=np.float32
)  # left: the large one; middle: the surest; right: nearest to the middle of 240 x 140


@pytest.mark.parametrize(
    ("face_select", "row"),
    [("largest", 1), ("best", 2), ("center", 0), ("index:0", 1), ("index:1", 2), ("index:2", 0), ("index:01", 2)],
)
def test_face_select_means_what_it_says(face_select, row):
    assert choose(BOXES, (240, 140), face_select) == row


@pytest.mark.parametrize(
    ("face_select", "code"),
    [
        ("index:3", Code.FACE_INDEX_MISSING),
        ("index:99999999999999999999", Code.FACE_INDEX_MISSING),
        ("index:-1", Code.BAD_VALUE),
        ("index:", Code.BAD_VALUE),
        ("index:①", Code.BAD_VALUE),
        ("second", Code.BAD_VALUE),
        ("", Code.BAD_VALUE),
        ("Largest", Code.BAD_VALUE),
    ],
)
def test_a_face_select_that_cannot_be_met_has_its_code(face_select, code):
    with pytest.raises(RowError) as caught:
        choose(BOXES, (240, 140), face_select)
    assert caught.value.code == code


@pytest.mark.parametrize("content", [None, {}, {"readme.md": b""}, {"det.onnx": b"no onnx"}])
def test_a_missing_pack_ends_the_run_without_asking_the_network(tmp_path, monkeypatch, content):
    def no_network(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    folder = tmp_path / "buffalo_l"
    if content is not None:
        folder.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
    with pytest.raises(RunError) as caught:
        FaceAnalyser(folder, 640, 0.5, threads=1, config=FacesConfig())
    assert caught.value.exit_code == Exit.USAGE
    assert str(folder) in caught.value.message


def test_the_faces_room_does_not_import_torch():
    code = "import sys, idgen.faces.analysis, idgen.faces.references; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "False", run.stderr


@pytest.fixture(scope="module")
def analyser():
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig())


def portrait(seed, size_px=256):
    return draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), size_px).image


def cosine(first, second):
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@needs_pack
def test_the_face_of_a_portrait_is_where_it_was_drawn(analyser):
    drawing = draw_portrait(DrawnPerson.sample(7), Look.sample(7, calm=True), 256)
    face = analyser.analyse(drawing.image, "largest")
    assert face.embedding.shape == (512,)
    assert face.embedding.dtype == np.float32
    assert not np.isclose(np.linalg.norm(face.embedding), 1.0, atol=1e-3)  # raw
    assert np.abs(face.box - drawing.boxes[0]).max() < 30
    assert np.abs(face.keypoints - drawing.keypoints[0]).max() < 15
    assert face.size == (256, 256)
    assert 0.5 < face.score <= 1.0


@needs_pack
def test_a_face_without_its_embedding_is_the_same_face_found_without_the_recogniser(analyser, monkeypatch):
    asked = []
    recogniser = analyser._app.models["recognition"]
    real = recogniser.get
    monkeypatch.setattr(recogniser, "get", lambda *args: asked.append(1) or real(*args))
    whole = analyser.analyse(portrait(7), "largest")
    bare = analyser.analyse(portrait(7), "largest", embedding=False)
    assert len(asked) == 1
    assert bare.embedding is None
    assert (bare.box == whole.box).all()
    assert (bare.keypoints == whole.keypoints).all()


@needs_pack
def test_two_photos_of_a_person_are_nearer_than_two_people(analyser):
    people = range(30, 42)
    first = [analyser.analyse(portrait(seed), "largest").embedding for seed in people]
    second = [
        analyser.analyse(
            draw_portrait(DrawnPerson.sample(seed), Look.sample(900 + seed, calm=True)).image, "largest"
        ).embedding
        for seed in people
    ]
    right = sum(int(np.argmax([cosine(mine, other) for other in second])) == i for i, mine in enumerate(first))
    assert right >= len(people) - 1


@needs_pack
def test_colour_order_matters_and_is_right(analyser):
    """The pack wants BGR from its caller; handing it RGB (a known bug elsewhere) moves the person away from itself."""
    image = portrait(7)
    face = analyser.analyse(image, "largest")
    recogniser = analyser._app.models["recognition"]
    right = recogniser.get(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), InsightFace(kps=face.keypoints))
    wrong = recogniser.get(image, InsightFace(kps=face.keypoints))
    assert cosine(face.embedding, right) > 0.9999
    assert cosine(face.embedding, wrong) < 0.9


@needs_pack
def test_a_picture_without_a_face_has_none(analyser):
    with pytest.raises(RowError) as caught:
        analyser.analyse(np.full((300, 300, 3), 127, np.uint8), "largest")
    assert caught.value.code == Code.NO_FACE


@needs_pack
@pytest.mark.parametrize("shape", [(64, 32_000, 3), (32_000, 64, 3)])
def test_a_strip_is_no_photo_of_a_face(analyser, shape):
    with pytest.raises(RowError) as caught:
        analyser.analyse(np.zeros(shape, np.uint8), "largest")
    assert caught.value.code == Code.NO_FACE


def beside(*images):
    """Portraits of different sizes side by side, from left to right, on grey."""
    height = max(image.shape[0] for image in images)
    columns = [np.pad(i, ((0, height - i.shape[0]), (0, 8), (0, 0)), constant_values=127) for i in images]
    return np.concatenate(columns, axis=1)


@needs_pack
def test_each_word_of_face_select_finds_its_face(analyser):
    small, large, middle = portrait(7, 100), portrait(8, 240), portrait(9, 140)
    group = beside(small, large, middle)
    alone = [analyser.analyse(image, "largest").embedding for image in (small, large, middle)]

    def nearest(select):
        found = analyser.analyse(group, select)
        assert found.faces_found == 3
        return int(np.argmax([cosine(found.embedding, embedding) for embedding in alone]))

    assert [nearest(f"index:{n}") for n in range(3)] == [0, 1, 2]
    assert nearest("largest") == 1
    assert [w.split(":")[0] for w in analyser.analyse(group, "largest").warnings] == ["several_faces"]
    assert analyser.analyse(group, "index:1").warnings == ()
    with pytest.raises(RowError) as caught:
        analyser.analyse(group, "index:3")
    assert caught.value.code == Code.FACE_INDEX_MISSING


@needs_pack
def test_a_small_face_is_refused_and_a_smallish_one_gets_a_warning():
    image = portrait(7, 128)
    strict = FaceAnalyser(PACK, 128, 0.5, threads=1, config=FacesConfig(min_face_px=120))
    with pytest.raises(RowError) as caught:
        strict.analyse(image, "largest")
    assert caught.value.code == Code.FACE_TOO_SMALL
    wary = FaceAnalyser(PACK, 128, 0.5, threads=1, config=FacesConfig(warn_face_fraction=0.9))
    assert [w.split(":")[0] for w in wary.analyse(image, "largest").warnings] == ["small_face"]


@needs_pack
def test_a_face_that_only_a_border_reveals_is_found_with_a_warning_and_the_same_embedding(analyser, monkeypatch):
    image = portrait(7)
    plain = analyser.analyse(image, "largest")
    real = analyser._app.det_model.detect

    def needs_border(bgr, **kwargs):
        found = real(bgr, **kwargs)
        return found if bgr.shape[0] > image.shape[0] else (found[0][:0], found[1][:0])

    monkeypatch.setattr(analyser._app.det_model, "detect", needs_border)
    padded = analyser.analyse(image, "largest")
    assert [w.split(":")[0] for w in padded.warnings] == ["face_fills_frame"]
    assert np.abs(padded.box - plain.box).max() < 20  # back in the photo's own pixels
    assert np.abs(padded.keypoints - plain.keypoints).max() < 12
    assert cosine(padded.embedding, plain.embedding) > 0.8


@needs_pack
def test_analysis_uses_the_threads_it_was_given(analyser):
    for model in analyser._app.models.values():
        assert model.session.get_session_options().intra_op_num_threads == 1
        assert model.session.get_providers() == ["CPUExecutionProvider"]


@needs_pack
def test_loading_and_analysing_print_nothing(capfd):
    FaceAnalyser(PACK, 128, 0.5, threads=1, config=FacesConfig()).analyse(portrait(7, 128), "largest")
    assert capfd.readouterr() == ("", "")


@needs_pack
def test_from_file_to_identity_each_reference_is_analysed_once(tmp_path, analyser):
    paths = [tmp_path / f"{seed}.png" for seed in range(20, 26)]
    for seed, path in zip(range(20, 26), paths, strict=True):
        drawing = draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 256)
        assert cv2.imwrite(str(path), drawing.image[:, :, ::-1])
    reader = ReferenceReader(
        Fetcher(SourcesConfig(), extra_roots=[str(tmp_path)]), lambda pack: analyser, SourcesConfig(warn_side_px=64)
    )
    requests = [Request((str(paths[n % 6]),)) for n in range(30)] + [Request((str(paths[0]), str(paths[1])))]
    identities = reader.read(requests)
    assert reader.analyses == reader.fetches == 6
    assert identities[-1].id_embedding.shape == (1024,)
    assert (identities[-1].id_embedding[:512] == identities[0].id_embedding).all()
    assert len(identities[0].reference_keypoints) == 10
    assert identities[0].reference_size == [256, 256]
