"""Manifests of one lineage: the same address but for a date."""

import json

import pytest

from idgen.manifest.lineage import lineage, runs_of_lineage
from idgen.outputs.run_folder import RunFolder
from idgen.stores.local import LocalStore


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://shop/2026-11-30/shoes.parquet", "s3://shop/2026-12-01/shoes.parquet"),
        ("s3://shop/2026-12-01/", "s3://shop/2026-11-30"),
        ("s3://shop/2026/12/01/", "s3://shop/2027/01/15/"),
        ("/data/shoes-20261130.csv", "/data/shoes-20261201.csv"),
        ("/data/shoes_2026-11-30T02:00:00Z.csv", "/data/shoes_2026-12-01T02:00:05Z.csv"),
        ("/data/shoes-20261130-020000.csv", "/data/shoes-20261201-020103.csv"),
        ("/data/30.11.2026/shoes.csv", "/data/01.12.2026/shoes.csv"),
        ("/data/2026-11.csv", "/data/2026-12.csv"),
        ("/data/2026-W49.csv", "/data/2026-W50.csv"),
        ("/data/1764547200.csv", "/data/1764633600.csv"),
        ("s3://shop/year=2026/month=9/day=3/", "s3://shop/year=2026/month=12/day=14/"),
        ("s3://shop/date=2026-12-01/x.csv", "s3://shop/date=2026-12-02/x.csv"),
        ("https://shop/x.csv?sig=1", "https://user:word@shop/x.csv?sig=2"),
        ("my.csv", "my.csv"),
    ],
)
def test_a_date_makes_no_other_lineage(one, other):
    assert lineage(one) == lineage(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("shoes.csv", "shirts.csv"),
        ("s3://a/2026-12-01/x.csv", "s3://b/2026-12-01/x.csv"),
        ("/data/2026-12-01/shoes.csv", "/data/2026-12-01/shirts.csv"),
        ("/data/shop-1.csv", "/data/shop-2.csv"),
        ("/data/shop-12/2026-12-01.csv", "/data/shop-13/2026-12-01.csv"),
        ("/data/2026-12-01/1.csv", "/data/2026-12-01/2.csv"),
        ("/data/100234.csv", "/data/100235.csv"),
        ("/data/shop=1/x.csv", "/data/shop=2/x.csv"),
        ("/tmp/idgen-aa/single.parquet", "/tmp/idgen-bb/single.parquet"),
    ],
)
def test_anything_else_does(one, other):
    assert lineage(one) != lineage(other)


def test_runs_tell_their_manifests_when_they_end_and_when_they_are_killed(tmp_path):
    store = LocalStore(tmp_path)
    store.put("runs/ended/summary.json", json.dumps({"manifest": "/x/2026-11-01.csv"}).encode())
    RunFolder(store, "killed").write_config({"config": {"manifest": "/x/2026-11-02.csv"}})
    RunFolder(store, "other").write_config({"config": {"manifest": "/y/2026-11-02.csv"}})
    store.put("runs/mended/summary.json", b"[]")
    store.put("runs/mended/config.yaml", b"a: [")
    store.put("runs/odd/config.yaml", b"\xff\x00")
    names = ["ended", "killed", "other", "mended", "odd", "gone"]
    assert runs_of_lineage(store, names, "/x/2026-12-01.csv") == ["ended", "killed"]
    assert runs_of_lineage(store, names, "") == []
