"""With the tiny face pack and drawn people: the same code as with a real pack and real photos."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import idgen.tiny
from idgen.config import FacesConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.faces.analysis import FaceAnalyser, choose

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
