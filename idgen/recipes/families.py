"""The families of base models as a table: all that is known of one without torch.

A new family is a line in this table, a file in idgen/sampling/families/ with what needs torch, and its files of
configs/bases. Whoever wants to know what a base can do asks here, and never for its name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["sd15", "sdxl", "kolors"]
"""base.kind of a recipe."""
Settings = Mapping[str, object]
"""Of a model's config.json."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One line of the table."""

    title: str
    """In messages."""
    short_title: str
    """The same where several families are listed."""
    owns: Callable[[Settings], bool]
    """Whether a denoiser of such settings is one of this family."""
    denoiser: str = "unet"
    """Folder of the denoiser in diffusers layout."""

    # text
    text_encoders: tuple[str, ...] = ("text_encoder",)
    """Folders of its text encoders in diffusers layout."""
    text_model: str = ""
    """model_type of a text encoder that is a part of its own: it has a role of its own, and is read without the rest of
    the base. Empty = it is read with the rest."""
    text_ahead: bool = False
    """Prompts are encoded ahead where the recipe does not say."""
    clip_text: bool = True
    """Its text encoders are CLIP's: they know English, read 75 tokens at a time, and take weights and pieces."""
    text_tokens: int = 77
    """What its text encoder reads, marks included; longer prompts are cut. Some tokenizers do not say so."""
    text_prefix: str = ""
    """How the names of its text encoders begin in a single file."""
    text_width_setting: str = "cross_attention_dim"
    """Setting of the denoiser that says how wide the states of the text encoder are."""
    text_projection: str = ""
    """How the names of the denoiser's projection of text begin; empty = it has none."""

    # pictures
    told_sizes: bool = False
    """Whether its nets take SDXL's size conditioning."""
    bucketed_sizes: bool = False
    """Trained on the sizes of recipes/sizes.py, of about a megapixel each."""
    latent_scale: float
    """What the latents of its VAE are multiplied by, which a VAE's tensors do not tell."""
    latent_channels: int = 4
    vae_of: FamilyName
    """The family whose VAE it has."""

    # files
    file_prefixes: tuple[str, ...] = ()
    """Of the denoiser and of each text encoder in a single file in the original layout; () = read from folders only."""
    diffusers_layout: str = ""
    """The repository in diffusers layout, where its authors' first one has a layout that nothing here reads."""

    # what hangs on it
    cross_attentions: int
    """Layers that an adapter's file has a branch for, at full size."""
    controls: bool = True
    """There are ControlNets for it."""

    @property
    def text_apart(self) -> bool:
        """Whether the text encoder is a part of its own."""
        return bool(self.text_model)

    @property
    def owners(self) -> str:
        """The title as an owner: SDXL's, Kolors'."""
        return f"{self.title}'" if self.title.endswith("s") else f"{self.title}'s"


TEXT_TIME, PROJECTED = "addition_embed_type", "encoder_hid_dim_type"
"""Settings of a UNet: whether it is told sizes and a pooled text; how it projects the text encoder's states."""


def _is_sd15(unet: Settings) -> bool:
    return unet.get(TEXT_TIME) is None


def _is_kolors(unet: Settings) -> bool:
    return not _is_sd15(unet) and unet.get(PROJECTED) == "text_proj"


def _is_sdxl(unet: Settings) -> bool:
    return not _is_sd15(unet) and not _is_kolors(unet)


FAMILIES: dict[FamilyName, Family] = {
    "sd15": Family(
        title="Stable Diffusion 1.5",
        short_title="SD 1.5",
        owns=_is_sd15,
        text_prefix="cond_stage_model.",
        latent_scale=0.18215,
        vae_of="sd15",
        file_prefixes=("model.diffusion_model.", "cond_stage_model."),
        cross_attentions=16,
    ),
    "sdxl": Family(
        title="SDXL",
        short_title="SDXL",
        owns=_is_sdxl,
        text_encoders=("text_encoder", "text_encoder_2"),
        text_prefix="conditioner.embedders.",
        told_sizes=True,
        bucketed_sizes=True,
        latent_scale=0.13025,
        vae_of="sdxl",
        file_prefixes=("model.diffusion_model.", "conditioner.embedders.0.", "conditioner.embedders.1."),
        cross_attentions=70,
    ),
    "kolors": Family(
        title="Kolors",
        short_title="Kolors",
        owns=_is_kolors,
        text_model="chatglm",
        text_ahead=True,
        clip_text=False,
        text_tokens=256,  # the pipelines' own number
        text_width_setting="encoder_hid_dim",
        text_projection="encoder_hid_proj.",
        told_sizes=True,
        bucketed_sizes=True,
        latent_scale=0.13025,
        vae_of="sdxl",
        diffusers_layout="Kwai-Kolors/Kolors-diffusers",
        cross_attentions=70,
        controls=False,
    ),
}
"""base.kind -> its family."""
DEFAULT_FAMILY: FamilyName = "sd15"
"""Of a recipe that does not say, and of an adapter's file whose layers do not tell."""
ON_SDXL: tuple[FamilyName, ...] = ("sdxl",)
ON_KOLORS: tuple[FamilyName, ...] = ("kolors",)
ON_CLIP: tuple[FamilyName, ...] = ("sd15", "sdxl")
"""Families that an adapter may be made for (recipes/variants.py)."""


def family_of(denoiser: Settings) -> FamilyName:
    """Return the family that a denoiser of such settings belongs to."""
    return next((name for name, family in FAMILIES.items() if family.owns(denoiser)), DEFAULT_FAMILY)


def short_titles(names: Iterable[FamilyName]) -> str:
    """Return families as a message lists them: SD 1.5 and SDXL."""
    return " and ".join(FAMILIES[name].short_title for name in names)
