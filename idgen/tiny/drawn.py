"""The drawn world: small trained weights in the official file layouts that paint the drawn people.

idgen/tiny/train made them; README.md there has the command. They lie packed in the package (packed.py) and are unpacked
when they are first needed, into `~/.cache/idgen/drawn/<digest of the pack>` or where IDGEN_DRAWN_DIR says; every file's
sha256 is checked. After that nothing here needs torch.
"""

import hashlib
import os
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.tiny.files import PATHS
from idgen.tiny.folders import made_once

PACK = Path(__file__).parent / "drawn_weights"
JUDGE = "judge.safetensors"
"""Beside the weights: the networks that looked on in the evaluation (train/eye.py)."""


def locate(name: str) -> Path:
    """Return the file or folder called `drawn:<name>`; the names are the tiny world's. Raises RunError on others."""
    folder = ensure()
    if name not in PATHS or not (folder / PATHS[name]).exists():
        names = [one for one, path in PATHS.items() if (folder / path).exists()]
        raise RunError(Exit.USAGE, f"there is no drawn:{name}; there are {', '.join(names)}")
    return folder / PATHS[name]


def ensure() -> Path:
    """Return the world's folder, unpacked in seconds when it is not there; processes may call this at once."""
    return made_once(folder_of_the_world(), "world.json", _unpack)


def folder_of_the_world() -> Path:
    """Return where the world is or will be."""
    given = os.environ.get("IDGEN_DRAWN_DIR")
    return Path(given).absolute() if given else Path("~/.cache/idgen/drawn").expanduser() / version()


def version() -> str:
    """Return 12 hex digits over the sums of all files."""
    return hashlib.sha256((PACK / "pack.json").read_bytes()).hexdigest()[:12]


def _unpack(folder: Path) -> None:
    from idgen.tiny.packed import unpack  # imports torch, once for this folder

    unpack(PACK, folder)
