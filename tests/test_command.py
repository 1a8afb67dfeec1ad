"""What every job does with its command line and its errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from idgen.command import main
from idgen.errors import Exit, RunError
from idgen.settings import help_lines

ROOT = Path(__file__).parents[1]
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))


def raising(error):
    def job(_config):
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError(Exit.REFUSED, "no"), 4),
        (RunError(Exit.UNAVAILABLE, "no"), 6),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("bug"), 1),
    ],
)
def test_an_error_becomes_its_exit_code(error, code):
    assert main("", raising(error), []) == code


def test_a_run_error_is_one_line_for_people(capsys):
    main("", raising(RunError(Exit.USAGE, "say which recipe")), [])
    assert capsys.readouterr().err == "error: say which recipe\n"


def test_an_unknown_key_ends_with_2(capsys):
    assert main("", raising(AssertionError("ran")), ["manifst=x"]) == 2
    assert "manifest" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("then", ["return 0", "raise RunError(2, 'no')"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_went_away_ends_the_job_without_a_word(lines, then, unbuffered):
    code = (
        "import sys; from idgen.command import main; from idgen.errors import RunError\n"
        "def job(config):\n"
        f"  for _ in range({lines}): print('line')\n"
        f"  {then}\n"
        "sys.stdin.readline(); sys.exit(main('', job, []))"
    )
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, env=env, **pipes) as done:
        done.stdout.close()
        done.stdin.write("go\n")
        done.stdin.close()
        errors = done.stderr.read()
    assert done.returncode == 141
    assert errors in ("", "error: no\n")


def test_a_pipe_of_something_else_that_breaks_is_told(capsys):
    assert main("", raising(BrokenPipeError("of a store")), []) == 1
    assert "of a store" in capsys.readouterr().err


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("word", ["--help", "--help-all"])
def test_help_of_every_job_needs_no_ray_and_no_torch(job, word):
    check = (
        f"import sys, runpy; sys.argv = ['x', '{word}']\n"
        f"try: runpy.run_path('jobs/{job}.py', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    every = {line.strip().partition("=")[0] for line in help_lines()} - {""}
    told = {line.strip().partition("=")[0] for line in done.stdout.splitlines() if re.match(r"  [a-z_.]+=", line)}
    assert told <= every
    if word == "--help":
        assert 2 <= len(told) <= 40
        assert "--help-all" in done.stdout
    else:
        assert told == {name for name in every if re.fullmatch(r"[a-z_.]+", name)}
