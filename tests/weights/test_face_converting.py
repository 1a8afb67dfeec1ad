"""Small networks in the layouts of YuNet and SFace, converted and run by insightface."""

import numpy as np
import onnx
import pytest
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from onnx import TensorProto, helper, numpy_helper

from idgen.driver.weights import weights_main
from idgen.errors import Exit
from idgen.weights.face_converting import STRIDES

SIDE = 64
AT = (3, 5)  # row and column of the one place of stride 8 that sees a face
BOX, POINTS = (0.25, -0.5, 1.2, 1.4), tuple(np.linspace(-1.5, 1.5, 10))
"""As YuNet says it: middle in strides from the place, logarithms of width and height in strides; points likewise."""


def save(path, nodes, inputs, outputs, stored):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def yunet(folder):
    """Sees its face in blue pictures alone: cls is 0.9 times the first channel's largest value of 255."""
    stored, outputs = {"to_one": np.float32(1 / 255)}, []
    nodes = [
        helper.make_node("Gather", ["input", "first"], ["blue"], axis=1),
        helper.make_node("ReduceMax", ["blue"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "to_one"], ["bluish"]),
    ]
    stored["first"] = np.array([0], np.int64)
    for stride in STRIDES:
        places = (SIDE // stride) ** 2
        for kind, values in (("cls", (0.9,)), ("obj", (0.8,)), ("bbox", BOX), ("kps", POINTS)):
            said = np.zeros((1, places, len(values)), np.float32)
            if stride == 8:
                said[0, AT[0] * SIDE // 8 + AT[1]] = values
            stored[f"stored_{kind}_{stride}"] = said
            much = "bluish" if kind == "cls" else "one"
            nodes.append(helper.make_node("Mul", [f"stored_{kind}_{stride}", much], [f"{kind}_{stride}"]))
            outputs.append(f"{kind}_{stride}")
    stored["one"] = np.float32(1)
    return save(folder / "yunet.onnx", nodes, [("input", [1, 3, SIDE, SIDE])], outputs, stored)


def sface(folder):
    """Means of the scaled picture times weights in blocks of int8; returns the file and those weights."""
    random = np.random.default_rng(0)
    numbers = random.integers(-128, 127, (3, 128), np.int8)
    scale, zero = random.uniform(0.01, 0.1, (3, 4)).astype(np.float32), random.integers(-9, 9, (3, 4), np.int8)
    stored = {"numbers": numbers, "scale": scale, "zero": zero, "shape": np.array([3, 128], np.int64)}
    stored |= {"middle": np.float32(127.5), "step": np.float32(1 / 128)}
    nodes = [
        helper.make_node("Sub", ["data", "middle"], ["minus0"], name="_minusscalar0"),
        helper.make_node("Mul", ["minus0", "step"], ["mul0"], name="_mulscalar0"),
        helper.make_node("GlobalAveragePool", ["mul0"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("DequantizeLinear", ["numbers", "scale", "zero"], ["plain"], axis=1, block_size=32),
        helper.make_node("Reshape", ["plain", "shape"], ["weights"]),
        helper.make_node("MatMul", ["flat", "weights"], ["fc1"]),
    ]
    weights = (numbers.astype(np.float32) - np.repeat(zero, 32, 1)) * np.repeat(scale, 32, 1)
    return save(folder / "sface.onnx", nodes, [("data", [1, 3, 112, 112])], ["fc1"], stored), weights


def convert(source, target):
    return weights_main("", ["convert", f"weights.source={source}", f"weights.target={target}"])


def test_yunet_is_a_detector_of_a_pack_with_its_scores_boxes_and_points(tmp_path, capsys):
    assert convert(yunet(tmp_path), tmp_path / "pack" / "det.onnx") == Exit.OK
    assert "a detector with five points" in capsys.readouterr().out
    detector = SCRFD(str(tmp_path / "pack" / "det.onnx"))
    detector.prepare(0, input_size=(SIDE, SIDE), det_thresh=0.5)
    blue, red = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    blue[..., 0] = red[..., 2] = 255  # BGR, as insightface is given
    boxes, points = detector.detect(blue)
    row, column = AT
    middle, sides = np.array([column + BOX[0], row + BOX[1]]) * 8, np.exp(BOX[2:]) * 8
    assert boxes == pytest.approx(np.array([[*(middle - sides / 2), *(middle + sides / 2), np.sqrt(0.72)]]), rel=1e-5)
    assert points[0] == pytest.approx((np.array(POINTS).reshape(5, 2) + np.array([column, row])) * 8, rel=1e-5)
    assert len(detector.detect(red)[0]) == 0


def test_sface_is_a_recogniser_of_a_pack_with_the_same_cosines(tmp_path, capsys):
    source, weights = sface(tmp_path)
    assert convert(source, tmp_path / "rec.onnx") == Exit.OK
    assert "512 numbers" in capsys.readouterr().out
    recogniser = ArcFaceONNX(str(tmp_path / "rec.onnx"))
    faces = np.random.default_rng(1).integers(0, 255, (4, 112, 112, 3), np.uint8)
    wide = np.stack([recogniser.get_feat(face).ravel() for face in faces])
    narrow = (faces[..., ::-1].mean(axis=(1, 2)) - 127.5) / 128 @ weights  # in RGB
    assert wide.shape == (4, 512)
    assert wide @ wide.T == pytest.approx(narrow @ narrow.T, rel=1e-4)


def other(folder):
    nodes = [helper.make_node("Flatten", ["data"], ["out"])]
    return save(folder / "other.onnx", nodes, [("data", [1, 3, 8, 8])], ["out"], {})


def text(folder):
    (folder / "text.onnx").write_text("no network")
    return folder / "text.onnx"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (other, "det.onnx", "neither YuNet nor SFace"),
        (text, "det.onnx", "cannot be read as a network"),
        (yunet, "det.safetensors", "must end in .onnx"),
        (yunet, "other.onnx", "exists"),
    ],
)
def test_what_is_neither_is_refused_in_one_line_and_nothing_is_written(tmp_path, capsys, source, target, words):
    other(tmp_path)
    before = (tmp_path / "other.onnx").read_bytes()
    assert convert(source(tmp_path), tmp_path / target) == Exit.USAGE
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert (tmp_path / "other.onnx").read_bytes() == before
    assert not (tmp_path / "det.onnx").exists()
