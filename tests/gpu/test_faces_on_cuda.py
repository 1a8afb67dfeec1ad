"""The face networks on a CUDA device; needs onnxruntime-gpu: `pytest -m gpu`."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import idgen.tiny
from idgen.config import FacesConfig
from idgen.faces import providers
from idgen.faces.analysis import FaceAnalyser
from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.render import draw_portrait

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        providers.CUDA not in onnxruntime.get_available_providers(), reason="this onnxruntime has no CUDA"
    ),
]
PACK = Path(idgen.tiny.__file__).parent / "facepack"


def load(device):
    return FaceAnalyser(PACK, 256, 0.5, threads=1, config=FacesConfig(), device=device)


def test_the_face_is_the_cpu_s():
    there, here = load("cuda"), load("cpu")
    for model in there._app.models.values():
        assert model.session.get_providers()[0] == "CUDAExecutionProvider"
        assert model.session.get_provider_options()["CUDAExecutionProvider"]["use_tf32"] == "0"
    for seed in range(7, 11):
        image = draw_portrait(DrawnPerson.sample(seed), Look.sample(seed, calm=True), 256).image
        one, other = there.analyse(image, "largest"), here.analyse(image, "largest")
        assert np.abs(one.box - other.box).max() < 0.5
        assert np.abs(one.keypoints - other.keypoints).max() < 0.5
        cosine = one.embedding @ other.embedding / np.linalg.norm(one.embedding) / np.linalg.norm(other.embedding)
        assert cosine > 0.9999
