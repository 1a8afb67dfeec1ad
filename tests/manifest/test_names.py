"""Slips of the pen in a header stop the run, a shop's own words never do: there is no switch to get past it."""

import pytest
from planning import Desk, row

from idgen.columns import BY_NAME
from idgen.errors import RunError
from idgen.manifest.names import check_names, near_miss, slips_between

SHOP_WORDS = """
    season season_id version version_id reason reason_id period period_id persona persona_id personas face_id
    face_path face_part face_pack face_url schedule schedules scheduled schedule_id weight weights weight_kg
    height_cm width_mm size sizes size_id brand brand_id category collection colour color color_id gender
    age_group price price_eur currency ean gtin barcode asin product_id prod_id item_id article_id variant
    variant_id supplier supplier_id stock campaign campaign_id channel market locale language title
    description short_text headline tags notes comment status code stage state created_at updated_at
    modified_by editor photographer studio_id shoot_id shots position rank sort_key image_index image_id
    image_url image_path photo_id photo_url file_name filename folder key id uuid name names negative
    preference_id reference guidance reference_id reference_name reference_code input_name output_path output_folder
    model_id mask_model street receipt recipient eight depth right length first_name last_name prompt_id
    prompt_version tone mood room_id crow_id raw_id control_group start_date end_date strap batch batch_id
    run_id shop_id idgen_status face_image pose_image mask_file paste_up product_mask
    original_width original_height original_size target_width target_height target_size crop_top crop_tops crop_left
    image images url face faces scene style material model pose back mask init lora shot_id shot_name sku_id sku_ids
    model_ids box boxes bbox point points ref ref_id ref_no reference_photo angle angles face_boxes2
    face_shape pose_scale neg start_image image_scale size_scale
"""

SLIPS = {
    "prompt": ["promt", "prompts", "propmt", "Prompt", "prompt ", "promtp"],
    "negative_prompt": [
        "negativ_prompt",
        "negative-prompt",
        "neg_prompt",
        "negative_promt",
        "Negative Prompt",
        "negativePrompt",
    ],
    "height": ["hieght", "heigth", "hight", "HEIGHT"],
    "width": ["widht", "witdh"],
    "recipe": ["recpie", "recipie", "recipes", "receipe"],
    "row_id": ["rowid", "row-id", "RowId", "row id", "row_ids"],
    "person_id": ["personid", "personId", "perosn_id", "persn_id", "person_ID"],
    "sku": ["SKU", "Sku"],
    "seed": ["Seed", " seed", "seeds"],
    "shot": ["SHOT"],
    "num_images": ["num_imgaes", "num_image", "numImages", "nmu_images"],
    "reference_uri": [
        "referenceuri",
        "reference_url",
        "refrence_uri",
        "referance_uri",
        "Reference URI",
        "refernce_url",
        "references",
        "ref_uri",
        "ref_url",
        "reference_image",
        "reference_image_uri",
    ],
    "reference_uris": ["reference_urls", "referenceUris"],
    "reference_sha256": ["reference_sha265", "referencesha256", "refrence_sha256"],
    "num_inference_steps": ["num_inference_step", "num_inferense_steps", "num_infrence_setps", "numInferenceSteps"],
    "guidance_scale": ["guidence_scale", "guidance_scales", "guidnace_scale", "guidancescale"],
    "scheduler": ["schedular", "sheduler", "schedulers", "scheduller"],
    "ip_adapter_scale": ["ip_adaptor_scale", "ip_adapter_sclae", "ipadapter_scale"],
    "face_select": ["face_selct", "face-select"],
    "face_pose_uri": ["face_pose_url", "facePoseUri", "face_psoe_uri", "face_pose", "face_poses", "face_pose_image"],
    "face_box": ["face-box", "FaceBox", "face_boxes", "face_boxs", "face_bbox", "face_bboxes", "faces_box", "fac_box"],
    "face_keypoints": ["face_keypoint", "face_key_points", "face_keypionts", "face_point", "face_points"],
    "face_angle_deg": ["face_angel_deg", "faceangledeg", "face_angle", "face_angles"],
    "face_pass": ["facepass", "face_pas", "face_passes"],
    "mask_image_uri": [
        "mask_image_url",
        "mask-image-uri",
        "mask_iamge_uri",
        "mask_image",
        "mask_images",
        "mask_uri",
        "mask_url",
    ],
    "mask_mode": ["maskmode", "Mask Mode"],
    "paste_back": ["pasteback", "paste_bakc", "paste_bak", "paste_backs"],
    "controlnet_conditioning_scale": ["controlnet_conditionning_scale", "control_net_conditioning_scale"],
    "control_inpaint_scale": ["control_inpiant_scale", "controlinpaint_scale"],
    "output_name": ["ouput_name", "outputname", "output_nmae"],
    "output_format": ["output_fromat", "outputFormat"],
    "init_image_uri": ["init_image_url", "init_image", "init_uri", "init_url"],
    "strength": ["strenght", "strengh"],
    "lora_scale": ["lora_sclae", "LoRA scale"],
    "control_pose_uri": ["control_pose", "control_pose_image", "control_poses"],
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


@pytest.mark.parametrize(
    ("name", "header", "meant"),
    [
        ("reference", ["reference_uri"], None),
        ("reference", ["reference_uris"], None),
        ("reference_image", ["ip_adapter_image_uri"], "reference_uri"),
        ("face_angle", ["face_angle_deg"], None),
        ("mask_url", ["mask_image_uri"], None),
        ("face_boxes", ["face_box"], "face_box"),
    ],
)
def test_a_shortened_name_is_the_shops_own_where_the_whole_one_is_there(
    name: str, header: list[str], meant: str | None
):
    assert near_miss(name, [*header, name]) == meant


def test_the_plan_names_the_shops_own_columns(desk: Desk):
    assert desk.plan([row(1)]).own_columns == []
    own = desk.plan([row(1, season="fall", face_boxes2="x", idgen_status="ok")]).own_columns
    assert own == ["season", "face_boxes2"]


def test_all_slips_of_a_header_are_named_at_once():
    with pytest.raises(RunError) as caught:
        check_names(["prompt", "face_boxes", "season", "paste_bak", "init_image"])
    assert str(caught.value).endswith(
        "column 'face_boxes' is unknown; did you mean face_box?; column 'paste_bak' is unknown; did you mean "
        "paste_back?; column 'init_image' is unknown; did you mean init_image_uri? (your own columns need other names)"
    )
