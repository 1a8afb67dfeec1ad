"""Weights are read without running anything, and only the pinned ones."""

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from idgen.errors import Exit, RunError
from idgen.full_size.memory import is_mapped
from idgen.networks import checkpoints
from idgen.weights.headers import shapes_of

TENSOR = torch.arange(6.0).view(2, 3)


class Hostile:
    """Unpickling this makes a folder."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_bin_and_safetensors_give_the_same_flat_names(tmp_path):
    torch.save({"image_proj": {"norm.weight": TENSOR}, "ip_adapter": {"1.k": TENSOR}}, tmp_path / "a.bin")
    save_file({"image_proj.norm.weight": TENSOR, "ip_adapter.1.k": TENSOR.clone()}, tmp_path / "a.safetensors")
    nested, flat = checkpoints.read(tmp_path / "a.bin"), checkpoints.read(tmp_path / "a.safetensors")
    assert nested.keys() == flat.keys() == {"image_proj.norm.weight", "ip_adapter.1.k"}
    assert torch.equal(nested["ip_adapter.1.k"], flat["ip_adapter.1.k"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path, zipped):
    mark, path = tmp_path / "it_ran", tmp_path / "hostile.bin"
    if zipped:
        torch.save({"image_proj": Hostile(str(mark))}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(str(mark))))
    with pytest.raises(RunError, match="pickle that tries to run code") as caught:
        checkpoints.read(path)
    assert caught.value.exit_code == Exit.USAGE
    assert not mark.exists()
    if zipped:  # the same file does run it when loaded carelessly: the test can fail
        torch.load(path, weights_only=False)
        assert mark.exists()


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": TENSOR}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoints.read(path, digest.upper()).keys() == {"x"}
    with pytest.raises(RunError, match="pins"):
        checkpoints.read(path, "0" * 64)


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_a_usage_error_that_names_it(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunError, match=name):
        checkpoints.read(path)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        checkpoints.read(tmp_path / "gone.bin")


def test_a_table_of_something_else_is_refused(tmp_path):
    torch.save({"image_proj": {"norm.weight": 3}}, tmp_path / "a.bin")
    with pytest.raises(RunError, match="other than tensors"):
        checkpoints.read(tmp_path / "a.bin")


@pytest.mark.parametrize("ending", ["bin", "old.bin", "safetensors"])
@pytest.mark.parametrize("read", [checkpoints.read, shapes_of])
def test_whatever_is_wrong_with_a_file_is_told_in_a_line(tmp_path, ending, read):
    path, rng = tmp_path / f"a.{ending}", np.random.default_rng(1)
    if ending == "safetensors":
        save_file({"image_proj.norm.weight": TENSOR}, path)
    else:
        torch.save({"image_proj": {"norm.weight": TENSOR}}, path, _use_new_zipfile_serialization=ending == "bin")
    body, refused = path.read_bytes(), 0
    turned = [body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :] for at in range(min(len(body), 400))]
    for damaged in (*turned, *(rng.bytes(200) for _ in range(400)), b"", b"]", b"\x02\0\0\0\0\0\0\0[]"):
        path.write_bytes(damaged)
        try:
            read(path)
        except RunError:
            refused += 1
    assert refused > 400


def test_tensors_of_a_pickle_are_pages_of_the_file_and_writing_to_them_leaves_it_alone(tmp_path):
    path = tmp_path / "a.bin"
    torch.save({"weight": TENSOR, "half": TENSOR.half()}, path)
    before = path.read_bytes()
    found = checkpoints.read(path)
    assert all(is_mapped(tensor) for tensor in found.values())
    found["weight"].zero_()
    del found
    assert path.read_bytes() == before
    assert torch.equal(checkpoints.read(path)["weight"], TENSOR)


def test_a_pickle_in_the_old_format_is_read_all_the_same(tmp_path):
    torch.save({"weight": TENSOR}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(checkpoints.read(tmp_path / "old.bin")["weight"], TENSOR)
