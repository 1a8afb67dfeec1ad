"""Unpacks zipped face packs: only their .onnx files, into the pack's own folder."""

import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from idgen.errors import Exit, RunError

MAX_PACK_BYTES = 2 * 2**30
MAX_ENTRIES = 100
_CHUNK_BYTES = 2**20
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What zipfile raises; the last: encrypted, or packed otherwise."""


def unpack_face_pack(archive: Path, folder: Path) -> list[str]:
    """Put the archive's .onnx files into `folder`, all or nothing, and return their names.

    Raises RunError(USAGE) for what is no zip, an entry that leads out of the folder or is a link, two of one name,
    more than MAX_PACK_BYTES or MAX_ENTRIES, no .onnx at all, and a folder that holds something already;
    RunError(UNAVAILABLE) when the disk is full.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(Exit.USAGE, f"{folder} is not empty; nothing was unpacked there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            names = _unpack(opened, unfinished, archive)
        if folder.is_dir():
            folder.rmdir()
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)
    except RunError:
        raise
    except OSError as error:  # a full disk; of bzip2 also damage
        raise RunError(Exit.UNAVAILABLE, f"{archive} could not be unpacked to {folder}: {error}") from error
    except _DAMAGE as error:
        raise RunError(Exit.USAGE, f"{archive} is not a readable zip archive: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return names


def _unpack(opened: zipfile.ZipFile, folder: Path, archive: Path) -> list[str]:
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise RunError(
            Exit.USAGE, f"{archive} has {len(entries)} entries, but a face pack may have at most {MAX_ENTRIES}"
        )
    wanted: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _checked_name(entry, archive)
        if not name.endswith(".onnx") or name.startswith(".") or entry.is_dir():  # ._x.onnx: what macOS adds
            continue
        if name in wanted:
            raise RunError(Exit.USAGE, f"{archive} has {name} twice")
        wanted[name] = entry
    if not wanted:
        raise RunError(Exit.USAGE, f"{archive} has no .onnx files")
    room = MAX_PACK_BYTES
    for name, entry in wanted.items():
        room -= _copy(opened, entry, folder / name, room, archive)
    return sorted(wanted)


def _checked_name(entry: zipfile.ZipInfo, archive: Path) -> str:
    """Return the file's own name; an archive with one entry that leads elsewhere is refused as a whole."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
        raise RunError(Exit.USAGE, f"{archive} has an entry that leads out of its folder; nothing was unpacked")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise RunError(Exit.USAGE, f"{archive} has an entry that is a link; nothing was unpacked")
    return path.name


def _copy(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int, archive: Path) -> int:
    """Write one entry and return its bytes, counted as they come: a header may lie about its size."""
    written = 0
    with opened.open(entry) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > room:
                raise RunError(Exit.USAGE, f"{archive} unpacks to more than {MAX_PACK_BYTES} bytes")
            file.write(chunk)
    return written
