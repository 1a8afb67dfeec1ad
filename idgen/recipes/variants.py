"""The table of adapter kinds: what each one's authors feed it, and what is in its file. No torch here.

Sources: tencent-ailab/IP-Adapter and its model cards; Kwai-Kolors/Kolors for its two; portrait_unnorm after
ComfyUI_IPAdapter_plus, as its authors published no code; InstantID's, PuLID's and SDXL_EcomID_ComfyUI's repositories.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from idgen.recipes.families import ON_CLIP, ON_KOLORS, ON_SDXL, FamilyName
from idgen.recipes.recipe import AdapterSpec, Recipe

CLIP_PX = 224
"""Side of what ViT-H and ViT-bigG look at."""

ALIGNED_512_PX = 512
"""Side of what PuLID's face parser looks at."""

PictureKind = Literal["picture", "face", "aligned", "bbox", "ffhq"]
"""picture = the whole picture prompt; face = a square around the face; aligned = insightface's norm_crop; bbox = the
square about the detector's box, without margin, black where the photo ends, in the detector's fractions of a pixel;
ffhq = the face on FFHQ's five points, gray where the photo ends (faces/alignment.py)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PulidSettings:
    """How PuLID's tokens are made and join the text; in the table the authors' settings, of a recipe what it says."""

    version: Literal["v1", "v1.1"]
    """Of the encoder in the file."""
    combine: Literal["add", "ortho", "ortho_v2"] = "ortho_v2"
    """As in networks/branch.py; PuLID's words are neutral, extremely style, fidelity."""
    attn_mean: Literal["query", "global"] = "query"
    antialias: bool = False
    references: Literal["all", "first", "mean"] | None = "first"
    """As in networks/pulid.py; None = all go in at once, as version 1.1 has it."""
    num_zero: int | None = None
    """Zero tokens after the real ones; None = `usual_zeros`."""
    usual_zeros: Mapping[str, int] = field(default_factory=lambda: {"add": 0, "ortho": 16, "ortho_v2": 8})
    """By `combine`."""

    @property
    def zeros(self) -> int:
        """How many zero tokens there are."""
        return self.usual_zeros[self.combine] if self.num_zero is None else self.num_zero

    def as_said(self, spec: AdapterSpec) -> "PulidSettings":
        """Return these settings with those in their place that `spec` says."""
        return replace(
            self,
            combine=spec.combine or self.combine,
            attn_mean=spec.attn_mean or self.attn_mean,
            antialias=self.antialias if spec.antialias is None else spec.antialias,
            references=spec.references or self.references,
            num_zero=spec.num_zero,
        )


PULID_V1 = PulidSettings(version="v1")
PULID_V1_1 = PulidSettings(version="v1.1", references=None, usual_zeros=dict.fromkeys(("add", "ortho", "ortho_v2"), 20))
ECOMID = PulidSettings(version="v1", attn_mean="global", antialias=True, references="mean")
"""EcomID's node is PuLID's version 1 with the ComfyUI nodes' mean, and whose users have a torchvision that antialiases;
it takes the mean over the photos of a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One line of the table."""

    projection: Literal["image", "resampler", "mlp", "faceid", "faceid_plus", "pulid"]
    """Which network of idgen/networks makes the tokens."""
    tokens: int | None = None
    """Tokens per reference; None = as many as the encoder gives (257)."""
    embedding: Literal["normed", "raw"] | None = None
    """How the face's embedding goes in; None = not at all."""
    picture: PictureKind | None = None
    """Which pixels the image encoder sees; None = it has none."""
    features: Literal["image_embeds", "hidden_states"] | None = None
    """Of the image encoder: the projected one per picture, or hidden_states[-2]."""
    shortcut: bool = False
    """FaceID-Plus: tokens = x + scale * out instead of out, with a scale of 1 where no option says another."""
    options: tuple[str, ...] = ()
    """Columns of a row that change its tokens."""
    lora: bool = False
    """The file holds a LoRA for every attention."""
    clip_px: int = CLIP_PX
    """Side of what the image encoder looks at."""
    clip_float32: bool = False
    """Its authors run the image encoder in float32 beside a float16 base."""
    zero_features: bool = False
    """Nobody has zeros for hidden states, not the encoder's of an all-zero picture."""
    families: tuple[FamilyName, ...] = ON_CLIP
    """Of the bases that it was made for."""
    through_text: bool = False
    """Tokens are as wide as the text encoder's states, and go once through the denoiser's projection of those."""
    context: bool = False
    """Gives what an IdentityNet looks at."""
    pulid: PulidSettings | None = None
    """Of PuLID's kinds."""


