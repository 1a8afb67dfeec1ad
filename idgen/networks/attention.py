"""Cross-attention with bound tokens: the one mechanism that carries every identity.

`out = text + sum over branches of scale * branch`, per row, so people are never mixed in a batch (stock diffusers
does that silently). What is constant over the steps, the keys and values of text and identity, is made once per batch.
Branches that project (idgen/networks/branch.py) do so on the text alone: their order does not matter.
"""

from collections.abc import Mapping
from typing import Protocol

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

from idgen.networks.branch import Branch


class Unet(Protocol):
    """What is used of diffusers' UNets, which carry no types."""

    @property
    def attn_processors(self) -> Mapping[str, object]:
        """Processors by name, in the order that adapter files count in: down, up, mid."""
        ...

    def set_attn_processor(self, processor: dict[str, object]) -> None:
        """Replace all processors."""
        ...

    def get_submodule(self, target: str) -> nn.Module:
        """Return the module at a dotted path."""
        ...


class BoundAttention:
    """The processor of one attn2 layer. A plain object, not a module: what it holds is not the UNet's to cast or save.

    Covers what SD1.5, SDXL and Kolors UNets have: no mask, no spatial or group norm, no residual inside. `text` may be
    left unbound; then keys and values of `encoder_hidden_states` are made in every call.
    """

    def __init__(self) -> None:
        self.branches: list[Branch] = []
        self.text_key: Tensor | None = None  # [R, heads, L, d]
        self.text_value: Tensor | None = None

    def bind_text(self, attn: Attention, states: Tensor) -> None:
        """Make keys and values of the text `states` [R, L, D] once for the whole batch."""
        self.text_key = _split(attn.to_k(states), attn.heads)
        self.text_value = _split(attn.to_v(states), attn.heads)

    def unbind(self) -> None:
        """Let go of the batch's tensors, the branches' too."""
        self.text_key = self.text_value = None
        for branch in self.branches:
            branch.unbind()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Return the layer's output [R, L, C] for `hidden_states` [R, L, C]."""
        query = _split(attn.to_q(hidden_states), attn.heads)
        key, value = self.text_key, self.text_value
        if key is None or value is None:
            key = _split(attn.to_k(encoder_hidden_states), attn.heads)
            value = _split(attn.to_v(encoder_hidden_states), attn.heads)
        joined = text = functional.scaled_dot_product_attention(query, key, value)
        for branch in self.branches:
            joined = branch.join(joined, query, text)
        out: Tensor = attn.to_out[0](joined.transpose(1, 2).flatten(2))
        return out


def install(unet: Unet) -> dict[str, BoundAttention]:
    """Give every attn2 of `unet` a BoundAttention and return them by processor name, in the official order.

    That order (down, up, mid) is the one adapter files count in. Layers that have one keep it.
    """
    processors = dict(unet.attn_processors)
    for name, processor in processors.items():
        if is_cross(name) and not isinstance(processor, BoundAttention):
            processors[name] = BoundAttention()
    unet.set_attn_processor(dict(processors))
    return {name: bound for name, bound in processors.items() if isinstance(bound, BoundAttention)}


def is_cross(processor_name: str) -> bool:
    """True for attn2, the layers that look at text and tokens."""
    return processor_name.endswith("attn2.processor")


def layer(unet: Unet, processor_name: str) -> Attention:
    """Return the attention module that a processor name of `unet.attn_processors` belongs to."""
    return unet.get_submodule(processor_name.removesuffix(".processor"))


def bind_text(unet: Unet, states: Tensor) -> None:
    """Bind the text `states` [R, L, D] to every attn2 of `unet`."""
    for name, processor in unet.attn_processors.items():
        if isinstance(processor, BoundAttention):
            processor.bind_text(layer(unet, name), states)


def unbind(unet: Unet) -> None:
    """Release what the last batch bound."""
    for processor in unet.attn_processors.values():
        if isinstance(processor, BoundAttention):
            processor.unbind()


def _split(sequence: Tensor, heads: int) -> Tensor:
    """[R, L, heads*d] -> [R, heads, L, d], a view."""
    rows, length, _ = sequence.shape
    return sequence.view(rows, length, heads, -1).transpose(1, 2)
