"""The safety model: open_nsfw's layout, here a network that finds red unsafe; and files that are something else."""

import io

import numpy as np
import pytest
import skimage.data
from doubles.drawn_judge import write_judge, write_safety_model
from PIL import Image

from idgen.checks.instruments import Instruments
from idgen.checks.looking import findings
from idgen.checks.picture import FinishedPicture
from idgen.checks.safety_model import SafetyModel, prepared
from idgen.checks.table import CHECKS, COLUMN_OF
from idgen.errors import Exit, RunError
from idgen.recipes.gates import gates_for
from idgen.recipes.recipe import Recipe
from idgen.weights.instruments import network


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_safety_model(tmp_path_factory.mktemp("nsfw") / "tiny.onnx")


def plain(*rgb):
    return np.full((300, 200, 3), rgb, np.uint8)


def test_the_score_is_the_network_s_and_beyond_the_authors_bound_a_person_is_asked_to_look(file):
    model = SafetyModel(network("safety", str(file)), threads=1)
    instruments = Instruments(safety=lambda: model)
    assert COLUMN_OF["unsafe_score"].warn == 0.2
    for picture, unsafe in ((plain(200, 20, 20), True), (plain(20, 200, 20), False)):
        found = findings(FinishedPicture(picture), CHECKS, gates_for(Recipe(), {}), instruments)
        assert (found.values["unsafe_score"] > 0.9) is unsafe
        assert [text.partition(":")[0] for text in found.warnings] == (["unsafe_score_high"] if unsafe else [])


def test_the_network_sees_the_middle_of_a_jpeg_of_256_px_blue_first():
    photo = skimage.data.astronaut()
    file = io.BytesIO()
    Image.fromarray(photo).resize((256, 256), Image.Resampling.BILINEAR).save(file, "JPEG")
    middle = np.asarray(Image.open(file)).astype(np.float32)[16:240, 16:240]
    seen = prepared(photo)
    assert (seen.shape, seen.dtype) == ((224, 224, 3), np.float32)
    assert np.array_equal(seen[..., 0], middle[..., 2] - 104)
    assert np.array_equal(seen[..., 2], middle[..., 0] - 123)


def test_another_network_or_file_is_refused_by_the_setting_s_name(tmp_path, file):
    write_judge(tmp_path / "judge")
    (tmp_path / "pickle.bin").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a.onnx", "b.onnx"):
        (two / name).write_bytes(file.read_bytes())
    for place in ("judge", "pickle.bin", "broken.onnx", "two", "not/there", "."):
        with pytest.raises(RunError, match=r"^checks\.safety\.weights: ") as caught:
            network("safety", str(tmp_path / place))
        assert caught.value.exit_code == Exit.USAGE
    with pytest.raises(RunError, match=r"^checks\.likeness\.judge: .*no recogniser"):
        network("judge", str(file))
