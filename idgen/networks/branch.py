"""A branch: what one cross-attention layer makes of an adapter's tokens.

Keys and values are made once per batch (`bind`) and read in every denoising step by idgen/networks/attention.py.
How a branch joins the text's output is `combine`: IP-Adapters and InstantID add; PuLID and EcomID take from what they
add its share along the text's output (ToTheBeginning/PuLID, pulid/attention_processor.py), so that less of the prompt
is drowned.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.networks.stored import StoredLinear

Combine = Literal["add", "ortho", "ortho_v2"]
"""PuLID's names of them are neutral, style (ortho) and fidelity (ortho_v2)."""
AttnMean = Literal["query", "global"]
"""What ortho_v2 takes the attention's mean over: heads, at every place (PuLID), or places, of all heads as one (the
ComfyUI nodes, and so EcomID). The second gives one number per row."""

FACE_TOKENS = 5
"""The first tokens of PuLID's, which stand for the whole face; ortho_v2 asks how much of the attention is theirs."""


class Branch(nn.Module):
    """Keys and values of identity tokens for one attn2. One per layer and adapter; weights stay as stored.

    `bind` must have run before `join`. Bound tensors keep shape and strides from batch to batch of one bucket, so
    other people and other scales never recompile. `combine` and `attn_mean` may be set until the first `bind`.
    """

    def __init__(
        self,
        token_width: int,
        inner_width: int,
        heads: int,
        *,
        combine: Combine = "add",
        attn_mean: AttnMean = "query",
    ) -> None:
        super().__init__()
        self.k = StoredLinear(token_width, inner_width, bias=False)
        self.v = StoredLinear(token_width, inner_width, bias=False)
        self.heads = heads
        self.combine = combine
        self.attn_mean = attn_mean
        self.key: Tensor | None = None  # [R, heads, n*T, inner/heads]
        self.value: Tensor | None = None
        self.scale: Tensor | None = None  # [R, 1, 1, 1]

    def bind(self, tokens: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
        """Make keys and values of `tokens` [R, n, T, D] in float32, keep them in `dtype`, and `scale` [R, 1, 1].

        The n references of a row stand in one softmax, as in the authors' code. PuLID's zero tokens are part of
        `tokens`, after the real ones: their keys are 0 and take attention from the face.
        """
        sequence = tokens.float().flatten(1, 2)  # [R, n*T, D]
        self.key = self._split(self.k(sequence)).to(dtype)
        self.value = self._split(self.v(sequence)).to(dtype)
        self.scale = scale.unsqueeze(-1).to(dtype if self.combine == "add" else torch.float32)

    def unbind(self) -> None:
        """Let go of the batch's tensors."""
        self.key = self.value = self.scale = None

    def join(self, joined: Tensor, query: Tensor, text: Tensor | None = None) -> Tensor:
        """Return `joined + scale * what this branch brings`; arguments and result are [R, heads, L, d].

        `joined` may have other branches in it already, `text` is the text's output alone (default: `joined`), which
        the ortho modes look at. These compute in float32, as the authors do.
        """
        if self.key is None or self.value is None or self.scale is None:
            raise RuntimeError("Branch.bind must run before the UNet does")
        identity = functional.scaled_dot_product_attention(query, self.key, self.value)
        if self.combine == "add":
            return torch.addcmul(joined, identity, self.scale)
        along = projection(identity.float(), (joined if text is None else text).float())
        if self.combine == "ortho_v2":
            along = along * (1 - face_attention(query, self.key, self.attn_mean))
        return torch.addcmul(joined.float(), identity.float() - along, self.scale).to(joined.dtype)

    def _split(self, sequence: Tensor) -> Tensor:
        """[R, L, heads*d] -> contiguous [R, heads, L, d]."""
        rows, length, _ = sequence.shape
        return sequence.view(rows, length, self.heads, -1).transpose(1, 2).contiguous()


def projection(identity: Tensor, text: Tensor) -> Tensor:
    """Return the share of `identity` [R, heads, L, d] along `text`; a channel's values at all places are one vector."""
    length = (text * text).sum(-2, keepdim=True).clamp_min(torch.finfo(text.dtype).tiny)
    return (text * identity).sum(-2, keepdim=True) / length * text


def face_attention(query: Tensor, key: Tensor, mean: AttnMean) -> Tensor:
    """Return the share 0..1 of attention that the face's tokens get, float32: [R, 1, L, 1], or [R, 1, 1, 1] globally.

    The authors' softmax lacks the usual 1 / sqrt(d). `query` is [R, heads, L, d], `key` [R, heads, T, d].
    """
    query, key = query.float(), key.float()
    if mean == "global":
        query, key = (one.transpose(1, 2).flatten(2).unsqueeze(1) for one in (query, key))  # [R, 1, L or T, heads*d]
    shares = (query @ key.transpose(-1, -2)).softmax(-1)[..., :FACE_TOKENS].sum(-1, keepdim=True)
    return shares.mean(-2 if mean == "global" else 1, keepdim=True)
