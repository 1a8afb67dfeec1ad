"""PuLID, and EcomID, which is PuLID's version 1 with a context for its IdentityNet.

What the EVA tower sees of the aligned face, and its embedding, become ID tokens (networks/pulid.py), which join the
text's output as `combine` says. Equal to ToTheBeginning/PuLID and alimama-creative/SDXL_EcomID_ComfyUI (tests/golden)
where those choose the same face. EcomID's context is InstantID's image_proj of the mean of a person's embeddings; of
InstantID's file nothing else is kept. EcomID's authors compute parser, tower and encoders in the UNet's dtype, here it
is float32. Its `noise`, which their basic node sets to 0.35 and published workflows to 0, is not built.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from idgen.adapters import layout, pulid_files, recognition
from idgen.adapters.face_encoder import FaceEncoder
from idgen.adapters.instantid import face_resampler, face_tokens, raw_embeddings
from idgen.adapters.layout import Parts
from idgen.adapters.protocol import Host, Options, Person, Tokens
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints, pulid
from idgen.networks.eva_clip import EvaFeatures
from idgen.networks.projections import check_keys
from idgen.networks.pulid import IdEncoder, IdFormer
from idgen.networks.resampler import Resampler
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import PULID_V1, VARIANTS, picture_need
from idgen.schemas import EMBEDDING_WIDTH
from idgen.weights.unused import unread


class Pulid:
    """See the module's docstring; follows idgen.adapters.protocol.Adapter."""

    option_names: tuple[str, ...] = ()
    through_text = False

    def __init__(self, spec: AdapterSpec, *, eye: FaceEncoder | None = None) -> None:
        self.name, self.kind = spec.name, spec.kind
        self.gives_context = VARIANTS[spec.kind].context
        self.settings = (VARIANTS[spec.kind].pulid or PULID_V1).as_said(spec)
        self.eye = eye
        self.branches = nn.ModuleList()
        self.encoder: IdEncoder | IdFormer | None = None
        self.resampler: Resampler | None = None
        """Makes the context of kinds that give one."""
        self._spec = spec
        self._need = picture_need(spec)
        self._device = torch.device("cpu")

    def load(self, host: Host, files: Sequence[Path]) -> None:
        """Read the official checkpoint, and InstantID's for kinds that give a context.

        Raises RunError as `fit` and `fit_context`, and as idgen/networks/checkpoints.py.
        """
        path, *context = files
        self.fit(host, pulid_files.read(path, self.settings.version, self._spec.sha256), path.name)
        if self.gives_context != bool(context):
            raise RunError(
                Exit.USAGE,
                f"adapter {self.name} ({self.kind}): ecomid needs context_weights, other kinds do not take them",
            )
        for one in context:
            self.fit_context(checkpoints.read(one), one.name)

    def fit(self, host: Host, parts: Parts, source: str) -> None:
        """Put a checkpoint's `parts` into `host` and this adapter.

        Raises RunError when they are not whole, for another base, or read other features than the tower gives.
        """
        recognition.check_base(self.kind, host, parts, source)
        encoder = pulid_files.encoder(parts, self.settings.version, source)
        self._check_eye(encoder, source)
        recognition.check_text(host, parts, source)
        self.branches = layout.hang_branches(
            host.denoiser, parts.branches, source, combine=self.settings.combine, attn_mean=self.settings.attn_mean
        )
        layout.check_token_width(self.branches, encoder.token_width, None, source)
        self.encoder = encoder

    def fit_context(self, weights: Mapping[str, Tensor], source: str) -> None:
        """Take image_proj of InstantID's `weights`; `fit` must have run.

        Raises RunError when they are of something else, or make a context of another width than the UNet's.
        """
        known = {name: weights[name] for name in unread(weights, "context")}
        parts = layout.split(known, source)
        check_keys({**parts.branches, **parts.lora}, set(), source, "ip_adapter")
        resampler = face_resampler(parts.projection, source)
        layout.check_token_width(self.branches, resampler.token_width, None, source)
        self.resampler = resampler

    def to(self, device: torch.device) -> None:
        """Move the adapter's own modules and its eye; the adapter's keep the dtype they are stored in."""
        self._device = device
        self.branches.to(device)
        for part in (self.encoder, self.resampler, self.eye):
            if part is not None:
                part.to(device)

    def forget(self) -> None:
        """Let go of the faces that the eye has seen."""
        if self.eye is not None:
            self.eye.clear()

    def encode(self, people: Sequence[Person], options: Options) -> list[Tokens]:
        """Return tokens [1, T, D] of each person's n references together, the zero tokens at their end."""
        return [self._encode_one(person) for person in people]

    def _encode_one(self, person: Person) -> Tokens:
        embeddings = raw_embeddings(person, self.name, self._device)
        seen = self._seen(person, len(embeddings))
        cond, uncond = self._tokens(pulid.id_cond(embeddings, seen.pooled), seen.hidden_states)
        return Tokens(self._with_zeros(cond), self._with_zeros(uncond), self._context(embeddings))

    def _seen(self, person: Person, references: int) -> EvaFeatures:
        """Return what the tower sees of each reference."""
        if self.eye is None or self._need is None:
            raise RuntimeError(f"adapter {self.name} was built without an image encoder")
        if self._need.name not in person.crops:
            raise ValueError(f"adapter {self.name} needs the crop {self._need.name}, there are {list(person.crops)}")
        faces = person.crops[self._need.name]
        if len(faces) != references:
            raise ValueError(f"adapter {self.name} got {references} embeddings and {len(faces)} pictures")
        return self.eye.features(faces, antialias=self.settings.antialias)

    def _tokens(self, cond: Tensor, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        """Return conditional and unconditional tokens [1, T, D], without zero tokens."""
        match self.encoder:
            case IdEncoder():
                return pulid.encode_v1(self.encoder, cond, hidden_states, self.settings.references or "first")
            case IdFormer():
                return pulid.encode_v1_1(self.encoder, cond, hidden_states)
            case _:
                raise RuntimeError("Pulid.load must run before encode")

    def _with_zeros(self, tokens: Tensor) -> Tensor:
        return nn.functional.pad(tokens, (0, 0, 0, self.settings.zeros))

    def _context(self, embeddings: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.resampler is None:
            return None
        return face_tokens(self.resampler, embeddings.mean(dim=0, keepdim=True))

    def _check_eye(self, encoder: IdEncoder | IdFormer, source: str) -> None:
        """Raise RunError unless the encoder reads what the tower gives."""
        if self.eye is None:
            raise RunError(
                Exit.USAGE,
                f"adapter {self.name} ({self.kind}) needs to look at faces: set its image_encoder and face_parser",
            )
        tower = self.eye.tower.config
        given = tower.width, EMBEDDING_WIDTH + tower.pooled_width
        wanted = encoder.feature_width, encoder.cond_width
        if wanted != given:
            raise RunError(
                Exit.USAGE,
                f"{source} reads {wanted[0]}-wide hidden states and {wanted[1]}-wide conditions, but "
                f"{self._spec.image_encoder} gives {given[0]} and {given[1]}: PuLID and EcomID need the EVA02-CLIP-L "
                "at 336 px (EVA02_CLIP_L_336_psz14_s6B.pt) as image_encoder",
            )
