"""Other pictures in the place of rejected ones: ordered once, followed by every later plan, the same whoever asks."""

import time

import pytest
from deciding import decide
from planning import Desk, row

from idgen.errors import Exit, RunError
from idgen.manifest.keys import replacement_seed
from idgen.manifest.ordering import checked_cells, settable
from idgen.manifest.verdicts import Force
from idgen.reviews.orders import read_orders

AGAIN = Force(cells={})


def made(desk, rows, **how):
    """Plan, make everything, and return the pictures by row and index."""
    desk.plan(rows, **how)
    pictures = {(one["row_id"], one["image_index"]): one for one in desk.pictures()}
    desk.make()
    return pictures


def test_only_rejected_pictures_are_made_again_each_with_a_new_seed(desk: Desk):
    rows = [row(number) for number in range(4)]
    first = made(desk, rows)
    decide(desk, "rejected", first["row-1", 0], first["row-2", 0])
    decide(desk, "accepted", first["row-0", 0], first["row-2", 0])
    summary = desk.plan(rows, force=AGAIN)
    assert (summary.asked, summary.to_make, summary.ordered) == (1, 1, 1)
    (new,) = desk.pictures()
    old = first["row-1", 0]
    assert (new["row_id"], new["replaces"], new["prompt"]) == ("row-1", old["key"], old["prompt"])
    assert new["seed"] == replacement_seed(old["key"]) != old["seed"]
    assert 0 <= new["seed"] < 2**63
    assert new["key"] not in {one["key"] for one in first.values()}


def test_every_later_plan_asks_for_what_took_the_place(desk: Desk):
    rows = [row(number) for number in range(3)]
    old = made(desk, rows)["row-1", 0]
    decide(desk, "rejected", old)
    new = made(desk, rows, force=AGAIN)["row-1", 0]
    assert desk.plan(rows).skipped == {"ok": 3}
    _, results, _ = desk.results()
    assert [one["key"] for one in results][1] == new["key"]
    assert (results[1]["replaces"], results[1]["previous_key"]) == (old["key"], old["key"])
    again = desk.plan(rows, force=AGAIN)
    assert (again.asked, again.ordered) == (0, 0), "what took its place is made and nobody rejected it"


def test_a_picture_that_is_accepted_after_its_order_stays_and_a_later_rejection_brings_the_order_back(desk: Desk):
    rows = [row(number) for number in range(2)]
    old = made(desk, rows)["row-1", 0]
    decide(desk, "rejected", old)
    desk.plan(rows, force=AGAIN)
    ordered = desk.keys()
    decide(desk, "accepted", old)
    assert desk.plan(rows).to_make == 0
    _, results, _ = desk.results()
    assert (results[1]["key"], results[1]["decision"]) == (old["key"], "accepted")
    decide(desk, "rejected", old)
    assert desk.plan(rows).to_make == 1
    assert desk.keys() == ordered


def test_a_kill_after_the_order_loses_nothing(desk: Desk):
    rows = [row(number) for number in range(3)]
    decide(desk, "rejected", made(desk, rows)["row-2", 0])
    desk.plan(rows, force=AGAIN)
    ordered = desk.keys()
    orders = read_orders(desk.store)
    assert desk.plan(rows, force=AGAIN).ordered == 0
    assert desk.keys() == ordered, "the same command goes on"
    assert desk.plan(rows).to_make == 1
    assert desk.keys() == ordered, "and so does the nightly one"
    desk.make()
    assert desk.plan(rows).to_make == 0
    assert read_orders(desk.store) == orders


def test_one_that_failed_is_made_by_the_next_run(desk: Desk):
    rows = [row(0)]
    decide(desk, "rejected", made(desk, rows)["row-0", 0])
    desk.plan(rows, force=AGAIN)
    ordered = desk.keys()
    desk.make(lambda picture: "fetch_timeout")
    assert desk.plan(rows).to_make == 1
    assert desk.keys() == ordered


