import json

import pytest
from make_run import POINTS, RUN, Portraits, key_of, product_row, row, write_run
from test_gallery import report, values

from idgen.columns import COLUMNS, IMAGES
from idgen.report.inputs import ground_of, inputs_of
from idgen.report.thumbnails import photo_name

LOOK = json.dumps({"ip_adapter_image_uri": "https://shop.example/look.jpg"})
ON_BLACK = {"mask_image_uri", "control_pose_uri", "control_depth_uri", "control_canny_uri", "control_softedge_uri"}


def test_every_column_that_holds_a_picture_is_shown():
    pictures = {column.name for column in COLUMNS if column.name.endswith("_uri")}
    assert set(IMAGES) == pictures - {"reference_uri"}


def test_masks_and_maps_lie_on_black_and_photos_on_white():
    assert {column for column in IMAGES if ground_of(column) == "black"} == ON_BLACK


@pytest.mark.parametrize(
    "settings",
    [
        None,
        "",
        "{}",
        '{"scheduler": "ddim"}',
        '{"mask_image_uri": null}',
        '{"mask_image_uri"',
        '["mask_image_uri"]',
        '{"mask_image_uri": 5, "init_image_uri": ["a"]}',
    ],
)
def test_a_row_without_further_pictures_has_none(settings):
    assert inputs_of(settings) == {}


def test_the_pictures_of_a_product_row_come_in_the_order_they_are_shown(tmp_path):
    page = report(write_run(tmp_path, [product_row(3), row(4)]), references=Portraits())
    black = {"mask_image_uri", "control_softedge_uri"}
    expected = [
        [column, photo_name(f"s3://shop/{name}", "black" if column in black else "white")]
        for column, name in [
            ("face_pose_uri", "pose-3.jpg"), ("init_image_uri", "product-3.jpg"), ("mask_image_uri", "mask-3.png"),
            ("control_softedge_uri", "edges-3.png"),
        ]
    ]  # fmt: skip
    assert values(page, "inputs") == [expected, []]


def test_each_distinct_picture_is_read_once_on_the_ground_that_the_networks_see(tmp_path):
    given = {"init_image_uri": "s3://shop/p.png", "mask_image_uri": "s3://shop/m.png"}
    rows = [row(n, reference_uris=["s3://shop/p.png"], settings=json.dumps(given)) for n in range(5)]
    portraits = Portraits()
    report(write_run(tmp_path, rows), references=portraits)
    assert portraits.grounds == {"s3://shop/p.png": "white", "s3://shop/m.png": "black"}
    assert len(portraits.asked) == 2


def test_a_picture_that_is_a_map_here_and_a_photo_there_has_two_thumbnails(tmp_path):
    uri = "s3://shop/one.png"
    rows = [row(0, settings=json.dumps({"mask_image_uri": uri})), row(1, settings=json.dumps({"init_image_uri": uri}))]
    shown = values(report(write_run(tmp_path, rows), references=Portraits()), "inputs")
    assert len({thumb for ((_, thumb),) in shown} - {""}) == 2


def test_signed_addresses_of_all_inputs_are_used_and_never_reach_the_report(tmp_path):
    made = product_row(3)
    store, portraits = write_run(tmp_path, [made]), Portraits()
    plain = {"reference_uris": made["reference_uris"]} | {k: [v] for k, v in inputs_of(made["settings"]).items()}
    full = {column: [f"{uri}?X-Amz-Signature=CANARY" for uri in uris] for column, uris in plain.items()}
    page = report(store, references=portraits, addresses={made["key"]: full})
    assert sorted(portraits.asked) == sorted(uri for uris in full.values() for uri in uris)
    assert all(thumb for _, thumb in values(page, "inputs")[0])
    for info in store.list(f"runs/{RUN}/report/"):
        assert b"CANARY" not in store.get(info.path)
        assert "CANARY" not in info.path


def test_a_missing_picture_only_lacks_its_thumbnail_and_without_a_reader_there_are_none(tmp_path):
    rows = [product_row(3)]
    page = report(write_run(tmp_path / "a", rows), references=Portraits(missing=frozenset(["s3://shop/mask-3.png"])))
    thumbs = dict(values(page, "inputs")[0])
    assert [column for column, thumb in thumbs.items() if not thumb] == ["mask_image_uri"]
    bare = report(write_run(tmp_path / "b", rows))
    assert not any(thumb for _, thumb in values(bare, "inputs")[0])
    assert len(values(bare, "inputs")[0]) == 4


def test_a_picture_prompt_is_shown_beside_the_reference_and_without_one(tmp_path):
    rows = [
        row(0, reference_uris=[], settings=LOOK),
        row(1, reference_uris=["https://shop.example/face.jpg"], settings=LOOK),
        row(2, reference_uris=None),
    ]
    store, portraits = write_run(tmp_path, rows), Portraits()
    signed = "https://shop.example/look.jpg?sig=CANARY"
    full = {key_of(n): {"ip_adapter_image_uri": [signed]} for n in range(2)}
    page = report(store, references=portraits, addresses=full)
    assert sorted(portraits.asked) == ["https://shop.example/face.jpg", signed]
    look = [["ip_adapter_image_uri", photo_name("https://shop.example/look.jpg")]]
    assert values(page, "inputs") == [look, look, []]
    assert values(page, "reference_uris")[1] == ["https://shop.example/face.jpg"]


@pytest.mark.parametrize("points", [None, [], POINTS[:8], [float("nan"), *POINTS[1:]], [None, *POINTS[1:]]])
def test_points_that_are_not_five_are_not_drawn(tmp_path, points):
    assert values(report(write_run(tmp_path, [product_row(0, target_keypoints=points)])), "target_keypoints") == [None]


def test_points_and_what_the_face_pass_did_are_in_the_page(tmp_path):
    page = report(write_run(tmp_path, [product_row(0), row(1)]))
    assert values(page, "target_keypoints") == [POINTS, None]
    assert values(page, "face_pass_result") == ["done", ""]
    assert values(page, "face_similarity_before") == [0.412, None]
    assert values(page, "face_similarity") == [0.78, None]


@pytest.mark.parametrize(
    ("detail", "left_out"),
    [
        ("mask_image_uri: after 20 s", "s3://shop/mask-3.png"),
        ("after 20 s", "s3://people/model-03.jpg"),
        ("photo 1 of 1: after 20 s", "s3://people/model-03.jpg"),
    ],
)
def test_of_a_row_that_could_not_have_one_picture_the_others_are_shown(tmp_path, detail, left_out):
    made = product_row(3, status="failed", code="fetch_timeout", detail=detail, image_path="")
    portraits = Portraits()
    report(write_run(tmp_path, [made]), references=portraits)
    every = {*made["reference_uris"], *inputs_of(made["settings"]).values()}
    assert set(portraits.asked) == every - {left_out}
