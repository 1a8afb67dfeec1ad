"""Verify finds exactly what is wrong."""

import pytest
from doubles.pictures import finished, picture
from doubles.publishing import publish

from idgen.checks.gates import Gate
from idgen.errors import Code, RowError
from idgen.outputs import ledger
from idgen.outputs.named import NamedPicture, NamedSlot, mend, named_path
from idgen.outputs.verify import verify


@pytest.fixture
def catalogue(store):
    """A store with ten pictures, two of them named; their ledger rows by number."""
    names = {0: {"output_name": "shop/a"}, 1: {"output_name": "b", "num_images": 2, "image_index": 1}}
    pictures = [picture(n, **names.get(n, {})) for n in range(10)]
    return store, publish(store, pictures, [finished(n) for n in range(10)])


def test_a_sound_catalogue_is_sound(catalogue):
    store, rows = catalogue
    publish(store, [picture(20)], [RowError(Code.NO_FACE)])
    found = verify(store, hashes=True)
    assert found.sound
    assert found.checked == len(rows) == 10
    assert found.text() == "10 pictures checked: sound"


def test_an_empty_store_is_sound(store):
    assert verify(store, hashes=True).checked == 0


def test_five_deleted_images_are_five_keys(catalogue):
    store, rows = catalogue
    gone = rows[3:8]
    store.delete([row["image_path"] for row in gone])
    found = verify(store, hashes=True)
    assert found.missing == sorted(row["image_path"] for row in gone)
    assert found.missing_keys == sorted(row["key"] for row in gone)
    assert not found.sound
    assert "missing: 5" in found.text()
    assert found.orphans == found.wrong_size == found.wrong_hash == []

    again = [picture(row_number, attempt=2) for row_number in range(3, 8)]
    publish(store, again, [finished(n) for n in range(3, 8)], run_id="run-2")
    assert verify(store).sound


def test_damage_is_found_by_size_and_by_hash(catalogue):
    store, rows = catalogue
    data = bytearray(store.get(rows[4]["image_path"]))
    data[-20] ^= 1
    store.put(rows[4]["image_path"], bytes(data))
    store.put(rows[5]["image_path"], b"short")
    found = verify(store)
    assert found.wrong_size == [rows[5]["image_path"]]
    assert found.wrong_hash == []
    found = verify(store, hashes=True)
    assert found.wrong_hash == sorted(rows[n]["image_path"] for n in (4, 5))
    assert found.missing_keys == sorted(rows[n]["key"] for n in (4, 5))


def test_orphans_are_named_and_harmless(catalogue):
    store, _ = catalogue
    store.put("images/00/orphan.png", b"x")
    found = verify(store)
    assert found.orphans == ["images/00/orphan.png"]
    assert found.sound


def test_names_that_are_missing_old_or_unknown(catalogue):
    store, rows = catalogue
    store.delete(["named/b_01.png"])
    store.put("named/shop/a.png", b"of a picture before")
    store.put("named/stranger.png", b"x")
    found = verify(store)
    assert found.names_missing == ["named/b_01.png"]
    assert found.names_old == ["named/shop/a.png"]
    assert found.names_unknown == ["named/stranger.png"]
    assert found.sound

    wanted = [
        NamedSlot(
            shown=NamedPicture(
                named_path=named_path(row["output_name"], row["image_index"], count, "png"),
                image_path=row["image_path"],
                image_bytes=row["image_bytes"],
                finished_at=row["finished_at"],
            )
        )
        for row, count in ((rows[0], 1), (rows[1], 2))
    ]
    assert mend(store, wanted).copied == 2
    assert mend(store, wanted).copied == 0
    assert store.get("named/b_01.png") == store.get(rows[1]["image_path"])
    found = verify(store)
    assert found.names_missing == found.names_old == []


def test_a_name_follows_the_newest_picture(catalogue):
    store, rows = catalogue
    publish(store, [picture(0)], [finished(0)])
    newer = publish(store, [picture(30, output_name="shop/a")], [finished(30)], run_id="run-2")
    assert store.get("named/shop/a.png") == store.get(newer[0]["image_path"])
    assert verify(store).names_old == []
    assert store.head(rows[0]["image_path"]) is not None


def test_a_name_may_show_the_picture_before_or_none_where_a_gate_holds(catalogue):
    store, rows = catalogue
    newer = [picture(30, output_name="shop/a"), picture(31, output_name="new")]
    told = publish(store, newer, [finished(30), finished(31)], gates={"sharpness": Gate(reject=1e9)})
    assert {row["verdict"] for row in told} == {"held"}
    assert store.get("named/shop/a.png") == store.get(rows[0]["image_path"])
    found = verify(store)
    assert found.names_old == found.names_missing == found.names_unknown == []


def test_only_the_newest_row_of_a_key_counts(catalogue):
    store, rows = catalogue
    store.delete([rows[2]["image_path"]])
    publish(store, [picture(2, attempt=2)], [RowError(Code.NO_FACE)], run_id="run-2")
    found = verify(store)
    assert found.sound
    assert found.checked == 9
    assert len(ledger.ledger_files(store)) == 2
