"""Copies under the shop's names: mended at the end of a run, whatever somebody deleted meanwhile."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from idgen.outputs import named
from idgen.outputs.named import NamedPicture, NamedSlot
from idgen.outputs.named import mend as mend_slots
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError

BEFORE = datetime.now(UTC) - timedelta(hours=1)


class Counted:
    """A store that notes who is asked for what, and lets a test break it."""

    def __init__(self, store, before=lambda name, path: None):
        self._store, self._before, self.asked = store, before, []

    def __getattr__(self, name):
        def call(path, *more):
            self.asked.append(name)
            self._before(name, path)
            return getattr(self._store, name)(path, *more)

        return call


def mend(store, pictures):
    """Mend names that show these pictures; return how many copies were made."""
    return mend_slots(store, [NamedSlot(shown=picture) for picture in pictures]).copied


def pictures(store, count):
    for number in range(count):
        store.put(f"images/{number}.png", b"image %06d" % number)
    return [
        NamedPicture(
            named_path=f"named/shop/{number}.png", image_path=f"images/{number}.png", image_bytes=12, finished_at=BEFORE
        )
        for number in range(count)
    ]


@pytest.fixture(params=["few", "many"])
def few(request, monkeypatch):
    """Both ways of looking."""
    if request.param == "many":
        monkeypatch.setattr(named, "FEW", 2)


def test_a_manifest_without_names_asks_the_store_nothing():
    store = Counted(None)
    assert mend(store, iter([])) == 0
    assert store.asked == []


def test_few_pictures_are_looked_at_one_by_one_and_many_in_one_listing(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "FEW", 5)
    store = LocalStore(tmp_path)
    wanted = pictures(store, 6)
    few = Counted(store)
    assert mend(few, iter(wanted[:5])) == 5
    assert sorted(few.asked) == ["copy"] * 5 + ["head"] * 5
    many = Counted(store)
    assert mend(many, iter(wanted)) == 1
    assert many.asked == ["list", "copy"]


def test_what_is_missing_of_another_size_or_older_is_copied(store, few):
    wanted = pictures(store, 6)
    assert mend(store, wanted) == 6
    store.delete(["named/shop/1.png"])
    store.put("named/shop/2.png", b"of another picture")
    store.put("named/stranger.png", b"x")
    newer = datetime.now(UTC) + timedelta(seconds=5)
    wanted[3] = NamedPicture(
        named_path="named/shop/3.png", image_path="images/0.png", image_bytes=12, finished_at=newer
    )
    assert mend(store, wanted) == 3
    assert [store.get(f"named/shop/{n}.png")[-1:] for n in range(6)] == [b"0", b"1", b"2", b"0", b"4", b"5"]
    assert store.get("named/stranger.png") == b"x"


def test_an_image_that_somebody_deleted_is_told_and_the_others_are_copied(store, few, caplog):
    wanted = pictures(store, 4)
    store.delete(["images/1.png"])
    assert mend(store, wanted) == 3
    assert "images/1.png is gone" in caplog.text
    assert "images missing: 1; run verify, then rerun with rerun.missing=true" in caplog.text


def test_a_copy_that_the_store_refuses_is_made_by_the_next_run(tmp_path, few, caplog):
    store = LocalStore(tmp_path)
    wanted = pictures(store, 4)

    def refuse(name, path):
        if name == "copy" and path == "images/2.png":
            raise StoreError("copy: the store answered SlowDown")

    assert mend(Counted(store, refuse), wanted) == 3
    assert "named/shop/2.png, the next run makes it" in caplog.text
    assert mend(store, wanted) == 1


def test_a_store_that_stays_away_is_not_asked_for_every_copy(tmp_path, few):
    store = LocalStore(tmp_path)
    wanted = pictures(store, 40)

    def refuse(name, path):
        if name == "copy":
            raise StoreError("away")

    away = Counted(store, refuse)
    assert mend(away, wanted) == 0
    assert away.asked.count("copy") == 20


def stored(store, name, data, finished_at=BEFORE, extension="png"):
    """An image and what its copy under the name `coat` would be."""
    path = f"images/{name}.{extension}"
    store.put(path, data)
    return NamedPicture(
        named_path=f"named/coat.{extension}",
        image_path=path,
        image_bytes=len(data),
        finished_at=finished_at,
        image_sha256=hashlib.sha256(data).hexdigest(),
    )


@pytest.fixture
def others(store, few):
    """Names beside the one that a test is about, so that both ways of looking are taken."""
    slots = [NamedSlot(shown=picture) for picture in pictures(store, 4)]
    mend_slots(store, slots)
    return slots


def test_a_hidden_picture_gives_way_to_the_one_before_it_also_of_equal_size(store, others):
    before, hidden = stored(store, "a", b"before"), stored(store, "b", b"hidden")
    store.copy(hidden.image_path, "named/coat.png")
    slot = NamedSlot(shown=before, hidden=(hidden,), exact=True, shows_newest=False)
    done = mend_slots(store, [*others, slot])
    assert (done.copied, done.withdrawn, done.missing) == (1, [], set())
    assert store.get("named/coat.png") == b"before"
    assert mend_slots(store, [*others, slot]).copied == 0


def test_a_copy_is_withdrawn_only_when_it_is_really_of_a_hidden_picture(store, others):
    hidden = stored(store, "b", b"hidden")
    slot = NamedSlot(shown=None, hidden=(hidden,))
    assert mend_slots(store, [*others, slot]).withdrawn == [], "there is no copy"
    store.put("named/coat.png", b"theirs")  # as many bytes
    assert mend_slots(store, [*others, slot]).withdrawn == []
    assert store.get("named/coat.png") == b"theirs"
    store.copy(hidden.image_path, "named/coat.png")
    assert mend_slots(store, [*others, slot]).withdrawn == ["named/coat.png"]
    assert store.head("named/coat.png") is None
    assert store.get(hidden.image_path) == b"hidden", "images stay"


def test_a_hidden_copy_of_another_format_goes_when_the_name_shows_something_else(store, others):
    shown, hidden = stored(store, "a", b"shown"), stored(store, "b", b"hidden", extension="webp")
    store.copy(hidden.image_path, "named/coat.webp")
    done = mend_slots(store, [*others, NamedSlot(shown=shown, hidden=(hidden,))])
    assert (done.copied, done.withdrawn) == (1, ["named/coat.webp"])
    assert store.get("named/coat.png") == b"shown"


def test_a_hidden_copy_goes_although_the_picture_before_it_is_lost(store, others):
    before, hidden = stored(store, "a", b"before"), stored(store, "b", b"hidden one")
    store.copy(hidden.image_path, "named/coat.png")
    store.delete([before.image_path])
    done = mend_slots(store, [*others, NamedSlot(shown=before, hidden=(hidden,))])
    assert (done.missing, done.withdrawn) == ({"named/coat.png"}, ["named/coat.png"])


def test_a_path_that_another_name_shows_is_not_withdrawn(store, others):
    one, other = stored(store, "a", b"picture"), stored(store, "b", b"picture")
    done = mend_slots(store, [*others, NamedSlot(shown=one), NamedSlot(shown=None, hidden=(other,))])
    assert (done.copied, done.withdrawn) == (1, [])
