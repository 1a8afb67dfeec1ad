"""Each role of a recipe meets the file of every other role, and of its own in the other families."""

from dataclasses import replace

import pytest
from doubles.tiny_recipe import control, lora, recipe

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.tiny.files import PATHS
from idgen.weights.layouts import check_layout
from idgen.weights.locations import locate

VAES = {f"{base}/vae": base for base in ("sd15", "sdxl", "kolors")}
FILES = (*PATHS, "facepack", *VAES)
SDXL_NETS = {"control_sdxl", "identity_net", "control_inpaint", "control_softedge"}
RESAMPLERS = {"instantid", "faceid_portrait_sdxl_unnorm"}
"""Two files of one layout: only what they do tells them apart."""
PULIDS = {"pulid_v1", "pulid_v1_sdxl"}
SLOTS = [
    ("faceid_plusv2_sd15", "base", {"sd15"}),
    ("faceid_plusv2_sd15", "vae", {"sd15/vae"}),
    ("faceid_plusv2_sd15", "unet", set()),
    ("faceid_plusv2_sd15", "lora", {"lcm_lora_sd15"}),
    ("faceid_plusv2_sd15", "adapter", {"faceid_plus_sd15", "faceid_plusv2_sd15"}),
    ("faceid_plusv2_sd15", "image_encoder", {"clip_vit_h", "clip_vit_bigg", "clip_vit_l_336"}),
    ("faceid_plusv2_sd15", "control", {"control_sd15"}),
    ("faceid_plusv2_sd15", "face_pack", {"facepack"}),
    ("faceid_plusv2_sdxl", "base", {"sdxl"}),
    ("faceid_plusv2_sdxl", "vae", {"sdxl/vae", "kolors/vae"}),
    ("faceid_plusv2_sdxl", "unet", {"sdxl_lightning_unet"}),
    ("faceid_plusv2_sdxl", "lora", {"lcm_lora_sdxl"}),
    ("faceid_plusv2_sdxl", "adapter", {"faceid_plusv2_sdxl"}),
    ("faceid_plusv2_sdxl", "control", SDXL_NETS),
    ("kolors_faceid_plus", "base", {"kolors"}),
    ("kolors_faceid_plus", "text", {"kolors"}),
    ("kolors_faceid_plus", "unet", set()),
    ("kolors_faceid_plus", "adapter", {"kolors_faceid_plus"}),
    ("instantid", "adapter", RESAMPLERS),
    ("instantid", "control", SDXL_NETS),
    ("ecomid", "adapter", PULIDS),
    ("ecomid", "context", RESAMPLERS),
    ("ecomid", "image_encoder", {"eva_clip"}),
    ("ecomid", "face_parser", {"face_parser"}),
    ("ecomid", "control", {"ecomid_net", *SDXL_NETS}),
    ("pulid_v1_1", "adapter", {"pulid_v1_1"}),
]


def place(name):
    return str(locate(f"tiny:{VAES[name]}") / "vae") if name in VAES else f"tiny:{name}"


def with_file(made, kind, at):
    """`made` with another file in the first part of that kind."""
    base, (adapter, *_) = made.base, made.adapters
    match kind:
        case "base" | "text":
            return replace(made, base=replace(base, weights=at))
        case "vae" | "unet":
            return replace(made, base=replace(base, **{kind: at}))
        case "lora":
            return replace(made, base=replace(base, loras=[replace(lora(), weights=at)]))
        case "adapter":
            return replace(made, adapters=[replace(adapter, weights=at)])
        case "context":
            return replace(made, adapters=[replace(adapter, context_weights=at)])
        case "image_encoder" | "face_parser":
            return replace(made, adapters=[replace(adapter, **{kind: at})])
        case "control":
            return replace(made, controls=[replace((*made.controls, control())[0], weights=at)])
        case "face_pack":
            return replace(made, face_pack=replace(made.face_pack, weights=at))


def refusal(made, kind):
    """Why the part of that kind is refused, None when it is accepted."""
    for part in weights.parts(made):
        if part.kind == kind:
            try:
                check_layout(part, made)
            except RunError as error:
                return error
    return None


@pytest.mark.parametrize(("name", "kind", "fitting"), SLOTS, ids=[f"{name}-{kind}" for name, kind, _ in SLOTS])
def test_a_role_takes_its_own_files_and_refuses_every_other_by_name(name, kind, fitting):
    found = {file: refusal(with_file(recipe(name), kind, place(file)), kind) for file in FILES}
    refused = {file: why for file, why in found.items() if why}
    assert {*FILES} - {*refused} == fitting
    assert {why.exit_code for why in refused.values()} == {Exit.USAGE}
    assert not [why.message for file, why in refused.items() if locate_name(file) not in why.message]
    assert not [why.message for why in refused.values() if "\n" in why.message]


def locate_name(file):
    """The last part of a file's path, which a refusal must have."""
    return VAES[file] if file in VAES else locate(f"tiny:{file}").name
