"""A face pack's zip writes its networks and nothing else, nowhere else."""

import stat
import zipfile

import pytest

from idgen.errors import Exit, RunError
from idgen.weights import archives


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("inside", ["", "buffalo_l/", "models/buffalo_l/", "antelopev2/antelopev2/"])
def test_the_networks_are_unpacked_whatever_folder_they_lie_in(tmp_path, inside):
    entries = [(f"{inside}det.onnx", b"d"), (f"{inside}rec.onnx", b"r"), (f"{inside}README.md", b"no"), ("x.py", b"no")]
    archive = zipped(tmp_path / "pack.zip", entries)
    assert archives.unpack_face_pack(archive, tmp_path / "models" / "pack") == ["det.onnx", "rec.onnx"]
    there = {path.name: path.read_bytes() for path in (tmp_path / "models" / "pack").iterdir()}
    assert there == {"det.onnx": b"d", "rec.onnx": b"r"}
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["pack"]


def test_the_files_that_macos_puts_beside_each_network_stay_out(tmp_path):
    body = [("antelopev2/glintr100.onnx", b"r"), ("__MACOSX/antelopev2/._glintr100.onnx", b"no network")]
    archive = zipped(tmp_path / "pack.zip", body)
    assert archives.unpack_face_pack(archive, tmp_path / "models" / "antelopev2") == ["glintr100.onnx"]


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("good.onnx", b"x"), ("../evil.onnx", b"x")], "leads out"),
        ([("good.onnx", b"x"), ("/tmp/evil.txt", b"x")], "leads out"),
        ([("good.onnx", b"x"), ("..\\evil.onnx", b"x")], "leads out"),
        ([("good.onnx", b"x"), ("C:evil.onnx", b"x")], "leads out"),
        ([("good.onnx", b"x"), (link("det.onnx"), b"/etc/passwd")], "is a link"),
        ([("a/det.onnx", b"x"), ("b/det.onnx", b"x")], "twice"),
        ([("README.md", b"x")], "no .onnx"),
        ([(f"{i}.onnx", b"x") for i in range(101)], "101 entries"),
        ([("zeros.onnx", b"\0" * 3000)], "unpacks to more"),
        ([("one.onnx", b"\0" * 600), ("two.onnx", b"\0" * 600)], "unpacks to more"),
    ],
)
def test_an_archive_that_would_do_harm_leaves_nothing(tmp_path, monkeypatch, entries, message):
    monkeypatch.setattr(archives, "MAX_PACK_BYTES", 1000)
    archive = zipped(tmp_path / "pack.zip", entries)
    with pytest.raises(RunError, match=message) as caught:
        archives.unpack_face_pack(archive, tmp_path / "models" / "pack")
    assert caught.value.exit_code == Exit.USAGE
    assert not list(tmp_path.rglob("*.onnx"))
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("damage", ["no zip at all", "cut off", "one byte turned"])
def test_a_damaged_archive_leaves_nothing(tmp_path, damage):
    archive = zipped(tmp_path / "pack.zip", [("det.onnx", b"network" * 5000)])
    body = bytearray(archive.read_bytes())
    if damage == "one byte turned":
        body[45] ^= 0xFF
    archive.write_bytes({"no zip at all": b"<html>", "cut off": bytes(body[:-30])}.get(damage, bytes(body)))
    with pytest.raises(RunError, match="not a readable zip archive"):
        archives.unpack_face_pack(archive, tmp_path / "models" / "pack")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_turned_byte_anywhere_is_a_line_and_no_half_pack(tmp_path, packed):
    archive = tmp_path / "pack.zip"
    with zipfile.ZipFile(archive, "w", packed) as file:
        file.writestr("det.onnx", b"network" * 500)
    body, said = archive.read_bytes(), []
    for at in range(0, len(body), 3):
        folder = tmp_path / "models" / str(at)
        archive.write_bytes(body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :])
        try:
            archives.unpack_face_pack(archive, folder)
        except RunError as error:
            said.append(error.message)
        # a byte of a date, say, changes nothing
        assert not folder.exists() or [file.read_bytes() for file in folder.iterdir()] == [b"network" * 500]
    assert said
    assert all(str(archive) in message for message in said)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    archive = zipped(tmp_path / "pack.zip", [("det.onnx", b"new")])
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "det.onnx").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        archives.unpack_face_pack(archive, tmp_path / "pack")
    assert (tmp_path / "pack" / "det.onnx").read_text() == "mine"
