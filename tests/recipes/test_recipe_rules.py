"""What makes a recipe unusable is said when it is read."""

from dataclasses import replace

import pytest

from idgen.columns import TOLD_SIZES
from idgen.errors import Exit, RunError
from idgen.recipes.recipe import AdapterSpec, Base, Control, Defaults, Lora, Recipe
from idgen.recipes.validation import check_recipe

FACEID = AdapterSpec(name="faceid")
PLUS = AdapterSpec(name="plus", kind="ip_adapter_plus", image_encoder="/clip")
FACE = AdapterSpec(name="face", kind="ip_adapter_full_face", image_encoder="/clip")
V2 = AdapterSpec(name="v2", kind="faceid_plusv2", image_encoder="/clip")
KOLORS = Base(kind="kolors")
KOLORS_FACE = AdapterSpec(name="faceid", kind="kolors_faceid_plus", image_encoder="/clip")
KOLORS_PICTURE = AdapterSpec(name="picture", kind="kolors_ip_adapter_plus", image_encoder="/clip")
HUB = "h94/IP-Adapter-FaceID:ip-adapter-faceid"
POSE = Control(name="pose")
POSES = ["control_pose_uri"]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(max_references=0),
        Recipe(adapters=[replace(V2, weights=f"{HUB}-plusv2_sd15.bin")]),
        Recipe(adapters=[replace(V2, kind="faceid_plus", weights=f"{HUB}-plus_sd15.bin")]),
        Recipe(adapters=[FACEID, PLUS], defaults=Defaults(ip_adapter_scales={"plus": 0.5})),
        Recipe(adapters=[FACEID, PLUS], columns=["lora_scale", "ip_adapter_scales", "ip_adapter_image_uri"]),
        Recipe(adapters=[V2], columns=["shortcut_scale", "lora_scale", "init_image_uri", "strength"]),
        Recipe(adapters=[FACE], columns=["ip_adapter_image_uri", "reference_mask_uri"]),
        Recipe(adapters=[PLUS], controls=[POSE], columns=[*POSES, "control_pose_scale", "control_guidance_end"]),
        Recipe(base=Base(steps=[4, 8], loras=[Lora(name="lcm")]), defaults=Defaults(num_inference_steps=8)),
        Recipe(base=KOLORS, columns=["init_image_uri", "strength", *TOLD_SIZES]),
        Recipe(base=Base(kind="sdxl"), columns=[*TOLD_SIZES]),
        Recipe(base=KOLORS, adapters=[KOLORS_FACE, KOLORS_PICTURE], columns=["ip_adapter_image_uri"]),
        Recipe(base=replace(KOLORS, text="inline"), adapters=[KOLORS_PICTURE]),
        Recipe(base=replace(KOLORS, text="ahead")),
        Recipe(base=Base(text="inline"), adapters=[FACEID]),
        Recipe(base=Base(text="ahead"), adapters=[FACEID]),
        Recipe(base=Base(kind="sdxl", text="ahead"), prompt_syntax="weighted", long_prompt="chunks"),
    ],
)
def test_a_sound_recipe_passes(recipe):
    check_recipe(recipe)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Recipe(adapters=[FACEID, FACEID]), "adapters need a different name each"),
        (Recipe(adapters=[AdapterSpec()]), "adapters need a different name each"),
        (Recipe(controls=[POSE, POSE], columns=POSES), "controls need a different name each"),
        (Recipe(base=Base(loras=[Lora(name="a"), Lora(name="a")])), "base.loras need a different name each"),
        (Recipe(adapters=[replace(PLUS, image_encoder="")]), "adapter plus: ip_adapter_plus needs an image_encoder"),
        (Recipe(adapters=[replace(V2, image_encoder="")]), "needs an image_encoder"),
        (Recipe(adapters=[replace(FACEID, image_encoder="/clip")]), "faceid does not take an image_encoder"),
        (Recipe(required_columns=["init_image_uri"]), "'init_image_uri' is not in columns"),
        (Recipe(adapters=[replace(V2, face_crop_px=200)]), "a multiple of 112 or 128"),
        (Recipe(adapters=[replace(PLUS, face_crop_px=224)]), "face_crop_px is for aligned faces"),
        (
            Recipe(controls=[Control(name="scribble")]),
            "'scribble' must be one of identity, inpaint, pose,",
        ),
        (Recipe(controls=[POSE]), "columns do not list control_pose_uri"),
        (Recipe(controls=[replace(POSE, start=0.5, end=0.5)], columns=POSES), "start must be less than end"),
        (Recipe(base=Base(steps=[0])), "base.steps"),
        (Recipe(base=Base(steps=[4, 8])), "defaults.num_inference_steps: 30 is not in base.steps [4, 8]"),
        (Recipe(adapters=[FACEID], max_references=0), "max_references"),
        (Recipe(columns=["controll_pose_uri"]), "did you mean 'control_pose_uri'"),
        (Recipe(columns=POSES), "column control_pose_uri has no effect without a control pose"),
        (Recipe(columns=["control_depth_scale"]), "without a control depth"),
        (Recipe(columns=["control_guidance_start"]), "without a control"),
        (Recipe(adapters=[V2], columns=["ip_adapter_image_uri"]), "without an adapter that looks at a picture"),
        (Recipe(adapters=[PLUS], columns=["lora_scale"]), "without an adapter that has a LoRA"),
        (Recipe(adapters=[FACEID], columns=["shortcut_scale"]), "without a faceid_plusv2 adapter"),
        (Recipe(adapters=[PLUS], columns=["reference_mask_uri"]), "without an adapter of face pictures"),
        (Recipe(columns=["ip_adapter_scale"]), "without an adapter"),
        (Recipe(columns=["strength"]), "without init_image_uri"),
        (Recipe(columns=["crop_top_px"]), "crop_top_px has no effect on sd15, which has no size conditioning"),
        (Recipe(columns=["mask_image_uri"]), "column mask_image_uri has no effect without a control inpaint"),
        (Recipe(adapters=[replace(V2, weights=f"{HUB}-plus_sd15.bin")]), "is the file of kind faceid_plus,"),
        (Recipe(adapters=[replace(V2, kind="faceid_plus", weights=f"{HUB}-plusv2_sdxl.bin")]), "of kind faceid_plusv2"),
        (Recipe(adapters=[FACEID, PLUS], defaults=Defaults(ip_adapter_scales={"plu": 1})), "did you mean 'plus'"),
        (Recipe(adapters=[FACEID, PLUS], defaults=Defaults(ip_adapter_scales={"faceid": 1})), "is the first adapter"),
        (Recipe(adapters=[KOLORS_FACE]), "kolors_faceid_plus is made for Kolors, but the recipe's base is sd15"),
        (Recipe(base=Base(kind="sdxl"), adapters=[KOLORS_PICTURE]), "made for Kolors, but the recipe's base is sdxl"),
        (
            Recipe(base=KOLORS, adapters=[KOLORS_FACE, PLUS]),
            "adapter plus: ip_adapter_plus is made for SD 1.5 and SDXL",
        ),
        (
            Recipe(base=KOLORS, adapters=[V2]),
            "faceid_plusv2 is made for SD 1.5 and SDXL, but the recipe's base is kolors",
        ),
        (Recipe(base=KOLORS, controls=[POSE], columns=POSES), "controls: Kolors' ControlNets are not supported"),
        (Recipe(base=Base(kind="kolors"), prompt_syntax="weighted"), "prompt_syntax, long_prompt: only for CLIP's"),
        (Recipe(base=Base(kind="kolors"), long_prompt="chunks"), "prompt_syntax, long_prompt: only for CLIP's"),
        (Recipe(base=replace(KOLORS, config="/base")), "base.config"),
        (Recipe(base=KOLORS, adapters=[KOLORS_FACE], columns=["shortcut_scale"]), "without a faceid_plusv2 adapter"),
        (Recipe(base=KOLORS, adapters=[KOLORS_FACE], columns=["lora_scale"]), "without an adapter that has a LoRA"),
        (Recipe(base=KOLORS, adapters=[KOLORS_FACE], columns=["ip_adapter_image_uri"]), "that looks at a picture"),
        (Recipe(base=KOLORS, adapters=[replace(KOLORS_FACE, face_crop_px=336)]), "face_crop_px is for aligned faces"),
        (Recipe(base=KOLORS, adapters=[KOLORS_FACE], max_references=0), "max_references"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused_with_the_setting(recipe, says):
    with pytest.raises(RunError) as caught:
        check_recipe(replace(recipe, name="mine"))
    assert caught.value.exit_code == Exit.USAGE
    assert caught.value.message.startswith("recipe mine: ")
    assert says in caught.value.message
