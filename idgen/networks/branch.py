"""A branch: what one cross-attention layer makes of an adapter's tokens.

Keys and values are made once per batch (`bind`) and read in every denoising step by idgen/networks/attention.py.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.networks.stored import StoredLinear


class Branch(nn.Module):
    """Keys and values of identity tokens for one attn2. One per layer and adapter; weights stay as stored.

    `bind` must have run before `join`. Bound tensors keep shape and strides from batch to batch of one bucket, so
    other people and other scales never recompile.
    """

    def __init__(self, token_width: int, inner_width: int, heads: int) -> None:
        super().__init__()
        self.k = StoredLinear(token_width, inner_width, bias=False)
        self.v = StoredLinear(token_width, inner_width, bias=False)
        self.heads = heads
        self.key: Tensor | None = None  # [R, heads, n*T, inner/heads]
        self.value: Tensor | None = None
        self.scale: Tensor | None = None  # [R, 1, 1, 1]

    def bind(self, tokens: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        """Make keys and values of `tokens` [R, n, T, D] in float32, keep them in `dtype` with `scale` [R, 1, 1].

        The n references of a row stand in one softmax, as in the authors' code.
        """
        sequence = tokens.float().flatten(1, 2)  # [R, n*T, D]
        self.key = self._split(self.k(sequence)).to(dtype)
        self.value = self._split(self.v(sequence)).to(dtype)
        self.scale = scale.unsqueeze(-1).to(dtype)

    def unbind(self) -> None:
        """Let go of the batch's tensors."""
        self.key = self.value = self.scale = None

    def join(self, joined: Tensor, query: Tensor) -> Tensor:
        """Return `joined + scale * attention(query, tokens)`; arguments and result are [R, heads, L, d]."""
        if self.key is None or self.value is None or self.scale is None:
            raise RuntimeError("Branch.bind must run before the UNet does")
        identity = functional.scaled_dot_product_attention(query, self.key, self.value)
        return torch.addcmul(joined, identity, self.scale)

    def _split(self, sequence: Tensor) -> Tensor:
        """[R, L, heads*d] -> contiguous [R, heads, L, d]."""
        rows, length, _ = sequence.shape
        return sequence.view(rows, length, self.heads, -1).transpose(1, 2).contiguous()
