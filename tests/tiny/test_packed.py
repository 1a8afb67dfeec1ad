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
    stored = [load(unsqueeze(path.read_bytes())) for path in (tmp_path / "pack").glob("*.safetensors.z")]
    assert sum(len(tensors) for tensors in stored) == 4


def test_each_folder_has_a_file_of_its_own_tensors_so_that_another_net_changes_none(world, tmp_path):
    pack(world, tmp_path / "pack")
    before = {path.name: path.read_bytes() for path in (tmp_path / "pack").glob("*.z")}
    assert before.keys() == {"a.safetensors.z", "two.safetensors.z"}
    (world / "0-more").mkdir()
    save_file({"n": torch.randn(50)}, world / "0-more" / "net.safetensors")
    pack(world, tmp_path / "pack")
    after = {path.name: path.read_bytes() for path in (tmp_path / "pack").glob("*.z")}
    assert after == before | {"0-more.safetensors.z": after["0-more.safetensors.z"]}


@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_bytes_of_any_number_come_back(length):
    data = bytes(range(length))
    assert unsqueeze(squeeze(data)) == data


def test_weights_of_few_digits_take_a_third_less():
    data = torch.randn(100_000).bfloat16().half().numpy().tobytes()
    assert len(squeeze(data)) < 0.7 * len(data)


@pytest.mark.parametrize("file", ["a.safetensors.z", "files/a/config.json.z", "files/three.bin.z"])
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
