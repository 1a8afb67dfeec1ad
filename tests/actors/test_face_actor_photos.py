"""The face actor on rows of EcomID: product photo, mask, face in its place; all of it, and each fault. No Ray."""

import numpy as np
import pytest
from PIL import Image
from test_face_actor import FACEID_PLUS, MODEL_PHOTO, Faces, crops, image, photo, picture

from idgen.faces.keypoints import angle_deg, draw


@pytest.fixture
def faces(tmp_path):
    return Faces(tmp_path)


def product(tmp_path):
    """A cut-out: an opaque square in the middle of nothing, and a mask that says the same."""
    layered = np.zeros((128, 128, 4), np.uint8)
    layered[32:96, 32:96] = (10, 200, 30, 255)
    Image.fromarray(layered).save(tmp_path / "cut-out.png")
    Image.fromarray(layered[..., 3]).save(tmp_path / "mask.png")
    return {"init_image_uri": str(tmp_path / "cut-out.png"), "control_inpaint_scale": 0.5}


IDENTITY = {"controlnet_conditioning_scale": 0.8, "face_fit": "cover"}


def test_a_row_with_everything_gets_crop_points_drawing_photo_mask_and_map(faces, tmp_path):
    asked = {
        **product(tmp_path), **IDENTITY, "mask_image_uri": str(tmp_path / "mask.png"), "mask_mode": "keep_white",
        "control_softedge_uri": photo("cleo"), "control_softedge_scale": 0.6, "face_pose_uri": photo("ben"),
        "face_box": [0.0, 0.0, 0.5, 0.5], "face_fit": "place", "face_angle_deg": -10.0, "paste_back": True,
        "face_pass": "auto", "strength": 0.9, "width": 192, "height": 128,
    }  # fmt: skip
    full, plain = faces.rows(picture(1, MODEL_PHOTO, "ada", **asked), picture(2, MODEL_PHOTO, "ada", **IDENTITY))
    assert [row["code"] for row in (full, plain)] == ["", ""]
    assert dict(full["images"]).keys() == {
        "init_image_uri", "mask_image_uri", "control_softedge_uri", "face_keypoints"
    }  # fmt: skip
    assert [column for column, _ in plain["images"]] == ["face_keypoints"]
    assert all(image(full, column).size == (192, 128) for column, _ in full["images"])
    points = np.array(full["target_keypoints"]).reshape(5, 2)
    assert np.array_equal(np.asarray(image(full, "face_keypoints")), draw(points, (192, 128)))
    assert angle_deg(points) == pytest.approx(-10.0, abs=1e-3)
    assert (points.max(axis=0) < [115, 80]).all()  # in the upper left quarter, but for the turn
    mask, start = np.asarray(image(full, "mask_image_uri")), np.asarray(image(full, "init_image_uri"))
    assert (mask[64, 96], mask[0, 0]) == (0, 255)
    assert start[64, 96].tolist() == [10, 200, 30]
    assert full["id_embedding"] == plain["id_embedding"]
    assert full["target_keypoints"] != plain["target_keypoints"]
    assert crops(full, MODEL_PHOTO)[0].shape == (512, 512, 3)
    assert faces.counts == (2, 5)


def test_a_cut_out_is_its_own_mask_and_rows_without_a_product_have_none(faces, tmp_path):
    alpha, masked = faces.rows(
        picture(1, MODEL_PHOTO, "ada", **product(tmp_path), **IDENTITY),
        picture(
            2, MODEL_PHOTO, "ada", **product(tmp_path), **IDENTITY,
            mask_image_uri=str(tmp_path / "mask.png"), mask_mode="keep_white",
        ),
    )  # fmt: skip
    assert dict(alpha["images"])["mask_image_uri"] == dict(masked["images"])["mask_image_uri"]
    assert alpha["warnings"] == [note for note in masked["warnings"] if "transparency" not in note]


def test_in_recipes_without_the_nets_an_image_to_start_from_has_no_mask_and_no_face_is_drawn(faces, tmp_path):
    (row,) = faces.rows(picture(1, FACEID_PLUS, "ada", init_image_uri=product(tmp_path)["init_image_uri"]))
    assert [column for column, _ in row["images"]] == ["init_image_uri"]
    assert row["target_keypoints"] is None


def test_codes_of_the_new_columns_stand_on_their_own_rows(faces, tmp_path):
    opaque = {**product(tmp_path), "init_image_uri": photo("ben")}
    swapped = [0.6, 0.3, 0.4, 0.3, 0.5, 0.4, 0.58, 0.5, 0.42, 0.5]
    rows = faces.rows(
        picture(1, MODEL_PHOTO, "ada", **IDENTITY),
        picture(2, MODEL_PHOTO, "ada", **IDENTITY, face_pose_uri=photo("no-face")),
        picture(3, MODEL_PHOTO, "ada", **IDENTITY, face_keypoints=swapped),
        picture(4, MODEL_PHOTO, "ada", **IDENTITY, face_pose_uri=photo("absent")),
        picture(5, MODEL_PHOTO, "no-face", **IDENTITY, face_pose_uri=photo("ben")),
        picture(6, MODEL_PHOTO, "ada", **IDENTITY),
    )
    assert [(row["code"], row["detail"].partition(":")[0]) for row in rows] == [
        ("", ""), ("no_face", "face_pose_uri"), ("bad_value", "face_keypoints"),
        ("reference_missing", "face_pose_uri"), ("no_face", rows[4]["detail"]), ("", ""),
    ]  # fmt: skip
    (row,) = faces.rows(picture(7, MODEL_PHOTO, "ada", **opaque, **IDENTITY))
    assert (row["code"], row["detail"].partition(":")[0]) == ("missing_value", "mask_image_uri")


def test_rows_that_want_the_face_in_one_place_share_the_bytes_of_the_drawing(faces):
    sized = IDENTITY | {"width": 512, "height": 512}
    one = faces.table([picture(1, MODEL_PHOTO, "ada", **sized)])
    many = faces.table([picture(n, MODEL_PHOTO, "ada", **sized) for n in range(40)])
    assert many.nbytes < one.nbytes + 40 * 8_000
    assert many["images"].to_pylist() == one["images"].to_pylist() * 40
