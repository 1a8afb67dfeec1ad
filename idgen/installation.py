"""Where the files are that people read too, and how a job is called: in a checkout, or from an installed wheel."""

from pathlib import Path

_IN_THE_WHEEL = Path(__file__).resolve().parent / "configs"
"""setup.py copies them there; a checkout has no such folder."""
CONFIGS = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else Path(__file__).resolve().parents[1] / "configs"
"""recipes/, bases/, base.yaml and tiny.yaml; in a checkout the demo's, too."""


def job_command(job: str) -> str:
    """Return how people call a job here: `python jobs/<job>.py` in a checkout, `idgen <job>` where there is none."""
    return f"idgen {job}" if _IN_THE_WHEEL.is_dir() else f"python jobs/{job}.py"
