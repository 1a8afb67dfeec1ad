"""The drawn world: small trained weights in the official file layouts that paint the drawn people.

tests/drawn_world made them; its README has the command. They lie packed in the repository (packed.py) and are unpacked
when they are first needed, into `~/.cache/idgen/drawn/<digest of the pack>`, or below the folder that IDGEN_DRAWN_CACHE
names; every sum is checked. After that nothing here needs torch.
"""

import hashlib
import json
import os
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.tiny.files import PATHS
from idgen.tiny.folders import made_world

PACK = Path(__file__).parent / "drawn_weights"
JUDGE = "judge.safetensors"
"""Beside the weights: the networks that looked on in the evaluation (tests/drawn_world/eye.py)."""


def locate(name: str) -> Path:
    """Return the file or folder called `drawn:<name>`; the names are the tiny world's. Raises RunError on others."""
    files = _files()
    names = [one for one, path in PATHS.items() if any(f"{file}/".startswith(f"{path}/") for file in files)]
    if name not in names:
        raise RunError(Exit.USAGE, f"there is no drawn:{name}; there are {', '.join(names)}")
    return ensure() / PATHS[name]


def ensure() -> Path:
    """Return the world's folder, unpacked in seconds when it is not there; processes may call this at once."""
    return made_world(folder_of_the_world(), _unpack, "IDGEN_DRAWN_CACHE")


def folder_of_the_world() -> Path:
    """Return where the world is or will be."""
    given = os.environ.get("IDGEN_DRAWN_CACHE")
    above = Path(given).absolute() if given else Path("~/.cache/idgen/drawn").expanduser()
    return above / hashlib.sha256(_index()).hexdigest()[:12]


def _index() -> bytes:
    try:
        return (PACK / "pack.json").read_bytes()
    except OSError as error:
        raise RunError(
            Exit.USAGE,
            f"the demo's weights (drawn:…) are not in {PACK}: "
            "they are in a checkout of idgen's repository, not in its wheel or in a submitted job",
        ) from error


def _files() -> dict[str, object]:
    try:
        return dict(json.loads(_index()))
    except ValueError as error:
        raise RunError(Exit.USAGE, f"{PACK}/pack.json is damaged: check it out again") from error


def _unpack(folder: Path) -> None:
    from safetensors import SafetensorError

    from idgen.tiny.packed import unpack  # imports torch, once for this folder

    try:
        unpack(PACK, folder)
    except SafetensorError as error:
        raise OSError(str(error)) from error  # it could not write