def test_one_that_is_rejected_too_is_replaced_again(desk: Desk):
    rows = [row(0, num_images=2)]
    seen = [made(desk, rows)["row-0", 1]]
    for _ in range(3):
        decide(desk, "rejected", seen[-1])
        (new,) = made(desk, rows, force=AGAIN).values()
        assert (new["image_index"], new["replaces"]) == (1, seen[-1]["key"])
        seen.append(new)
    assert len({one["key"] for one in seen}) == len({one["seed"] for one in seen}) == 4
    assert desk.plan(rows).skipped == {"ok": 2}
    balance, results, _ = desk.results()
    assert [one["key"] for one in results][1] == seen[-1]["key"]
    assert results[1]["previous_key"] == seen[-2]["key"]
    assert balance.rejected_by_review == 0, "those that were rejected are not asked for any more"


def test_cells_of_the_row_change_with_the_order_and_stay_for_the_next(desk: Desk):
    rows = [row(number, guidance_scale=7.5, num_images=2) for number in range(2)]
    first = made(desk, rows)
    decide(desk, "rejected", first["row-0", 1])
    cells = checked_cells({"guidance_scale": "4", "width": "768", "prompt": "a: b, {c}"})
    (new,) = made(desk, rows, force=Force(cells=cells)).values()
    assert (new["guidance_scale"], new["width"], new["prompt"]) == (4.0, 768, "a: b, {c}")
    decide(desk, "rejected", new)
    (newer,) = made(desk, rows, force=AGAIN).values()
    assert (newer["guidance_scale"], newer["width"], newer["prompt"]) == (4.0, 768, "a: b, {c}")
    assert desk.plan(rows).to_make == 0
    _, results, _ = desk.results()
    assert [one["width"] for one in results] == [512, 768, 512, 512], "its neighbours are as they were"


def test_an_order_on_a_text_file_is_the_same_as_on_parquet(desk: Desk):
    rows = [row(number, guidance_scale=7.5) for number in range(2)]
    decide(desk, "rejected", made(desk, rows)["row-1", 0])
    desk.plan(rows, force=Force(cells=checked_cells({"guidance_scale": "3.5"})))
    keys = desk.keys()
    for ending in ("csv", "jsonl"):
        assert desk.plan(rows, ending=ending).to_make == 1
        assert desk.keys() == keys


def test_an_empty_cell_is_the_recipes_default(desk: Desk):
    rows = [row(0, guidance_scale=7.5, width=768)]
    decide(desk, "rejected", made(desk, rows)["row-0", 0])
    (new,) = made(desk, rows, force=Force(cells=checked_cells({"width": "", "negative_prompt": ""}))).values()
    assert (new["width"], new["negative_prompt"]) == (512, "")


def test_a_row_that_changed_is_a_new_picture_and_no_order_is_for_it(desk: Desk):
    rows = [row(0)]
    decide(desk, "rejected", made(desk, rows)["row-0", 0])
    replacement = made(desk, rows, force=AGAIN)["row-0", 0]
    changed = [row(0, prompt="another")]
    desk.plan(changed)
    (new,) = desk.pictures()
    assert (new["prompt"], new["replaces"]) == ("another", "")
    desk.make()
    _, results, _ = desk.results()
    assert results[0]["previous_key"] == replacement["key"], "what stood for the row before"


def test_a_selection_orders_only_what_it_leaves(desk: Desk):
    rows = [row(number) for number in range(6)]
    first = made(desk, rows)
    decide(desk, "rejected", *first.values())
    assert desk.plan(rows, force=AGAIN, where="row_id = 'row-3'").ordered == 1
    assert desk.plan(rows, force=AGAIN, limit=2).ordered == 2
    assert desk.plan(rows).to_make == 3
    (desk.folder / "keys.txt").write_text(first["row-5", 0]["key"] + "\n")
    assert desk.plan(rows, force=AGAIN, file=str(desk.folder / "keys.txt")).ordered == 1
    assert desk.plan(rows, force=AGAIN, file=str(desk.folder / "keys.txt")).to_make == 1, "by its old key, too"


