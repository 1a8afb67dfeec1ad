"""A whole small job on real photographs with a real face pack; the pictures are noise, of the tiny world's weights."""

import io

import numpy as np
import pytest
import skimage.data
from doubles.catalogue import Catalogue
from PIL import Image

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SAME_PERSON = 2.0
"""Mean difference of two pictures, in levels, that only rounding parts: of one person, prompt and seed."""
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(256)


def uris(files, folder):
    """What the shop has: row_id -> its photos."""
    obama = Image.open(files["impostor_1"])
    sizes = {"upright": obama, "turned": obama.rotate(90, expand=True), "cup": Image.fromarray(skimage.data.coffee())}
    for name, image in sizes.items():
        image.save(folder / f"{name}.png")
    (folder / "phone.jpg").write_bytes(HEIC)
    jpeg = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise to be looked at
    obama.rotate(90, expand=True).save(jpeg, "JPEG", quality=98, subsampling=0, exif=exif)
    (folder / "exif.jpg").write_bytes(jpeg.getvalue())
    one = {name: [str(folder / name)] for name in ("upright.png", "turned.png", "exif.jpg", "cup.png", "phone.jpg")}
    several = {"same": ("person_a_1", "person_a_2"), "mixed": ("person_a_1", "impostor_1"), "other": ("impostor_2",)}
    return one | {name: [str(files[photo]) for photo in photos] for name, photos in several.items()}


def words(row):
    return {warning.partition(":")[0] for warning in row["warnings"] or []}


def test_a_shop_with_real_photos_gets_its_people_and_is_told_what_is_wrong(tmp_path, pack, files):
    shop = Catalogue(tmp_path)
    asked = uris(files, tmp_path)
    shop.write([{"row_id": name, "reference_uris": photos, "prompt": "a portrait", "seed": 7}
                for name, photos in asked.items()])  # fmt: skip
    face_pack = f"overrides.faceid-sd15.face_pack={{weights: {pack}, det_size_px: 640, det_threshold: 0.8}}"
    roots = ",".join({str(tmp_path), *(str(path.parent) for path in files.values())})
    shop.run(face_pack, f"sources.roots=[{roots}]")
    rows = shop.results()
    said = {name: row["code"] for name, row in rows.items() if row["code"]}
    assert said == {"cup.png": "no_face", "phone.jpg": "image_format"}
    assert "HEIC, as iPhones write it" in rows["phone.jpg"]["detail"]
    assert "photo_turned" in words(rows["turned.png"])
    assert "references_differ" in words(rows["mixed"])
    for name in ("upright.png", "exif.jpg", "same", "other"):
        assert not words(rows[name]) & {"photo_turned", "references_differ", "face_cut", "face_fills_frame"}

    def away(one, other):
        made = [np.asarray(Image.open(rows[name]["image_uri"].removeprefix("file://")), int) for name in (one, other)]
        return float(np.abs(made[0] - made[1]).mean())

    assert away("upright.png", "turned.png") < SAME_PERSON < away("upright.png", "other")
    assert away("upright.png", "exif.jpg") < away("upright.png", "other")
