"""A process's own folders in the temporary folder. They hold addresses with their signatures, so none may stay behind.

A folder is locked while its process lives, and the kernel takes the lock back however the process dies. So another
process of this machine knows a dead one's folder without looking at clocks or process numbers.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from idgen.errors import Exit, RunError

PREFIX = "idgen-"
LOCK = ".idgen-scratch-lock"
"""A file in each folder. A folder without it is never touched: it may be anybody's."""

log = logging.getLogger(__name__)


@contextmanager
def scratch_folder(purpose: str = "") -> Iterator[Path]:
    """Make a folder and remove it with all that is in it. Raises RunError(UNAVAILABLE) where none can be made."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}"))
    except OSError as error:
        cause = error.strerror or error
        raise RunError(Exit.UNAVAILABLE, f"no temporary folder: {cause}; TMPDIR names another place") from error
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def abandoned_folders() -> list[Path]:
    """Return the folders of this user's processes that died, on this machine."""
    found = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"))
    return [lock.parent for lock in found if _is_abandoned(lock)]


def remove_abandoned() -> list[Path]:
    """Remove them and return what was removed."""
    removed = []
    for folder in abandoned_folders():
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.warning("%s is of a process that died and cannot be removed; it may hold signed addresses", folder)
        else:
            removed.append(folder)
    return removed


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. It gets its name when it is locked: who finds it finds it so."""
    draft = folder / f"{LOCK}-new"
    descriptor = os.open(draft, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: nobody removes the folder but us
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.rename(folder / LOCK)
        yield
    finally:
        os.close(descriptor)


def _is_abandoned(lock: Path) -> bool:
    try:
        if lock.parent.is_symlink() or lock.parent.stat().st_uid != os.geteuid():
            return False
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # gone, or somebody else's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held
        return False
    finally:
        os.close(descriptor)
    return True
