"""Networks that finished pictures are measured with, in small: an independent judge of drawn people, a safety model.

The judge is the one of the drawn world's evaluation (tests/drawn_world/judge.py: other people, another seed, frame and
architecture than the face pack's recogniser), brought into a pack's layout: 112 px in, WIDTH numbers out.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from drawn_world.networks import Judge
from idgen.tiny import drawn

WIDTH = 128
SIDE_PX = 112


class _Layout(nn.Module):
    """Aligned faces [B, 3, 112, 112] in -1..1 to [B, WIDTH]. The judge's own frame is wider: its edge is repeated."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge
        random = torch.randn(512, WIDTH, generator=torch.Generator().manual_seed(0))
        self.narrow = nn.Parameter(torch.linalg.qr(random)[0])

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        wide = functional.pad(faces, (round(SIDE_PX * Judge.ROOM),) * 4, mode="replicate")
        small = functional.interpolate(wide, size=(Judge.SIDE_PX,) * 2, mode="bilinear", align_corners=False)
        return self.judge(small) @ self.narrow


def write_judge(folder: Path) -> Path:
    """Write the judge's .onnx into `folder` and return the folder."""
    judge = Judge()
    state = load_file(drawn.ensure() / drawn.JUDGE)
    judge.load_state_dict(
        {name.removeprefix("judge."): one.float() for name, one in state.items() if name.startswith("judge.")}
    )
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        _Layout(judge).eval(), (torch.zeros(1, 3, SIDE_PX, SIDE_PX),), str(folder / "judge.onnx"), dynamo=False,
        opset_version=17, input_names=["input.1"], output_names=["embedding"],
    )  # fmt: skip
    return folder


def write_safety_model(path: Path) -> Path:
    """Write a network of open_nsfw's layout that finds red unsafe: the mean of red less green, as a score."""
    weights = {
        "red": np.array([[0, 0], [-1, 1], [1, -1]], np.float32).reshape(3, 2)[:, ::-1] / 20,  # channels are BGR
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input_0", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "red"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    shown = helper.make_tensor_value_info("input_0", TensorProto.FLOAT, ["batch", 224, 224, 3])
    told = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])
    stored = [numpy_helper.from_array(np.ascontiguousarray(one), name) for name, one in weights.items()]
    graph = helper.make_graph(nodes, "tiny_nsfw", [shown], [told], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
