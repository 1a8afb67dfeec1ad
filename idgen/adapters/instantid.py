"""InstantID: a face's embedding becomes 16 tokens, for the branches beside the text and for its IdentityNet.

Equal to instantX-research/InstantID (tests/golden). Several references are one sequence for the perceiver, as in the
authors' code, so they become 16 tokens together. Its branches work without an IdentityNet too, as ComfyUI's nodes
offer: likeness is then weaker, and the face is where the prompt wants it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from idgen.adapters import layout, recognition
from idgen.adapters.protocol import Host, Options, Person, Tokens
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints, transfers
from idgen.networks.resampler import Resampler
from idgen.recipes.recipe import AdapterSpec
from idgen.schemas import EMBEDDING_WIDTH


class InstantId:
    """See the module's docstring; follows idgen.adapters.protocol.Adapter."""

    option_names: tuple[str, ...] = ()
    through_text = False
    gives_context = True

    def __init__(self, spec: AdapterSpec) -> None:
        self.name, self.kind = spec.name, spec.kind
        self.branches = nn.ModuleList()
        self.resampler: Resampler | None = None
        self._spec = spec
        self._device = torch.device("cpu")

    def load(self, host: Host, files: Sequence[Path]) -> None:
        """Read the official checkpoint. Raises RunError as `fit`, and as idgen/networks/checkpoints.py."""
        (path,) = files
        self.fit(host, checkpoints.read(path, self._spec.sha256), path.name)

    def fit(self, host: Host, weights: Mapping[str, Tensor], source: str) -> None:
        """Put a checkpoint's `weights` into `host` and this adapter.

        Raises RunError when they are of another kind than the recipe says, for another base, or not whole.
        """
        parts = layout.split(weights, source)
        recognition.check_kind(self.kind, parts, source)
        recognition.check_base(self.kind, host, parts, source)
        recognition.check_text(host, parts, source)
        layout.check_no_lora(parts, source)
        resampler = face_resampler(parts.projection, source)
        self.branches = layout.hang_branches(host.denoiser, parts.branches, source)
        layout.check_token_width(self.branches, resampler.token_width, None, source)
        self.resampler = resampler

    def to(self, device: torch.device) -> None:
        """Move the adapter's own modules; they keep the dtype they are stored in."""
        self._device = device
        self.branches.to(device)
        if self.resampler is not None:
            self.resampler.to(device)

    def forget(self) -> None:
        """Nothing is remembered."""

    def encode(self, people: Sequence[Person], options: Options) -> list[Tokens]:
        """Return tokens [1, 16, D] of each person's n references together; the context is the same tokens."""
        return [self._encode_one(person) for person in people]

    def _encode_one(self, person: Person) -> Tokens:
        if self.resampler is None:
            raise RuntimeError("InstantId.load must run before encode")
        cond, uncond = face_tokens(self.resampler, raw_embeddings(person, self.name, self._device))
        return Tokens(cond, uncond, (cond, uncond))


def raw_embeddings(person: Person, adapter: str, device: torch.device) -> Tensor:
    """Return a person's embeddings [n, 512], n at least 1, as the face pack gives them. Raises ValueError for none."""
    if not len(person.id_embedding):
        raise ValueError(f"adapter {adapter} got no embeddings")
    return transfers.upload(torch.from_numpy(person.id_embedding), device)


def face_resampler(weights: Mapping[str, Tensor], source: str) -> Resampler:
    """Return InstantID's image_proj. Raises RunError when `weights` are not one that reads embeddings of faces."""
    resampler = Resampler.from_weights(weights, source)
    if resampler.feature_width != EMBEDDING_WIDTH:
        raise RunError(
            Exit.USAGE,
            f"{source} reads features {resampler.feature_width} wide, but face embeddings are {EMBEDDING_WIDTH} "
            "wide: is it InstantID's "
            "ip-adapter.bin?",
        )
    return resampler


def face_tokens(resampler: Resampler, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Return tokens [1, 16, D] of the embeddings [n, 512] as one sequence, and of as many embeddings of nobody.

    Nobody is zeros, which do not stay zeros in the resampler.
    """
    sequence = embeddings[None]
    return resampler(sequence), resampler(torch.zeros_like(sequence))
