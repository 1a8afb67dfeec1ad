"""The table of adapters: `kind` in a recipe -> the class that reads such a file."""

from collections.abc import Callable, Sequence

import torch

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Adapter
from idgen.adapters.variants import VARIANTS
from idgen.networks.image_encoder import ImageEncoder, dtype_beside
from idgen.recipes import AdapterSpec

ADAPTERS: dict[str, Callable[[AdapterSpec, float, ImageEncoder | None], Adapter]] = {
    **dict.fromkeys(
        VARIANTS, lambda spec, lora_scale, encoder: IpAdapter(spec, lora_scale=lora_scale, encoder=encoder)
    ),
}


def make(spec: AdapterSpec, lora_scale: float, encoder: ImageEncoder | None = None) -> Adapter:
    """Return the adapter of a recipe's entry, not loaded yet; `encoder` is what its `image_encoder` names."""
    return ADAPTERS[spec.kind](spec, lora_scale, encoder)


def encoder_dtype(specs: Sequence[AdapterSpec], location: str, base: torch.dtype) -> torch.dtype:
    """Return the dtype of the image encoder at `location`, which all of `specs` that name it share."""
    exact = any(VARIANTS[spec.kind].clip_float32 for spec in specs if spec.image_encoder == location)
    return dtype_beside(base, exact=exact)
