"""A packed world comes back bit by bit, and stores once what files share."""

import json

import pytest
import torch
from safetensors.torch import load, save, save_file

from drawn_world.packing import pack, squeeze
from idgen.errors import RunError
from idgen.tiny.packed import unpack, unsqueeze


@pytest.fixture
def world(tmp_path):
    torch.manual_seed(1)
    folder = tmp_path / "world"
    (folder / "a").mkdir(parents=True)
    shared, own = torch.randn(100, 100), torch.randn(30).half()
    save_file({"x": shared, "y": own}, folder / "a" / "one.safetensors", {"format": "pt"})
    numbers = {"empty": torch.zeros(0), "number": torch.tensor(3), "bias": torch.zeros(4), "another": torch.zeros(4)}
    save_file({"z": shared, **numbers}, folder / "two.safetensors")
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
    stored = [load(unsqueeze(path.read_bytes())) for path in (tmp_path / "pack").glob("*.z")]
    assert sum(len(tensors) for tensors in stored) == 5


def test_each_folder_has_a_file_of_its_own_tensors_so_that_a_net_of_its_own_changes_none(world, tmp_path):
    pack(world, tmp_path / "pack")
    before = {path.name: path.read_bytes() for path in (tmp_path / "pack").glob("*.z")}
    assert before.keys() == {"a.z", "two.z"}
    (world / "0-more").mkdir()
    save_file({"n": torch.randn(50)}, world / "0-more" / "net.safetensors")
    pack(world, tmp_path / "pack")
    after = {path.name: path.read_bytes() for path in (tmp_path / "pack").glob("*.z")}
    assert after == before | {"0-more.z": after["0-more.z"]}


def test_a_folder_and_a_file_of_one_name_keep_their_tensors(world, tmp_path):
    save_file({"n": torch.randn(50)}, world / "a.safetensors")
    before = contents(world)
    pack(world, tmp_path / "pack")
    unpack(tmp_path / "pack", tmp_path / "again")
    assert contents(tmp_path / "again") == before


@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_bytes_of_any_number_come_back(length):
    data = bytes(range(length))
    assert unsqueeze(squeeze(data)) == data


def test_weights_of_few_digits_take_a_third_less():
    data = torch.randn(100_000).bfloat16().half().numpy().tobytes()
    assert len(squeeze(data)) < 0.7 * len(data)


@pytest.mark.parametrize("file", ["a.z", "files/a/config.json.z", "files/three.bin.z", "pack.json"])
@pytest.mark.parametrize("harm", [
    lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 0xFF])),
    lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    lambda path: path.write_bytes(squeeze(b"[]")),
    lambda path: path.unlink(),
], ids=["changed", "cut", "another", "gone"])  # fmt: skip
def test_a_damaged_pack_is_refused(world, tmp_path, file, harm):
    pack(world, tmp_path / "pack")
    harm(tmp_path / "pack" / file)
    with pytest.raises(RunError, match="is damaged, check it out"):
        unpack(tmp_path / "pack", tmp_path / "again")


def test_tensors_of_another_world_are_refused(world, tmp_path):
    pack(world, tmp_path / "pack")
    save_file({"x": torch.randn(3)}, world / "a" / "one.safetensors")
    pack(world, tmp_path / "other")
    (tmp_path / "other" / "a.z").replace(tmp_path / "pack" / "a.z")
    with pytest.raises(RunError, match="is damaged"):
        unpack(tmp_path / "pack", tmp_path / "again")


def test_a_tensor_under_anothers_name_is_refused(world, tmp_path):
    pack(world, tmp_path / "pack")
    room = tmp_path / "pack" / "a.z"
    tensors = load(unsqueeze(room.read_bytes()))
    room.write_bytes(squeeze(save({name: tensor + 1 for name, tensor in tensors.items()})))
    with pytest.raises(RunError, match="is damaged"):
        unpack(tmp_path / "pack", tmp_path / "again")


def test_a_world_that_cannot_be_written_is_not_called_a_damaged_pack(world, tmp_path):
    pack(world, tmp_path / "pack")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "a").write_text("in the way")
    with pytest.raises(OSError, match="again"):
        unpack(tmp_path / "pack", tmp_path / "again")


def test_a_name_that_leads_outside_is_refused(world, tmp_path):
    pack(world, tmp_path / "pack")
    index = tmp_path / "pack" / "pack.json"
    files = json.loads(index.read_text())
    index.write_text(json.dumps({"../a/config.json": files["a/config.json"]}))
    with pytest.raises(RunError, match="lies outside"):
        unpack(tmp_path / "pack", tmp_path / "again")
    assert not (tmp_path / "a").exists()
