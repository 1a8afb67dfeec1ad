"""The table of adapters: `kind` in a recipe -> the class that reads such a file."""

from collections.abc import Callable

from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Adapter
from idgen.adapters.variants import VARIANTS
from idgen.networks.image_encoder import ImageEncoder
from idgen.recipes import AdapterSpec

ADAPTERS: dict[str, Callable[[AdapterSpec, float, ImageEncoder | None], Adapter]] = {
    **dict.fromkeys(
        VARIANTS, lambda spec, lora_scale, encoder: IpAdapter(spec, lora_scale=lora_scale, encoder=encoder)
    ),
}


def make(spec: AdapterSpec, lora_scale: float, encoder: ImageEncoder | None = None) -> Adapter:
    """Return the adapter of a recipe's entry, not loaded yet; `encoder` is what its `image_encoder` names."""
    return ADAPTERS[spec.kind](spec, lora_scale, encoder)
