"""The manifest's columns: a table of data that schema, keys, planner and documentation all read.

`part` says what a column does to a picture: "K" decides its pixels (in the key, may differ inside a batch), "B" decides
them too and splits batches, "-" does neither.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Part = Literal["K", "B", "-"]


@dataclass(frozen=True, slots=True)
class Column:
    """One manifest column. `common` ones may be set for every recipe, others only where the recipe lists them."""

    name: str
    type: pa.DataType
    part: Part
    meaning: str
    common: bool = False


_STRING, _INT, _FLOAT = pa.string(), pa.int32(), pa.float32()
_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())

COLUMNS: tuple[Column, ...] = (
    Column("row_id", _STRING, "-", "your own id, unique; default: the key", common=True),
    Column("recipe", _STRING, "B", "name of a file in configs/recipes, or `<recipe>@<base>`", common=True),
    Column("reference_uri", _STRING, "K", "one photo of the person", common=True),
    Column("reference_uris", _STRINGS, "K", "several photos of the same person; instead of reference_uri", common=True),
    Column("reference_sha256", _STRINGS, "K", "replaces the URI in the key; checked after the fetch", common=True),
    Column("face_select", _STRING, "K", "largest, center, best or index:N", common=True),
    Column("reference_mask_uri", _STRING, "K", "mask of the one reference: white = the face, the rest is removed"),
    Column(
        "ip_adapter_image_uri",
        _STRING,
        "K",
        "picture prompt as it is, without face analysis; instead of a reference where no face is needed",
    ),
    Column("prompt", _STRING, "K", "what to show", common=True),
    Column("negative_prompt", _STRING, "K", "what to avoid; null = the recipe's, empty = really empty", common=True),
    Column("num_images", _INT, "-", "N pictures of this row, index 0..N-1 in the key", common=True),
    Column("seed", pa.int64(), "K", "image i uses seed + i; default: from the key", common=True),
    Column("width", _INT, "B", "pixels", common=True),
    Column("height", _INT, "B", "pixels", common=True),
    Column("num_inference_steps", _INT, "B", "denoising steps", common=True),
    Column("scheduler", _STRING, "B", "a name of recipes/schedulers.py", common=True),
    Column("guidance_scale", _FLOAT, "B", "classifier-free guidance; off at 1 or less", common=True),
    Column(
        "original_width_px",
        _INT,
        "K",
        "SDXL's size conditioning (diffusers' original_size): how wide the picture is said to have been before it was "
        "resized; default: width",
    ),
    Column("original_height_px", _INT, "K", "as above, how high; both or none"),
    Column(
        "target_width_px",
        _INT,
        "K",
        "diffusers' target_size: how wide the picture is said to be; default: width",
    ),
    Column("target_height_px", _INT, "K", "as above, how high; both or none"),
    Column(
        "crop_top_px",
        _INT,
        "K",
        "diffusers' crops_coords_top_left: how much is said to be cut off at the top; default: 0",
    ),
    Column("crop_left_px", _INT, "K", "as above, at the left; both or none"),
    Column("ip_adapter_scale", _FLOAT, "K", "strength of the recipe's first identity branch"),
    Column("shortcut_scale", _FLOAT, "K", "FaceID-PlusV2's s_scale"),
    Column("ip_adapter_scales", pa.map_(pa.string(), pa.float32()), "K", "strength by adapter name"),
    Column("lora_scale", _FLOAT, "B", "weight of the adapter's LoRA; decides what is loaded"),
    Column(
        "controlnet_conditioning_scale",
        _FLOAT,
        "K",
        "strength of the control identity (IdentityNet); default: the control's own",
    ),
    Column(
        "control_guidance_start",
        _FLOAT,
        "B",
        "share of the steps at which every control begins; default: each control's own",
    ),
    Column(
        "control_guidance_end",
        _FLOAT,
        "B",
        "share of the steps at which every control ends; default: each control's own",
    ),
    Column(
        "face_pose_uri",
        _STRING,
        "K",
        "photo whose face, chosen by face_select, gives the five points instead of the first reference",
    ),
    Column(
        "face_box",
        _FLOATS,
        "K",
        "where the face goes: left, top, right, bottom in 0..1 of the picture; the face as a detector frames it, from "
        "forehead to chin, in the middle and as large as it fits",
    ),
    Column(
        "face_keypoints",
        _FLOATS,
        "K",
        "where its points go: x and y of both eyes, the nose, both corners of the mouth, from left to right as seen, "
        "in 0..1 of the picture; -0.5..1.5 where the face is cut off",
    ),
    Column(
        "face_angle_deg",
        _FLOAT,
        "K",
        "turn of the face in the picture, clockwise; 0 = upright; default: as in its photo",
    ),
    Column(
        "face_fit",
        _STRING,
        "K",
        "cover or fit: the face is where it is in its photo, laid over the whole picture (so that its head is seen) or "
        "wholly into it; place: as face_box says",
    ),
    Column("face_pass", _STRING, "B", "auto: a small face in the finished picture is made again, larger; off"),
    Column(
        "init_image_uri",
        _STRING,
        "K",
        "image to start from: image to image, or with the control inpaint the product photo whose surroundings are "
        "made anew; cut to the output's shape, never squashed",
    ),
    Column(
        "mask_image_uri",
        _STRING,
        "K",
        "mask of init_image_uri, in its shape; without one what is transparent there is made anew, what is opaque kept",
    ),
    Column("mask_mode", _STRING, "K", "what is white in mask_image_uri: keep_white or repaint_white (made anew)"),
    Column(
        "strength",
        _FLOAT,
        "B",
        "how far to go from init_image_uri; only with one; with the control inpaint default: from noise",
    ),
    Column("paste_back", pa.bool_(), "K", "kept pixels bit-equal to init_image_uri"),
    Column("control_inpaint_scale", _FLOAT, "B", "strength of the control inpaint; default: the control's own"),
    Column("control_pose_uri", _STRING, "K", "ready-made pose map; rows without one are made without this control"),
    Column("control_pose_scale", _FLOAT, "B", "its strength; default: the control's own"),
    Column("control_depth_uri", _STRING, "K", "ready-made depth map, as above"),
    Column("control_depth_scale", _FLOAT, "B", "its strength; default: the control's own"),
    Column("control_canny_uri", _STRING, "K", "ready-made edge map, as above"),
    Column("control_canny_scale", _FLOAT, "B", "its strength; default: the control's own"),
    Column("control_softedge_uri", _STRING, "K", "ready-made soft edge map, as above"),
    Column("control_softedge_scale", _FLOAT, "B", "its strength; default: the control's own"),
    Column("sku", _STRING, "-", "product; reports group by it", common=True),
    Column("person_id", _STRING, "-", "model; reports group by it", common=True),
    Column("shot", _STRING, "-", "which view", common=True),
    Column("output_name", _STRING, "-", "the shop's file name, up to 4 segments joined by /", common=True),
    Column("output_format", _STRING, "-", "png, jpeg or webp", common=True),
)

CONTROLS = ("pose", "depth", "canny", "softedge")
"""Kinds of control images that have columns of their own."""

NETS = ("identity", "inpaint", *CONTROLS)
"""Names that a recipe's controls may have, in the order in which they are run."""

TOLD_SIZES: dict[str, str] = {
    "original_height_px": "height",
    "original_width_px": "width",
    "crop_top_px": "",
    "crop_left_px": "",
    "target_height_px": "height",
    "target_width_px": "width",
}
"""Columns of SDXL's size conditioning, in the order of its time ids -> the column that a null one is equal to; "" = 0.
With `_px`, as shops have other things called `original_width` and `crop_top`."""

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

IMAGES: tuple[str, ...] = tuple(
    column.name for column in COLUMNS if column.name.endswith("_uri") and column.name != "reference_uri"
)
"""Columns of images that a row brings besides its references; whether it brings one parts buckets."""

MANIFEST_FIELDS: list[pa.Field] = [pa.field(column.name, column.type) for column in COLUMNS]
