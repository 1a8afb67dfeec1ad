"""IP-Adapter-FaceID: an ArcFace embedding becomes four tokens, and a LoRA sits on every attention of the UNet.

Equal to tencent-ailab/IP-Adapter `IPAdapterFaceID` (tests/golden). The LoRA is in the same file as the branches; the
hub's separate LoRA file holds the same weights and is not read.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.adapters import layout
from idgen.adapters.protocol import Options, Person, Tokens
from idgen.networks import checkpoints
from idgen.networks.attention import Unet
from idgen.networks.projections import FaceIdProjection


class FaceId:
    """See the module's docstring; follows idgen.adapters.protocol.Adapter."""

    option_names: tuple[str, ...] = ()

    def __init__(self, name: str, *, lora_scale: float = 1.0, sha256: str | None = None) -> None:
        self.name = name
        self.lora_scale = lora_scale
        self.sha256 = sha256
        self.branches = nn.ModuleList()
        self.projection: FaceIdProjection | None = None

    def load(self, unet: Unet, files: Sequence[Path]) -> None:
        """Read `ip-adapter-faceid_*.bin`; the LoRA is merged even at scale 0, so that scales change nothing else."""
        (path,) = files
        parts = layout.split(checkpoints.read(path, self.sha256), path.name)
        self.projection = FaceIdProjection.from_weights(parts.projection, path.name)
        layout.merge_lora(unet, parts.lora, self.lora_scale, path.name)
        self.branches = layout.hang_branches(unet, parts.branches, path.name)

    def to(self, device: torch.device) -> None:
        """Move the adapter's own modules; they stay float32."""
        self.branches.to(device)
        if self.projection is not None:
            self.projection.to(device)

    def encode(self, people: Sequence[Person], options: Options) -> list[Tokens]:
        """Return tokens [n, T, D] of the L2-normalised embeddings; unconditional = the projection of zeros."""
        return [self._encode_one(person) for person in people]

    def _encode_one(self, person: Person) -> Tokens:
        if self.projection is None:
            raise RuntimeError("FaceId.load must run before encode")
        device = self.projection.norm.weight.device
        raw: Tensor = torch.from_numpy(person.id_embedding).to(device)
        # one reference at a time: the same photo gives the same tokens, whatever stands beside it
        cond = [self.projection(functional.normalize(row[None], dim=-1)) for row in raw]
        uncond = self.projection(torch.zeros_like(raw[:1]))
        return Tokens(torch.cat(cond), uncond.repeat(len(cond), 1, 1))
