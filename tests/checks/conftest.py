"""What pictures are measured with: the tiny face pack, the drawn people's judge."""

import pytest
from doubles.drawn_judge import write_judge

from idgen import weights
from idgen.actors.face_packs import SMALL_FACES
from idgen.faces.analysis import FaceAnalyser
from idgen.faces.judge import Judge
from idgen.weights.instruments import network


@pytest.fixture(scope="session")
def finder():
    return FaceAnalyser(weights.locate("tiny:facepack"), 320, 0.5, threads=1, config=SMALL_FACES)


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    return Judge(network("judge", str(write_judge(tmp_path_factory.mktemp("judge")))), threads=1)
