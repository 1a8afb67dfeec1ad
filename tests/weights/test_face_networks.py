"""A pack whose networks cannot do their work is refused by `weights check` and by the plan, not at every row."""

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from doubles.tiny_recipe import TINY
from onnx import TensorProto, helper

from idgen import weights
from idgen.driver.setup import RecipeHashes
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import FacePack
from idgen.recipes.validation import check_recipe
from idgen.weights.layouts import check_layout
from idgen.weights.locations import locate


def network(path: Path, side: int | str, outputs: list[list[int]]) -> None:
    """A network with the ends that count; what is between them is never looked at."""
    ends = [helper.make_tensor_value_info(f"out{at}", TensorProto.FLOAT, shape) for at, shape in enumerate(outputs)]
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, side, side])
    nodes = [helper.make_node("Identity", ["picture"], [end.name]) for end in ends]
    onnx.save(helper.make_model(helper.make_graph(nodes, "network", [picture], ends)), str(path))


@pytest.fixture
def pack(tmp_path):
    """Make a pack with a detector of so many outputs and a recogniser of so many numbers; None = without."""

    def make(outputs: int | None = 9, width: int | None = 512):
        if outputs is not None:
            network(tmp_path / "det.onnx", "side", [[1, 1]] * outputs)
        if width is not None:
            network(tmp_path / "rec.onnx", 112, [[1, width]])
        return replace(TINY, face_pack=FacePack(weights=str(tmp_path)))

    return make


def said(recipe) -> set[str]:
    """What the check of the weights and the plan say; the plan's begins with the recipe and the setting."""
    words = set()
    part = next(part for part in weights.parts(recipe) if part.kind == "face_pack")
    for judge in (lambda: check_layout(part, recipe), lambda: RecipeHashes({recipe.name: recipe})[recipe.name]):
        with pytest.raises(RunError) as caught:
            judge()
        assert caught.value.exit_code == Exit.USAGE
        words.add(caught.value.message.removeprefix("recipe tiny: face_pack.weights: "))
    return words


def test_a_network_that_nothing_reads_is_refused_by_name(pack, tmp_path):
    recipe = pack()
    for name in ("1k3d68.onnx", "2d106det.onnx", "genderage.onnx", "._det.onnx"):  # published packs have these
        (tmp_path / name).write_bytes(b"")
    assert RecipeHashes({recipe.name: recipe})[recipe.name]
    network(tmp_path / "swap.onnx", 128, [[1, 3, 128, 128]])
    network(tmp_path / "more.onnx", 112, [[1, 512]])
    (words,) = said(recipe)
    assert "has 2 networks that idgen does not use (rec.onnx, swap.onnx) besides its detector det.onnx" in words


@pytest.mark.parametrize("outputs", [9, 15])
def test_detectors_with_points_pass(pack, outputs):
    recipe = pack(outputs)
    assert RecipeHashes({recipe.name: recipe})[recipe.name]


@pytest.mark.parametrize("outputs", [6, 10])
def test_a_detector_without_points_is_refused(pack, outputs):
    (words,) = said(pack(outputs))
    assert f"det.onnx has {outputs} outputs, so it finds boxes without points" in words


@pytest.mark.parametrize("outputs", [5, 8, 12])
def test_a_network_of_other_outputs_is_refused(pack, outputs):
    (words,) = said(pack(outputs))
    assert f"det.onnx has {outputs} outputs, so it is no SCRFD" in words


@pytest.mark.parametrize("width", [128, 256, 1024])
def test_a_recogniser_of_another_width_is_refused(pack, width):
    (words,) = said(pack(width=width))
    assert f"rec.onnx gives {width} numbers per face, but adapters and reports need 512" in words


def test_a_pack_without_one_of_the_two_is_refused(pack, tmp_path):
    (words,) = said(pack(width=None))
    assert words.endswith("has no recogniser; it has det.onnx")
    (tmp_path / "det.onnx").unlink()
    (words,) = said(pack(outputs=None))
    assert words.endswith("has no detector; it has rec.onnx")


def test_a_landmark_network_is_no_recogniser(pack, tmp_path):
    recipe = pack(width=None)
    network(tmp_path / "rec.onnx", 192, [[1, 512]])
    assert "has no recogniser" in said(recipe).pop()


def test_a_file_that_is_no_network_is_refused(pack, tmp_path):
    recipe = pack()
    (tmp_path / "rec.onnx").write_bytes(b"no network")
    assert "rec.onnx cannot be read as an .onnx network" in said(recipe).pop()


def test_a_pack_that_is_mended_is_read_anew(pack, tmp_path):
    said(pack(width=256))
    recipe = pack()
    assert RecipeHashes({recipe.name: recipe})[recipe.name]


def test_the_drawn_pack_is_named(tmp_path):
    shutil.copytree(locate("tiny:facepack"), tmp_path / "pack")
    recipe = replace(TINY, face_pack=FacePack(weights=str(tmp_path / "pack")))
    part = next(part for part in weights.parts(recipe) if part.kind == "face_pack")
    assert check_layout(part, recipe) == "2 networks: detector det_drawn.onnx, recogniser rec_drawn.onnx"


@pytest.mark.parametrize("side", [300, 500, 1000, 33, 0, -32])
def test_a_side_that_detectors_cannot_have_is_refused_when_the_recipe_is_read(side):
    with pytest.raises(RunError, match=rf"face_pack.det_size_px: {side} must be a multiple of 32") as caught:
        check_recipe(replace(TINY, face_pack=FacePack(det_size_px=side)))
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("side", [32, 320, 640, 1024])
def test_other_sides_pass(side):
    check_recipe(replace(TINY, face_pack=FacePack(det_size_px=side)))
