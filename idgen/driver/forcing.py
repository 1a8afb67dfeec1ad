"""What `rerun` makes again: by status or code, by missing image, by decision, or everything in select.file."""

from idgen.config import Config
from idgen.driver.setup import Run
from idgen.errors import Exit, RunError
from idgen.manifest.ordering import checked_cells
from idgen.manifest.verdicts import Force
from idgen.outputs.verify import verify


def check_rerun(config: Config) -> None:
    """Raise RunError(USAGE) when `rerun.*` says nothing, or two things at once."""
    rerun = config.rerun
    if rerun.set and not rerun.decision:
        raise RunError(Exit.USAGE, "rerun.set changes rejected pictures: it needs rerun.decision=rejected")
    if rerun.decision and (rerun.status or rerun.code or rerun.missing):
        raise RunError(
            Exit.USAGE,
            "rerun.decision makes new pictures, rerun.status, rerun.code and rerun.missing make the same ones again; "
            "give one of them",
        )
    if not (rerun.status or rerun.code or rerun.missing or rerun.decision or config.select.file):
        raise RunError(
            Exit.USAGE,
            "say what to make again: rerun.status, rerun.code, rerun.missing, rerun.decision or select.file",
        )
    checked_cells(rerun.set)


def force_of(run: Run) -> Force:
    """Return what this rerun makes. Raises StoreError."""
    rerun = run.config.rerun
    if rerun.decision:
        return Force(cells=checked_cells(rerun.set))
    if rerun.status or rerun.code:
        return Force(statuses=rerun.status, codes=rerun.code)
    if not rerun.missing:
        return Force(everything=True)
    keys_file = run.scratch / "missing.txt"
    keys_file.write_text("\n".join(verify(run.store, hashes=False).missing_keys) + "\n")
    return Force(keys_file=str(keys_file))
