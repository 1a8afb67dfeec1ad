"""What results.parquet says of decisions, of the pictures before, of near duplicates, and which names show what."""

from datetime import UTC, datetime, timedelta

import pytest
from deciding import decide
from planning import Desk, row

from idgen.checks.looking import Findings
from idgen.manifest.verdicts import Force
from idgen.outputs.named import Mended
from idgen.reviews.decisions import Decision, add_decisions

AGAIN = Force(cells={})
HELD, FINE = Findings({}, (), "held"), Findings({}, (), "ok")


def names_of(desk, **how):
    """Finish the run; return by name what it should show (its key, or None) and what it must not show."""
    found = {}

    def mend(slots):
        for slot in slots:
            paths = {one.named_path for one in (slot.shown, *slot.hidden) if one}
            shown = slot.shown.image_path[10:42] if slot.shown else None
            found["+".join(sorted(paths))] = (shown, [one.image_path[10:42] for one in slot.hidden])
        return Mended()

    balance, results, _ = desk.results(mend=mend, **how)
    return found, balance, results


def night(desk, rows, held=(), force=None):
    """Plan and make; `held` are row ids whose pictures gates hold. Return all pictures of the plan by row id."""
    desk.plan(rows, force=force)
    pictures = {one["row_id"]: one for one in desk.pictures()}
    desk.make(found=lambda picture: HELD if picture["row_id"] in held else FINE)
    return pictures


def test_results_tell_what_people_decided_and_count_it(desk: Desk):
    rows = [row(number) for number in range(5)]
    pictures = night(desk, rows, held=("row-0", "row-1", "row-4"))
    decide(desk, "rejected", pictures["row-0"], pictures["row-2"], by="tom", reason="wrong person")
    decide(desk, "accepted", pictures["row-1"])
    balance, results, _ = desk.results()
    assert [one["decision"] for one in results] == ["rejected", "accepted", "rejected", "", ""]
    assert [one["verdict"] for one in results] == ["held", "held", "ok", "ok", "held"]
    assert [one["status"] for one in results] == ["ok"] * 5
    assert (results[0]["decision_reason"], results[0]["decided_by"]) == ("wrong person", "tom")
    assert results[0]["decided_at"].tzinfo is not None
    assert results[3]["decided_at"] is None
    assert (balance.held, balance.held_new, balance.accepted, balance.rejected_by_review) == (1, 1, 1, 2)
    desk.plan(rows)
    balance, _, _ = desk.results()
    assert (balance.held, balance.held_new) == (1, 0), "made before: nothing was tried"


def test_warnings_on_pictures_are_counted_by_their_code(desk: Desk):
    rows = [row(number) for number in range(4)]
    told = {
        "row-0": ("no_face_found: nobody", "held: no face_similarity"),
        "row-1": ("no_face_found: nobody there", "no_face_found: nor there"),
        "row-2": ("sharpness_low: 3 is below 5",),
    }
    desk.plan(rows)
    desk.make(found=lambda picture: Findings({}, told.get(picture["row_id"], ()), "ok"))
    balance, _, _ = desk.results()
    assert balance.picture_warnings == {"held": 1, "no_face_found": 2, "sharpness_low": 1}
    desk.plan(rows)
    balance, _, _ = desk.results()
    assert balance.picture_warnings == {}, "this run made none"


def test_an_older_ledger_without_verdicts_is_not_held(desk: Desk):
    desk.plan([row(0, output_name="coat")])
    desk.make()
    names, balance, results = names_of(desk)
    assert balance.held == 0
    assert names == {"named/coat.png": (results[0]["key"], [])}


def test_what_stood_before_is_the_newest_other_picture_of_the_row(desk: Desk):
    first = night(desk, [row(0), row(1)])["row-0"]
    second = night(desk, [row(0, prompt="second"), row(1)])["row-0"]
    third = night(desk, [row(0, prompt="third"), row(1)])["row-0"]
    _, results, _ = desk.results()
    assert (results[0]["key"], results[0]["previous_key"]) == (third["key"], second["key"])
    assert results[0]["previous_image_path"] == f"images/{second['key'][:2]}/{second['key']}.png"
    assert (results[1]["previous_key"], results[1]["previous_image_path"]) == ("", "")
    night(desk, [row(0)])  # back to the first
    _, results, _ = desk.results()
    assert (results[0]["key"], results[0]["previous_key"]) == (first["key"], third["key"])


