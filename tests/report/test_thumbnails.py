import logging
import threading
import time

import numpy as np
import pytest
from doubles.catalogue import PHOTOS
from doubles.slow_photos import scans_photo
from make_run import RUN, Portraits, picture, put_pictures, row, write_run
from PIL import Image

from idgen.config import SourcesConfig
from idgen.outputs.thumbnail import thumbnail_path
from idgen.report import thumbnails
from idgen.report.rows import read_results
from idgen.report.thumbnails import make_thumbnails, photo_name, photo_reader

FOLDER = f"runs/{RUN}/report/"


def made(store, references=None, **options):
    table = read_results(store, RUN, 1000).table
    return make_thumbnails(store, RUN, table, side_px=64, references=references, **options)


def files_of(store):
    refs = {info.path.removeprefix(FOLDER) for info in store.list(FOLDER)}
    return refs | {info.path for info in store.list("thumbs/")}


def test_each_picture_and_each_distinct_reference_gets_one_thumbnail(tmp_path):
    rows = [row(n) for n in range(30)]
    store, portraits = write_run(tmp_path, rows), Portraits()
    put_pictures(store, rows)
    names = made(store, portraits)
    with_image = {thumbnail_path(one["key"]) for one in rows if one["image_path"]}
    assert {name for name in names if name.startswith("thumbs/")} == with_image
    assert len({name for name in names if name.startswith("refs/")}) == 13 == len(portraits.asked)
    assert files_of(store) == names


def test_what_is_there_is_not_made_again(tmp_path):
    rows = [row(n) for n in range(12)]
    store, portraits = write_run(tmp_path, rows), Portraits()
    put_pictures(store, rows)
    first = made(store, portraits)
    asked, times = len(portraits.asked), {info.path: info.modified for info in store.list("")}
    assert made(store, portraits) == first == files_of(store)
    assert len(portraits.asked) == asked
    assert {info.path: info.modified for info in store.list("")} == times


def test_thumbnails_that_the_run_made_are_used_and_no_full_picture_is_read(tmp_path, monkeypatch):
    rows = [row(n) for n in range(6)]
    store = write_run(tmp_path, rows)
    put_pictures(store, rows)
    for one in rows[:4]:
        store.put(thumbnail_path(one["key"]), b"made in the run")
    read = []
    monkeypatch.setattr(store, "get", lambda path, get=store.get: read.append(path) or get(path))
    assert made(store) == {thumbnail_path(one["key"]) for one in rows}
    assert set(read) - {f"runs/{RUN}/results.parquet"} == {one["image_path"] for one in rows[4:]}
    assert store.get(thumbnail_path(rows[0]["key"])) == b"made in the run"


def test_of_many_pictures_one_listing_finds_the_thumbnails(tmp_path, monkeypatch):
    rows = [row(n) for n in range(9)]
    store = write_run(tmp_path, rows)
    put_pictures(store, rows)
    every = made(store)
    monkeypatch.setattr(thumbnails, "_HEADS", 3)
    monkeypatch.setattr(store, "head", lambda path: pytest.fail(f"asked for {path} alone"))
    assert made(store) == every


def test_pictures_that_are_gone_or_damaged_and_references_that_fail_only_lack_a_thumbnail(tmp_path, caplog):
    rows = [row(n) for n in range(4)]
    store = write_run(tmp_path, rows)
    put_pictures(store, rows)
    store.delete([rows[0]["image_path"]])
    store.put(rows[1]["image_path"], picture(1)[:200])
    missing = rows[2]["reference_uris"][0]
    with caplog.at_level(logging.WARNING):
        names = made(store, Portraits(missing=frozenset([missing])))
    assert {name for name in names if name.startswith("thumbs/")} == {thumbnail_path(rows[n]["key"]) for n in (2, 3)}
    assert photo_name(missing) not in names
    assert len(names) == 2 + 3
    assert [record.getMessage()[:9] for record in caplog.records] == ["report: 3"]
    assert missing not in caplog.text


