"""Temporary folders: a living process's are left alone, a dead one's are removed, everybody else's are nobody's."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from idgen.errors import Exit, RunError
from idgen.scratch import LOCK, abandoned_folders, remove_abandoned, scratch_folder

HOLDER = """
import os, sys
from idgen.scratch import scratch_folder
with scratch_folder("compact-") as folder:
    (folder / "asked.parquet").write_bytes(b"signed")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_left_alone_while_its_process_lives_and_removed_when_it_was_killed():
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = Path(process.stdout.readline().strip())
    assert remove_abandoned() == []
    assert (folder / "asked.parquet").exists()
    process.kill()
    process.communicate()
    assert abandoned_folders() == [folder]
    assert remove_abandoned() == [folder]
    assert not folder.exists()


def test_our_own_is_alive_and_gone_afterwards(temporary):
    with scratch_folder() as folder:
        assert (folder / LOCK).exists()
        assert remove_abandoned() == []
    assert list(temporary.iterdir()) == []


def test_what_is_not_known_to_be_ours_is_never_touched(temporary):
    (temporary / "idgen-checkout").mkdir()
    (temporary / "idgen-checkout" / "work.txt").write_text("x")
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere" / LOCK).touch()
    (temporary / "idgen-link").symlink_to(temporary / "elsewhere")
    assert remove_abandoned() == []
    assert (temporary / "idgen-checkout" / "work.txt").exists()
    assert (temporary / "elsewhere" / LOCK).exists()


def test_no_place_for_temporary_folders_is_one_line(temporary, monkeypatch):
    (temporary / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "file"))
    with pytest.raises(RunError, match="no temporary folder: Not a directory; TMPDIR names another place") as caught:
        scratch_folder().__enter__()
    assert caught.value.exit_code == Exit.UNAVAILABLE