def test_a_row_of_another_manifest_with_the_same_id_is_not_what_stood_before(desk: Desk):
    desk.name = "shirts"
    night(desk, [row(0, prompt="shirt")])
    desk.name = "shoes"
    shoe = night(desk, [row(0, prompt="shoe")])["row-0"]
    _, results, _ = desk.results()
    assert results[0]["previous_key"] == ""
    night(desk, [row(0, prompt="other shoe")])
    _, results, _ = desk.results()
    assert results[0]["previous_key"] == shoe["key"], "of a manifest of the same name with another date"


def test_what_a_replaced_picture_stood_for_is_told_whatever_the_manifest_is_called(desk: Desk):
    rows = [row(0)]
    old = night(desk, rows)["row-0"]
    decide(desk, "rejected", old)
    desk.name = "renamed"
    night(desk, rows, force=AGAIN)
    _, results, _ = desk.results()
    assert results[0]["previous_key"] == old["key"]


def test_images_of_one_row_are_told_apart_by_their_hashes(desk: Desk):
    hashes = {0: "00000000000000ff", 1: "ffffffffffffffff", 2: "000000000000003f", 3: "fffffffffffffff8", 4: None}

    def found(picture):
        return Findings({"perceptual_hash": hashes[picture["image_index"]]}, (), "ok")

    desk.plan([row(0, num_images=5), row(1)])
    desk.make(found=found)
    _, results, _ = desk.results(near_bits=2)
    assert [one["near_duplicate_of"] for one in results] == [None, None, 0, None, None, None]
    _, results, _ = desk.results(near_bits=3)
    assert [one["near_duplicate_of"] for one in results] == [None, None, 0, 1, None, None]
    _, results, _ = desk.results(near_bits=64)
    assert [one["near_duplicate_of"] for one in results] == [None, 0, 0, 0, None, None]


NAMED = [row(number, output_name=f"n{number}") for number in range(3)]


@pytest.mark.parametrize(
    ("publish", "shown"),
    [("ok", ["n0", "n1", "n2"]), ("not_held", ["n0", "n2"]), ("accepted", [])],
)
def test_the_policy_says_what_gets_a_name(desk: Desk, publish, shown):
    pictures = night(desk, NAMED, held=("row-1",))
    names, _, results = names_of(desk, publish=publish)
    hidden = {"named/n1.png": (None, [pictures["row-1"]["key"]])} if publish != "ok" else {}
    by_name = {f"named/n{number}.png": (pictures[f"row-{number}"]["key"], []) for number in range(3)}
    assert names == {name: by_name[name] for name in by_name if name[6:8] in shown} | hidden
    assert [one["named_path"] for one in results] == [f"named/n{n}.png" if f"n{n}" in shown else "" for n in range(3)]


@pytest.mark.parametrize("publish", ["ok", "not_held", "accepted"])
def test_people_have_the_last_word(desk: Desk, publish):
    pictures = night(desk, NAMED, held=("row-1",))
    decide(desk, "accepted", pictures["row-1"], pictures["row-2"])
    decide(desk, "rejected", pictures["row-0"])
    names, _, _ = names_of(desk, publish=publish)
    assert names["named/n0.png"] == (None, [pictures["row-0"]["key"]])
    assert names["named/n1.png"] == (pictures["row-1"]["key"], [])
    assert names["named/n2.png"] == (pictures["row-2"]["key"], [])


def test_a_name_keeps_the_picture_before_until_the_new_one_may_be_shown(desk: Desk):
    old = night(desk, NAMED[:1])["row-0"]
    decide(desk, "accepted", old)
    changed = [NAMED[0] | {"prompt": "changed"}]
    new = night(desk, changed, held=("row-0",))["row-0"]
    names, balance, results = names_of(desk)
    assert names == {"named/n0.png": (old["key"], [new["key"]])}
    assert (balance.held, results[0]["named_path"], results[0]["previous_key"]) == (1, "", old["key"])
    decide(desk, "accepted", new)
    names, _, results = names_of(desk)
    assert names == {"named/n0.png": (new["key"], [])}
    assert results[0]["named_path"] == "named/n0.png"


