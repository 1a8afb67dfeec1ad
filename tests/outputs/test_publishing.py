"""What gets a named copy at once, and what lies in images/ is never replaced silently."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from doubles import publishing
from doubles.pictures import finished, picture, pixels
from PIL import Image

from idgen.checks.gates import Gate
from idgen.checks.picture import FinishedPicture
from idgen.checks.protocol import Finding, FindingColumn
from idgen.config import ImagesConfig
from idgen.outputs import ledger


class LevelCheck:
    """Gates hold pictures by their mean level here: number 1 is held, 0 and 2 are not."""

    column = FindingColumn("face_similarity", pa.float32(), "mean level", better="higher")

    def look(self, picture, facts):
        return Finding(self.column.name, 1.0 if picture[0, 0, 0] != pixels(1)[0, 0, 0] else 0.0)


def publish(store, numbers, run_id="run-1", changed=None, rejected=(), **images):
    """Publish pictures with names, one batch; return their ledger rows by number."""
    made = [FinishedPicture(changed) if changed is not None else finished(n) for n in numbers]
    named = [picture(n, output_name=f"n{n}") for n in numbers]
    gates = {"face_similarity": Gate(reject=0.5)}
    config = ImagesConfig(**images)
    rows = publishing.publish(
        store, named, made, run_id, config, checks=(LevelCheck(),), gates=gates, rejected=rejected
    )
    return dict(zip(numbers, rows, strict=True))


def names(store):
    return [found.path for found in store.list("named/")]


@pytest.mark.parametrize(
    ("policy", "expected"), [("ok", ["n0", "n1", "n2"]), ("not_held", ["n0", "n2"]), ("accepted", [])]
)
def test_what_is_held_or_not_accepted_gets_no_copy_while_the_run_goes_on(store, policy, expected):
    rows = publish(store, range(3), publish=policy)
    assert [rows[n]["verdict"] for n in range(3)] == ["ok", "held", "ok"]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert names(store) == [f"named/{name}.png" for name in expected]
    assert len(list(store.list("images/"))) == 3


def test_what_people_rejected_gets_no_copy_when_it_is_made_again(store):
    publish(store, range(3), rejected={picture(0)["key"]}, publish="ok")
    assert names(store) == ["named/n1.png", "named/n2.png"]


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_picture_made_again_with_equal_pixels_leaves_the_image_that_is_there(store, image_format):
    before = publish(store, [0], format=image_format)[0]
    data = store.get(before["image_path"])
    after = publish(store, [0], run_id="run-2", format=image_format)[0]
    assert store.get(after["image_path"]) == data
    assert (after["image_sha256"], after["image_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert not [word for word in after["warnings"] if word.startswith("image_replaced")]
    assert b"run-1" in data, "its metadata name the run, so that the bytes would have been others"


def test_other_pixels_take_the_place_and_the_row_says_so(store):
    before = publish(store, [0])[0]
    other = pixels(0).copy()
    other[3, 4] ^= 1
    after = publish(store, [0], run_id="run-2", changed=other)[0]
    data = store.get(after["image_path"])
    assert after["image_path"] == before["image_path"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), other)
    assert after["image_sha256"] == hashlib.sha256(data).hexdigest() != before["image_sha256"]
    (warning,) = [word for word in after["warnings"] if word.startswith("image_replaced: ")]
    assert before["image_sha256"][:12] in warning
    assert after["image_sha256"][:12] in warning
    stored = ledger.dataset(store).to_table(columns=["warnings"])["warnings"].to_pylist()
    assert [warning] in stored


def test_a_damaged_image_is_replaced_and_the_row_says_so(store):
    before = publish(store, [0])[0]
    store.put(before["image_path"], store.get(before["image_path"])[:50])
    after = publish(store, [0], run_id="run-2")[0]
    assert any(word.startswith("image_replaced: ") for word in after["warnings"])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(store.get(after["image_path"])))), pixels(0))
