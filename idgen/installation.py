"""Where configs/ is, and how a job is called: in a checkout, or from an installed wheel."""

from pathlib import Path

CONFIGS = Path(__file__).resolve().parent / "configs"
"""recipes/, bases/, base.yaml and tiny.yaml. In a checkout a link to the folder that people see, which has the demo's
file, too."""
_JOBS = Path(__file__).resolve().parents[1] / "jobs"


def job_command(job: str) -> str:
    """Return how people call a job here: `python jobs/<job>.py` in a checkout, `idgen <job>` where there is none."""
    return f"python jobs/{job}.py" if (_JOBS / f"{job}.py").is_file() else f"idgen {job}"