def test_a_changed_picture_waits_for_its_acceptance(desk: Desk):
    old = night(desk, NAMED[:1])["row-0"]
    decide(desk, "accepted", old)
    new = night(desk, [NAMED[0] | {"prompt": "changed"}])["row-0"]
    assert names_of(desk, publish="accepted")[0] == {"named/n0.png": (old["key"], [])}
    assert names_of(desk, publish="not_held")[0] == {"named/n0.png": (new["key"], [])}


def test_a_rejected_picture_gives_its_name_back_and_then_to_what_takes_its_place(desk: Desk):
    oldest = night(desk, NAMED[:1])["row-0"]
    changed = [NAMED[0] | {"prompt": "changed"}]
    rejected = night(desk, changed)["row-0"]
    decide(desk, "rejected", rejected)
    desk.plan(changed)
    assert names_of(desk)[0] == {"named/n0.png": (oldest["key"], [rejected["key"]])}
    desk.plan(changed, force=AGAIN)
    assert names_of(desk)[0] == {"named/n0.png": (oldest["key"], [rejected["key"]])}, "not made yet"
    desk.make()
    (new,) = desk.pictures()
    assert names_of(desk)[0] == {"named/n0.png": (new["key"], [rejected["key"]])}


def test_a_replacement_without_a_row_id_falls_back_along_what_it_replaces(desk: Desk):
    rows = [row(0, row_id=None, output_name="n0")]
    seen = []
    for force in (None, AGAIN, AGAIN):
        desk.plan(rows, force=force)
        (picture,) = desk.pictures()
        desk.make()
        seen.append(picture)
        decide(desk, "rejected", picture)
    desk.plan(rows)
    shown, hidden = names_of(desk)[0]["named/n0.png"]
    assert shown is None
    assert sorted(hidden) == sorted(one["key"] for one in seen)
    decide(desk, "accepted", seen[0])
    assert names_of(desk)[0]["named/n0.png"][0] == seen[0]["key"]


def test_another_rows_picture_is_never_shown_instead(desk: Desk):
    night(desk, [row(0, output_name="coat"), row(1, output_name="hat")])
    moved = night(desk, [row(1, output_name="coat", prompt="new")], held=("row-1",))["row-1"]
    assert names_of(desk)[0] == {"named/coat.png": (None, [moved["key"]])}, "row-1 never had that name before"


def test_an_acceptance_of_pixels_that_were_replaced_does_not_count(desk: Desk):
    (old,) = night(desk, NAMED[:1]).values()
    add_decisions(
        desk.store,
        [Decision(key=old["key"], row_id="row-0", decision="accepted", reason="", decided_at=datetime.now(UTC))],
        "mara",
    )
    assert names_of(desk, publish="accepted")[0] == {"named/n0.png": (old["key"], [])}
    desk.plan(NAMED[:1], force=Force(everything=True))
    desk.make(found=lambda picture: Findings({}, ("image_replaced: other pixels",), "ok"))
    names, balance, results = names_of(desk, publish="accepted")
    assert (names, results[0]["decision"], balance.images_replaced, balance.accepted) == ({}, "", 1, 0)
    later = datetime.now(UTC) + timedelta(seconds=5)
    add_decisions(
        desk.store, [Decision(key=old["key"], row_id="", decision="accepted", reason="", decided_at=later)], "mara"
    )
    assert names_of(desk, publish="accepted")[0] == {"named/n0.png": (old["key"], [])}


def test_a_copy_that_could_not_be_made_is_not_told_as_there(desk: Desk):
    night(desk, NAMED)

    def mend(slots):
        return Mended(copied=len(list(slots)) - 1, missing={"named/n1.png"}, withdrawn=["named/x.png"])

    balance, results, _ = desk.results(mend=mend)
    assert [one["named_path"] for one in results] == ["named/n0.png", "", "named/n2.png"]
    assert balance.withdrawn == 1
