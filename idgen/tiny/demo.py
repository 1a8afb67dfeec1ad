"""The demo's manifest and its pictures: `python -m idgen.tiny.demo manifests` writes both.

Eight drawn people in three pictures each, every shot with a recipe of its own; two of them once more with Kolors, asked
for in English and in Chinese; rows that bring a picture prompt, an image to start from or a pose; faces moved, resized,
turned and placed as in another photo; one shirt on two models; and three rows that are made to fail: no face, a corrupt
file and an address that may not be fetched.
"""

import csv
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from idgen.tiny.people import Look, Person
from idgen.tiny.render import draw_portrait, draw_scene

PEOPLE = {"ada": 0, "ben": 3, "cleo": 4, "dan": 7, "emi": 8, "finn": 12, "gia": 19, "hana": 21}
PHOTO_PX, PICTURE_PX = 320, 192
LOOK_SEEDS_FROM = 1000

SHOTS = (
    ("street", "faceid-sd15", "a person in a red coat, city street, soft morning light"),
    ("studio", "faceid-plusv2-sdxl", "studio portrait in a white linen shirt, plain background"),
    ("beach", "faceid-sdxl@sdxl-lightning-4step", "a person in a blue summer dress on a beach, golden hour"),
)
LANGUAGES = {
    "en": "a person in a black coat in front of a book shop, soft light, the sign reads “WELCOME”",
    "zh": "一位穿着黑色大衣的人站在书店前，光线柔和，招牌上写着“欢迎光临”",
}
"""One prompt in both, for the recipe KOLORS."""
KOLORS, READERS = "kolors-faceid-plus", ("ada", "dan")
PLACES = {
    "left": {"face_box": "0.05|0.25|0.45|0.75"},
    "small": {"face_box": "0.4|0.1|0.6|0.35"},
    "turned": {"face_box": "0.25|0.2|0.75|0.8", "face_angle_deg": "35"},
    "posed": {"face_pose_uri": "demo/emi.png"},
}
"""Shot -> where the face of READERS[0] is to be, for the recipe PLACED."""
PLACED, PRODUCT, POINTS, FREE = "ecomid", "ecomid-inpaint-softedge", "instantid", "pulid-v1.1"
MODELS = ("ben", "hana")
"""Who wears the shirt, whose SKU their pictures have."""
SHIRT = (
    (0.36, 0.46), (0.43, 0.52), (0.57, 0.52), (0.64, 0.46), (0.88, 0.58), (0.80, 0.74), (0.70, 0.69), (0.71, 0.97),
    (0.29, 0.97), (0.30, 0.69), (0.20, 0.74), (0.12, 0.58),
)  # fmt: skip
"""Its outline, as shares of the picture's side; the face goes above its collar."""
COLLAR = "0.38|0.12|0.62|0.44"
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


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the manifest; the fields are its columns."""

    row_id: str
    sku: str
    person_id: str = ""
    shot: str
    recipe: str
    reference_uri: str = ""
    prompt: str
    output_name: str = ""
    ip_adapter_image_uri: str = ""
    ip_adapter_scale: str = ""
    init_image_uri: str = ""
    strength: str = ""
    control_pose_uri: str = ""
    control_softedge_uri: str = ""
    face_pose_uri: str = ""
    face_box: str = ""
    face_angle_deg: str = ""
    face_pass: str = ""


def write_demo(folder: Path) -> Path:
    """Write `folder`/demo.csv and the pictures in `folder`/demo/; return the manifest's path."""
    photos = folder / "demo"
    photos.mkdir(parents=True, exist_ok=True)
    for name, seed in PEOPLE.items():
        drawing = draw_portrait(Person.sample(seed), Look.sample(seed + LOOK_SEEDS_FROM, calm=True), PHOTO_PX)
        Image.fromarray(drawing.image).save(photos / f"{name}.png", optimize=True)
    landscape = draw_scene([], seed=5, width_px=PHOTO_PX, height_px=PHOTO_PX)
    Image.fromarray(landscape.image).save(photos / "no-face.png", optimize=True)
    whole = (photos / "ada.png").read_bytes()
    (photos / "corrupt.png").write_bytes(whole[: len(whole) // 3])
    look = draw_portrait(Person.sample(30), Look.sample(31, calm=True), PICTURE_PX)
    Image.fromarray(look.image).save(photos / "look.png", optimize=True)
    sea = draw_scene([], seed=38, width_px=PICTURE_PX * 3 // 2, height_px=PICTURE_PX)  # wider than what is made of it
    Image.fromarray(sea.image).save(photos / "sea.png", optimize=True)
    _pose(PICTURE_PX).save(photos / "pose.png", optimize=True)
    shirt = _shirt(PICTURE_PX)
    shirt.save(photos / "shirt.png", optimize=True)
    _soft_edges(shirt).save(photos / "shirt-softedge.png", optimize=True)
    with (folder / "demo.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in [*_people(), *_kolors(), *_more(), *_placed(), *_worn(), *_bad()])
    return folder / "demo.csv"


def _people() -> list[Row]:
    return [
        _row(name, shot, recipe, prompt, reference_uri=f"demo/{name}.png")
        for name in PEOPLE
        for shot, recipe, prompt in SHOTS
    ]


def _kolors() -> list[Row]:
    return [
        _row(name, f"books-{language}", KOLORS, prompt, reference_uri=f"demo/{name}.png")
        for name in READERS
        for language, prompt in LANGUAGES.items()
    ]


def _more() -> list[Row]:
    """Rows whose recipes look at pictures: of a face, of a look, to start from, of a pose."""
    portrait, look = "ip-adapter-plus-face-sd15", "ip-adapter-plus-sd15"
    prompt = "a person in a garden, soft light"
    return [
        _row("ada", "garden", portrait, prompt, reference_uri="demo/ada.png"),
        _row("hana", "garden", portrait, prompt, reference_uri="demo/hana.png"),
        _row("look", "market", look, "a person at a market", ip_adapter_image_uri="demo/look.png"),
        _row("look", "train", look, "a person in a train", ip_adapter_image_uri="demo/look.png",
             ip_adapter_scale="0.5"),
        _row("gia", "sea", SHOTS[1][1], "a person by the sea, morning sun", reference_uri="demo/gia.png",
             init_image_uri="demo/sea.png", strength="0.6"),
        _row("finn", "pose", "faceid-plusv2-sd15-controls", "a person dancing, full body, white background",
             reference_uri="demo/finn.png", control_pose_uri="demo/pose.png"),
    ]  # fmt: skip


def _placed() -> list[Row]:
    """Rows that say where the face is to be, how large and how turned; and one of each kind that they are kin to."""
    name, prompt = READERS[0], "a person in a red coat, city street, soft morning light"
    photo = {"reference_uri": f"demo/{name}.png"}
    rows = [_row(name, f"face-{shot}", PLACED, prompt, **photo, **place) for shot, place in PLACES.items()]
    return [
        *rows,
        _row("cleo", "far", PLACED, prompt, reference_uri="demo/cleo.png", face_box="0.4|0.1|0.6|0.35",
             face_pass="auto"),
        _row("dan", "points", POINTS, prompt, reference_uri="demo/dan.png"),
        _row("emi", "free", FREE, prompt, reference_uri="demo/emi.png"),
    ]  # fmt: skip


def _worn() -> list[Row]:
    """One product on several models: its cut-out is kept, its soft edges go on, the rest is made around it."""
    prompt = "a person in a striped shirt, market place, midday sun"
    return [
        _row(name, "shirt", PRODUCT, prompt, sku="04200", reference_uri=f"demo/{name}.png",
             init_image_uri="demo/shirt.png", control_softedge_uri="demo/shirt-softedge.png", face_box=COLLAR)
        for name in MODELS
    ]  # fmt: skip


def _bad() -> list[Row]:
    uris = {
        "no-face": "demo/no-face.png",
        "corrupt": "demo/corrupt.png",
        "forbidden": "http://169.254.169.254/latest/meta-data/face.png",
    }
    shot, recipe, prompt = SHOTS[0]
    common = {"sku": "09999", "person_id": "nobody", "shot": shot, "recipe": recipe, "prompt": prompt}
    return [Row(row_id=f"bad-{why}", reference_uri=uri, **common) for why, uri in uris.items()]


def _row(name: str, shot: str, recipe: str, prompt: str, sku: str = "", **columns: str) -> Row:
    """Of a person, or of the look; each has a product of its own unless `sku` says which."""
    sku = sku or f"{4100 + [*PEOPLE, 'look'].index(name):05d}"
    row_id, person_id = f"{name}-{shot}", name if name in PEOPLE else ""
    return Row(
        row_id=row_id, sku=sku, person_id=person_id, shot=shot, recipe=recipe, prompt=prompt,
        output_name=f"{sku}/{row_id}", **columns,
    )  # fmt: skip


def _pose(size_px: int) -> Image.Image:
    """Draw a stick figure on black, as ControlNets for poses are shown people."""
    image = Image.new("RGB", (size_px, size_px))
    pen = ImageDraw.Draw(image)
    for start, end, colour in BONES:
        ends = [tuple(size_px * share for share in JOINTS[name]) for name in (start, end)]
        pen.line(ends, fill=colour, width=size_px // 40)
    return image


def _shirt(size_px: int) -> Image.Image:
    """Draw a striped shirt as shops cut products out: opaque on nothing."""
    outline = [(size_px * x, size_px * y) for x, y in SHIRT]
    cut = Image.new("L", (size_px, size_px))
    ImageDraw.Draw(cut).polygon(outline, fill=255)
    cloth = Image.new("RGB", (size_px, size_px), "ivory")
    pen = ImageDraw.Draw(cloth)
    for top in range(0, size_px, size_px // 12):
        pen.rectangle((0, top, size_px, top + size_px // 32), fill="navy")
    cloth.putalpha(cut)
    return cloth


def _soft_edges(product: Image.Image) -> Image.Image:
    """Draw its edges white on black, soft as HED draws them."""
    on_black = Image.alpha_composite(Image.new("RGBA", product.size, "black"), product).convert("L")
    edges = on_black.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    return edges.point(lambda value: min(255, 2 * value)).convert("RGB")


if __name__ == "__main__":
    print(write_demo(Path(sys.argv[1])))  # noqa: T201
