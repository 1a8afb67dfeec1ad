"""Both actors as plain objects on a folder: the real face pack, the real tiny models, no Ray."""

import dataclasses
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from doubles.actors import RECIPE, Line, picture, pixels
from doubles.catalogue import PHOTOS
from PIL import Image

from idgen import weights
from idgen.actors.shards_left import rows_left
from idgen.config import FacesConfig
from idgen.errors import Code, Exit, RowError, RunError
from idgen.faces.analysis import FaceAnalyser
from idgen.sampling.batches import OutOfMemory
from idgen.sampling.rows import Bucket, SampleRow
from idgen.sampling.sampler import Sampler
from idgen.schemas import ANALYSED, COUNTS
from idgen.sources.fetch import Fetcher
from idgen.stores.local import LocalStore
from idgen.stores.protocol import StoreError


@pytest.fixture(scope="module")
def identities():
    torch.set_num_threads(1)
    return {"tiny": weights.identity(RECIPE, cache=None)}


@pytest.fixture
def line(tmp_path, identities):
    return Line(tmp_path, identities)


def test_every_row_comes_out_of_the_face_actor_with_an_identity_or_a_code(line):
    table = line.analysed([picture(1), picture(2, "no-face"), picture(3, "corrupt"), picture(4, "absent"), picture(5)])
    assert table.schema.equals(ANALYSED)
    rows = table.to_pylist()
    assert [row["code"] for row in rows] == ["", "no_face", "image_corrupt", "reference_missing", ""]
    assert len(rows[0]["id_embedding"]) == 512
    assert rows[0]["id_embedding"] == rows[4]["id_embedding"]
    assert rows[1]["id_embedding"] is None
    assert line.monitor.progress().counts["face_analyses"] == 2


def test_a_shard_is_sampled_published_and_counted(line):
    counts = line.run([picture(1), picture(2, "no-face"), picture(3, "ben")])
    assert set(counts) == set(COUNTS.names)
    assert (counts["rows"], counts["published"], counts["already"], counts["left"]) == (3, 3, 0, 0)
    assert Counter(row["status"] for row in line.ledger().values()) == {"ok": 2, "rejected": 1}
    assert line.monitor.progress().counts["loads"] == 1
    assert line.monitor.progress().counts["load_ms"] > 0


def test_a_repeated_shard_makes_only_what_its_ledger_parts_lack(line):
    pictures = [picture(number) for number in range(1, 4)]
    table = line.analysed(pictures)
    line.sampler(table)
    (counts,) = line.sampler(table).to_pylist()
    assert (counts["published"], counts["already"]) == (0, 3)
    assert line.monitor.progress().counts["sampler_calls"] == 1


def test_a_key_given_up_is_a_code_and_its_suspects_run_alone(line):
    pictures = [picture(number) for number in range(1, 5)]
    table = line.analysed(pictures)
    shard = table["shard"][0].as_py()
    keys = [row["key"] for row in pictures]
    for tried in (keys, keys[:1], keys[:1]):
        line.monitor.begin_shard("sample", shard)
        line.monitor.begin("sample", shard, tried)
    line.sampler(table)
    ledger = line.ledger()
    assert ledger[keys[0]]["code"] == "worker_crashed"
    assert {ledger[key]["batch_rows"] for key in keys[1:]} == {1}


def test_a_bug_in_a_batch_costs_its_own_row(line, monkeypatch):
    original = Sampler.sample

    def sample(self, rows, bucket):
        if any(row.prompt == "prompt 2" for row in rows):
            raise ZeroDivisionError("a secret prompt")
        return original(self, rows, bucket)

    monkeypatch.setattr(Sampler, "sample", sample)
    line.run([picture(number) for number in range(1, 5)])
    ledger = line.ledger()
    assert Counter(row["code"] for row in ledger.values()) == {"": 3, "internal": 1}
    assert "secret" not in str(ledger)


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(line, monkeypatch):
    original, sizes_tried = Sampler.sample, []

    def sample(self, rows, bucket):
        sizes_tried.append(len(rows))
        if len(rows) > 2:
            raise OutOfMemory("4 rows")
        return original(self, rows, bucket)

    monkeypatch.setattr(Sampler, "sample", sample)
    line.run([picture(number) for number in range(1, 7)])
    assert sizes_tried == [4, 2, 2, 2]
    assert Counter(row["status"] for row in line.ledger().values()) == {"ok": 6}


def test_a_stop_leaves_what_is_not_begun(line, monkeypatch):
    original = Sampler.sample

    def sample(self, rows, bucket):
        line.monitor.request_stop("test")
        return original(self, rows, bucket)

    monkeypatch.setattr(Sampler, "sample", sample)
    counts = line.run([picture(number) for number in range(1, 7)])
    assert (counts["published"], counts["left"]) == (4, 2)
    assert len(line.ledger()) == 4


