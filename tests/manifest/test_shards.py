from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planning import OTHER, RECIPE, SCHEDULERS, Desk, row

from idgen.config import PlannerConfig
from idgen.manifest import shards as shards_module
from idgen.manifest.shards import ShardRef, Sizes, cut, read_shard, sizes
from idgen.recipes.recipe import Control
from idgen.schemas import PICTURES
from idgen.stores.protocol import ObjectMissing, StoreError
from idgen.stores.s3 import S3Store


@pytest.mark.parametrize(
    ("seconds", "batch", "target"),
    [
        (2.0, 8, 56),
        (0.01, 8, 256),
        (100.0, 8, 8),
        (2.0, 7, 56),
        (2.0, 16, 48),
        (0.01, 300, 300),
        (60.0, 3, 6),
        (0.0, 8, 256),
    ],
)
def test_a_shard_is_two_minutes_of_work_in_whole_batches(seconds: float, batch: int, target: int):
    recipe = replace(RECIPE, seconds_per_picture=seconds, batch_size=batch)
    assert sizes(recipe, PlannerConfig(), 0).target == target
    assert sizes(recipe, PlannerConfig(), 1).target == max(8, min(256, int(120 / max(seconds, 1e-6))))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 16), st.integers(1, 8))
def test_cuts_lose_no_row_and_cost_no_batch(people: list[int], batch: int, batches: int):
    rows = sum(people)
    starts = np.zeros(rows, bool)
    starts[np.cumsum([0, *people[:-1]])] = True
    counts = cut(starts, Sizes(batch, 8, batch * batches))
    assert sum(counts) == rows
    assert all(0 < count <= batch * batches for count in counts)
    assert all(count % batch == 0 for count in counts[:-1])
    assert sum(-(-count // batch) for count in counts) == -(-rows // batch)


def test_a_cut_prefers_the_place_where_a_person_ends():
    starts = np.zeros(200, bool)
    starts[[0, 40, 100, 148]] = True
    assert cut(starts, Sizes(8, 8, 56)) == [40, 56, 56, 48]
    starts[:] = False
    assert cut(starts, Sizes(8, 8, 56)) == [56, 56, 56, 32]
    assert cut(starts[:0], Sizes(8, 8, 56)) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["faceid", "other"]), st.sampled_from([512, 640]), st.sampled_from(SCHEDULERS),
            st.sampled_from([None, 0.5]), st.integers(0, 4), st.integers(1, 20),
        ),
        min_size=1, max_size=12,
    ),
    st.sampled_from([7, 64, 16_384]),
)  # fmt: skip
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_shards_hold_every_picture_once_and_one_bucket_each(
    tmp_path_factory: pytest.TempPathFactory, asked, batch_rows
):
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.recipes = {
        "faceid": replace(RECIPE, seconds_per_picture=8.0),
        "other": replace(OTHER, seconds_per_picture=15.0),
    }
    rows = [
        row(i, recipe=recipe, width=width, scheduler=scheduler, lora_scale=lora, num_images=images,
            reference_uri=f"s3://photos/{person}.jpg")
        for i, (recipe, width, scheduler, lora, person, images) in enumerate(asked)
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("idgen.manifest.planner._SORT_BATCH_ROWS", batch_rows)
        patch.setattr(shards_module, "ROW_GROUPS_PER_FILE", 3)
        summary = desk.plan(rows)
    refs = desk.refs()
    tables = [read_shard(desk.store, ref) for ref in refs]
    pictures = [item for table in tables for item in table.to_pylist()]
    assert Counter((p["row_id"], p["image_index"]) for p in pictures) == Counter(
        (item["row_id"], index) for item in rows for index in range(item["num_images"])
    )
    assert summary.to_make == len(pictures) == sum(ref.rows for ref in refs)
    for ref, table in zip(refs, tables, strict=True):
        assert table.schema == PICTURES
        assert set(table["bucket"].to_pylist()) == {ref.bucket}
        assert set(table["load_group"].to_pylist()) == {ref.load_group}
        assert ref.rows <= 15
    groups = [ref.load_group for ref in refs]
    assert len([1 for a, b in pairwise(groups) if a != b]) == len(set(groups)) - 1
    order = [(p["recipe"], p["load_group"], p["bucket"], p["reference_uris"], p["prompt"]) for p in pictures]
    assert order == sorted(order)
    assert len({ref.name for ref in refs}) == len(refs)
    assert all(ref.row_group < 3 for ref in refs)


def test_rows_with_large_input_images_make_smaller_shards_of_whole_batches(desk: Desk):
    pose = Control(name="pose")
    columns = ["init_image_uri", "strength", "control_pose_uri"]
    fast = replace(RECIPE, seconds_per_picture=0.1, batch_size=4, columns=columns, controls=[pose])
    desk.recipes = {"faceid": fast}
    start, both = {"init_image_uri": "a.png"}, {"init_image_uri": "a.png", "control_pose_uri": "b.png"}
    images = [{}] * 100 + [start] * 100 + [both] * 100
    desk.plan([row(number, width=2048, height=2048, **given) for number, given in enumerate(images)])
    by_images: dict[int, list[int]] = {}
    for ref in desk.refs():
        brought = ref.bucket.count("init") + ref.bucket.count("pose")
        by_images.setdefault(brought, []).append(ref.rows)
    assert by_images == {0: [100], 1: [40, 40, 20], 2: [20] * 5}  # 12.6 MB each, 512 MiB a shard


def test_people_are_analysed_in_about_one_shard_each(desk: Desk):
    desk.plan([row(number, reference_uri=f"s3://photos/{number % 20}.jpg") for number in range(320)])
    seen = Counter(
        uri for ref in desk.refs() for uri in {r[0] for r in read_shard(desk.store, ref)["reference_uris"].to_pylist()}
    )
    assert len(seen) == 20
    assert sum(seen.values()) == 20  # 16 pictures each: two batches, so every cut falls between two people


def test_a_run_that_was_not_planned_has_no_shards(desk: Desk):
    with pytest.raises(ObjectMissing):
        shards_module.shards(desk.store, "nowhere")


def test_a_shard_that_the_store_does_not_give_is_the_stores_error(desk: Desk):
    desk.plan([row(1)])
    (ref,) = desk.refs()
    desk.store.put(ref.file, b"cut off")
    with pytest.raises(StoreError, match=ref.name):
        read_shard(desk.store, ref)
    desk.store.delete([ref.file])
    with pytest.raises(ObjectMissing, match=ref.name):
        read_shard(desk.store, ref)


def test_a_shard_in_a_bucket_that_is_away_is_the_stores_error(s3_bucket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="p-00000"):
        read_shard(S3Store(s3_bucket, "p"), ShardRef("runs/r/plan/shards-00000.parquet", 0, "p-00000", 1, "g", "b"))


def test_maps_and_lists_come_back_with_their_types(desk: Desk):
    scales = [("faceid", 0.5)]
    desk.plan([row(1, ip_adapter_scales=scales, face_box=[0.0, 0.25, 0.5, 1.0])])
    table = read_shard(desk.store, desk.refs()[0])
    assert table.schema.equals(PICTURES)
    assert table["ip_adapter_scales"].to_pylist() == [scales]
    assert pa.types.is_float32(table.schema.field("face_box").type.value_type)
