"""Publishing: the order that makes a crash harmless, bounded memory, one row per picture whatever breaks."""

import hashlib
import io
import threading
import time

import numpy as np
import pytest
from doubles.pictures import SIGNATURES, finished, picture, pixels
from PIL import Image

from idgen.checks.picture import FinishedPicture
from idgen.config import ImagesConfig
from idgen.errors import Code, RowError
from idgen.outputs import ledger
from idgen.outputs.publisher import Publisher
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError


def publisher(store, published=lambda rows: None, part_patience_s=0.0, **images):
    return Publisher(
        store,
        run_id="run-1",
        shard="s00001",
        shard_try=0,
        images=ImagesConfig(**images),
        signature_parameters=SIGNATURES,
        published=published,
        part_patience_s=part_patience_s,
    )


def rows_of(store):
    return {row["row_id"]: row for row in ledger.dataset(store).to_table().to_pylist()}


class Watched:
    """A store that notes its changes in order, and lets a test break or slow them."""

    def __init__(self, store, before=lambda name, path: None):
        self._store, self._before, self.changes = store, before, []

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in ("put", "copy"):
            return method

        def change(*arguments, **options):
            path = arguments[-1] if name == "copy" else arguments[0]
            self._before(name, path)
            result = method(*arguments, **options)
            self.changes.append(path)
            return result

        return change


