"""ONNX files of half size: weights are stored in half precision and cast once, when the session is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto


def export_half(model: torch.nn.Module, example: torch.Tensor, path: Path, outputs: list[str], dynamic: bool) -> None:
    """Write `model` for one input; with `dynamic` its height and width may change from call to call."""
    import onnx
    import torch

    axes = {"input.1": {2: "height", 3: "width"}, **{name: {0: "cells"} for name in outputs}} if dynamic else None
    draft = path.with_suffix(".full.onnx")
    torch.onnx.export(
        model.eval(), (example,), str(draft), dynamo=False, opset_version=17,
        input_names=["input.1"], output_names=outputs, dynamic_axes=axes,
    )  # fmt: skip
    onnx.save(_halved(onnx.load(str(draft))), str(path))
    draft.unlink()


def _halved(model: ModelProto) -> ModelProto:
    """Float weights to half precision with a Cast behind each; ONNX Runtime folds the casts when it loads."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            continue  # biases and constants are few and keep their precision
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"Cast_{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
