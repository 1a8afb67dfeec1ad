"""Converts OpenCV's YuNet and SFace into a face pack that insightface loads: the same numbers, under its names.

Both are freely licensed (MIT, Apache-2.0). Packages ship them with weights stored in blocks of int8, which onnxruntime
does not run: they become float32, as the file itself says. YuNet's twelve outputs become SCRFD's nine; SFace's 128
numbers are widened to a pack's 512 by a fixed isometry, so every cosine stays. Adapters were trained on other
embeddings: of these a recipe can use the box, the crops and likeness, not the identity.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from idgen.errors import Exit, RunError
from idgen.schemas import EMBEDDING_WIDTH

if TYPE_CHECKING:
    from onnx import GraphProto, ValueInfoProto

STRIDES = (8, 16, 32)
_YUNET_OUTPUTS = {f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES}
_SFACE_SIZE = 128

Array = npt.NDArray[np.generic]


def convert_face_network(source: Path, target: Path) -> str:
    """Write the pack's network made of `source` to `target` and return in a few words what it is.

    Raises RunError(USAGE) when `source` is neither network, `target` is no new .onnx, or onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise RunError(Exit.USAGE, "converting face networks needs the package onnx: pip install onnx") from error
    if target.suffix != ".onnx":
        raise RunError(Exit.USAGE, f"{target}: the new file's name must end in .onnx")
    if target.exists():
        raise RunError(Exit.USAGE, f"{target} exists; nothing was written")
    try:
        model = onnx.load(str(source))
    except Exception as error:  # protobuf and onnx have many
        raise RunError(Exit.USAGE, f"{source} cannot be read as a network: {type(error).__name__}") from error
    outputs = {value.name for value in model.graph.output}
    _unpack(model.graph)
    if outputs >= _YUNET_OUTPUTS:
        _as_scrfd(model.graph)
        found = "a detector with five points"
    elif len(outputs) == 1 and _side(model.graph) == _FACE_PX:
        _as_recogniser(model.graph)
        found = f"a recogniser with {EMBEDDING_WIDTH} numbers per face"
    else:
        raise RunError(Exit.USAGE, f"{source} is neither YuNet nor SFace: only these can be converted into a face pack")
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(model.SerializeToString())
    return found


_FACE_PX = 112


def _side(graph: "GraphProto") -> int:
    return int(_input(graph).type.tensor_type.shape.dim[-1].dim_value)


def _input(graph: "GraphProto") -> "ValueInfoProto":
    stored = {tensor.name for tensor in graph.initializer}
    found: ValueInfoProto = next(value for value in graph.input if value.name not in stored)
    return found


def _unpack(graph: "GraphProto") -> None:
    """Replace every weight that is stored in int8 by what its DequantizeLinear makes of it."""
    from onnx import helper, numpy_helper

    stored = {tensor.name: tensor for tensor in graph.initializer}
    made: dict[str, Array] = {}
    kept = []

    def value(name: str) -> Array:
        """Return a stored or computed tensor."""
        return made[name] if name in made else np.asarray(numpy_helper.to_array(stored[name]))

    for node in graph.node:
        options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            made[node.output[0]] = _dequantised([value(name) for name in node.input if name], options)
        elif node.op_type == "Reshape" and node.input[0] in made and node.input[1] in stored:
            made[node.output[0]] = made[node.input[0]].reshape(value(node.input[1]).tolist())
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    left = [tensor for name, tensor in stored.items() if name in used]
    left += [numpy_helper.from_array(array, name) for name, array in made.items() if name in used]
    inputs = [one for one in graph.input if one.name in used and one.name not in stored]
    for field, values in ((graph.node, kept), (graph.initializer, left), (graph.input, inputs)):
        del field[:]
        field.extend(values)


def _dequantised(inputs: list[Array], options: dict[str, int]) -> Array:
    """Return (numbers - zero) * scale as ONNX defines it: one scale, one for each slice, or one for each block."""
    numbers, scale = inputs[0].astype(np.float32), inputs[1].astype(np.float32)
    zero = inputs[2].astype(np.float32) if len(inputs) > 2 else np.zeros_like(scale)
    axis, block = options.get("axis", 1), options.get("block_size", 0)
    if scale.size == 1:
        return np.asarray((numbers - zero.reshape(())) * scale.reshape(()), np.float32)
    if block:
        length = numbers.shape[axis]
        scale, zero = (np.repeat(one, block, axis=axis).take(range(length), axis=axis) for one in (scale, zero))
    else:
        shape = [1] * numbers.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return np.asarray((numbers - zero) * scale, np.float32)


