"""A packed world comes back bit by bit, and stores once what files share."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from idgen.errors import RunError
from idgen.tiny.packed import pack, unpack


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "world"
    (folder / "a").mkdir(parents=True)
    shared, own = torch.randn(100, 100), torch.randn(30).half()
    save_file({"x": shared, "y": own}, folder / "a" / "one.safetensors", {"format": "pt"})
    save_file({"z": shared, "empty": torch.zeros(0), "number": torch.tensor(3)}, folder / "two.safetensors")
    (folder / "a" / "config.json").write_text("{}")
    torch.save({"x": own}, folder / "three.bin")
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_come_back_bit_by_bit_and_shared_tensors_are_stored_once(world, tmp_path):
    before = contents(world)
    size = pack(world, tmp_path / "pack")
    assert contents(world) == before
    unpack(tmp_path / "pack", tmp_path / "again")
    assert contents(tmp_path / "again") == before
    assert size < 1.4 * 40_000
    assert len(load_file(tmp_path / "pack" / "tensors-1.safetensors")) == 4


def test_large_worlds_are_cut_into_files(world, tmp_path, monkeypatch):
    monkeypatch.setattr("idgen.tiny.packed.SHARD_BYTES", 100)
    pack(world, tmp_path / "pack")
    assert len(list((tmp_path / "pack").glob("tensors-*"))) > 1
    unpack(tmp_path / "pack", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(world)


def test_a_damaged_pack_is_refused(world, tmp_path):
    pack(world, tmp_path / "pack")
    shard = tmp_path / "pack" / "tensors-1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    with pytest.raises(RunError, match="is damaged"):
        unpack(tmp_path / "pack", tmp_path / "again")