def test_after_a_stop_shards_pass_without_being_read(line):
    ref = line.shard([picture(number) for number in range(1, 7)])
    line.store.delete([ref.file])
    line.monitor.request_stop("test")
    table = line.faces(pa.Table.from_pylist([dataclasses.asdict(ref)]))
    assert rows_left(table) == 6
    (counts,) = line.sampler(table).to_pylist()
    assert (counts["rows"], counts["left"], counts["published"]) == (6, 6, 0)


def test_another_lora_scale_is_another_load_and_the_counts_add_up(line):
    for number, scale in ((1, 1.0), (2, 0.5)):
        pictures = [picture(number, lora_scale=scale, load_group=f"g{scale}")]
        line.sampler(line.analysed(pictures))
    counts = line.monitor.progress().counts
    assert counts["loads"] == 2
    assert counts["sampler_calls"] == 2


def test_other_weights_on_this_node_are_refused(tmp_path, identities):
    other = {"tiny": {**identities["tiny"], "base": "0" * 64}}
    with pytest.raises(RunError, match="base on") as caught:
        Line(tmp_path, other).run([picture(1)])
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_a_picture_that_does_not_decode_is_its_own_code(line, monkeypatch):
    original = Sampler.sample

    def sample(self, rows, bucket):
        return [RowError(Code.NON_FINITE), *original(self, rows, bucket)[1:]]

    monkeypatch.setattr(Sampler, "sample", sample)
    line.run([picture(1), picture(2)])
    assert sorted(row["code"] for row in line.ledger().values()) == ["", "non_finite"]
    assert np.all([row["seconds"] > 0 for row in line.ledger().values()])


def test_a_store_that_refuses_input_images_is_told_by_image_although_all_rows_show_one_person(line, monkeypatch):
    fetch, told = Fetcher.fetch, []

    def refuse(self, uri):
        if "scene" in uri:
            raise RowError(Code.FETCH_DENIED, "answers 403")
        return fetch(self, uri)

    monkeypatch.setattr(Fetcher, "fetch", refuse)
    monkeypatch.setattr(line.monitor, "published", told.extend)
    scenes = [f"https://shop.example/scene-{n}.png" for n in range(3)]
    line.run([*(picture(n, init_image_uri=scene) for n, scene in enumerate(scenes)), picture(3, "absent")])
    assert [row.photo for row in told] == [*scenes, str(PHOTOS / "absent.png")]
    assert {row.code for row in told[:3]} == {"fetch_denied"}


def test_an_output_that_takes_no_images_stops_the_run_although_all_rows_show_one_person(line, monkeypatch):
    put = LocalStore.put

    def refuse(self, path, *arguments, **options):
        if path.startswith("images/"):
            raise StoreError("no")
        put(self, path, *arguments, **options)

    monkeypatch.setattr(LocalStore, "put", refuse)
    line.monitor._breaker_failures = 6
    line.run([picture(n) for n in range(12)])
    assert line.monitor.progress().stop_reason.startswith("breaker: ")
    assert {row["code"] for row in line.ledger().values()} == {"store_failed"}


def test_a_prompt_that_is_cut_says_so_in_the_ledger(line):
    line.run([picture(1, prompt="a red coat " * 60), picture(2)])
    ledger = line.ledger()
    assert any(note.startswith("prompt_cut") for note in ledger[f"{1:032x}"]["warnings"])
    assert not any("prompt_cut" in note for note in ledger[f"{2:032x}"]["warnings"])


def test_each_key_s_picture_is_of_its_own_person_and_of_nobody_else(line):
    """Same prompt, same seed: only the person tells the pictures apart. Made again here, photo by photo, alone."""
    people = ["ada", "ben", "cleo"]
    line.run([picture(n, person, prompt="a portrait", seed=5) for n, person in enumerate(people)])
    made = [pixels(line, f"{n:032x}") for n in range(len(people))]
    analyser = FaceAnalyser(weights.locate("tiny:facepack"), 320, 0.5, threads=1, config=FacesConfig())
    sampler = Sampler.load(RECIPE, lora_scale=1.0, device="cpu")
    for n, person in enumerate(people):
        photo = np.asarray(Image.open(PHOTOS / f"{person}.png").convert("RGB"))
        asked = picture(n, person, prompt="a portrait", seed=5)
        asked["id_embedding"] = analyser.analyse(photo, "largest").embedding.tolist()
        (alone,) = sampler.sample([SampleRow.from_picture(asked)], Bucket.from_picture(asked))
        far = [np.abs(alone.astype(int) - other).max() for other in made]
        assert far[n] <= 2, "rounding moves a value by a level"
        assert min(far[:n] + far[n + 1 :]) > 20
