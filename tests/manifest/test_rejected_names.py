"""Copies of rejected pictures whose row moved on: another name, another key, no row at all. None stays published."""

import pyarrow.compute as pc
import pytest
from deciding import decide
from planning import Desk, row

from idgen.checks.looking import Findings
from idgen.manifest.verdicts import Force
from idgen.outputs import named
from idgen.outputs.named import mend
from idgen.outputs.verify import verify
from idgen.reviews.decisions import newest_decisions

HELD, FINE = Findings({}, (), "held"), Findings({}, (), "ok")


def content(picture):
    """Bytes of a picture, as many for each."""
    return f"{picture['key']} is its name, and no other's".encode()


@pytest.fixture
def shop(desk: Desk):
    """A desk with real images and copies."""
    desk.pixels = content
    return desk


@pytest.fixture(params=["few", "many"])
def looking(request, monkeypatch):
    """Both ways of looking at the copies."""
    if request.param == "many":
        monkeypatch.setattr(named, "FEW", 0)


def night(desk, rows, *, held=(), publish="not_held", **how):
    """A whole run; its pictures by row id, and what it withdrew."""
    desk.plan(rows, **how)
    pictures = {one["row_id"]: one for one in desk.pictures()}
    desk.make(found=lambda picture: HELD if picture["row_id"] in held else FINE)
    balance, _, _ = desk.results(mend=lambda slots: mend(desk.store, slots), publish=publish)
    return pictures, balance.withdrawn


def names(desk):
    """What each copy shows: the first of its picture's key."""
    return {found.path[6:]: desk.store.get(found.path)[:32].decode() for found in desk.store.list("named/")}


def verified(desk):
    decisions = newest_decisions(desk.store)
    rejected = decisions.filter(pc.equal(decisions["decision"], "rejected"))
    return verify(desk.store, rejected=rejected)


COAT, HAT = row(0, output_name="coat"), row(1, output_name="hat")


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"output_name": "new"}, {}),
        ({"num_images": 2}, {"coat_01.png"}),
        ({"output_name": None}, {}),
        ({"row_id": "renamed", "prompt": "other", "output_name": "new"}, {"new.png"}),
    ],
)
def test_a_row_that_moved_on_takes_its_rejected_copy_along(shop, changes, left):
    pictures, _ = night(shop, [COAT, HAT])
    decide(shop, "rejected", pictures["row-0"])
    assert verified(shop).names_rejected == ["named/coat.png"]
    moved = {name: value for name, value in (COAT | changes).items() if value is not None}
    _, withdrawn = night(shop, [moved, HAT])
    assert set(names(shop)) == {"hat.png", *left}
    assert withdrawn == 1
    found = verified(shop)
    assert (found.names_rejected, found.names_missing, found.names_unknown) == ([], [], [])


def test_a_row_that_is_gone_leaves_no_rejected_copy(shop, looking):
    pictures, _ = night(shop, [COAT, HAT])
    decide(shop, "rejected", pictures["row-0"])
    assert night(shop, [HAT])[1] == 1
    assert names(shop) == {"hat.png": pictures["row-1"]["key"]}
    assert night(shop, [HAT])[1] == 0, "told once"


def test_a_row_without_an_id_whose_new_picture_is_held_does_not_show_the_rejected_one(shop):
    nameless = row(0, row_id=None, output_name="coat")
    (old,) = night(shop, [nameless])[0].values()
    decide(shop, "rejected", old)
    shop.plan([nameless | {"prompt": "other"}])
    (new,) = shop.pictures()
    shop.make(found=lambda picture: HELD)
    balance, _, _ = shop.results(mend=lambda slots: mend(shop.store, slots))
    assert names(shop) == {}
    assert balance.withdrawn == 1
    decide(shop, "accepted", new)
    night(shop, [nameless | {"prompt": "other"}])
    assert names(shop) == {"coat.png": new["key"]}


def test_a_run_of_other_rows_gives_the_name_back_to_the_picture_before(shop):
    first = night(shop, [COAT, HAT])[0]["row-0"]
    second = night(shop, [COAT | {"prompt": "second"}, HAT])[0]["row-0"]
    assert names(shop)["coat.png"] == second["key"]
    decide(shop, "rejected", second)
    assert night(shop, [HAT])[1] == 0
    assert names(shop)["coat.png"] == first["key"]
    decide(shop, "rejected", first)
    assert night(shop, [HAT])[1] == 1
    assert set(names(shop)) == {"hat.png"}


def test_the_picture_before_whose_image_is_gone_does_not_save_the_rejected_copy(shop):
    first = night(shop, [COAT, HAT])[0]["row-0"]
    decide(shop, "rejected", night(shop, [COAT | {"prompt": "second"}, HAT])[0]["row-0"])
    shop.store.delete([f"images/{first['key'][:2]}/{first['key']}.png"])
    assert night(shop, [HAT])[1] == 1
    assert set(names(shop)) == {"hat.png"}


def test_a_name_that_shows_another_picture_meanwhile_stays_as_it_is(shop, looking):
    pictures, _ = night(shop, [COAT, HAT])
    decide(shop, "rejected", pictures["row-0"])
    other = night(shop, [HAT, row(2, output_name="coat")])[0]["row-2"]
    assert names(shop)["coat.png"] == other["key"]
    assert night(shop, [HAT])[1] == 0
    assert names(shop)["coat.png"] == other["key"], "as many bytes, but not the rejected picture"
    shop.store.put("named/coat.png", b"the shop's own file")
    assert night(shop, [HAT])[1] == 0
    assert shop.store.get("named/coat.png") == b"the shop's own file"


def test_a_name_that_was_deleted_by_hand_is_not_made_again_for_a_row_that_is_gone(shop):
    night(shop, [COAT, HAT])
    decide(shop, "rejected", night(shop, [COAT | {"prompt": "second"}, HAT])[0]["row-0"])
    shop.store.delete(["named/coat.png"])
    assert night(shop, [HAT])[1] == 0
    assert set(names(shop)) == {"hat.png"}


def test_a_replaced_picture_keeps_its_name_while_its_row_stays(shop):
    old = night(shop, [COAT, HAT])[0]["row-0"]
    decide(shop, "rejected", old)
    new = night(shop, [COAT, HAT], force=Force(cells={}))[0]["row-0"]
    assert names(shop)["coat.png"] == new["key"]
    for rows in ([COAT, HAT], [HAT]):
        assert night(shop, rows)[1] == 0
        assert names(shop)["coat.png"] == new["key"]
    assert verified(shop).names_rejected == verified(shop).names_old == []
