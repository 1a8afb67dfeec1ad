"""The demo's manifest and its pictures: `python -m idgen.tiny.demo manifests` writes both.

Eight drawn people, each once with six recipes of the drawn world, prompts in the words that it was taught; some
asked for in English and in Chinese; faces moved, resized, turned, placed as in another photo and repainted; one
shirt on two models; a picture to start from; and three rows that are made to fail: no face, a corrupt file and an
address that may not be fetched.
"""

import csv
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from PIL import Image

from idgen.tiny.people import DrawnPerson, Look
from idgen.tiny.product import shirt
from idgen.tiny.render import draw_portrait, draw_scene

PEOPLE = {"ada": 0, "ben": 3, "cleo": 4, "dan": 7, "emi": 8, "finn": 12, "gia": 19, "hana": 21}
PHOTO_PX = 320
LOOK_SEEDS_FROM = 1000
FIRST_SEED = 301
"""Of seven that were tried the one with a face in every row that moves one; those of the people were not looked at."""

SHOTS = (
    ("city", "faceid-sd15", "portrait of a person in a red coat, smiling, on a city street"),
    ("beach", "faceid-plusv2-sd15", "portrait of a person in a white shirt, serious, on a beach"),
    ("mountains", "instantid", "portrait of a person in a green jacket, smiling, in the mountains"),
    ("night", "pulid-v1", "portrait of a person in a yellow sweater, smiling, at night"),
    ("meadow", "ecomid", "portrait of a person in a blue dress, serious, on a meadow"),
    ("forest", "kolors-faceid-plus", "肖像，一位身穿紫色毛衣的人，微笑，在森林里"),
)
"""Shot, recipe, prompt; every person in each of them."""
KOLORS, READERS = "kolors-faceid-plus", ("ada", "dan")
ENGLISH = "portrait of a person in a purple sweater, smiling, in a forest"
"""What the Chinese prompt says, for READERS once more."""
PLACED = "ecomid"
PLACES = {
    "left": {"face_box": "0.08|0.25|0.53|0.70"},
    "small": {"face_box": "0.52|0.20|0.92|0.60"},
    "turned": {"face_box": "0.28|0.25|0.72|0.69", "face_angle_deg": "25"},
    "posed": {"face_pose_uri": "demo/leaning.png"},
    "again": {"face_box": "0.30|0.20|0.70|0.60", "face_pass": "auto"},
}
"""Shot -> where the face of READERS[0] is to be, for the recipe PLACED; the last face is sampled again, larger."""

PRODUCT, MODELS = "ecomid-inpaint", ("ben", "hana")
"""Who wears the shirt, whose SKU their pictures have."""
COLLAR = "0.26|0.04|0.74|0.52"
"""Where their faces are to be, above the shirt."""


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
    seed: str = ""
    """Said, so that the pictures are the same wherever the checkout lies: a key has the photo's whole path in it."""
    init_image_uri: str = ""
    strength: str = ""
    face_pose_uri: str = ""
    face_box: str = ""
    face_angle_deg: str = ""
    face_pass: str = ""


def write_demo(folder: Path) -> Path:
    """Write `folder`/demo.csv and the pictures in `folder`/demo/; return the manifest's path."""
    photos = folder / "demo"
    photos.mkdir(parents=True, exist_ok=True)
    for name, seed in PEOPLE.items():
        _draw(seed, Look.sample(seed + LOOK_SEEDS_FROM, calm=True), photos / f"{name}.png")
    _draw(30, Look.sample(31, calm=True), photos / "look.png")
    aside = replace(Look.sample(32, calm=True), zoom=0.75, roll=-0.35, shift_x=0.1, shift_y=0.04, yaw=0.1)
    _draw(34, aside, photos / "leaning.png")
    shirt(PHOTO_PX).save(photos / "shirt.png", optimize=True)
    landscape = draw_scene([], seed=5, width_px=PHOTO_PX, height_px=PHOTO_PX)
    Image.fromarray(landscape.image).save(photos / "no-face.png", optimize=True)
    whole = (photos / "ada.png").read_bytes()
    (photos / "corrupt.png").write_bytes(whole[: len(whole) // 3])
    with (folder / "demo.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        rows = [*_people(), *_in_english(), *_placed(), *_worn(), *_begun(), *_bad()]
        writer.writerows(asdict(replace(row, seed=str(number))) for number, row in enumerate(rows, start=FIRST_SEED))
    return folder / "demo.csv"


def _draw(person: int, look: Look, path: Path) -> None:
    drawing = draw_portrait(DrawnPerson.sample(person), look, PHOTO_PX)
    Image.fromarray(drawing.image).save(path, optimize=True)


def _people() -> list[Row]:
    return [_row(name, shot, recipe, prompt) for name in PEOPLE for shot, recipe, prompt in SHOTS]


def _in_english() -> list[Row]:
    return [_row(name, "forest-en", KOLORS, ENGLISH) for name in READERS]


def _placed() -> list[Row]:
    prompt = "a person in a red coat, smiling, at sunset"
    return [_row(READERS[0], f"face-{shot}", PLACED, prompt, **place) for shot, place in PLACES.items()]


def _worn() -> list[Row]:
    """One product on several models: its cut-out is kept, the rest is made around it."""
    prompt = "portrait of a person in a white shirt, smiling, on a beach"
    columns = {"init_image_uri": "demo/shirt.png", "face_box": COLLAR}
    return [_row(name, "shirt", PRODUCT, prompt, sku="04200", **columns) for name in MODELS]


def _begun() -> list[Row]:
    """A picture of somebody else to start from: the meadow and the green shirt stay, the person does not."""
    _, recipe, _ = SHOTS[0]
    start = {"init_image_uri": "demo/look.png", "strength": "0.6"}
    return [_row("gia", "begun", recipe, "portrait of a person, smiling", **start)]


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
    """Of a person, each of whom wears a product of their own unless `sku` says which."""
    sku, row_id = sku or f"{4100 + [*PEOPLE].index(name):05d}", f"{name}-{shot}"
    return Row(
        row_id=row_id, sku=sku, person_id=name, shot=shot, recipe=recipe, prompt=prompt,
        reference_uri=f"demo/{name}.png", output_name=f"{sku}/{row_id}", **columns,
    )  # fmt: skip


if __name__ == "__main__":
    print(write_demo(Path(sys.argv[1])))  # noqa: T201
