"""Which files a recipe needs, and the settings that point it at them."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from idgen.full_size import adapters, bases
from idgen.tiny.files import PATHS
from idgen.tiny.folders import made_once

Write = Callable[[Path, bool], None]
PARTS: dict[str, tuple[str, Write]] = {
    "sd15": (PATHS["sd15"], bases.write_sd15),
    "sd15_vae": ("sd-vae-ft-mse", bases.write_sd15_vae),
    "sdxl": (PATHS["sdxl"], bases.write_sdxl),
    "kolors": (PATHS["kolors"], bases.write_kolors),
    "kolors_without_texts": (f"{PATHS['kolors']}-without-texts", partial(bases.write_kolors, fill_texts=False)),
    "clip_vit_h": (PATHS["clip_vit_h"], adapters.write_clip_vit_h),
    "clip_vit_l_336": (PATHS["clip_vit_l_336"], adapters.write_clip_vit_l_336),
    "faceid_plusv2_sd15": (PATHS["faceid_plusv2_sd15"], adapters.write_faceid_plusv2_sd15),
    "faceid_sdxl": (PATHS["faceid_sdxl"], adapters.write_faceid_sdxl),
    "kolors_faceid_plus": (PATHS["kolors_faceid_plus"], adapters.write_kolors_faceid_plus),
    "instantid": (PATHS["instantid"], adapters.write_instantid),
    "identity_net": (PATHS["identity_net"], adapters.write_identity_net),
    "ecomid_net": (PATHS["ecomid_net"], adapters.write_ecomid_net),
    "control_inpaint": (PATHS["control_inpaint"], adapters.write_identity_net),
    "pulid_v1_sdxl": (PATHS["pulid_v1_sdxl"], adapters.write_pulid_v1),
    "eva_clip": (PATHS["eva_clip"], adapters.write_eva_clip),
    "face_parser": (PATHS["face_parser"], adapters.write_face_parser),
}
"""Name, mostly the tiny world's -> (place in the folder, what writes it)."""

RECIPES: dict[str, dict[str, str]] = {
    "faceid-plusv2-sd15": {
        "base.weights": "sd15",
        "base.vae": "sd15_vae",
        "adapters.faceid.weights": "faceid_plusv2_sd15",
        "adapters.faceid.image_encoder": "clip_vit_h",
    },
    "faceid-sdxl": {"base.weights": "sdxl", "adapters.faceid.weights": "faceid_sdxl"},
    "instantid": {
        "base.weights": "sdxl",
        "adapters.instantid.weights": "instantid",
        "controls.identity.weights": "identity_net",
    },
    "ecomid-inpaint": {
        "base.weights": "sdxl",
        "adapters.ecomid.weights": "pulid_v1_sdxl",
        "adapters.ecomid.image_encoder": "eva_clip",
        "adapters.ecomid.face_parser": "face_parser",
        "adapters.ecomid.context_weights": "instantid",
        "controls.identity.weights": "ecomid_net",
        "controls.identity.config": "identity_net",
        "controls.inpaint.weights": "control_inpaint",
    },
    "kolors-faceid-plus": {
        "base.weights": "kolors",
        "adapters.faceid.weights": "kolors_faceid_plus",
        "adapters.faceid.image_encoder": "clip_vit_l_336",
    },
}
RECIPES["ecomid"] = {
    setting: name for setting, name in RECIPES["ecomid-inpaint"].items() if not setting.startswith("controls.inpaint")
}
"""Recipe -> setting -> name of the part that it is given."""
WITHOUT_TEXTS = {"kolors": "kolors_without_texts"}
"""Part with a text encoder that runs ahead -> the same with an empty one."""
FACE_PACK = ("face_pack.weights=tiny:facepack", "face_pack.det_size_px=320")
"""There are no face packs of random weights: the tiny one finds drawn faces."""


def write(recipe: str, folder: Path, *, fill: bool = True, texts_ahead: bool = True) -> list[str]:
    """Write what `recipe` loads into `folder`, as far as it is not there, and return the words that point a job at it.

    Recipes in one folder share what they have in common. Without `fill` files have names, shapes and size, but take no
    room on the disk, and their numbers are 0; without `texts_ahead` so do text encoders that run ahead of the sampler.
    Raises KeyError for a recipe that is not in RECIPES.
    """
    settings = RECIPES[recipe]
    if not texts_ahead:
        settings = {setting: WITHOUT_TEXTS.get(name, name) for setting, name in settings.items()}
    for name in settings.values():
        place, write_part = PARTS[name]
        _write_once(folder.absolute() / place, write_part, fill)
    weights = [f"{setting}={folder.absolute() / PARTS[name][0]}" for setting, name in settings.items()]
    return [f"overrides.{recipe}.{word}" for word in (*weights, *FACE_PACK)]


def _write_once(path: Path, write_part: Write, fill: bool) -> None:
    """Write a folder or file under another name first, so that half of one is never taken for it."""
    if path.exists():
        return
    if path.suffix in (".bin", ".safetensors", ".pth", ".pt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
        os.close(handle)
        try:
            write_part(Path(draft), fill)
            os.chmod(draft, 0o644)  # others may read it; mkstemp lets nobody
            os.replace(draft, path)
        finally:
            Path(draft).unlink(missing_ok=True)  # of a full disk
    else:
        made_once(path, ".written", lambda draft: _fill_folder(draft, write_part, fill))


def _fill_folder(draft: Path, write_part: Write, fill: bool) -> None:
    write_part(draft, fill)
    (draft / ".written").touch()
