"""The table of the manifest's columns: one line for each, with everything that is known of it (see column.py).

Everything else follows from these lines: the checks of a manifest, the key, what splits batches, what the ledger, the
results, the gallery and the table of manifests/README.md hold, and which recipes may set a column.
"""

import pyarrow as pa

from idgen import list_values, values
from idgen.column import Column, Need, Role, Scope, checked

MAX_STEPS = 1000
"""For every scheduler without a limit of its own: as many as the models were trained with."""
_MAX_TOLD_PX = 16_384
"""Largest size for SDXL's size conditioning: more than any camera's photos have."""

_STRING, _INT, _FLOAT = pa.string(), pa.int32(), pa.float32()
_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())
_ROW, _BATCH, _CARRIED = Scope.ROW, Scope.BATCH, Scope.CARRIED

_label = values.text(values.MAX_ID_CHARS)
_scale = values.number(0.0, 10.0)
_share = values.number(0.0, 1.0)
_told_side = values.whole_number(1, _MAX_TOLD_PX)
_told_cut = values.whole_number(0, _MAX_TOLD_PX)

# fmt: off
COLUMNS: tuple[Column, ...] = checked((
    Column("row_id", _STRING, _CARRIED, Role.ID, check=_label, common=True,
        meaning="your own id, unique; default: the key"),
    Column("recipe", _STRING, _BATCH, Role.RECIPE, check=values.looked_up, common=True,
        meaning="name of a file in configs/recipes, or `<recipe>@<base>`"),
    Column("reference_uri", _STRING, _ROW, Role.PHOTO, check=values.uri, common=True,
        meaning="one photo of the person"),
    Column("reference_uris", _STRINGS, _ROW, Role.PHOTO, check=list_values.uris, common=True,
        meaning="several photos of the same person; instead of reference_uri"),
    Column("reference_sha256", _STRINGS, _ROW, Role.PHOTO, check=list_values.sha256s, common=True,
        meaning="replaces the URI in the key; checked after the fetch"),
    Column("face_select", _STRING, _ROW, Role.SETTING, check=values.face_select, common=True,
        meaning="which face of a photo: largest, center, best or index:N"),
    Column("reference_mask_uri", _STRING, _ROW, Role.IMAGE,
        check=values.uri, need=Need.FACE_PICTURE, title="part of the photo that counts",
        meaning="mask of the one reference: white = the face, the rest is removed"),
    Column("ip_adapter_image_uri", _STRING, _ROW, Role.IMAGE,
        check=values.uri, need=Need.LOOK, title="look and style from",
        meaning="picture prompt, used without face analysis; replaces the reference where no face is needed"),
    Column("prompt", _STRING, _ROW, Role.TEXT, check=values.prompt, common=True, meaning="what to show"),
    Column("negative_prompt", _STRING, _ROW, Role.TEXT, check=values.prompt, common=True,
        meaning="what to avoid; null = the recipe's text, empty = no text"),
    Column("num_images", _INT, _CARRIED, Role.PICTURE, check=values.whole_number(1, values.MAX_IMAGES), common=True,
        meaning="number N of pictures of this row; the index 0..N-1 is in the key"),
    Column("seed", pa.int64(), _ROW, Role.PICTURE, check=values.whole_number(0, values.MAX_SEED), common=True,
        meaning="image i uses seed + i; default: from the key"),
    Column("tries", _INT, _ROW, Role.SETTING, check=values.whole_number(1, values.MAX_TRIES), common=True, neutral=1,
        meaning="a picture that a gate holds is made again with the next seed, up to so many times in all; the best is "
        "kept"),
    Column("width", _INT, _BATCH, Role.SETTING, check=values.side, common=True, meaning="pixels"),
    Column("height", _INT, _BATCH, Role.SETTING, check=values.side, common=True, meaning="pixels"),
    Column("num_inference_steps", _INT, _BATCH, Role.SETTING, check=values.whole_number(1, MAX_STEPS), common=True,
        meaning="denoising steps"),
    Column("scheduler", _STRING, _BATCH, Role.SETTING, check=values.text(64), common=True,
        meaning="a name from idgen/recipes/schedulers.py"),
    Column("guidance_scale", _FLOAT, _BATCH, Role.SETTING, check=values.number(0.0, 100.0), common=True,
        meaning="classifier-free guidance; off at 1 or less"),
    Column("original_height_px", _INT, _ROW, Role.TOLD_SIZE,
        check=_told_side, need=Need.TOLD_SIZES, neutral_as="height",
        meaning="SDXL's size conditioning (diffusers' original_size): the height before resizing that the model is "
        "told; default: height"),
    Column("original_width_px", _INT, _ROW, Role.TOLD_SIZE,
        check=_told_side, need=Need.TOLD_SIZES, neutral_as="width",
        meaning="the same for the width; give both or neither"),
    Column("crop_top_px", _INT, _ROW, Role.TOLD_SIZE, check=_told_cut, need=Need.TOLD_SIZES, neutral=0,
        meaning="diffusers' crops_coords_top_left: pixels that the model is told were cut off at the top; default: 0"),
    Column("crop_left_px", _INT, _ROW, Role.TOLD_SIZE, check=_told_cut, need=Need.TOLD_SIZES, neutral=0,
        meaning="the same at the left; give both or neither"),
    Column("target_height_px", _INT, _ROW, Role.TOLD_SIZE,
        check=_told_side, need=Need.TOLD_SIZES, neutral_as="height",
        meaning="diffusers' target_size: the height that the model is told; default: height"),
    Column("target_width_px", _INT, _ROW, Role.TOLD_SIZE, check=_told_side, need=Need.TOLD_SIZES, neutral_as="width",
        meaning="the same for the width; give both or neither"),
    Column("ip_adapter_scale", _FLOAT, _ROW, Role.SCALE, check=_scale, need=Need.ADAPTER,
        meaning="strength of the recipe's first identity branch"),
    Column("shortcut_scale", _FLOAT, _ROW, Role.OPTION, check=_scale, need=Need.SHORTCUT,
        meaning="FaceID-PlusV2's s_scale"),
    Column("ip_adapter_scales", pa.map_(_STRING, _FLOAT), _ROW, Role.SCALE, check=list_values.scales, need=Need.ADAPTER,
        meaning="strength by adapter name"),
    Column("lora_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, need=Need.LORA,
        meaning="weight of the adapter's LoRA; decides what is loaded"),
    Column("controlnet_conditioning_scale", _FLOAT, _ROW, Role.SCALE, check=_scale, control="identity",
        meaning="strength of the control identity (IdentityNet); default: the control's own"),
    Column("control_guidance_start", _FLOAT, _BATCH, Role.SETTING, check=_share, need=Need.CONTROL,
        meaning="when every control begins, as a share of the steps; default: each control's own"),
    Column("control_guidance_end", _FLOAT, _BATCH, Role.SETTING, check=_share, need=Need.CONTROL,
        meaning="when every control ends, as a share of the steps; default: each control's own"),
    Column("face_pose_uri", _STRING, _ROW, Role.IMAGE,
        check=values.uri, control="identity", title="pose of the face from",
        meaning="photo whose face, chosen by face_select, gives the five points instead of the first reference"),
    Column("face_box", _FLOATS, _ROW, Role.SETTING, check=list_values.box, control="identity",
        meaning="where the face goes: left, top, right, bottom in 0..1 of the picture; the face (from forehead to "
        "chin, as a detector frames it) is in the middle of the box, as large as fits"),
    Column("face_keypoints", _FLOATS, _ROW, Role.SETTING, check=list_values.shares(10, -0.5, 1.5), control="identity",
        meaning="where the points of the face go: x and y of both eyes, the nose, both corners of the mouth, from "
        "left to right as seen; 0..1 of the picture, -0.5..1.5 where the face is cut off"),
    Column("face_angle_deg", _FLOAT, _ROW, Role.SETTING, check=values.number(-180.0, 180.0), control="identity",
        meaning="angle of the face in the picture, clockwise; 0 = upright; default: as in its photo"),
    Column("face_fit", _STRING, _ROW, Role.SETTING, check=values.one_of("fit", "cover", "place"), control="identity",
        meaning="where the face goes without box and points: as in its photo, which covers the picture and keeps "
        "the head in view (cover) or lies inside it (fit); place: as face_box says"),
    Column("face_pass", _STRING, _BATCH, Role.SETTING,
        check=values.one_of("off", "auto"), need=Need.FACE_PASS, neutral="off",
        meaning="auto: a small face in the finished picture is sampled again, larger; off: never"),
    Column("init_image_uri", _STRING, _ROW, Role.IMAGE, check=values.uri, title="made from",
        meaning="image to start from (image to image); with the control inpaint, the product photo whose "
        "surroundings are repainted; cropped to the picture's shape, never squashed"),
    Column("mask_image_uri", _STRING, _ROW, Role.IMAGE, check=values.uri, control="inpaint", title="mask",
        meaning="mask of init_image_uri, in its shape; without a mask, transparent parts of that image are "
        "repainted and opaque parts are kept"),
    Column("mask_mode", _STRING, _ROW, Role.SETTING,
        check=values.one_of("repaint_white", "keep_white"), control="inpaint",
        meaning="what white means in mask_image_uri: keep_white or repaint_white"),
    Column("strength", _FLOAT, _BATCH, Role.SETTING, check=values.number(0.01, 1.0), need=Need.START_IMAGE,
        meaning="how far to go from init_image_uri; needs that image; with the control inpaint default: from "
        "noise"),
    Column("paste_back", pa.bool_(), _ROW, Role.SETTING, check=values.boolean, control="inpaint", neutral=False,
        meaning="put the kept pixels of init_image_uri back, bit for bit"),
    Column("control_inpaint_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, control="inpaint",
        meaning="strength of the control inpaint; default: the control's own"),
    Column("control_pose_uri", _STRING, _ROW, Role.MAP, check=values.uri, control="pose", title="body pose",
        meaning="ready-made pose map; rows without one do not use this control"),
    Column("control_pose_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, control="pose",
        meaning="its strength; default: the control's own"),
    Column("control_depth_uri", _STRING, _ROW, Role.MAP, check=values.uri, control="depth", title="depth",
        meaning="ready-made depth map, as above"),
    Column("control_depth_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, control="depth",
        meaning="its strength; default: the control's own"),
    Column("control_canny_uri", _STRING, _ROW, Role.MAP, check=values.uri, control="canny", title="edges",
        meaning="ready-made edge map, as above"),
    Column("control_canny_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, control="canny",
        meaning="its strength; default: the control's own"),
    Column("control_softedge_uri", _STRING, _ROW, Role.MAP, check=values.uri, control="softedge", title="soft edges",
        meaning="ready-made soft edge map, as above"),
    Column("control_softedge_scale", _FLOAT, _BATCH, Role.SCALE, check=_scale, control="softedge",
        meaning="its strength; default: the control's own"),
    Column("sku", _STRING, _CARRIED, Role.LABEL, check=_label, common=True, title="SKU",
        meaning="product; reports group by it"),
    Column("person_id", _STRING, _CARRIED, Role.LABEL, check=_label, common=True, title="Person",
        meaning="model; reports group by it"),
    Column("shot", _STRING, _CARRIED, Role.LABEL, check=_label, common=True, meaning="which view"),
    Column("output_name", _STRING, _CARRIED, Role.PICTURE, check=values.output_name, common=True,
        meaning="the shop's file name, up to 4 segments joined by /"),
    Column("output_format", _STRING, _CARRIED, Role.SETTING, check=values.one_of(*values.FORMATS), common=True,
        meaning="png, jpeg or webp"),
))
# fmt: on

BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}

MANIFEST_FIELDS: list[pa.Field] = [pa.field(column.name, column.type) for column in COLUMNS]


def names_of(*roles: Role) -> tuple[str, ...]:
    """Return the names of the columns of these roles, in the table's order."""
    return tuple(column.name for column in COLUMNS if column.role in roles)


LABELS = names_of(Role.LABEL)
"""The shop's own labels of a row; `row_id` is not one of them, because it has a default."""

IMAGES = names_of(Role.IMAGE, Role.MAP)
"""Columns of images that a row brings besides its references; rows with different images are in different buckets."""

ADDRESSES = frozenset(column.name for column in COLUMNS if column.holds_addresses)
"""Columns of addresses, which may contain signatures."""

INIT_IMAGE, MASK_IMAGE = "init_image_uri", "mask_image_uri"
"""What a picture starts from, and which part of it is repainted."""

LOOK_IMAGE, POSE_IMAGE, REFERENCE_MASK = "ip_adapter_image_uri", "face_pose_uri", "reference_mask_uri"
"""The image for look and style, the photo for the pose of the face, the mask of the person's photo."""

FACE_DRAWING = "face_keypoints"
"""What the drawing of the face's five points is called among a row's images; rows bring the points, not the drawing."""

SCALE_OF: dict[str, str] = {
    column.control: column.name for column in COLUMNS if column.role is Role.SCALE and column.control
}
"""Control -> the column of its strength, which is set in rows that use the control and in no others."""

NETS = tuple(SCALE_OF)
"""Names that a recipe's controls may have, in the order in which they are run."""

MAP_OF: dict[str, str] = {column.control: column.name for column in COLUMNS if column.role is Role.MAP}
"""Control -> the column of its ready-made map, for controls that have one."""

SHOWN_TO: dict[str, str] = {"inpaint": INIT_IMAGE, **MAP_OF}
"""Control -> the column of the image it gets; identity is missing here, because every row has a face for it."""

TOLD_SIZES = names_of(Role.TOLD_SIZE)
"""Columns of SDXL's size conditioning, in the order of its time ids. With `_px`, because shops use other columns called
`original_width` and `crop_top`."""
