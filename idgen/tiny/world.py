"""The tiny world: small random weights in the official file layouts, made on first use and kept outside the project.

It lies in `~/.cache/idgen/tiny/<digest of the code that makes it>` or where IDGEN_TINY_DIR says. `world.json`, written
last, lists the sha256 of every file; a folder without it is not a world. Once made, nothing here needs torch.
"""

import hashlib
import json
import os
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.tiny.files import PATHS
from idgen.tiny.folders import made_world

MAKERS = (
    "sd15.py", "sdxl.py", "kolors.py", "adapters.py", "image_encoders.py", "extras.py", "identity_nets.py", "pulid.py",
    "files.py", "painting.py", "random_weights.py", "tokenizer.py", "sentence_pieces.py", "../recipes/variants.py",
)  # fmt: skip
"""The code that decides the weights: when it changes, another world is made."""


def locate(name: str) -> Path:
    """Return the file or folder called `tiny:<name>`; makes the world when needed. Raises RunError on other names.

    files.PATHS has the names; `facepack` lies in the package.
    """
    if name == "facepack":
        return Path(__file__).parent / "facepack"
    if name not in PATHS:
        raise RunError(Exit.USAGE, f"there is no tiny:{name}; there are {', '.join([*PATHS, 'facepack'])}")
    return ensure() / PATHS[name]


def ensure() -> Path:
    """Return the world's folder, made in seconds when it is not there; processes may call this at once.

    Raises RunError when it cannot be written.
    """
    return made_world(folder_of_the_world(), _make, "IDGEN_TINY_DIR")


def folder_of_the_world() -> Path:
    """Return where the world is or will be."""
    given = os.environ.get("IDGEN_TINY_DIR")
    return Path(given).absolute() if given else Path("~/.cache/idgen/tiny").expanduser() / version()


def version() -> str:
    """Return 12 hex digits over the code that makes the world."""
    code = b"".join((Path(__file__).parent / name).read_bytes() for name in MAKERS)
    return hashlib.sha256(code).hexdigest()[:12]


def _make(folder: Path) -> None:
    # torch and diffusers, seconds to import: only to make the world
    from idgen.tiny import adapters, extras, identity_nets, image_encoders, kolors, pulid, sd15, sdxl

    sd15.write_base(folder / PATHS["sd15"])
    sdxl.write_base(folder / PATHS["sdxl"])
    kolors.write_base(folder / PATHS["kolors"])
    sdxl.write_lightning_unet(folder / PATHS["sdxl_lightning_unet"])
    for name in image_encoders.ENCODERS:
        image_encoders.write(folder / PATHS[name], name)
    for family, unet in (("sd15", sd15.UNET), ("sdxl", sdxl.UNET)):
        extras.write_controlnet(folder / PATHS[f"control_{family}"], unet, f"control_{family}")
        extras.write_lora(folder / PATHS[f"lcm_lora_{family}"], unet, f"lcm_lora_{family}")
    adapters.write(folder)
    identity_nets.write(folder)
    pulid.write(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "world.json").write_text(json.dumps({"version": version(), "sha256": hashes}, indent=1))
