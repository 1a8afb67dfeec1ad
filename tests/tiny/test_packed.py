"""A packed world comes back bit by bit, and stores once what files share."""

import pytest
import torch
from safetensors.torch import load, save_file

from idgen.errors import RunError
from idgen.tiny.packed import pack, squeeze, unpack, unsqueeze


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
    assert len(load(unsqueeze((tmp_path / "pack" / "tensors-1.safetensors.z").read_bytes()))) == 4


def test_large_worlds_are_cut_into_files(world, tmp_path, monkeypatch):
    monkeypatch.setattr("idgen.tiny.packed.SHARD_BYTES", 100)
    pack(world, tmp_path / "pack")
    assert len(list((tmp_path / "pack").glob("tensors-*"))) > 1
    unpack(tmp_path / "pack", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(world)


@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_bytes_of_any_number_come_back(length):
    data = bytes(range(length))
    assert unsqueeze(squeeze(data)) == data


def test_weights_of_few_digits_take_a_third_less():
    data = torch.randn(100_000).bfloat16().half().numpy().tobytes()
    assert len(squeeze(data)) < 0.7 * len(data)


@pytest.mark.parametrize("file", ["tensors-1.safetensors.z", "files/a/config.json.z", "files/three.bin.z"])
@pytest.mark.parametrize("harm", [
    lambda data: data[:-1] + b"\xff",
    lambda data: data[: len(data) // 2],
], ids=["changed", "cut"])  # fmt: skip
def test_a_damaged_pack_is_refused(world, tmp_path, file, harm):
    pack(world, tmp_path / "pack")
    (tmp_path / "pack" / file).write_bytes(harm((tmp_path / "pack" / file).read_bytes()))
    with pytest.raises(RunError, match="is damaged"):
        unpack(tmp_path / "pack", tmp_path / "again")


def test_a_file_of_another_world_is_refused(world, tmp_path):
    pack(world, tmp_path / "pack")
    (tmp_path / "pack" / "files" / "a" / "config.json.z").write_bytes(squeeze(b"[]"))
    with pytest.raises(RunError, match="does not come out as it went in"):
        unpack(tmp_path / "pack", tmp_path / "again")
