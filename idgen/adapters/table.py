"""The table of adapters: `kind` in a recipe -> the class that reads such a file, and what it looks through."""

from collections.abc import Callable, Mapping, Sequence

import torch

from idgen import weights
from idgen.adapters.face_eye import FaceEye
from idgen.adapters.instantid import InstantId
from idgen.adapters.ip_adapter import IpAdapter
from idgen.adapters.protocol import Adapter
from idgen.adapters.pulid import Pulid
from idgen.adapters.variants import VARIANTS
from idgen.networks.image_encoder import ImageEncoder, dtype_beside
from idgen.recipes import AdapterSpec

Eye = ImageEncoder | FaceEye
"""What an adapter looks at pictures through."""
Eyes = Mapping[str, Eye]
"""Name of an adapter -> its eye; adapters without one are not in it."""


def _ip_adapter(spec: AdapterSpec, lora_scale: float, eye: Eye | None) -> Adapter:
    return IpAdapter(spec, lora_scale=lora_scale, encoder=eye if isinstance(eye, ImageEncoder) else None)


def _instantid(spec: AdapterSpec, lora_scale: float, eye: Eye | None) -> Adapter:
    return InstantId(spec)


def _pulid(spec: AdapterSpec, lora_scale: float, eye: Eye | None) -> Adapter:
    return Pulid(spec, eye=eye if isinstance(eye, FaceEye) else None)


ADAPTERS: dict[str, Callable[[AdapterSpec, float, Eye | None], Adapter]] = {
    **dict.fromkeys(VARIANTS, _ip_adapter),
    **dict.fromkeys((kind for kind, variant in VARIANTS.items() if variant.pulid is not None), _pulid),
    "instantid": _instantid,
}


def make(spec: AdapterSpec, lora_scale: float, eyes: Eyes | None = None) -> Adapter:
    """Return the adapter of a recipe's entry, not loaded yet; `eyes` has what it looks through."""
    return ADAPTERS[spec.kind](spec, lora_scale, (eyes or {}).get(spec.name))


def eyes(specs: Sequence[AdapterSpec], base: torch.dtype) -> dict[str, Eye]:
    """Return what each of a recipe's adapters looks through, by its name, on the CPU; `base` is the UNet's dtype.

    Adapters that name the same files share one, and with it what it has seen. Raises RunError(USAGE) when a file is
    missing or something else.
    """
    made: dict[tuple[str, str], Eye] = {}
    for spec in specs:
        files = (spec.image_encoder, spec.face_parser)
        if not spec.image_encoder or files in made:
            continue
        path = weights.locate(spec.image_encoder)
        if spec.face_parser:
            made[files] = FaceEye.load(path, weights.locate(spec.face_parser))
        else:
            made[files] = ImageEncoder.load(path, encoder_dtype(specs, spec.image_encoder, base))
    return {spec.name: made[spec.image_encoder, spec.face_parser] for spec in specs if spec.image_encoder}


def encoder_dtype(specs: Sequence[AdapterSpec], location: str, base: torch.dtype) -> torch.dtype:
    """Return the dtype of the image encoder at `location`, which all of `specs` that name it share."""
    exact = any(VARIANTS[spec.kind].clip_float32 for spec in specs if spec.image_encoder == location)
    return dtype_beside(base, exact=exact)
