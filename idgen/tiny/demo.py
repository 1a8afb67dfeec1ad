"""The demo's manifest and its photos: `python -m idgen.tiny.demo manifests` writes both.

Eight drawn people in three pictures each, and three rows that are made to fail: no face, a corrupt file and an
address that may not be fetched.
"""

import csv
import sys
from pathlib import Path

from PIL import Image

from idgen.tiny.people import Look, Person
from idgen.tiny.render import draw_portrait, draw_scene

PEOPLE = {"ada": 0, "ben": 3, "cleo": 4, "dan": 7, "emi": 8, "finn": 12, "gia": 19, "hana": 21}
PHOTO_PX = 320
LOOK_SEEDS_FROM = 1000

SHOTS = (
    ("street", "a person in a red coat, city street, soft morning light"),
    ("studio", "studio portrait in a white linen shirt, plain background"),
    ("beach", "a person in a blue summer dress on a beach, golden hour"),
)
COLUMNS = ("row_id", "sku", "person_id", "shot", "reference_uri", "prompt", "output_name")


def write_demo(folder: Path) -> Path:
    """Write `folder`/demo.csv and the photos in `folder`/demo/; return the manifest's path."""
    photos = folder / "demo"
    photos.mkdir(parents=True, exist_ok=True)
    for name, seed in PEOPLE.items():
        drawing = draw_portrait(Person.sample(seed), Look.sample(seed + LOOK_SEEDS_FROM, calm=True), PHOTO_PX)
        Image.fromarray(drawing.image).save(photos / f"{name}.png", optimize=True)
    landscape = draw_scene([], seed=5, width_px=PHOTO_PX, height_px=PHOTO_PX)
    Image.fromarray(landscape.image).save(photos / "no-face.png", optimize=True)
    whole = (photos / "ada.png").read_bytes()
    (photos / "corrupt.png").write_bytes(whole[: len(whole) // 3])
    with (folder / "demo.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_rows())
    return folder / "demo.csv"


def _rows() -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number, name in enumerate(PEOPLE):
        for shot, prompt in SHOTS:
            row_id, sku = f"{name}-{shot}", f"{4100 + number:05d}"
            rows.append((row_id, sku, name, shot, f"demo/{name}.png", prompt, f"{sku}/{row_id}"))
    bad = {
        "no-face": "demo/no-face.png",
        "corrupt": "demo/corrupt.png",
        "forbidden": "http://169.254.169.254/latest/meta-data/face.png",
    }
    rows += [(f"bad-{why}", "09999", "nobody", "street", uri, SHOTS[0][1], "") for why, uri in bad.items()]
    return rows


if __name__ == "__main__":
    print(write_demo(Path(sys.argv[1])))  # noqa: T201
