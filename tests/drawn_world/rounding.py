"""Weights as they are exported: float16 with no more digits than bfloat16, in which training computed with them.

Half of their bits are then alike, so that they pack well (packed.py).
"""

from torch import Tensor, nn


def rounded(tensor: Tensor) -> Tensor:
    """Return `tensor` as such float16 on the CPU."""
    return tensor.detach().cpu().bfloat16().half().contiguous()


def round_(module: nn.Module) -> None:
    """Round all weights of `module` in place."""
    for weight in module.parameters():
        weight.data = rounded(weight)
    module.half()  # buffers too
