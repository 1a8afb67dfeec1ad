"""Checks on finished pictures: each says one thing, its column follows from it, and none can cost a picture."""

import io

import numpy as np
import pyarrow as pa
import pytest
from doubles.pictures import SIGNATURES, finished, picture
from PIL import Image

from idgen.checks.instruments import Instruments
from idgen.checks.looking import findings
from idgen.checks.picture import FacePassFacts, FinishedPicture, PictureFacts
from idgen.checks.protocol import Finding, FindingColumn
from idgen.checks.table import CHECKS, FINDING_COLUMNS
from idgen.config import ImagesConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.outputs import ledger
from idgen.outputs.publisher import Publisher
from idgen.schemas import LEDGER


class Darkness:
    """Warns of pictures that are too dark."""

    column = FindingColumn("face_similarity", pa.float32(), "stands in a column that ledgers have")

    def look(self, picture, facts):
        mean = float(picture.mean())
        return Finding(self.column.name, mean, *(("reject", ("dark: nothing to see",)) if mean < 1 else ()))


class Broken(Darkness):
    def look(self, picture, facts):
        raise ZeroDivisionError("secret words")


def black():
    return FinishedPicture(np.zeros((4, 4, 3), np.uint8), PictureFacts(notes=("cut: the prompt",)))


def test_what_a_check_rejects_is_a_warning_behind_the_sampler_s():
    found = findings(black(), [Darkness()])
    assert found.values == {"face_similarity": 0.0}
    assert found.warnings == ("cut: the prompt", "dark: nothing to see")


def test_a_picture_that_was_not_made_is_not_looked_at():
    found = findings(FinishedPicture(RowError(Code.NON_FINITE), PictureFacts(notes=("cut: it",))), [Broken()])
    assert (found.values, found.warnings) == ({}, ("cut: it",))


def test_a_check_that_breaks_is_a_warning_without_the_error_s_words_and_the_others_still_look():
    found = findings(black(), [Broken(), Darkness()])
    assert found.values == {"face_similarity": 0.0}
    assert found.warnings == (
        "cut: the prompt",
        "check_failed: face_similarity (ZeroDivisionError)",
        "dark: nothing to see",
    )


MALFORMED = {
    "a text in a column of numbers": lambda picture: Finding("face_similarity", "0.5x"),
    "an array": lambda picture: Finding("face_similarity", np.array([0.5, 1.0])),
    "another check's column": lambda picture: Finding("face_pass_result", 0.5),
    "no finding": lambda picture: None,
    "no detail": lambda picture: Finding("face_similarity", 0.5, "warn", None),
    "a detail that is no text": lambda picture: Finding("face_similarity", 0.5, "warn", (3,)),
    "one text as detail": lambda picture: Finding("face_similarity", 0.5, "warn", "dark: it"),
    "rejected without a reason": lambda picture: Finding("face_similarity", 0.5, "reject"),
    "the picture changed": lambda picture: picture.fill(255) or Finding("face_similarity", 0.5),
}


@pytest.mark.parametrize("made", MALFORMED.values(), ids=MALFORMED)
def test_a_finding_that_the_ledger_could_not_hold_costs_its_check_and_no_picture(store, made):
    class Malformed(Darkness):
        def look(self, picture, facts):
            return made(picture)

    target = Publisher(
        store, run_id="r", shard="s", shard_try=0, images=ImagesConfig(), signature_parameters=SIGNATURES,
        published=lambda rows: None, checks=[Malformed()],
    )  # fmt: skip
    target.submit([picture(1), picture(2)], [black(), finished(2)], "sample", 1.0)
    target.close()
    rows = ledger.dataset(store).to_table().to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["face_similarity"] for row in rows] == [None, None]
    assert all(any(note.startswith("check_failed: face_similarity") for note in row["warnings"]) for row in rows)
    shown = np.asarray(Image.open(io.BytesIO(store.get(next(r["image_path"] for r in rows if r["row_id"] == "row-1")))))
    assert not shown.any()


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5)], ids=repr)
def test_numbers_of_numpy_are_numbers(value):
    class Numpy(Darkness):
        def look(self, picture, facts):
            return Finding("face_similarity", value)

    assert findings(black(), [Numpy()]).values == {"face_similarity": 0.5}


def test_every_check_has_one_column_of_its_own_in_the_ledger():
    names = [column.name for column in FINDING_COLUMNS]
    assert len(set(names)) == len(CHECKS)
    assert [LEDGER.field(column.name).type for column in FINDING_COLUMNS] == [column.type for column in FINDING_COLUMNS]


OF_PIXELS = ("sharpness", "clipped_fraction", "perceptual_hash")


@pytest.mark.parametrize(
    "check", [one for one in CHECKS if one.column.name not in OF_PIXELS], ids=lambda check: check.column.name
)
def test_findings_are_named_after_their_check_and_say_nothing_of_what_was_not_done(check):
    found = check.look(np.zeros((4, 4, 3), np.uint8), PictureFacts())
    assert found == Finding(check.column.name, None)


def test_the_face_pass_s_notes_are_warnings():
    facts = PictureFacts(face_pass=FacePassFacts(result="failed", notes=("face_pass_failed: non_finite",)))
    found = findings(FinishedPicture(np.zeros((4, 4, 3), np.uint8), facts), CHECKS)
    assert found.values["face_pass_result"] == "failed"
    assert found.warnings == ("face_pass_failed: non_finite",)


def test_an_instrument_that_breaks_the_run_in_the_middle_of_a_batch_leaves_nothing_of_it(store):
    class Gone:
        def score(self, rgb):
            if rgb.max() > 0:
                raise RunError(Exit.UNAVAILABLE, "the device is gone")
            return 0.1

    chosen = []
    target = Publisher(
        store, run_id="r", shard="s", shard_try=0, images=ImagesConfig(publishers=1), signature_parameters=SIGNATURES,
        published=lambda rows: None, instruments=Instruments(safety=Gone), choose=lambda *one: chosen.append(one),
    )  # fmt: skip
    target.submit([picture(1), picture(2)], [black(), finished(2)], "sample", 1.0)
    with pytest.raises(RunError, match="the device is gone"):
        target.close()
    assert not list(store.list(""))
    assert not chosen, "nor is a try of it counted"


def test_the_publisher_has_every_picture_checked_before_it_writes_it(store):
    seen = []

    class Watching(Darkness):
        def look(self, picture, facts):
            seen.append([found.path for found in store.list("images/")])
            return super().look(picture, facts)

    target = Publisher(
        store, run_id="r", shard="s", shard_try=0, images=ImagesConfig(publishers=1), signature_parameters=SIGNATURES,
        published=lambda rows: None, checks=[Watching()],
    )  # fmt: skip
    target.submit([picture(1), picture(2)], [black(), finished(2)], "sample", 1.0)
    target.close()
    rows = {row["row_id"]: row for row in ledger.dataset(store).to_table().to_pylist()}
    assert [len(paths) for paths in seen] == [0, 0], "all of a batch before one of it is written"
    assert rows["row-1"]["warnings"] == ["cut: the prompt", "dark: nothing to see"]
    assert rows["row-1"]["face_similarity"] == 0.0
    assert rows["row-1"]["status"] == "ok", "what a check says does not take the picture away"
    assert rows["row-2"]["warnings"] == []
    assert rows["row-2"]["face_similarity"] > 100
