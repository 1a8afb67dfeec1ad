"""What a recipe is: base + adapters + scheduler + defaults, read from one YAML file in configs/recipes/.

A *location* names weights in one of five ways: a local path, a hub id (`owner/name`, or `owner/name:path` for a file
or folder inside it, looked up in the local hub cache only), the web address of a file that is on no hub (looked up
where `jobs/weights.py fetch` put it), `tiny:<name>`, a file or folder of the tiny world (random weights,
idgen/tiny/world.py), or `drawn:<name>`, one of the drawn world (small trained ones, idgen/tiny/drawn.py).
"""

from dataclasses import dataclass, field
from typing import Literal

from idgen.checks.gates import GateSettings
from idgen.recipes.families import DEFAULT_FAMILY, FAMILIES, FamilyName

Dtype = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """A LoRA of the base (LCM's, Lightning's, a style): merged when the weights are loaded, never switched."""

    name: str = ""
    weights: str = ""
    """Location of a .safetensors file: kohya's, PEFT's or diffusers' plain LoRA; LoHa, LoKr and DoRA are refused."""
    revision: str | None = None
    scale: float = 1.0
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The diffusion model that everything else hangs on."""

    kind: FamilyName = DEFAULT_FAMILY
    """A line of idgen/recipes/families.py."""
    weights: str = ""
    """Location of a folder in diffusers layout, or of one .safetensors file in the original layout."""
    config: str = ""
    """Location of a folder in diffusers layout of the same family: a single file has no settings and no tokenizer."""
    revision: str | None = None
    """Of `weights`' repository; other locations are taken at its newest, and known by content anyway."""
    vae: str = ""
    """Location of a VAE (folder, or one file) that takes the place of the base's own; empty = its own."""
    unet: str = ""
    """Location of a .safetensors file with a whole UNet that takes the place of the base's own (SDXL-Lightning)."""
    loras: list[Lora] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    """Numbers of steps the base was distilled for; empty = any. Rows that ask for another number are refused."""
    text: Literal["inline", "ahead"] | None = None
    """Where prompts are encoded: beside the UNet, or ahead by actors that end before sampling begins. Null = as its
    family does: ahead for kolors, whose text encoder takes 12.5 GB, inline for the others. Changes no picture."""
    dtype: Dtype = "float16"
    """Of the UNet and the text encoder."""
    vae_dtype: Dtype = "float32"
    """Of the decoder; the SDXL one overflows in float16."""

    @property
    def text_ahead(self) -> bool:
        """Whether prompts are encoded ahead: the sampling actors then need no text encoder."""
        return FAMILIES[self.kind].text_ahead if self.text is None else self.text == "ahead"


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterSpec:
    """One way of putting an identity in; the first of a recipe is the one `ip_adapter_scale` drives."""

    name: str = ""
    kind: Literal[
        "ip_adapter",
        "ip_adapter_plus",
        "ip_adapter_plus_face",
        "ip_adapter_full_face",
        "faceid",
        "faceid_plus",
        "faceid_plusv2",
        "faceid_portrait",
        "faceid_portrait_unnorm",
        "kolors_faceid_plus",
        "kolors_ip_adapter_plus",
        "instantid",
        "pulid_v1",
        "pulid_v1_1",
        "ecomid",
    ] = "faceid"
    """A line of idgen/recipes/variants.py. Explicit, as some variants cannot be told apart by their weights."""
    weights: str = ""
    """Location of the official checkpoint (.bin or .safetensors)."""
    revision: str | None = None
    """Of `weights`' repository."""
    image_encoder: str = ""
    """Location of the CLIP vision model's folder, for kinds that look at pixels; of PuLID and EcomID the EVA02-CLIP
    file, with a config.json in eva_clip's layout beside it unless it is the official one."""
    face_parser: str = ""
    """Location of facexlib's parsing_bisenet.pth, for PuLID and EcomID."""
    context_weights: str = ""
    """Location of InstantID's ip-adapter.bin, whose image_proj makes what EcomID's IdentityNet looks at."""
    combine: Literal["", "add", "ortho", "ortho_v2"] = ""
    """PuLID and EcomID: how the identity joins the text's output; neutral, style, fidelity. Empty = ortho_v2."""
    attn_mean: Literal["", "query", "global"] = ""
    """What ortho_v2 takes the attention's mean over; empty = the authors' (PuLID: query, EcomID: global)."""
    num_zero: int | None = None
    """PuLID's zero tokens; null = the authors' for `combine`."""
    antialias: bool | None = None
    """Of the face that the EVA tower looks at; null = the authors' (PuLID: false, EcomID: true)."""
    references: Literal["", "all", "first", "mean"] = ""
    """How further photos of a person join the first (networks/pulid.py); empty = the authors'. Not for pulid_v1_1."""
    clip_fit: Literal["", "crop", "squash", "pad"] = ""
    """How a picture that is not square comes into the encoder's square; empty = crop, as CLIP does."""
    face_crop_color: Literal["", "rgb", "bgr"] = ""
    """Order of the aligned face's channels; empty = the authors' (FaceID-Plus: bgr, as their card feeds it)."""
    face_crop_px: int | None = None
    """Side of the aligned face before CLIP's own resize; null = 224. ComfyUI uses 256 for SDXL."""
    sha256: str | None = None
    """None = unpinned: the hash is computed once, cached, and still enters key and ledger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """A ControlNet. Rows that bring nothing for it are made without it."""

    name: str = ""
    """pose, depth, canny, softedge: ready-made maps, the columns are control_<name>_uri and control_<name>_scale.
    identity: IdentityNet, shown the face's five points; every row has them, `controlnet_conditioning_scale` is its
    strength, row by row. inpaint: shown init_image_uri with the part to repaint cut out; control_inpaint_scale."""
    weights: str = ""
    """Location of a ControlNet's folder in diffusers layout; of identity also a folder or file without settings."""
    config: str = ""
    """Location of a folder whose config.json has the settings that `weights` lacks (SDXL-EcomID's)."""
    revision: str | None = None
    context: Literal["", "text", "face"] = ""
    """What its cross-attention looks at; empty = text, of identity the face's tokens. ComfyUI gives EcomID's further
    nets face, their own training was with text."""
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FacePack:
    """The insightface pack that finds and embeds faces. Embeddings of different packs do not mix."""

    weights: str = "buffalo_l"
    """Location of the pack's folder; a bare name is looked up in `~/.insightface/models`."""
    archive: str = ""
    """Where `jobs/weights.py fetch` gets the zipped pack: hub id with file, http(s) address or local file."""
    det_size_px: int = 640
    """Side of the square the detector works on, a multiple of 32; always explicit, as insightface's automatic choice
    doubles the work."""
    det_threshold: float = 0.5
    """What a face must score; another detector than insightface's has other scores (YuNet: 0.8)."""
    same_person_cosine: float = 0.3
    """Below it a row's references look like different people. Decides no pixels, so it is in no key."""
    sure_score: float = 0.0
    """A reference's face that scores less gets the warning weak_detection; in no key. 0 = none does: no figure is known
    for insightface's packs. YuNet: 0.85 (of 132 crops without a face it saw one in 13 at 0.5, in one at 0.8, in none at
    0.85; of 45 faces 44 had 0.8)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FacePass:
    """A second sampling of the face alone, for pictures in which it is small: EcomID's face-only workflow."""

    below_px: int = 512
    """A face whose longer side has so many pixels is left alone (FaceDetailer's guide size)."""
    side_px: int = 1024
    """The square around the face is sampled at this size."""
    crop_scale: float = 2.0
    """Side of that square in longer sides of the face's box."""
    strength: float = 0.4
    num_inference_steps: int = 50
    """Of which `strength` is run, as in image to image: 20, which is what FaceDetailer calls its steps."""
    guidance_scale: float = 5.0
    scheduler: str = "kdpm2_karras"
    ip_adapter_scale: float = 0.5
    controlnet_conditioning_scale: float = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What a row gets where its column is null."""

    width: int = 512
    height: int = 768
    num_inference_steps: int = 30
    guidance_scale: float = 7.5
    scheduler: str = "ddim"
    prompt: str = ""
    negative_prompt: str | None = "monochrome, lowres, bad anatomy, worst quality, low quality"
    """Null = no text at all, which on SDXL bases is not the same as the empty text."""
    ip_adapter_scale: float = 1.0
    """Of the first adapter."""
    ip_adapter_scales: dict[str, float] | None = None
    """Of others, by name; a row's own table takes the place of the whole. Adapters that nothing names have 1.0."""
    tries: int = 1
    shortcut_scale: float = 1.0
    lora_scale: float = 1.0
    face_select: str = "largest"
    strength: float = 0.8
    """Of image to image; only rows with an init_image_uri have it, in recipes without the control inpaint."""
    face_fit: str = "cover"
    """Where the face's points stand in the picture; recipes with the control identity."""
    face_pass: str = "off"
    mask_mode: str = "repaint_white"
    """As paste_back: rows with an init_image_uri in recipes with the control inpaint."""
    paste_back: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What the weights' owners allow; the strictest of base, adapter and face pack."""

    name: str = "unknown"
    commercial_use: bool = False
    registration: list[str] = field(default_factory=list)
    """Owners that want commercial users to register with them first; `run.registered` says with whom that is done."""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that a row of this recipe shares. Frozen: actors get it as it is."""

    name: str = ""
    title: str = ""
    base: Base = field(default_factory=Base)
    adapters: list[AdapterSpec] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    timestep_spacing: Literal["", "linspace", "leading", "trailing"] = ""
    """Takes the place of the scheduler table's spacing; empty = the table's."""
    prompt_syntax: Literal["plain", "weighted"] = "plain"
    """weighted: (word:1.3), (word) and [word] make words stronger or weaker, as most tools do. On sd15 and sdxl."""
    long_prompt: Literal["cut", "chunks"] = "cut"
    """Of a prompt over CLIP's 75 tokens: cut the end off, or chunks: read it in pieces of 75. On sd15 and sdxl."""
    face_pass: FacePass | None = None
    """What the column face_pass switches on; null = the recipe has none."""
    face_pack: FacePack = field(default_factory=FacePack)
    defaults: Defaults = field(default_factory=Defaults)
    licence: Licence = field(default_factory=Licence)
    white_ground: bool = False
    """Its pictures are meant to stand on white: how white and even their ground is gets measured. In no key."""
    gates: GateSettings = field(default_factory=dict)
    """Bounds by check (idgen/checks/gates.py): {face_similarity: {warn: 0.3, reject: 0.2}}. A picture beyond `reject`
    is held back. In no key, but for rows with several tries."""
    rank_by: str = "face_similarity"
    """The check that says which of several tries is the best."""
    columns: list[str] = field(default_factory=list)
    """Manifest columns that rows of this recipe may set, beyond those every recipe has (columns.py)."""
    required_columns: list[str] = field(default_factory=list)
    """Of `columns`: those without which a row of this recipe makes no sense."""
    prompt_required: bool = True
    max_references: int = 1
    size_multiple_px: int = 8
    max_side_px: int = 2048
    batch_size: int = 8
    """Rows per UNet call; halved by itself when the accelerator runs out of memory."""
    seconds_per_picture: float = 2.0
    """Planning figure: shards are cut to about `planner.shard_seconds` of work."""
    download_gb: float = 0.0
    """Published size of its adapters and image encoders, without the base; 0 = unknown. Only shown."""
