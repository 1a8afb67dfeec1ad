"""The table of adapters: `kind` in a recipe -> the class that reads such a file."""

from collections.abc import Callable

from idgen.adapters.faceid import FaceId
from idgen.adapters.protocol import Adapter
from idgen.recipes import AdapterSpec

ADAPTERS: dict[str, Callable[[AdapterSpec, float], Adapter]] = {
    "faceid": lambda spec, lora_scale: FaceId(spec.name, lora_scale=lora_scale, sha256=spec.sha256),
}


def make(spec: AdapterSpec, lora_scale: float) -> Adapter:
    """Return the adapter of a recipe's entry, not loaded yet."""
    return ADAPTERS[spec.kind](spec, lora_scale)
