"""The rehearsal touches nothing but what it wrote, and a recipe that fails costs only itself."""

import json

import pytest

from idgen.full_size import __main__ as command
from idgen.full_size import sets


@pytest.fixture
def rehearse(monkeypatch):
    """Stands in for an hour of work: writes the recipe's parts without their numbers, and fails where told."""
    failing = set()

    def stand_in(recipe, folder):
        sets.write(recipe, folder, fill=False)
        if recipe in failing:
            raise RuntimeError("the job made no summary: boom")
        return {"recipe": recipe, "kept": True}

    monkeypatch.setattr(command, "rehearse", stand_in)
    monkeypatch.setattr(command, "row", lambda found: f"| {found['recipe']} | {found.get('reason', 'ok')} |")
    return failing


def test_what_lay_in_the_folder_before_stays_and_nothing_is_left(rehearse, tmp_path, capsys):
    mine = tmp_path / sets.PARTS["faceid_sdxl"][0]
    mine.write_bytes(b"my own weights")
    assert command.main([str(tmp_path), "faceid-sdxl"]) == 0
    assert mine.read_bytes() == b"my own weights"
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == {"recipe": "faceid-sdxl", "kept": True}


def test_a_recipe_that_fails_is_a_row_and_the_others_run(rehearse, tmp_path, capsys):
    rehearse.add("faceid-sdxl")
    assert command.main([str(tmp_path), "faceid-sdxl", "faceid-plusv2-sd15"]) == 1
    out = capsys.readouterr().out
    assert "| faceid-sdxl | RuntimeError: the job made no summary: boom |" in out
    assert "| faceid-plusv2-sd15 | ok |" in out
    assert not list(tmp_path.iterdir())