VARIANTS: dict[str, Variant] = {
    "ip_adapter": Variant(projection="image", tokens=4, picture="picture", features="image_embeds"),
    "ip_adapter_plus": Variant(projection="resampler", tokens=16, picture="picture", features="hidden_states"),
    "ip_adapter_plus_face": Variant(projection="resampler", tokens=16, picture="face", features="hidden_states"),
    "ip_adapter_full_face": Variant(projection="mlp", picture="face", features="hidden_states"),
    "faceid": Variant(projection="faceid", tokens=4, embedding="normed", lora=True),
    "faceid_plus": Variant(
        projection="faceid_plus", tokens=4, embedding="normed", picture="aligned", features="hidden_states", lora=True
    ),
    "faceid_plusv2": Variant(
        projection="faceid_plus", tokens=4, embedding="normed", picture="aligned", features="hidden_states", lora=True,
        shortcut=True, options=("shortcut_scale",),
    ),
    "faceid_portrait": Variant(projection="faceid", tokens=16, embedding="normed"),
    "faceid_portrait_unnorm": Variant(projection="resampler", tokens=16, embedding="raw"),
    "kolors_faceid_plus": Variant(
        projection="faceid_plus", tokens=6, embedding="raw", picture="bbox", features="hidden_states", shortcut=True,
        clip_px=336, clip_float32=True, zero_features=True, families=ON_KOLORS, through_text=True,
    ),
    "kolors_ip_adapter_plus": Variant(
        projection="resampler", tokens=16, picture="picture", features="hidden_states", clip_px=336, families=ON_KOLORS
    ),
    "instantid": Variant(projection="resampler", tokens=16, embedding="raw", families=ON_SDXL, context=True),
    "pulid_v1": Variant(
        projection="pulid", tokens=10, embedding="raw", picture="ffhq", clip_px=336, families=ON_SDXL, pulid=PULID_V1
    ),
    "pulid_v1_1": Variant(
        projection="pulid", tokens=32, embedding="raw", picture="ffhq", clip_px=336, families=ON_SDXL, pulid=PULID_V1_1
    ),
    "ecomid": Variant(
        projection="pulid", tokens=10, embedding="raw", picture="ffhq", clip_px=336, families=ON_SDXL, context=True,
        pulid=ECOMID,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureNeed:
    """Square pixels that the faces stage prepares for an adapter, uint8 [n, size_px, size_px, 3]."""

    kind: PictureKind
    size_px: int
    color: Literal["rgb", "bgr"]
    clip_fit: Literal["crop", "squash", "pad"]
    crop_px: int
    """Side of the aligned face before it is resized to size_px; size_px for the other kinds."""

    @property
    def name(self) -> str:
        """Key of it in `schemas.IDENTITY` `crops`; adapters with equal needs share one."""
        return f"{self.kind}-{self.size_px}-{self.color}-{self.clip_fit}-{self.crop_px}"


FROM_FACES = ("aligned", "bbox", "ffhq")
"""Kinds of pictures that only a face found by the face pack can give."""


@dataclass(frozen=True, slots=True)
class FaceNeeds:
    """What a recipe's adapters together need of a row's photos."""

    embedding: bool
    pictures: tuple[PictureNeed, ...]

    @property
    def analysis(self) -> bool:
        """True when a face has to be found in the reference."""
        return self.embedding or any(need.kind in FROM_FACES for need in self.pictures)

    @property
    def picture_prompt(self) -> bool:
        """True when ip_adapter_image_uri has a use: some adapter looks at a picture, or at a face cut by people."""
        return any(need.kind not in FROM_FACES for need in self.pictures)


def picture_need(spec: AdapterSpec) -> PictureNeed | None:
    """Return what the adapter's image encoder looks at, None when it has no encoder."""
    variant = VARIANTS[spec.kind]
    kind, side = variant.picture, variant.clip_px
    if kind is None:
        return None
    if kind == "ffhq":
        return PictureNeed(kind, ALIGNED_512_PX, "rgb", "crop", ALIGNED_512_PX)
    color = spec.face_crop_color or ("bgr" if kind == "aligned" else "rgb")
    crop_px = (spec.face_crop_px or side) if kind == "aligned" else side
    return PictureNeed(kind, side, color, spec.clip_fit or "crop", crop_px)


def needs(recipe: Recipe) -> FaceNeeds:
    """Return what `recipe` needs of a row's photos."""
    pictures = [need for spec in recipe.adapters if (need := picture_need(spec)) is not None]
    embedding = any(VARIANTS[spec.kind].embedding is not None for spec in recipe.adapters)
    return FaceNeeds(embedding, tuple(dict.fromkeys(pictures)))
