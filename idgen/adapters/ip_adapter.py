"""The IP-Adapter family: embeddings and pictures become tokens, tokens hang beside the text in every cross-attention.

One class for every line of variants.py. Equal to tencent-ailab/IP-Adapter's classes and to Kolors' FaceID-Plus
(tests/golden); portrait_unnorm has no published code and follows ComfyUI_IPAdapter_plus. A FaceID file holds its LoRA;
the hub's separate LoRA file holds the same weights and is not read. Kolors' authors take one reference per person;
that several stand in one softmax there too is ours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from idgen.adapters import layout, recognition
from idgen.adapters.protocol import Host, Options, Person, Tokens
from idgen.errors import Exit, RunError
from idgen.networks import checkpoints, transfers
from idgen.networks.image_encoder import ImageEncoder
from idgen.networks.projections import FaceIdProjection, ImageProjection, MlpProjection
from idgen.networks.resampler import FaceIdPlusProjection, Resampler
from idgen.recipes.recipe import AdapterSpec
from idgen.recipes.variants import VARIANTS, picture_need
from idgen.schemas import EMBEDDING_WIDTH

Projection = ImageProjection | Resampler | MlpProjection | FaceIdProjection | FaceIdPlusProjection
PROJECTIONS: dict[str, type[Projection]] = {
    "image": ImageProjection,
    "resampler": Resampler,
    "mlp": MlpProjection,
    "faceid": FaceIdProjection,
    "faceid_plus": FaceIdPlusProjection,
}
SHORTCUT_SCALE = "shortcut_scale"


class IpAdapter:
    """See the module's docstring; follows idgen.adapters.protocol.Adapter."""

    def __init__(
        self,
        spec: AdapterSpec,
        *,
        lora_scale: float = 1.0,
        lora_dtype: torch.dtype = torch.float32,
        encoder: ImageEncoder | None = None,
    ) -> None:
        """`lora_dtype` as idgen/networks/lora.py has it: float32 while another LoRA follows."""
        self.name, self.kind = spec.name, spec.kind
        self.variant = VARIANTS[spec.kind]
        self.option_names = self.variant.options
        self.through_text = self.variant.through_text
        self.gives_context = self.variant.context
        self.lora_scale, self.lora_dtype = lora_scale, lora_dtype
        self.encoder = encoder
        self.branches = nn.ModuleList()
        self.projection: Projection | None = None
        self._spec = spec
        self._need = picture_need(spec)
        self._device = torch.device("cpu")
        self._uncond: tuple[float | None, Tensor] | None = None  # of the last shortcut scale

    def load(self, host: Host, files: Sequence[Path]) -> None:
        """Read the official checkpoint. Raises RunError as `fit`, and as idgen/networks/checkpoints.py."""
        (path,) = files
        self.fit(host, checkpoints.read(path, self._spec.sha256), path.name)

    def fit(self, host: Host, weights: Mapping[str, Tensor], source: str) -> None:
        """Put a checkpoint's `weights` into `host` and this adapter; the LoRA is merged even at scale 0.

        Raises RunError when they are of another kind than the recipe says, for another base or encoder, or not whole.
        """
        parts = layout.split(weights, source)
        recognition.check_kind(self.kind, parts, source)
        recognition.check_base(self.kind, host, parts, source)
        projection = PROJECTIONS[self.variant.projection].from_weights(parts.projection, source)
        self._check_embedding(projection, source)
        self._check_encoder(projection, source)
        recognition.check_text(host, parts, source)
        if self.variant.lora:
            layout.merge_lora(host.denoiser, parts.lora, self.lora_scale, source, self.lora_dtype)
        else:
            layout.check_no_lora(parts, source)
        self.branches = layout.hang_branches(host.denoiser, parts.branches, source)
        text = host.text_projection if self.through_text else None
        layout.check_token_width(self.branches, projection.token_width, text, source)
        self.projection = projection

    def to(self, device: torch.device) -> None:
        """Move the adapter's own modules and its encoder; the adapter's keep the dtype they are stored in."""
        self._device = device
        self._uncond = None
        self.branches.to(device)
        if self.projection is not None:
            self.projection.to(device)
        if self.encoder is not None:
            self.encoder.to(device)

    def forget(self) -> None:
        """Let go of the pictures that the encoder has seen."""
        if self.encoder is not None:
            self.encoder.clear()

    def encode(self, people: Sequence[Person], options: Options) -> list[Tokens]:
        """Return tokens [n, T, D] of each person's n references or pictures, which go in one by one."""
        given = options if SHORTCUT_SCALE in self.option_names else {}
        shortcut_scale = float(given.get(SHORTCUT_SCALE, 1.0)) if self.variant.shortcut else None
        return [self._encode_one(person, shortcut_scale) for person in people]

    def _encode_one(self, person: Person, shortcut_scale: float | None) -> Tokens:
        embeddings = self._embeddings(person)
        pictures = self._pictures(person)
        references = embeddings if embeddings is not None else pictures
        if references is None or not len(references):
            raise ValueError(f"adapter {self.name} got neither embeddings nor pictures")
        if embeddings is not None and pictures is not None and len(embeddings) != len(pictures):
            raise ValueError(f"adapter {self.name} got {len(embeddings)} embeddings and {len(pictures)} pictures")
        cond = [
            self._project(
                None if embeddings is None else embeddings[at : at + 1],
                None if pictures is None else pictures[at : at + 1],
                shortcut_scale,
            )
            for at in range(len(references))
        ]
        uncond = self._unconditional(shortcut_scale).expand(len(cond), -1, -1)
        return Tokens(torch.cat(cond), uncond)

    def _embeddings(self, person: Person) -> Tensor | None:
        """[n, 512] as the projection takes them."""
        if self.variant.embedding is None:
            return None
        raw = transfers.upload(torch.from_numpy(person.id_embedding), self._device)
        return functional.normalize(raw, dim=-1) if self.variant.embedding == "normed" else raw

    def _pictures(self, person: Person) -> Tensor | None:
        """[n, E] or [n, L, W] of the person's crops."""
        if self._need is None or self.encoder is None or self.variant.features is None:
            return None
        if self._need.name not in person.crops:
            raise ValueError(f"adapter {self.name} needs the crop {self._need.name}, there are {list(person.crops)}")
        features: Tensor = getattr(self.encoder.features(person.crops[self._need.name]), self.variant.features)
        return features

    def _unconditional(self, shortcut_scale: float | None) -> Tensor:
        """[1, T, D]: the projection of nobody, which is not zero; constant but for the shortcut's scale."""
        if self._uncond is None or self._uncond[0] != shortcut_scale:
            nobody = torch.zeros(1, EMBEDDING_WIDTH, device=self._device) if self.variant.embedding else None
            self._uncond = shortcut_scale, self._project(nobody, self._nothing(), shortcut_scale)
        return self._uncond[1]

    def _nothing(self) -> Tensor | None:
        """[1, E] or [1, L, W] of no picture."""
        if self.encoder is None or self.variant.features is None:
            return None
        if self.variant.zero_features:
            return torch.zeros(1, self.encoder.positions, self.encoder.hidden_width, device=self._device)
        nothing: Tensor = getattr(self.encoder.zeros, self.variant.features)
        return nothing

    def _project(self, embedding: Tensor | None, features: Tensor | None, shortcut_scale: float | None) -> Tensor:
        """Return tokens [1, T, D] of one reference."""
        if self.projection is None:
            raise RuntimeError("IpAdapter.load must run before encode")
        if isinstance(self.projection, FaceIdPlusProjection):
            if embedding is None or features is None:
                raise ValueError(f"adapter {self.name} needs an embedding and a crop")
            return self.projection.look(embedding, features, shortcut_scale)
        given = features if embedding is None else embedding
        if isinstance(self.projection, Resampler) and embedding is not None:
            given = embedding[:, None]  # [1, 1, 512]: a sequence of one
        out: Tensor = self.projection(given)
        return out

    def _check_embedding(self, projection: Projection, source: str) -> None:
        """Raise RunError unless the projection reads what face packs give."""
        if self.variant.embedding is None:
            return
        read = projection.embedding_width if isinstance(projection, FaceIdProjection) else projection.feature_width
        if read != EMBEDDING_WIDTH:
            raise RunError(
                Exit.USAGE, f"{source} reads {read}-wide embeddings, but face embeddings are {EMBEDDING_WIDTH} wide"
            )

    def _check_encoder(self, projection: Projection, source: str) -> None:
        """Raise RunError unless the projection reads what the image encoder gives."""
        if self._need is None or not isinstance(projection, _READS_FEATURES):
            return
        where = self._spec.image_encoder
        if self.encoder is None:
            raise RunError(
                Exit.USAGE,
                f"adapter {self.name} ({self.kind}) needs an image encoder to look at pictures: set its image_encoder",
            )
        embeds = self.variant.features == "image_embeds"
        given = self.encoder.embed_width if embeds else self.encoder.hidden_width
        recognition.check_encoder(projection.feature_width, given, self.variant.features or "", source, where)
        if self.encoder.side_px != self._need.size_px:
            raise RunError(
                Exit.USAGE,
                f"the image encoder {where} takes pictures of {self.encoder.side_px} px, but they are prepared at "
                f"{self._need.size_px} px",
            )


_READS_FEATURES = (ImageProjection, Resampler, MlpProjection, FaceIdPlusProjection)
