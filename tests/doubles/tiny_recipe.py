"""Recipes that tests sample with, of every variant on the tiny weights in float32, and rows for them."""

from dataclasses import replace

import numpy as np

from idgen.faces import keypoints
from idgen.recipes.recipe import AdapterSpec, Base, Control, FacePack, Lora, Recipe
from idgen.recipes.variants import CLIP_PX, VARIANTS, needs
from idgen.sampling.rows import Bucket, ControlUse, SampleRow
from idgen.tiny.files import ADAPTERS

TINY = Recipe(
    name="tiny",
    base=Base(weights="tiny:sd15", dtype="float32"),
    adapters=[AdapterSpec(name="faceid", weights="tiny:faceid_sd15")],
    face_pack=FacePack(weights="tiny:facepack"),
)
BUCKET = Bucket(width=64, height=64, num_inference_steps=4, scheduler="ddim", guidance_scale=5.0)


EYES = {"image_encoder": "tiny:eva_clip", "face_parser": "tiny:face_parser"}
"""What PuLID looks through."""
FACES = {
    "instantid": {"weights": "tiny:instantid"},
    "pulid_v1": {"weights": "tiny:pulid_v1", **EYES},
    "pulid_v1_1": {"weights": "tiny:pulid_v1_1", **EYES},
    "ecomid": {"weights": "tiny:pulid_v1_sdxl", "context_weights": "tiny:instantid", **EYES},
}
"""Kind of adapter -> its files; of the kinds that PATHS, not ADAPTERS, has files for."""
IDENTITY_NETS = {
    "instantid": {"weights": "tiny:identity_net"},
    "ecomid": {"weights": "tiny:ecomid_net", "config": "tiny:identity_net"},
}
FACE_COLUMNS = (
    "controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end", "face_pose_uri", "face_box",
    "face_keypoints", "face_angle_deg", "face_fit",
)  # fmt: skip
"""Of recipes with the control identity."""


def person(number: int, references: int = 1) -> np.ndarray:
    """[references, 512], raw like a face pack's: about 22 long."""
    return np.random.default_rng(number).standard_normal((references, 512)).astype(np.float32)


def row(**changes) -> SampleRow:
    """One row; name what differs."""
    plain = SampleRow(key="k", prompt="a woman in a garden", negative_prompt="lowres", seed=1, id_embedding=person(1))
    return replace(plain, **changes)


def adapter(name: str, family: str = "sd15") -> AdapterSpec:
    """Of a file's name (`ip_adapter_sd15_vit_g`), or the first of a kind (`ip_adapter`, `ecomid`) in a family."""
    if name in FACES:
        return AdapterSpec(name="identity", kind=name, **FACES[name])
    files = [ADAPTERS[name]] if name in ADAPTERS else []
    file = [*files, *(one for one in ADAPTERS.values() if (one.kind, one.family) == (name, family))][0]
    encoder = f"tiny:{file.encoder}" if file.encoder else ""
    return AdapterSpec(name=file.kind, kind=file.kind, weights=f"tiny:{file.name}", image_encoder=encoder)


def recipe(name: str, family: str = "sd15", **changes) -> Recipe:
    """One adapter (see `adapter`) on the tiny base of its family; `changes` are fields of Recipe.

    InstantID and EcomID come with their IdentityNet.
    """
    family = "sdxl" if name in FACES else ADAPTERS[name].family if name in ADAPTERS else family
    first, controls = adapter(name, family), [identity_net(name)] if name in IDENTITY_NETS else []
    plain = Recipe(
        name=f"tiny-{name}-{family}",
        base=Base(kind=family, weights=f"tiny:{family}", dtype="float32"),
        adapters=[first],
        controls=controls,
        face_pack=FacePack(weights="tiny:facepack"),
        columns=list(FACE_COLUMNS) if controls else ["shortcut_scale"] if VARIANTS[first.kind].shortcut else [],
    )
    return replace(plain, **changes)


def control(family: str = "sd15", name: str = "pose") -> Control:
    """A ControlNet that shows."""
    return Control(name=name, weights=f"tiny:control_{family}")


def identity_net(kind: str = "ecomid", scale: float = 0.8) -> Control:
    """The IdentityNet of that adapter."""
    return Control(name="identity", scale=scale, **IDENTITY_NETS[kind])


def ecomxl(name: str, **changes) -> Control:
    """EcomXL's net called inpaint or softedge."""
    return Control(name=name, weights=f"tiny:control_{name}", **changes)


def lora(family: str = "sd15") -> Lora:
    """A LoRA of the base in LCM-LoRA's layout."""
    return Lora(name="lcm", weights=f"tiny:lcm_lora_{family}")


def picture(number: int, references: int = 1, size_px: int = CLIP_PX) -> np.ndarray:
    """[references, size_px, size_px, 3] uint8: coarse coloured squares, as noise pixel by pixel all looks the same."""
    coarse = np.random.default_rng(number).integers(0, 256, (references, 4, 4, 3), np.uint8)
    side = -(-size_px // 4)
    return coarse.repeat(side, 1).repeat(side, 2)[:, :size_px, :size_px]


def five_points(number: int = 1, size: tuple[int, int] = (BUCKET.width, BUCKET.height)) -> np.ndarray:
    """[size, 3] uint8: the drawing of a face that every `number` has in another place, size and turn."""
    upright = np.array([[-0.3, -0.3], [0.3, -0.3], [0.0, 0.05], [-0.22, 0.4], [0.22, 0.4]])
    turn, middle = 0.3 * number, np.array([0.5 + 0.1 * np.sin(number), 0.5 + 0.1 * np.cos(2.0 * number)])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return keypoints.draw((upright * (0.6 + 0.1 * (number % 4)) @ rotation + middle) * size, size)


def bucket_for(made: Recipe, **changes) -> Bucket:
    """BUCKET with the controls that a row of `row_for` brings something for."""
    uses = tuple(ControlUse(name="identity", scale=1.0) for control in made.controls if control.name == "identity")
    return replace(BUCKET, **{"controls": uses, **changes})


def row_for(made: Recipe, number: int = 1, references: int = 1, **changes) -> SampleRow:
    """A row of person `number` with what `made` needs; each kind of crop shows something else.

    With the control identity it has five points drawn at BUCKET's size and the control's own strength.
    """
    asked = needs(made)
    embedding = person(number, references) if asked.embedding else np.zeros((0, 512), np.float32)
    crops = {
        need.name: picture(1000 * position + number, references, need.size_px)
        for position, need in enumerate(asked.pictures)
    }
    facts = {"key": f"k{number}", "id_embedding": embedding, "crops": crops}
    for net in made.controls:
        if net.name == "identity":
            facts |= {"control_images": {"identity": five_points(number)}, "identity_scale": net.scale}
    return row(**{**facts, **changes})
