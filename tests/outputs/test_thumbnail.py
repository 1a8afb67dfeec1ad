"""Thumbnails that publishers write in the run: small, clean, and never the reason for anything else."""

import io

import numpy as np
import pytest
from doubles.pictures import SIGNATURES, finished, picture
from PIL import Image
from test_publisher import Watched, rows_of

from idgen.config import ImagesConfig
from idgen.outputs.publisher import Publisher
from idgen.outputs.thumbnail import encode_thumbnail, thumbnail_path, write_thumbnail
from idgen.outputs.verify import verify
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError


def publish(store, count=3, thumbnail_px=24):
    target = Publisher(
        store,
        run_id="run-1",
        shard="s",
        shard_try=0,
        images=ImagesConfig(),
        signature_parameters=SIGNATURES,
        published=lambda rows: None,
        part_patience_s=0.0,
        thumbnail_px=thumbnail_px,
    )
    target.submit([picture(n) for n in range(count)], [finished(n) for n in range(count)], "sample", 1.0)
    target.close()
    return [picture(n)["key"] for n in range(count)]


def test_every_picture_has_its_thumbnail_when_its_ledger_row_is_there_and_verify_knows_no_orphan(store):
    watched = Watched(store)
    keys = publish(watched)
    for key in keys:
        with Image.open(io.BytesIO(store.get(f"thumbs/{key[:2]}/{key}.webp"))) as small:
            assert (small.format, small.size) == ("WEBP", (24, 36))
        order = [path.partition("/")[0] for path in watched.changes if key in path]
        assert order == ["images", "thumbs"]
    assert watched.changes[-1].startswith("ledger/")
    found = verify(store)
    assert found.sound
    assert found.orphans == found.names_unknown == []


def test_a_store_that_takes_no_thumbnail_costs_only_the_thumbnail(tmp_path, caplog):
    def broken(name, path):
        if path.startswith("thumbs/"):
            raise StoreError("the store answered 503")

    store = LocalStore(tmp_path)
    publish(Watched(store, broken))
    assert {row["status"] for row in rows_of(store).values()} == {"ok"}
    assert list(store.list("thumbs/")) == []
    assert caplog.text.count("no thumbnail of") == 3


@pytest.mark.parametrize("way", ["none are made", "none can be written"])
def test_a_thumbnail_of_a_replaced_picture_goes_when_no_new_one_comes(tmp_path, way):
    def broken(name, path):
        if name == "put" and path.startswith("thumbs/") and way == "none can be written":
            raise StoreError("the store answered 503")

    store = LocalStore(tmp_path)
    first, second = publish(store, 2)
    store.put(picture_path := f"images/{first[:2]}/{first}.png", store.get(f"images/{second[:2]}/{second}.png"))
    publish(Watched(store, broken), 2, thumbnail_px=24 if way == "none can be written" else 0)
    assert store.get(picture_path) != store.get(f"images/{second[:2]}/{second}.png")
    assert [found.path for found in store.list("thumbs/")] == [f"thumbs/{second[:2]}/{second}.webp"]


def test_without_a_gallery_there_are_no_thumbnails(tmp_path):
    publish(LocalStore(tmp_path), thumbnail_px=0)
    assert list(LocalStore(tmp_path).list("thumbs/")) == []


@pytest.mark.parametrize("key", ["../../../../etc/passwd", "a/b", "", "ABC", "0" * 500])
def test_a_key_that_is_no_file_name_makes_no_file(tmp_path, key):
    assert thumbnail_path(key) == ""
    write_thumbnail(LocalStore(tmp_path), key, np.zeros((8, 8, 3), np.uint8), 4)
    assert list(LocalStore(tmp_path).list("")) == []


def test_a_thumbnail_keeps_the_proportions_and_nothing_else_of_its_source():
    source = Image.new("RGBA", (800, 1200), (200, 30, 40, 255))
    source.info["exif"] = b"Exif\0\0GPS CANARY"
    source.info["comment"] = b"CANARY"
    data = encode_thumbnail(source, 256)
    assert b"CANARY" not in data
    with Image.open(io.BytesIO(data)) as small:
        assert (small.format, small.size, dict(small.getexif())) == ("WEBP", (256, 384), {})
