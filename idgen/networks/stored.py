"""Linear layers that keep their weights as the file stores them, and compute in float32.

Adapters are small beside their UNets only in float16 (Kolors-FaceID-Plus: 2.4 GB), and must not compute in it: the same
bits come out as of float32 copies, which would take twice the room for work that is done once per person.
"""

from torch import Tensor, nn
from torch.nn import functional


class StoredLinear(nn.Linear):
    """nn.Linear of float32 inputs whose weight may be of any float dtype; the bias is float32."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """Return float32 [..., outputs] of float32 [..., inputs]."""
        return functional.linear(input, self.weight.float(), self.bias)
