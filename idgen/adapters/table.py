"""The table of adapters: `kind` in a recipe -> the class that reads such a file, and what it looks through."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from idgen import weights
from idgen.adapters.face_encoder import FaceEncoder
from idgen.adapters.instantid import InstantId
from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Adapter
from idgen.adapters.pulid import Pulid
from idgen.networks.image_encoder import ImageEncoder, dtype_beside
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import VARIANTS

PhotoEncoder = ImageEncoder | FaceEncoder
"""What an adapter looks at pictures through."""
PhotoEncoders = Mapping[str, PhotoEncoder]
"""Name of an adapter -> its eye; adapters without one are not in it."""


@dataclass(frozen=True, slots=True)
class LoraUse:
    """How the LoRA in an adapter's file is merged."""

    scale: float = 1.0
    dtype: torch.dtype = torch.float32
    """Of the layers afterwards, see idgen/networks/lora.py."""


def _ip_adapter(spec: AdapterSpec, lora: LoraUse, eye: PhotoEncoder | None) -> Adapter:
    encoder = eye if isinstance(eye, ImageEncoder) else None
    return IpAdapter(spec, lora_scale=lora.scale, lora_dtype=lora.dtype, encoder=encoder)


def _instantid(spec: AdapterSpec, lora: LoraUse, eye: PhotoEncoder | None) -> Adapter:
    return InstantId(spec)


def _pulid(spec: AdapterSpec, lora: LoraUse, eye: PhotoEncoder | None) -> Adapter:
    return Pulid(spec, eye=eye if isinstance(eye, FaceEncoder) else None)


ADAPTERS: dict[str, Callable[[AdapterSpec, LoraUse, PhotoEncoder | None], Adapter]] = {
    **dict.fromkeys(VARIANTS, _ip_adapter),
    **dict.fromkeys((kind for kind, variant in VARIANTS.items() if variant.pulid is not None), _pulid),
    "instantid": _instantid,
}


def make(spec: AdapterSpec, lora: LoraUse | float = 1.0, eyes: PhotoEncoders | None = None) -> Adapter:
    """Return the adapter of a recipe's entry, not loaded yet; `eyes` has what it looks through.

    `lora` as a number is its scale; its layers stay float32 then.
    """
    use = lora if isinstance(lora, LoraUse) else LoraUse(lora)
    return ADAPTERS[spec.kind](spec, use, (eyes or {}).get(spec.name))


def make_all(specs: Sequence[AdapterSpec], lora_scale: float, base: torch.dtype) -> list[Adapter]:
    """Return a recipe's adapters, to be loaded in this order; `base` is the dtype that the UNet is cast to."""
    seen = eyes(specs, base)
    last = max((number for number, spec in enumerate(specs) if VARIANTS[spec.kind].lora), default=None)
    uses = [LoraUse(lora_scale, base if number == last else torch.float32) for number in range(len(specs))]
    return [make(spec, use, seen) for spec, use in zip(specs, uses, strict=True)]


def eyes(specs: Sequence[AdapterSpec], base: torch.dtype) -> dict[str, PhotoEncoder]:
    """Return what each of a recipe's adapters looks through, by its name, on the CPU; `base` is the UNet's dtype.

    Adapters that name the same files share one, and with it what it has seen. Raises RunError(USAGE) when a file is
    missing or something else.
    """
    made: dict[tuple[str, str], PhotoEncoder] = {}
    for spec in specs:
        files = (spec.image_encoder, spec.face_parser)
        if not spec.image_encoder or files in made:
            continue
        path = weights.locate(spec.image_encoder)
        if spec.face_parser:
            made[files] = FaceEncoder.load(path, weights.locate(spec.face_parser))
        else:
            made[files] = ImageEncoder.load(path, encoder_dtype(specs, spec.image_encoder, base))
    return {spec.name: made[spec.image_encoder, spec.face_parser] for spec in specs if spec.image_encoder}


def encoder_dtype(specs: Sequence[AdapterSpec], location: str, base: torch.dtype) -> torch.dtype:
    """Return the dtype of the image encoder at `location`, which all of `specs` that name it share."""
    exact = any(VARIANTS[spec.kind].clip_float32 for spec in specs if spec.image_encoder == location)
    return dtype_beside(base, exact=exact)