def _as_scrfd(graph: "GraphProto") -> None:
    """Let YuNet take what insightface gives, (RGB - 127.5) / 128, and give what it expects of SCRFD.

    A score is the root of YuNet's two. Boxes are distances from the anchor to left, top, right and bottom. SCRFD has
    two anchors at a place: the second one here scores 0.
    """
    from onnx import TensorProto, helper, numpy_helper

    name, nodes = _input(graph).name, []

    def node(kind: str, inputs: list[str], outputs: list[str], **options: int) -> None:
        """Add a node to the graph."""
        made = helper.make_node(kind, inputs, outputs, **options)  # type: ignore[arg-type]  # the node's attributes
        nodes.append(made)

    def constant(name: str, value: npt.ArrayLike) -> None:
        """Add a constant to the graph."""
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))

    for key, number in (("k_std", 128.0), ("k_mean", 127.5), ("k_0", 0.0), ("k_1", 1.0), ("k_half", 0.5)):
        constant(key, np.float32(number))
    constant("k_bgr", np.array([2, 1, 0], np.int64))
    constant("k_each", np.ones(4, np.int64))
    for width in (1, 4, 10):
        constant(f"k_rows{width}", np.array([1, -1, width], np.int64))
    node("Mul", ["image", "k_std"], ["in_scaled"])
    node("Add", ["in_scaled", "k_mean"], ["in_rgb"])
    node("Gather", ["in_rgb", "k_bgr"], [name], axis=1)
    nodes += list(graph.node)
    for s in STRIDES:
        for kind in ("cls", "obj"):
            node("Clip", [f"{kind}_{s}", "k_0", "k_1"], [f"{kind}_in_{s}"])
        node("Mul", [f"cls_in_{s}", f"obj_in_{s}"], [f"both_{s}"])
        node("Sqrt", [f"both_{s}"], [f"root_{s}"])
        node("Mul", [f"root_{s}", "k_0"], [f"none_{s}"])
        node("Concat", [f"root_{s}", f"none_{s}"], [f"scores_{s}"], axis=2)
        node("Reshape", [f"scores_{s}", "k_rows1"], [f"score_{s}"])
        node("Split", [f"bbox_{s}", "k_each"], [f"{one}_{s}" for one in ("dx", "dy", "logw", "logh")], axis=2)
        for side, offset, low, high in (("w", "dx", "left", "right"), ("h", "dy", "top", "bottom")):
            node("Exp", [f"log{side}_{s}"], [f"whole{side}_{s}"])
            node("Mul", [f"whole{side}_{s}", "k_half"], [f"half{side}_{s}"])
            node("Sub", [f"half{side}_{s}", f"{offset}_{s}"], [f"{low}_{s}"])
            node("Add", [f"half{side}_{s}", f"{offset}_{s}"], [f"{high}_{s}"])
        node("Concat", [f"{one}_{s}" for one in ("left", "top", "right", "bottom")] * 2, [f"boxes_{s}"], axis=2)
        node("Reshape", [f"boxes_{s}", "k_rows4"], [f"box_{s}"])
        node("Concat", [f"kps_{s}"] * 2, [f"points_{s}"], axis=2)
        node("Reshape", [f"points_{s}", "k_rows10"], [f"point_{s}"])
    outputs = [
        helper.make_tensor_value_info(f"{kind}_{s}", TensorProto.FLOAT, [1, f"n{s}", width])
        for kind, width in (("score", 1), ("box", 4), ("point", 10))
        for s in STRIDES
    ]
    shown = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    for field, values in ((graph.node, nodes), (graph.output, outputs), (graph.input, [shown])):
        del field[:]
        field.extend(values)


def _as_recogniser(graph: "GraphProto") -> None:
    """Widen SFace's numbers; it scales its input itself, as insightface sees by the first node's name."""
    from onnx import TensorProto, helper, numpy_helper

    name, result = _input(graph).name, graph.output[0].name
    random = np.random.default_rng(0).standard_normal((EMBEDDING_WIDTH, _SFACE_SIZE))
    wide = np.linalg.qr(random)[0].T.astype(np.float32)  # [128, 512], rows orthonormal
    graph.initializer.append(numpy_helper.from_array(wide, "widen"))
    nodes = [
        helper.make_node("Identity", ["face"], [name]),
        *graph.node,
        helper.make_node("MatMul", [result, "widen"], ["embedding"]),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, [1, 3, _FACE_PX, _FACE_PX])
    made = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, EMBEDDING_WIDTH])
    for field, values in ((graph.node, nodes), (graph.input, [face]), (graph.output, [made])):
        del field[:]
        field.extend(values)