def test_every_key_of_a_chain_finds_the_picture_that_stands_now(desk: Desk):
    rows = [row(number) for number in range(3)]
    chain = [made(desk, rows)["row-1", 0]]
    for _ in range(2):
        decide(desk, "rejected", chain[-1])
        chain.append(made(desk, rows, force=AGAIN)["row-1", 0])
    for one in chain:
        (desk.folder / "keys.txt").write_text(f"{one['key']}\n{'f' * 32}\n")
        summary = desk.plan(rows, force=Force(everything=True), file=str(desk.folder / "keys.txt"))
        assert desk.keys() == {chain[-1]["key"]}
        assert (summary.asked, summary.unknown_like) == (1, ["f" * 32])
    decide(desk, "rejected", chain[-1])
    (desk.folder / "keys.txt").write_text(chain[0]["key"] + "\n")
    assert desk.plan(rows, force=AGAIN, file=str(desk.folder / "keys.txt")).ordered == 1
    assert desk.pictures()[0]["replaces"] == chain[-1]["key"]


def test_rows_with_equal_pictures_are_replaced_together(desk: Desk):
    rows = [row(0), row(0, row_id="twin")]
    decide(desk, "rejected", made(desk, rows)["row-0", 0])
    summary = desk.plan(rows, force=AGAIN)
    assert (summary.ordered, summary.to_make, summary.duplicates) == (1, 1, 1)


def test_rows_without_ids_know_what_they_replace(desk: Desk):
    rows = [row(0, row_id=None)]
    desk.plan(rows)
    (old,) = desk.pictures()
    desk.make()
    decide(desk, "rejected", old)
    desk.plan(rows, force=AGAIN)
    desk.make()
    _, results, _ = desk.results()
    assert (results[0]["row_id"], results[0]["previous_key"]) == (results[0]["key"], old["key"])


def test_an_order_that_a_row_cannot_follow_is_not_written(desk: Desk):
    rows = [row(0), row(1, ip_adapter_scales={"faceid": 0.5})]
    decide(desk, "rejected", *made(desk, rows).values())
    cells = checked_cells({"ip_adapter_scale": "0.7"})
    with pytest.raises(RunError, match="1 of 2 rejected pictures cannot be made so, for example row row-1") as error:
        desk.plan(rows, force=Force(cells=cells))
    assert error.value.exit_code == Exit.USAGE
    assert read_orders(desk.store) == {}
    assert desk.plan(rows, force=Force(cells=cells), where="row_id = 'row-0'").ordered == 1


def test_an_order_that_failed_may_get_other_cells(desk: Desk):
    rows = [row(0)]
    decide(desk, "rejected", made(desk, rows)["row-0", 0])
    desk.plan(rows, force=Force(cells=checked_cells({"width": "768"})))
    desk.make(lambda picture: "out_of_memory")
    assert desk.plan(rows, force=AGAIN).ordered == 0
    assert desk.plan(rows, force=Force(cells=checked_cells({"width": "640"}))).ordered == 1
    (new,) = desk.pictures()
    assert new["width"] == 640


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("seed", "5", "new seed of its own"),
        ("guidance_scle", "5", "did you mean 'guidance_scale'"),
        ("row_id", "5", "decides no pixels"),
        ("num_images", "5", "decides no pixels"),
        ("reference_uri", "a.png", "change it in the manifest"),
        ("init_image_uri", "a.png", "change it in the manifest"),
        ("guidance_scale", "five", "guidance_scale"),
        ("width", "-3", "width"),
        ("prompt", "x\ny", "line break"),
    ],
)
def test_cells_that_no_order_may_have_are_refused(name, text, message):
    with pytest.raises(RunError, match=message) as error:
        checked_cells({name: text})
    assert error.value.exit_code == Exit.USAGE
    assert f"rerun.set.{name}" in error.value.message


def test_settings_of_pixels_may_be_set():
    assert {"prompt", "negative_prompt", "recipe", "width", "scheduler", "guidance_scale"} <= set(settable())


def test_forty_thousand_decisions_and_rows_are_planned_quickly(desk: Desk):
    rows = [row(number) for number in range(40_000)]
    pictures = made(desk, rows)
    decide(desk, "rejected", *list(pictures.values())[::2])
    decide(desk, "accepted", *list(pictures.values())[1::2])
    seconds = {}
    for what, force, to_make in (("before", None, 0), ("ordering", AGAIN, 20_000), ("following", None, 20_000)):
        began = time.process_time()
        assert desk.plan(rows, force=force).to_make == to_make
        seconds[what] = time.process_time() - began
    print(f"\nCPU seconds: {seconds}")  # noqa: T201
    assert max(seconds.values()) < 60
