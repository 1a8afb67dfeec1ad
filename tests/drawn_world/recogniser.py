"""The face pack's recogniser: in ONNX Runtime for references, as a torch module where losses look through it.

The module holds the same weights, read from the file, batch norms folded in: convolutions in their order, and a layer
at the end. tests/tiny/test_tiny_train.py compares the two.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from drawn_world.face_pack.data import ARCFACE_POINTS, CROP_PX
from drawn_world.people import Reference, aligned
from idgen.tiny.world import locate

FILE = locate("facepack") / "rec_drawn.onnx"
WIDTH = 512


class Embedder:
    """References to embeddings, on one thread."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(FILE), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def embed(self, photo: Reference) -> NDArray[np.float32]:
        """Return the raw embedding [512], as insightface gives it."""
        crop = aligned(photo, CROP_PX).astype(np.float32).transpose(2, 0, 1)[None]
        (out,) = self._session.run(None, {self._input: (crop - 127.5) / 127.5})
        return np.asarray(out[0], np.float32)


class Recogniser(nn.Module):
    """The same as a frozen torch module: crops [B, 3, 112, 112] in -1..1 to raw embeddings [B, 512]."""

    def __init__(self) -> None:
        super().__init__()
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(FILE)).graph
        values = {one.name.removesuffix(".half"): numpy_helper.to_array(one) for one in graph.initializer}
        self._nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for node in graph.node:
            if node.op_type == "Cast":
                continue
            settings = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "Constant":
                values[node.output[0]] = numpy_helper.to_array(settings["value"])
                continue
            self._nodes.append((node.op_type, list(node.input), node.output[0], settings))
        self._input, self._output = graph.input[0].name, graph.output[0].name
        for name, value in values.items():
            if value.dtype.kind == "f":
                self.register_buffer(_plain(name), torch.from_numpy(value.astype(np.float32)))

    def forward(self, crops: Tensor) -> Tensor:
        """See the class."""
        values = {self._input: crops}
        for kind, inputs, output, settings in self._nodes:
            given = [values[name] if name in values else self.get_buffer(_plain(name)) for name in inputs]
            values[output] = _OPERATIONS[kind](given, settings)
        return values[self._output]


def face_crops(pictures: Tensor, points: Tensor, px: int = CROP_PX, room: float = 0.0) -> Tensor:
    """Return the aligned faces [B, 3, px, px] of `pictures` [B, 3, H, H] whose five points are [B, 5, 2] in pixels.

    Differentiable in the pictures; black where they end. `room` shows so much more on every side, in parts of px.
    """
    target = torch.from_numpy(ARCFACE_POINTS).to(points) / CROP_PX  # 0..1
    target = (target + room) / (1 + 2 * room)
    side = pictures.shape[-1]
    middle, aim = points.mean(1, keepdim=True), target.mean(0, keepdim=True)
    a, b = points - middle, target - aim  # the similarity to the crop, as insightface fits it; then the way back
    cos = (a * b).sum((1, 2))
    sin = (a[..., 0] * b[:, 1] - a[..., 1] * b[:, 0]).sum(1)
    back = (a**2).sum((1, 2)) / (cos**2 + sin**2)
    cos, sin = cos * back, -sin * back
    at = torch.arange(px, device=points.device) / px
    y, x = torch.meshgrid(at - aim[0, 1], at - aim[0, 0], indexing="ij")
    across = cos[:, None, None] * x - sin[:, None, None] * y + middle[..., 0, None]
    down = sin[:, None, None] * x + cos[:, None, None] * y + middle[..., 1, None]
    grid = (torch.stack([across, down], -1) + 0.5) * 2 / side - 1  # places are of pixels' middles, as OpenCV's
    return functional.grid_sample(pictures.float(), grid.float(), align_corners=False)


def _plain(name: str) -> str:
    return "w_" + "".join(letter if letter.isalnum() else "_" for letter in name)


def _convolve(given: list[Tensor], settings: dict[str, Any]) -> Tensor:
    pads = settings.get("pads", [0])
    bias = given[2] if len(given) > 2 else None
    return functional.conv2d(
        given[0], given[1], bias, stride=settings.get("strides", [1])[0], padding=pads[0], groups=settings["group"]
    )


def _gemm(given: list[Tensor], settings: dict[str, Any]) -> Tensor:
    weight = given[1].T if settings.get("transB", 0) else given[1]
    out = given[0] @ weight
    return out + given[2] if len(given) > 2 else out


_OPERATIONS: dict[str, Any] = {
    "Conv": _convolve,
    "Relu": lambda given, _: given[0].relu(),
    "Add": lambda given, _: given[0] + given[1],
    "Flatten": lambda given, _: given[0].flatten(1),
    "Gemm": _gemm,
    "MatMul": lambda given, _: given[0] @ given[1],
    "BatchNormalization": lambda given, s: functional.batch_norm(
        given[0], given[3], given[4], given[1], given[2], eps=s.get("epsilon", 1e-5)
    ),
}
