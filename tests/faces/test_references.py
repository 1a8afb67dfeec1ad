import hashlib
import io
import threading
import time

import numpy as np
import pytest
from doubles.tiny_recipe import recipe
from PIL import Image

from idgen import schemas
from idgen.config import SourcesConfig
from idgen.errors import Code, RowError
from idgen.faces.analysis import Face
from idgen.faces.references import Identity, ReferenceReader, Request
from idgen.recipes.recipe import FacePack
from idgen.recipes.variants import needs

SOURCES = SourcesConfig(threads=3, warn_side_px=64)


def photo(number):
    """A PNG whose one colour tells which photo it is."""
    file = io.BytesIO()
    Image.new("RGB", (80, 80), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


class Store:
    """Photos by URI; counts who asked for what, and how many were out at a time."""

    def __init__(self, photos):
        self.photos = photos
        self.asked = []
        self.lock = threading.Lock()
        self.running = self.most_running = 0

    def fetch(self, uri):
        with self.lock:
            self.asked.append(uri)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(0.002)
        with self.lock:
            self.running -= 1
        found = self.photos[uri.partition("?")[0]]
        if isinstance(found, Exception):
            raise found
        return found


class Colours:
    """Stands in for the face pack: the embedding is the photo's colour; one thread only."""

    def __init__(self):
        self.seen = []
        self.thread = threading.get_ident()

    def analyse(self, rgb, face_select, *, embedding=True, photo=True):
        assert threading.get_ident() == self.thread
        number = int(rgb[0, 0, 0]) + 256 * int(rgb[0, 0, 1])
        self.seen.append((number, face_select))
        if face_select == "index:9":
            raise RowError(Code.FACE_INDEX_MISSING, "index:9 of 1 faces")
        if face_select == "bug":
            raise ZeroDivisionError("a prompt: secret")
        points = np.arange(10, dtype=np.float32).reshape(5, 2) + number
        embedding = np.full(512, number, dtype=np.float32)
        box = np.array([1, 2, 3, 4], dtype=np.float32) + number
        return Face(embedding, box, points, 0.5, 1, (80, 80), (f"note {number}",))


@pytest.fixture
def store():
    return Store({f"https://h/{n}.png": photo(n) for n in range(400)})


@pytest.fixture
def reader(store):
    colours = Colours()
    return ReferenceReader(store, lambda pack: colours, SOURCES)


def ask(*numbers, **settings):
    return Request(tuple(f"https://h/{n}.png" for n in numbers), **settings)


def test_each_distinct_reference_is_fetched_and_analysed_once(reader, store):
    requests = [ask(n % 10) for n in range(200)]
    identities = reader.read(requests)
    assert [int(identity.id_embedding[0]) for identity in identities] == [n % 10 for n in range(200)]
    assert reader.analyses == reader.fetches == len(store.asked) == 10


def test_a_photo_asked_for_two_faces_is_fetched_once_and_analysed_twice(reader, store):
    reader.read([ask(1), ask(1, face_select="best"), ask(1)])
    assert len(store.asked) == 1
    assert reader.analyses == 2


@pytest.mark.parametrize("name", ["sp", "st", "se", "Policy", "Expires"])
def test_two_photos_told_apart_by_a_signatures_companion_are_two_people(reader, store, monkeypatch, name):
    asked = {f"https://h/p?{name}=ada": photo(1), f"https://h/p?{name}=ben": photo(2)}
    fetched = []
    monkeypatch.setattr(store, "fetch", lambda uri: fetched.append(uri) or asked[uri])
    ada, ben = reader.read([Request((uri,)) for uri in asked])
    assert sorted(fetched) == sorted(asked)
    assert (ada.id_embedding[0], ben.id_embedding[0]) == (1, 2)


def test_the_next_shard_remembers(reader, store):
    first = reader.read([ask(1), ask(2)])
    second = reader.read([ask(2), ask(3), ask(1)])
    assert reader.analyses == len(store.asked) == 3
    assert (second[0].id_embedding == first[1].id_embedding).all()
    assert int(second[1].id_embedding[0]) == 3


def test_memory_of_old_references_is_bounded_in_bytes(store, monkeypatch):
    monkeypatch.setattr("idgen.faces.references.REMEMBERED_BYTES", 25_000)
    monkeypatch.setattr("idgen.sources.prefetch.REMEMBERED_BYTES", 3 * len(photo(1)))
    colours = Colours()
    reader = ReferenceReader(store, lambda pack: colours, SOURCES)
    reader.read([ask(n) for n in range(20)])
    reader.read([ask(19), ask(16)])
    assert (reader.analyses, reader.fetches) == (20, 20)
    reader.read([ask(0)])
    assert (reader.analyses, reader.fetches) == (21, 21)


def test_two_signatures_of_one_photo_are_one_photo(reader, store):
    identities = reader.read([Request((f"https://h/1.png?X-Amz-Signature={i}&v=1",)) for i in range(5)])
    assert len(store.asked) == reader.analyses == 1
    assert len({identity.id_embedding.tobytes() for identity in identities}) == 1


def test_what_decides_the_photo_keeps_photos_apart(reader, store):
    reader.read([Request((f"https://h/1.png?v={i}",)) for i in range(5)])
    assert len(store.asked) == 5


def test_several_references_become_one_identity_in_their_order(reader):
    (identity,) = reader.read([ask(3, 1, 2)])
    assert identity.id_embedding.dtype == np.float32
    assert identity.id_embedding.reshape(3, 512)[:, 0].tolist() == [3, 1, 2]
    assert identity.reference_box == [4, 5, 6, 7, 2, 3, 4, 5, 3, 4, 5, 6]
    assert [len(getattr(identity, name)) for name in ("reference_keypoints", "reference_size")] == [30, 6]
    assert identity.reference_digest == [hashlib.sha256(photo(n)).hexdigest() for n in (3, 1, 2)]
    assert identity.warnings == ["reference 1: note 3", "reference 2: note 1", "reference 3: note 2"]


def test_an_identity_has_the_fields_of_the_schema():
    assert [field.name for field in schemas.IDENTITY] == list(Identity.__dataclass_fields__)


def test_one_bad_photo_of_several_names_its_place(reader, store):
    store.photos["https://h/2.png"] = RowError(Code.REFERENCE_MISSING, "gone")
    (error,) = reader.read([ask(1, 2, 3)])
    assert (error.code, error.detail) == (Code.REFERENCE_MISSING, "reference 2 of 3: gone")


def test_a_bad_reference_costs_its_own_rows_only(reader, store):
    store.photos |= {
        "https://h/1.png": RowError(Code.FETCH_FAILED, "reset"),
        "https://h/2.png": b"<html>",
        "https://h/3.png": photo(3)[:60],
        "https://h/4.png": KeyError("a bug in a fetch"),
    }
    requests = [ask(n) for n in range(6)] + [ask(5, face_select="index:9"), ask(5, face_select="bug")]
    results = reader.read(requests)
    codes = [result.code if isinstance(result, RowError) else "" for result in results]
    assert codes == [
        "", Code.FETCH_FAILED, Code.IMAGE_FORMAT, Code.IMAGE_CORRUPT, Code.INTERNAL, "",
        Code.FACE_INDEX_MISSING, Code.INTERNAL,
    ]  # fmt: skip
    assert "secret" not in results[-1].detail


def test_only_lasting_failures_are_remembered(reader, store):
    store.photos |= {
        "https://h/1.png": RowError(Code.FETCH_FAILED, "reset"),
        "https://h/2.png": RowError(Code.REFERENCE_MISSING, "gone"),
    }
    reader.read([ask(1), ask(2)])
    store.photos |= {"https://h/1.png": photo(1), "https://h/2.png": photo(2)}
    again, gone = reader.read([ask(1), ask(2)])
    assert isinstance(again, Identity)
    assert gone.code == Code.REFERENCE_MISSING


def test_the_bytes_must_hash_to_what_the_manifest_says(reader):
    right = hashlib.sha256(photo(1)).hexdigest()
    results = reader.read(
        [ask(1, sha256s=(right,)), ask(1, sha256s=(right.upper(),)), ask(1, sha256s=("0" * 64,)), ask(1, sha256s=("",))]
    )
    assert [isinstance(result, Identity) for result in results] == [True, True, False, True]
    assert results[2].code == Code.SHA256_MISMATCH


def test_every_analysis_is_begun_and_ended_alone_under_its_digest(reader, store):
    store.photos["https://h/2.png"] = b"<html>"
    store.photos["https://h/3.png"] = RowError(Code.FETCH_FAILED, "reset")
    events = []
    requests = [ask(1, 2), ask(3), ask(1, face_select="bug")]
    reader.read(requests, begin=lambda d: events.append(("begin", d)), end=lambda d: events.append(("end", d)))
    one, two = reader.digests(requests[0])
    (bug,) = reader.digests(requests[2])
    assert events == [(event, digest) for digest in (one, bug, two) for event in ("begin", "end")]


def test_a_reference_that_was_given_up_is_neither_fetched_nor_begun(reader, store):
    begun = []
    (digest,) = reader.digests(ask(1))
    given_up = RowError(Code.WORKER_CRASHED, "died twice")
    results = reader.read([ask(1), ask(2), ask(2, 1)], begin=begun.append, skip={digest: given_up})
    assert results[0] is given_up
    assert isinstance(results[1], Identity)
    assert results[2].code == Code.WORKER_CRASHED
    assert store.asked == ["https://h/2.png"]
    assert digest not in begun


def test_a_face_pack_that_is_none_costs_the_glances_that_need_it_and_is_no_reason_to_fetch(store):
    good, bad = FacePack(weights="good"), FacePack(weights="bad")
    colours = Colours()

    def load(pack):
        if pack == bad:
            raise RowError(Code.WEIGHTS_UNUSABLE, "no recogniser")
        return colours

    reader = ReferenceReader(store, load, SOURCES)
    store.photos["https://h/4.png"] = RowError(Code.REFERENCE_MISSING, "4")
    given_up = ask(3, face_pack=bad)
    skip = {reader.digests(given_up)[0]: RowError(Code.WORKER_CRASHED, "died twice")}
    asked = [ask(1, face_pack=good), ask(2, face_pack=bad), given_up, ask(4, face_pack=good), ask(1, face_pack=bad)]
    asked.append(Request((), needs=needs(recipe("ip_adapter")), ip_adapter_image_uri="https://h/5.png"))
    together = reader.read(asked, skip=skip)
    ends = [getattr(result, "code", "") for result in together]
    assert ends == ["", "weights_unusable", "worker_crashed", "reference_missing", "weights_unusable", ""]
    assert together[1].detail == "no recogniser"
    assert sorted(store.asked) == ["https://h/1.png", "https://h/4.png", "https://h/5.png"]
    alone = [ReferenceReader(store, load, SOURCES).read([one], skip=skip)[0] for one in asked]
    assert [getattr(result, "code", "") for result in alone] == ends


def test_a_stop_leaves_the_rest_unread(reader, store, monkeypatch):
    monkeypatch.setattr("idgen.sources.prefetch.ASK_EVERY_S", 0.0)
    analysed = []
    results = reader.read(
        [ask(n) for n in range(100)], should_stop=lambda: len(analysed) >= 5, end=lambda d: analysed.append(d)
    )
    assert [result is None for result in results] == [False] * 5 + [True] * 95
    assert len(store.asked) <= 5 + 2 * SOURCES.threads


def test_photos_wait_in_memory_for_few_threads_only(reader, store):
    ahead = []

    def slow_analysis(digest):
        time.sleep(0.02)  # the fetching threads get as far ahead as they may
        ahead.append(len(store.asked) - len(ahead))

    reader.read([ask(n) for n in range(40)], begin=slow_analysis)
    assert store.most_running <= SOURCES.threads
    assert max(ahead) <= 2 * SOURCES.threads


def test_fetches_overlap(store):
    all_at_once = threading.Barrier(8)

    def fetch(uri):
        all_at_once.wait(60)  # one after another: broken
        return photo(1)

    store.fetch = fetch
    colours = Colours()
    read = ReferenceReader(store, lambda pack: colours, SourcesConfig(threads=8)).read([ask(n) for n in range(8)])
    assert len(read) == 8
    assert not any(isinstance(one, RowError) for one in read)


def test_hashes_that_are_not_one_a_photo_are_a_bug_of_the_caller(reader):
    with pytest.raises(ValueError, match="one for each reference"):
        reader.read([Request(("a", "b"), ("0" * 64,))])


def test_whether_to_stop_is_asked_twice_a_second_however_quick_the_photos_are(reader):
    asked, began = [], time.monotonic()
    reader.read([ask(n) for n in range(200)], should_stop=lambda: asked.append(1) or False)
    assert 1 <= len(asked) <= 1 + 2 * (time.monotonic() - began)


def test_a_stop_is_heard_while_every_fetch_hangs():
    class Hanging:
        def __init__(self):
            self.end = threading.Event()

        def fetch(self, uri):
            self.end.wait(20)
            raise RowError(Code.FETCH_TIMEOUT)

    source = Hanging()
    reader = ReferenceReader(source, lambda pack: None, SourcesConfig(threads=2))
    start = time.monotonic()
    asked = []

    def stopping():
        asked.append(1)
        return time.monotonic() - start > 0.3

    try:
        results = reader.read([Request((f"file:///{n}",)) for n in range(50)], stopping)
    finally:
        source.end.set()
    assert results == [None] * 50
    assert time.monotonic() - start < 3
    assert len(asked) <= 4
