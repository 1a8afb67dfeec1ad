"""Hashes of unchanged files are remembered, and forgetting costs time only."""

import json

import pytest

from idgen import weights


def test_the_cache_spares_reading_and_notices_changes(recipe, tmp_path):
    cache = tmp_path / "deep" / "sha256.json"
    first = weights.identity(recipe, cache=cache)
    entries = json.loads(cache.read_text())
    path = str((tmp_path / "adapter.bin").resolve())
    entries[path][2] = "f" * 64
    cache.write_text(json.dumps(entries))
    assert weights.identity(recipe, cache=cache)["adapter:a"] == "f" * 64  # believed: not read again
    (tmp_path / "adapter.bin").write_text("other content")
    assert weights.identity(recipe, cache=cache)["adapter:a"] != first["adapter:a"]
    cache.write_text("{ damaged")
    assert weights.identity(recipe, cache=cache)["base"] == first["base"]
    assert [path.name for path in cache.parent.iterdir()] == ["sha256.json"]


@pytest.mark.parametrize("broken", ["no folder can be made", "no file can be renamed", "it is a list", "unreadable"])
def test_a_home_that_cannot_be_written_or_read_costs_hashing_again_only(recipe, tmp_path, broken, caplog, monkeypatch):
    cache = tmp_path / "home" / "hashes.json"
    if broken == "no folder can be made":
        (tmp_path / "home").write_text("a file, where the folder should be")
    elif broken == "no file can be renamed":
        monkeypatch.setattr("os.replace", lambda source, target: (_ for _ in ()).throw(OSError("disk full")))
    elif broken == "it is a list":
        cache.parent.mkdir()
        cache.write_text("[1]")
    else:
        cache.mkdir(parents=True)
    assert weights.identity(recipe, cache=cache) == weights.identity(recipe, cache=None)
    assert ("cannot be remembered" in caplog.text) == (broken != "it is a list")
    if cache.parent.is_dir():
        assert [path.name for path in cache.parent.iterdir() if path != cache] == []
