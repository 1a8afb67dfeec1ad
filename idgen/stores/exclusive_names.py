"""A file's name in a folder, given only if nobody has it: by a hard link, or by turns where there are no links."""

import errno
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp-"
"""Beginning of the name of a file that is being written; such names are never listed."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system without hard links says, and one whose file has no room for another."""
_GUARD_S, _GUARD_PAUSE_S = 10.0, 0.01


def name_if_absent(temporary: Path, target: Path) -> None:
    """Give a whole file its name unless the name is taken (FileExistsError), which rename would not mind."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_if_absent(temporary, target)


def _rename_if_absent(temporary: Path, target: Path) -> None:
    """Where the file system has no hard links (FAT, many network shares), writers of a name take turns."""
    guard = target.parent / f"{TEMPORARY}{uuid.uuid5(uuid.NAMESPACE_URL, target.name).hex}"
    _take_guard(guard)
    try:
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        temporary.replace(target)
    finally:
        guard.unlink(missing_ok=True)


def _take_guard(guard: Path) -> None:
    """Return when the guard is ours. One that stays the same for _GUARD_S is of a writer that died and is removed."""
    seen, since_s = "", 0.0
    while True:
        try:
            os.write(descriptor := os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY), uuid.uuid4().bytes)
            os.close(descriptor)
            return
        except FileExistsError:
            pass
        with suppress(FileNotFoundError):
            if (now := guard.read_bytes().hex()) != seen:
                seen, since_s = now, time.monotonic()
            elif time.monotonic() - since_s > _GUARD_S:
                guard.unlink()
        time.sleep(_GUARD_PAUSE_S)
