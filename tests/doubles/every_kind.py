"""A manifest of eleven kinds of recipe, for configs/tiny.yaml: random weights have files for all of them.

People with FaceID on three bases; Kolors in English and in Chinese; picture prompts, a picture to start from, a pose
map; faces moved, resized, turned and placed as in another photo; one shirt on two models, its cut-out kept.
"""

import csv
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from idgen.tiny.render import draw_scene

PHOTOS = Path(__file__).resolve().parents[2] / "manifests" / "demo"
PICTURE_PX = 192
SHOTS = (
    ("street", "faceid-sd15", "a person in a red coat, city street, soft morning light"),
    ("studio", "faceid-plusv2-sdxl", "studio portrait in a white linen shirt, plain background"),
    ("beach", "faceid-sdxl@sdxl-lightning-4step", "a person in a blue summer dress on a beach, golden hour"),
)
PEOPLE = ("ada", "dan", "hana")
LANGUAGES = {
    "en": "a person in a black coat in front of a book shop, soft light, the sign reads “WELCOME”",
    "zh": "一位穿着黑色大衣的人站在书店前，光线柔和，招牌上写着“欢迎光临”",
}
"""One prompt in both, for the recipe KOLORS."""
KOLORS = "kolors-faceid-plus"
PLACES = {
    "left": {"face_box": "0.05|0.25|0.45|0.75"},
    "small": {"face_box": "0.4|0.1|0.6|0.35", "face_pass": "auto"},
    "turned": {"face_box": "0.25|0.2|0.75|0.8", "face_angle_deg": "35"},
    "posed": {"face_pose_uri": f"{PHOTOS}/emi.png"},
}
PLACED, PRODUCT, POINTS, FREE = "ecomid", "ecomid-inpaint-softedge", "instantid", "pulid-v1.1"
MODELS = ("ben", "hana")
"""Who wears the shirt."""
COLLAR = "0.38|0.12|0.62|0.44"
"""Where their faces go."""

JOINTS = {
    "head": (0.50, 0.16), "neck": (0.50, 0.30), "left hand": (0.24, 0.52), "left elbow": (0.32, 0.40),
    "right elbow": (0.70, 0.36), "right hand": (0.82, 0.18), "hips": (0.50, 0.58), "left knee": (0.40, 0.76),
    "left foot": (0.36, 0.95), "right knee": (0.61, 0.76), "right foot": (0.66, 0.95),
}  # fmt: skip
"""Of the pose map, as shares of its side."""
BONES = (
    ("head", "neck", "red"), ("neck", "left elbow", "orange"), ("left elbow", "left hand", "yellow"),
    ("neck", "right elbow", "lime"), ("right elbow", "right hand", "green"), ("neck", "hips", "cyan"),
    ("hips", "left knee", "dodgerblue"), ("left knee", "left foot", "blue"), ("hips", "right knee", "violet"),
    ("right knee", "right foot", "magenta"),
)  # fmt: skip


def write(folder: Path) -> Path:
    """Write `folder`/kinds.csv and the pictures beside it; return the manifest's path."""
    sea = draw_scene([], seed=38, width_px=PICTURE_PX * 3 // 2, height_px=PICTURE_PX)  # wider than what is made of it
    Image.fromarray(sea.image).save(folder / "sea.png")
    pose_map(PICTURE_PX).save(folder / "pose.png")
    soft_edges(Image.open(PHOTOS / "shirt.png")).save(folder / "edges.png")
    rows = [*_people(), *_kolors(), *_more(folder), *_placed(), *_worn(folder)]
    with (folder / "kinds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "kinds.csv"


def _people():
    return [_row(name, *shot) for name in PEOPLE for shot in SHOTS]


def _kolors():
    return [_row(name, f"books-{word}", KOLORS, prompt) for name in PEOPLE[:2] for word, prompt in LANGUAGES.items()]


def _more(folder):
    """Rows whose recipes look at pictures: of a face, of a look, to start from, of a pose."""
    portrait, look = "ip-adapter-plus-face-sd15", "ip-adapter-plus-sd15"
    prompt = "a person in a garden, soft light"
    picture = {"reference_uri": "", "ip_adapter_image_uri": f"{PHOTOS}/look.png"}
    return [
        _row("ada", "garden", portrait, prompt),
        _row("hana", "garden", portrait, prompt),
        _row("look", "market", look, "a person at a market", **picture),
        _row("look", "train", look, "a person in a train", **picture, ip_adapter_scale="0.5"),
        _row("gia", "sea", SHOTS[1][1], "a person by the sea, morning sun", init_image_uri=f"{folder}/sea.png",
             strength="0.6"),
        _row("finn", "pose", "faceid-plusv2-sd15-controls", "a person dancing, full body, white background",
             control_pose_uri=f"{folder}/pose.png"),
    ]  # fmt: skip


def _placed():
    """Rows that say where the face is to be, how large and how turned; and one of each kind that they are kin to."""
    prompt = "a person in a red coat, city street, soft morning light"
    rows = [_row("ada", f"face-{shot}", PLACED, prompt, **place) for shot, place in PLACES.items()]
    return [*rows, _row("dan", "points", POINTS, prompt), _row("emi", "free", FREE, prompt)]


def _worn(folder):
    """One product on several models: its cut-out is kept, its soft edges go on, the rest is made around it."""
    prompt = "a person in a striped shirt, market place, midday sun"
    cut = {"init_image_uri": f"{PHOTOS}/shirt.png", "control_softedge_uri": f"{folder}/edges.png", "face_box": COLLAR}
    return [_row(name, "shirt", PRODUCT, prompt, **cut) for name in MODELS]


def _row(name, shot, recipe, prompt, **columns):
    row = {"row_id": f"{name}-{shot}", "recipe": recipe, "prompt": prompt, "reference_uri": f"{PHOTOS}/{name}.png"}
    return row | columns


def pose_map(size_px: int) -> Image.Image:
    """Draw a stick figure on black, as ControlNets for poses are shown people."""
    image = Image.new("RGB", (size_px, size_px))
    pen = ImageDraw.Draw(image)
    for start, end, colour in BONES:
        ends = [tuple(size_px * share for share in JOINTS[name]) for name in (start, end)]
        pen.line(ends, fill=colour, width=size_px // 40)
    return image


def soft_edges(product: Image.Image) -> Image.Image:
    """Draw its edges white on black, soft as HED draws them."""
    on_black = Image.alpha_composite(Image.new("RGBA", product.size, "black"), product).convert("L")
    edges = on_black.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    return edges.point(lambda value: min(255, 2 * value)).convert("RGB")
