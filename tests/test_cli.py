"""`idgen <job> …` and `python jobs/<job>.py …` are the same."""

import importlib
import runpy
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from idgen import cli, command, installation
from idgen.settings import help_lines

ROOT = Path(__file__).parents[1]


def job_file(*words):
    """Run jobs/<job>.py as Python runs it; return its exit code."""
    with patch.object(sys, "argv", [f"jobs/{words[0]}.py", *words[1:]]), pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "jobs" / f"{words[0]}.py"), run_name="__main__")
    return end.value.code


def command_line(*words):
    """Run the installed command's function; return its exit code."""
    with patch.object(sys, "argv", ["idgen", *words]):
        return cli.idgen()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("plan", "--help"), 0),
        (("status",), 2),
        (("plan", "configs/demo.yaml", "recipe=gone"), 2),
        (("verify", "output=/gone"), 2),
        (("weights",), 2),
        (("weights", "list", "recipe=faceid-sd15"), 0),
        (("rerun", "configs/demo.yaml"), 2),
        (("generate", "manifst=x"), 2),
    ],
)
def test_both_forms_print_the_same_and_end_the_same(words, code, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    ends = [(form(*words), capsys.readouterr()) for form in (command_line, job_file)]
    assert ends[0] == ends[1]
    assert ends[0][0] == code


def test_python_runs_it_as_a_module_too():
    words = [sys.executable, "-m", "idgen.cli", "status"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_the_table_has_the_jobs_of_the_folder_with_code_that_is_there():
    assert cli.JOBS.keys() == {path.stem for path in (ROOT / "jobs").glob("*.py")}
    for job in cli.JOBS.values():
        module, _, function = job.entry.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert [*help_lines(job.settings)]


def test_help_has_a_line_for_each_job(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["idgen", "--help"])
    assert cli.idgen() == 0
    text = capsys.readouterr().out
    for name, job in cli.JOBS.items():
        assert f"  {name:<10} {job.about.splitlines()[0]}" in text


@pytest.mark.parametrize(("words", "said"), [((), "no job is named"), (("palne",), "'palne', did you mean 'plan'")])
def test_without_a_job_it_says_which_there_are(words, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["idgen", *words])
    assert cli.idgen() == 2
    text = capsys.readouterr().err
    assert said in text
    assert "plan | generate" in text


def test_an_import_that_fails_is_a_bug_with_its_exit_code(monkeypatch, capsys):
    job = cli.Job(about="", entry="idgen.gone:job", settings=())
    monkeypatch.setitem(cli.JOBS, "plan", job)
    assert cli.run_job("plan", []) == 1
    assert "idgen.gone" in capsys.readouterr().err


def test_a_setting_that_help_names_must_exist():
    with pytest.raises(KeyError):
        [*help_lines(["run.gone"])]
    assert command.main("", lambda _config: 0, ["--help"], ["manifest"]) == 0


def test_shipped_configs_are_found_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run_job("weights", ["list", "configs/tiny.yaml", "recipe=faceid-sd15"]) == 0
    assert "tiny:sd15" in capsys.readouterr().out
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tiny.yaml").write_text("recipe: faceid-sdxl")  # one's own comes first
    assert cli.run_job("weights", ["list", "configs/tiny.yaml"]) == 0
    assert "tiny:" not in capsys.readouterr().out
    assert cli.run_job("weights", ["list", "configs/gone.yaml"]) == 2
    assert "no such file: configs/gone.yaml" in capsys.readouterr().err


def test_a_checkout_calls_its_jobs_by_file():
    assert installation.job_command("weights") == "python jobs/weights.py"