def test_a_batch_becomes_images_rows_and_copies(store):
    published = []
    batch = [picture(n, output_name=f"shop/item-{n}", num_images=2 if n == 1 else 1) for n in range(3)]
    target = publisher(store, published.append)
    target.submit(batch, [finished(n) for n in range(3)], "sample", 3.0)
    target.close()
    rows = rows_of(store)
    assert [row["row_id"] for row in published[0]] == ["row-0", "row-1", "row-2"]
    for n in range(3):
        row = rows[f"row-{n}"]
        assert (row["status"], row["code"], row["stage"], row["retriable"]) == ("ok", "", "publish", False)
        data = store.get(row["image_path"])
        assert row["image_path"] == f"images/{row['key'][:2]}/{row['key']}.png"
        assert (row["image_bytes"], row["image_sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert (row["width"], row["height"], row["seconds"], row["batch_rows"]) == (32, 48, 1.0, 3)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels(n))
    named = [found.path for found in store.list("named/")]
    assert named == ["named/shop/item-0.png", "named/shop/item-1_00.png", "named/shop/item-2.png"]
    assert store.get(named[0]) == store.get(rows["row-0"]["image_path"])


def test_the_rows_own_format_wins(store):
    target = publisher(store, format="webp")
    target.submit([picture(1, output_format="jpeg"), picture(2)], [finished(1), finished(2)], "sample", 1.0)
    target.close()
    rows = rows_of(store)
    assert rows["row-1"]["image_path"].endswith(".jpg")
    assert (rows["row-1"]["image_format"], rows["row-2"]["image_format"]) == ("jpeg", "webp")


def test_row_errors_become_rows(store):
    target = publisher(store)
    errors = [RowError(Code.NO_FACE, "of 0"), RowError(Code.FETCH_TIMEOUT, "60 s"), finished(3)]
    target.submit([picture(1), picture(2), picture(3)], errors, "faces", 0.0)
    target.close()
    rows = rows_of(store)
    found = [(rows[f"row-{n}"]["status"], rows[f"row-{n}"]["code"], rows[f"row-{n}"]["retriable"]) for n in (1, 2, 3)]
    assert found == [("rejected", "no_face", False), ("failed", "fetch_timeout", True), ("ok", "", False)]
    assert (rows["row-1"]["stage"], rows["row-1"]["detail"], rows["row-1"]["image_path"]) == ("faces", "of 0", "")


def test_one_image_that_cannot_be_written_fails_alone(store):
    key = picture(2)["key"]

    def refuse(name, path):
        if key in path:
            raise StoreError("put: the store answered SlowDown")

    target = publisher(Watched(store, refuse))
    target.submit([picture(n) for n in (1, 2, 3)], [finished(n) for n in (1, 2, 3)], "sample", 1.0)
    target.close()
    rows = rows_of(store)
    assert [rows[f"row-{n}"]["status"] for n in (1, 2, 3)] == ["ok", "failed", "ok"]
    assert (rows["row-2"]["code"], rows["row-2"]["retriable"], rows["row-2"]["stage"]) == (
        "store_failed",
        True,
        "publish",
    )


def test_a_picture_that_cannot_be_encoded_is_a_bug_of_its_own(store):
    target = publisher(store)
    target.submit([picture(1), picture(2)], [FinishedPicture(pixels(1).astype(float)), finished(2)], "sample", 1.0)
    target.close()
    assert [rows_of(store)[f"row-{n}"]["code"] for n in (1, 2)] == ["internal", ""]


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a//b", ".hidden", "a/.b", "a/b/c/d/e", "x" * 65, "%2e%2e/é", "a\0", "a\n", ""]
)
def test_no_name_leaves_its_folder(store, name, tmp_path):
    target = publisher(store)
    target.submit([picture(1, output_name=name)], [finished(1)], "sample", 1.0)
    target.close()
    row = rows_of(store)["row-1"]
    assert list(store.list("named/")) == []
    assert (row["status"], row["code"]) == (("ok", "") if name == "" else ("rejected", "bad_value"))


def test_images_come_before_the_part_and_the_part_before_the_names(store):
    watched = Watched(store)
    target = publisher(watched, publishers=1)
    batch = [picture(n, output_name=f"n{n}") for n in range(2)]
    target.submit(batch, [finished(n) for n in range(2)], "sample", 1.0)
    target.close()
    assert [path.split("/")[0] for path in watched.changes] == ["images", "images", "ledger", "named", "named"]


class Crash(BaseException):
    """The process dies here: nothing may catch it and carry on."""


# crash before the n-th change of a batch of two -> ledger rows, images, names that are there
CRASH_POINTS = [
    ("before the first image", 0, 0, 0, 0),
    ("between the images", 1, 0, 1, 0),
    ("between images and ledger part", 2, 0, 2, 0),
    ("between ledger part and names", 3, 2, 2, 0),
    ("between the names", 4, 2, 2, 1),
]


@pytest.mark.parametrize(
    ("where", "changes", "rows", "images", "names"), CRASH_POINTS, ids=[c[0] for c in CRASH_POINTS]
)
def test_a_crash_never_leaves_a_row_without_its_image(store, where, changes, rows, images, names):
    def die(name, path):
        if len(watched.changes) == changes:
            raise Crash

    watched = Watched(store, die)
    published = []
    batch = [picture(n, output_name=f"n{n}") for n in range(2)]
    first = publisher(watched, published.append, publishers=1)
    first.submit(batch, [finished(n) for n in range(2)], "sample", 1.0)
    with pytest.raises(Crash):
        first.close()
    assert published == []
    found = rows_of(store)
    assert len(found) == rows
    assert len(list(store.list("images/"))) == images
    assert len(list(store.list("named/"))) == names
    assert all(store.head(row["image_path"]).bytes == row["image_bytes"] for row in found.values())

    done = ledger.shard_keys(store, "run-1", "s00001")  # the next try
    left = [row for row in batch if row["key"] not in done]
    second = publisher(store, published.append)
    if left:
        second.submit(left, [finished(row["position"]) for row in left], "sample", 1.0)
    second.close()
    found = rows_of(store)
    assert len(found) == ledger.dataset(store).count_rows() == 2
    assert {found.path for found in store.list("images/")} == {row["image_path"] for row in found.values()}


def test_a_part_that_cannot_be_written_stops_the_shard(store):
    def away(name, path):
        if path.startswith("ledger/"):
            raise StoreError("put: the store answered SlowDown")

    watched, published = Watched(store, away), []
    target = publisher(watched, published.append)

    def sample():
        for number in range(50):
            target.submit([picture(number)], [finished(number)], "sample", 1.0)
            time.sleep(0.02)

    with pytest.raises(StoreError, match="SlowDown"):
        sample()
    with pytest.raises(StoreError, match="SlowDown"):
        target.close()
    assert published == []
    assert rows_of(store) == {}
    assert len(watched.changes) < 20  # and it did not go on writing images for nothing


def test_a_part_that_is_written_late_costs_nothing(store, caplog):
    refusals = iter([True, True])

    def away_for_a_while(name, path):
        if path.startswith("ledger/") and next(refusals, False):
            raise StoreError("put: the store answered SlowDown")

    published = []
    target = publisher(Watched(store, away_for_a_while), published.extend, part_patience_s=60)
    target.submit([picture(1)], [finished(1)], "sample", 1.0)
    target.close()
    assert [row["row_id"] for row in published] == list(rows_of(store)) == ["row-1"]
    assert caplog.text.count("s00001-0 not written yet") == 2


def test_patience_with_the_store_ends(store, caplog):
    def away(name, path):
        if path.startswith("ledger/"):
            raise StoreError("put: the store answered SlowDown")

    target = publisher(Watched(store, away), part_patience_s=1.5)
    began = time.monotonic()
    target.submit([picture(1)], [finished(1)], "sample", 1.0)
    with pytest.raises(StoreError, match="SlowDown"):
        target.close()
    assert 1.5 <= time.monotonic() - began < 10
    assert "trying again" in caplog.text


def test_a_copy_that_cannot_be_made_does_not_undo_the_picture(store):
    def no_copies(name, path):
        if name == "copy":
            raise StoreError("copy: the store answered SlowDown")

    published = []
    target = publisher(Watched(store, no_copies), published.append)
    target.submit([picture(1, output_name="a")], [finished(1)], "sample", 1.0)
    target.close()
    assert published[0][0]["status"] == "ok"


def test_what_the_callback_raises_is_raised(store):
    def callback(rows):
        raise RuntimeError("monitor gone")

    target = publisher(store, callback)
    target.submit([picture(1)], [finished(1)], "sample", 1.0)
    with pytest.raises(RuntimeError, match="monitor gone"):
        target.close()


def test_a_slow_store_holds_the_sampler_back(tmp_path):
    gate = threading.Event()
    target = publisher(Watched(LocalStore(tmp_path), lambda name, path: gate.wait(30)), publishers=2)
    submitted = []

    def sample():
        for number in range(10):
            target.submit([picture(number)], [finished(number)], "sample", 1.0)
            submitted.append(number)

    sampler = threading.Thread(target=sample)
    sampler.start()
    time.sleep(0.5)
    assert len(submitted) == 4  # two at work, two waiting, the fifth blocks
    gate.set()
    sampler.join(30)
    target.close()
    assert len(rows_of(LocalStore(tmp_path))) == 10


def test_two_threads_really_publish_at_once(tmp_path):
    together = threading.Barrier(2, timeout=20)

    def meet(name, path):
        if path.startswith("images/"):
            together.wait()

    target = publisher(Watched(LocalStore(tmp_path), meet), publishers=2)
    for number in range(2):
        target.submit([picture(number)], [finished(number)], "sample", 1.0)
    target.close()
    assert {row["status"] for row in rows_of(LocalStore(tmp_path)).values()} == {"ok"}


def test_no_signature_password_or_secret_is_ever_written(store):
    canary = "c4nary"
    signed = f"https://user:{canary}@photos.example/a.jpg?v=2&X-Amz-Signature={canary}&sig={canary}#{canary}"
    row = picture(
        1,
        reference_uri=signed,
        ip_adapter_image_uri=signed,
        face_pose_uri=signed,
        init_image_uri=signed,
        mask_image_uri=signed,
        control_pose_uri=signed,
        carried=f'{{"photo": "{signed}", "more": ["{signed}"], "deep": {{"x": "{signed}"}}}}',
        output_name="a",
    )
    other = picture(2, reference_uri=None, reference_uris=[signed, signed])
    failed = RowError(Code.FETCH_FAILED, f"GET {signed}: reset")
    for level in ("public", "full"):
        for image_format in ("png", "jpeg", "webp"):
            target = publisher(store, provenance=level, format=image_format)
            target.submit(
                [row, other, picture(3, reference_uri=signed)], [finished(1), finished(2), failed], "sample", 1.0
            )
            target.close()
    written = list(store.list(""))
    assert len(written) > 10
    for found in written:
        assert canary.encode() not in store.get(found.path), found.path
    text = "".join(str(part.to_pylist()) for part in ledger.dataset(store).to_batches())  # Parquet compresses
    assert canary not in text
    assert "https://photos.example/a.jpg?v=2" in text
