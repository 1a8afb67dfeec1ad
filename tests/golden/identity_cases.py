"""What recipes and rows of the goldens of InstantID, PuLID and EcomID have beside those of the IP-Adapter family."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from idgen.recipes.recipe import AdapterSpec, Control
from idgen.sampling.rows import ControlUse

KINDS = {"instantid": "instantid", "pulid-v1": "pulid_v1", "pulid-v1.1": "pulid_v1_1", "ecomid": "ecomid"}
"""Adapter of a case, in its authors' spelling -> kind of adapter in a recipe."""
PLACES = {"ecomid": 1}
"""Of the adapter's own file among a case's; the first of EcomID's is InstantID's."""
NETS = {"instantid": "ControlNetModel", "ecomid": "SDXL-EcomID"}
"""Kind -> folder of its IdentityNet."""
EVA = "EVA02_CLIP_L_336_psz14_s6B.pt"


def adapter(kind: str, checkpoint: Path, files: Sequence[str], encoder: Path | None) -> AdapterSpec:
    """The case's adapter; of the parser, whose weights no case stores, the tiny one, which `StoredLabels` replaces."""
    return AdapterSpec(
        name="adapter",
        kind=kind,  # type: ignore[arg-type]
        weights=str(checkpoint / files[PLACES.get(kind, 0)]),
        image_encoder=str(encoder / EVA) if encoder else "",
        face_parser="tiny:face_parser" if encoder else "",
        context_weights=str(checkpoint / files[0]) if kind == "ecomid" else "",
    )


def controls(kind: str, checkpoint: Path, config: str) -> list[Control]:
    """The case's IdentityNet, if it has one."""
    if kind not in NETS:
        return []
    settings = str((checkpoint / config).parent) if config else ""
    return [Control(name="identity", weights=str(checkpoint / NETS[kind]), config=settings)]


def uses(kind: str) -> tuple[ControlUse, ...]:
    """How the case's bucket uses it."""
    return (ControlUse(name="identity", scale=1.0),) if kind in NETS else ()


def row_facts(scale: dict[str, Any], inputs: dict[str, Tensor], number: int) -> dict[str, Any]:
    """What only rows of these have."""
    if "kps_image" not in inputs:
        return {}
    points: NDArray[Any] = inputs["kps_image"][number].numpy()
    return {
        "control_images": {"identity": points},
        "identity_scale": scale["controlnet_conditioning_scale"],
    }


class StoredLabels:
    """A parser that remembers what the original parser said of the cases' faces."""

    def __init__(self, faces: Tensor, labels: Tensor, device: str = "cpu") -> None:
        self.device = device
        self.known = [(face, label) for face, label in zip(faces, labels, strict=True)]

    def labels(self, faces: NDArray[Any]) -> Tensor:
        """As FaceParser's."""
        return torch.stack([self._one(torch.from_numpy(face)) for face in faces]).to(self.device)

    def _one(self, face: Tensor) -> Tensor:
        return next(label for known, label in self.known if torch.equal(known, face))