@pytest.mark.parametrize("code", ["fetch_timeout", "worker_crashed"])
def test_references_that_the_run_could_not_fetch_or_that_ended_a_worker_are_not_asked_for_again(tmp_path, code):
    portraits = Portraits()
    made(write_run(tmp_path, [row(0, status="failed", code=code, image_path="")]), portraits)
    assert portraits.asked == []


def test_the_photo_without_a_face_is_shown(tmp_path):
    portraits = Portraits()
    assert made(write_run(tmp_path, [row(10)]), portraits) == {photo_name("s3://people/model-10.jpg")}


def test_without_a_reader_no_reference_is_touched(tmp_path):
    assert not [name for name in made(write_run(tmp_path, [row(0)])) if name.startswith("refs/")]


def test_after_the_deadline_no_thumbnail_is_begun(tmp_path):
    portraits = Portraits()
    assert made(write_run(tmp_path, [row(n) for n in range(20)]), portraits, deadline_s=-1.0) == set()
    assert portraits.asked == []


def test_once_a_stop_was_asked_for_no_thumbnail_is_begun(tmp_path):
    portraits = Portraits()
    store = write_run(tmp_path, [row(n) for n in range(20)])
    assert made(store, portraits, stopping=lambda: len(portraits.asked) >= 2) < set(photos_of(20))
    assert 2 <= len(portraits.asked) <= 2 + thumbnails.THREADS


def photos_of(count):
    return [photo_name(uri) for n in range(count) for uri in row(n)["reference_uris"]]


def test_no_more_than_the_stated_number_of_pictures_is_open_at_a_time(tmp_path):
    lock, now, most = threading.Lock(), [0], [0]

    def slow(uri, ground):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return np.zeros((64, 64, 3), np.uint8)

    rows = [row(n, image_path="", reference_uris=[f"s3://people/{n}.jpg"]) for n in range(40)]
    assert len(made(write_run(tmp_path, [r for r in rows if not r["code"]]), slow)) > 30
    assert 1 < most[0] <= thumbnails.THREADS


def test_a_key_that_is_no_file_name_makes_no_file(tmp_path):
    rows = [row(n, key=key, reference_uris=[]) for n, key in enumerate(["../../../../etc/passwd", "a/b", "", "ABC"])]
    store = write_run(tmp_path, rows)
    put_pictures(store, rows)
    assert made(store) == set()


@pytest.mark.parametrize("uri", ["http://169.254.169.254/latest", "file:///etc/passwd", "/etc/passwd", "gopher://x/"])
def test_hostile_addresses_are_refused_by_the_fetcher(tmp_path, uri):
    config = SourcesConfig()
    store = write_run(tmp_path, [row(0, reference_uris=[uri], image_path="")])
    with photo_reader(config) as reader:
        assert made(store, reader) == set()


def test_photos_below_the_runs_smallest_side_are_shown_all_the_same(tmp_path):
    photo = tmp_path / "small.png"
    Image.new("RGB", (40, 50), (9, 99, 199)).save(photo)
    config = SourcesConfig(roots=[str(tmp_path)])
    store = write_run(tmp_path / "out", [row(0, reference_uris=[str(photo)], image_path="")])
    with photo_reader(config) as reader:
        assert made(store, reader) == {photo_name(str(photo))}


def test_a_photo_that_takes_its_decoder_long_only_lacks_its_thumbnail(tmp_path):
    photos = tmp_path / "slow.jpg", tmp_path / "good.png"
    photos[0].write_bytes(scans_photo(6000))
    photos[1].write_bytes((PHOTOS / "ada.png").read_bytes())
    config = SourcesConfig(roots=[str(tmp_path)])
    rows = [row(n, reference_uris=[str(photo)], image_path="") for n, photo in enumerate(photos)]
    store = write_run(tmp_path / "out", rows)
    began_s = time.monotonic()
    with photo_reader(config, deadline_s=2.0) as reader:
        assert made(store, reader) == {photo_name(str(photos[1]))}
    assert time.monotonic() - began_s < 15
