"""A catalogue whose ledger commit 05e6f67 wrote, before the ledger told of face passes: three pictures that are ok, one
without a face, one whose photo could not be fetched; in a compact file and in parts.
"""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from planning import RECIPE, Desk, row

from idgen.checks.looking import Findings
from idgen.errors import Code
from idgen.manifest.verdicts import Force
from idgen.outputs.compaction import compact
from idgen.outputs.ledger import dataset, ledger_files, write_part
from idgen.outputs.verify import verify
from idgen.schemas import LEDGER

OLD = Path(__file__).parent / "catalogue_05e6f67"
ROWS = [row(n, sku=f"0{n}", output_name=f"look-{n}") for n in range(5)]
NEW = {
    "target_keypoints": [float(n) for n in range(10)],
    "face_pass_result": "done",
    "face_similarity_before": 0.25,
    "face_similarity": 0.5,
}


@pytest.fixture
def old(tmp_path):
    """A desk at the old catalogue, with the recipe it was made with."""
    shutil.copytree(OLD, tmp_path / "out")
    made = Desk(tmp_path)
    made.recipes = {"faceid": replace(RECIPE, columns=["ip_adapter_scale"])}
    made.hashes = {"faceid": "aa" * 16}
    made.numbers = itertools.count(3)
    return made


def ledger(desk):
    return {item["key"]: item for item in dataset(desk.store).to_table().to_pylist()}


def test_it_reads_with_nothing_said_of_face_passes(old):
    assert all(set(NEW).isdisjoint(pq.read_schema(path).names) for path in OLD.rglob("*.parquet"))
    rows = ledger(old).values()
    assert len(rows) == 5
    assert all(item[name] is None for item in rows for name in NEW)
    assert sorted(item["code"] for item in rows) == ["", "", "", Code.FETCH_FAILED, Code.NO_FACE]
    assert all(item["warnings"] == ["small_face"] for item in rows)


def test_verify_finds_it_sound(old):
    found = verify(old.store, hashes=True)
    assert found.sound
    assert (found.checked, found.orphans, found.names_missing, found.names_unknown) == (3, [], [], [])


def test_its_pictures_are_known_and_only_the_retriable_failure_is_made_again(old):
    summary = old.plan(ROWS)
    assert [item["row_id"] for item in old.pictures()] == ["row-4"]
    assert old.pictures()[0]["attempt"] == 2
    assert summary.asked == 5
    old.make()
    balance, results, _ = old.results()
    assert (balance.ok, balance.skipped) == (1, 4)
    assert all(item[name] is None for item in results for name in NEW)


def test_a_lost_image_of_it_is_made_again(old, tmp_path):
    lost = next(item for item in ledger(old).values() if item["row_id"] == "row-1")
    (Path(old.store.root) / lost["image_path"]).unlink()
    found = verify(old.store)
    assert found.missing_keys == [lost["key"]]
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(found.missing_keys))
    old.plan(ROWS, force=Force(keys_file=str(keys)))
    assert old.keys() == {lost["key"]}


def test_merged_with_newer_parts_each_row_keeps_what_it_has(old):
    before = ledger(old)
    old.plan(ROWS)
    (ref,) = old.refs()
    (picture,) = old.pictures()
    told = old._told(ref, picture, "ok", Findings({})) | NEW
    write_part(old.store, old.run_id, ref.name, 1, 0, [told])
    compact(old.store, old.run_id)
    (merged,) = ledger_files(old.store)
    assert pq.read_schema(old.store.uri(merged)).equals(LEDGER)
    after = ledger(old)
    assert after.keys() == before.keys()
    for key, item in after.items():
        if key == told["key"]:
            assert {name: item[name] for name in NEW} == NEW
        else:
            assert item == before[key]
    _, results, _ = old.results()
    assert {name: results[4][name] for name in NEW} == NEW
