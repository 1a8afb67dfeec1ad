"""Slips of the pen in a header stop the run, a shop's own words never do: there is no switch to get past it."""

import pytest

from idgen.manifest.columns import BY_NAME
from idgen.manifest.names import near_miss, slips_between

SHOP_WORDS = """
    season season_id version version_id reason reason_id period period_id persona persona_id personas face_id
    face_path face_part face_pack face_url schedule schedules scheduled schedule_id weight weights weight_kg
    height_cm width_mm size sizes size_id brand brand_id category collection colour color color_id gender
    age_group price price_eur currency ean gtin barcode asin product_id prod_id item_id article_id variant
    variant_id supplier supplier_id stock campaign campaign_id channel market locale language title
    description short_text headline tags notes comment status code stage state created_at updated_at
    modified_by editor photographer studio_id shoot_id shots position rank sort_key image_index image_id
    image_url image_path photo_id photo_url file_name filename folder key id uuid name names negative
    preference_id reference reference_id reference_name reference_code input_name output_path output_folder
    model_id mask_model street receipt recipient eight depth right length first_name last_name prompt_id
    prompt_version tone mood room_id crow_id raw_id control_group start_date end_date strap batch batch_id
    run_id shop_id idgen_status face_image pose_image mask_url mask_file paste_up product_mask
"""

SLIPS = {
    "prompt": ["promt", "prompts", "propmt", "Prompt", "prompt ", "promtp"],
    "negative_prompt": ["negativ_prompt", "negative-prompt", "negative_promt", "Negative Prompt", "negativePrompt"],
    "height": ["hieght", "heigth", "hight", "HEIGHT"],
    "width": ["widht", "witdh"],
    "recipe": ["recpie", "recipie", "recipes", "receipe"],
    "row_id": ["rowid", "row-id", "RowId", "row id"],
    "person_id": ["personid", "personId", "perosn_id", "persn_id", "person_ID"],
    "sku": ["SKU", "Sku"],
    "seed": ["Seed", " seed"],
    "shot": ["SHOT"],
    "num_images": ["num_imgaes", "num_image", "numImages", "nmu_images"],
    "reference_uri": [
        "referenceuri",
        "reference_url",
        "refrence_uri",
        "referance_uri",
        "Reference URI",
        "refernce_url",
    ],
    "reference_uris": ["reference_urls", "referenceUris"],
    "reference_sha256": ["reference_sha265", "referencesha256", "refrence_sha256"],
    "num_inference_steps": ["num_inference_step", "num_inferense_steps", "num_infrence_setps", "numInferenceSteps"],
    "guidance_scale": ["guidence_scale", "guidance_scales", "guidnace_scale", "guidancescale"],
    "scheduler": ["schedular", "sheduler", "schedulers", "scheduller"],
    "ip_adapter_scale": ["ip_adaptor_scale", "ip_adapter_sclae", "ipadapter_scale"],
    "face_select": ["face_selct", "face-select"],
    "face_pose_uri": ["face_pose_url", "facePoseUri", "face_psoe_uri"],
    "face_box": ["face-box", "FaceBox"],
    "face_keypoints": ["face_keypoint", "face_key_points", "face_keypionts"],
    "face_angle_deg": ["face_angel_deg", "faceangledeg"],
    "face_pass": ["facepass"],
    "mask_image_uri": ["mask_image_url", "mask-image-uri", "mask_iamge_uri"],
    "mask_mode": ["maskmode", "Mask Mode"],
    "paste_back": ["pasteback", "paste_bakc"],
    "controlnet_conditioning_scale": ["controlnet_conditionning_scale", "control_net_conditioning_scale"],
    "control_inpaint_scale": ["control_inpiant_scale", "controlinpaint_scale"],
    "output_name": ["ouput_name", "outputname", "output_nmae"],
    "output_format": ["output_fromat", "outputFormat"],
    "init_image_uri": ["init_image_url"],
    "strength": ["strenght", "strengh"],
    "lora_scale": ["lora_sclae", "LoRA scale"],
}


@pytest.mark.parametrize("name", SHOP_WORDS.split())
def test_a_shops_own_word_is_no_slip(name: str):
    assert near_miss(name) is None


@pytest.mark.parametrize(("name", "meant"), [(name, meant) for meant, names in SLIPS.items() for name in names])
def test_a_slip_names_what_was_meant(name: str, meant: str):
    assert near_miss(name) == meant


@pytest.mark.parametrize("name", BY_NAME)
def test_a_known_name_is_itself(name: str):
    assert near_miss(name) is None


def test_swapped_letters_are_one_slip():
    words = ("prompt", "rpompt", "prompts", "pormtp", "")
    assert [slips_between("prompt", word) for word in words] == [0, 1, 1, 2, 6]
