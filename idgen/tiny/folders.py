"""Folders that are made when they are first needed, by whichever process is first."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from idgen.errors import Exit, RunError


def made_once(folder: Path, last: str, make: Callable[[Path], object]) -> Path:
    """Return `folder`; when its file `last` is not there, `make(draft)` fills a draft that becomes it.

    Processes may call this at once: one draft wins, and all of them are the same.
    """
    if (folder / last).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(draft)
        draft.chmod(0o755)  # others may read it; mkdtemp lets nobody
        os.replace(draft, folder)
    except OSError:
        if not (folder / last).is_file():  # else another process was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def made_world(folder: Path, make: Callable[[Path], object], variable: str) -> Path:
    """Return a world's `folder`, made once; `variable` names another place. Raises RunError if it cannot be written."""
    try:
        return made_once(folder, "world.json", make)
    except OSError as error:
        raise RunError(
            Exit.USAGE, f"{folder} cannot be written ({error}): name a folder that can be with {variable}"
        ) from error
