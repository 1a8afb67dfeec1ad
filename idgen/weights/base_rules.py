"""Whether the parts of a base belong together, by their settings. No torch here."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from idgen.errors import Exit, RunError

LATENT_SCALES = {"sd15": 0.18215, "sdxl": 0.13025, "kolors": 0.13025}
"""base.kind -> what its VAE's latents are multiplied by, which a VAE's tensors do not tell."""
_LATENT_CHANNELS = 4
_TEXTS = {"cond_stage_model.": "Stable Diffusion 1.5", "conditioner.embedders.": "SDXL"}
"""How names of a whole base in one file begin -> its family."""
_OF_KIND = {"sd15": "Stable Diffusion 1.5", "sdxl": "SDXL", "kolors": "SDXL"}
"""base.kind -> family of its VAE."""


def check_vae(settings: Mapping[str, Any], kind: str, place: str, names: Iterable[str] = ()) -> None:
    """Raise RunError when the VAE at `place` has latents of another family than base.kind `kind`.

    `settings` are those of its config.json, `names` those of its tensors where it is a single file.
    """
    channels = settings.get("latent_channels", _LATENT_CHANNELS)
    if channels != _LATENT_CHANNELS:
        raise RunError(
            Exit.USAGE,
            f"the VAE of {place} has latents of {channels} channels, {kind} has {_LATENT_CHANNELS}: another family's",
        )
    families = {family for name in names for start, family in _TEXTS.items() if name.startswith(start)}
    scale = settings.get("scaling_factor", LATENT_SCALES["sd15"])  # diffusers' default, of files older than the setting
    others = {name: other for name, other in LATENT_SCALES.items() if other != LATENT_SCALES[kind]}
    if scale in others.values() or families - {_OF_KIND[kind]}:
        raise RunError(
            Exit.USAGE,
            f"the VAE of {place} is not one of {_OF_KIND[kind]}, which {kind} needs: its latents are another family's, "
            "and pictures would come out in wrong colours; give a VAE of this family, or none",
        )


def schedule_of(folder: Path) -> dict[str, Any]:
    """Return the scheduler's settings of a base's folder, nothing where they cannot be read."""
    try:
        found = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check_schedule(settings: Mapping[str, Any], place: str) -> None:
    """Raise RunError when the scheduler's `settings` of a base at `place` say that it was trained in another way.

    That is as EDM or as a flow, whose noise no scheduler here follows.
    """
    name = str(settings.get("_class_name", ""))
    flow = "flow" in str(settings.get("prediction_type", "")) or settings.get("use_flow_sigmas") or "Flow" in name
    what = "EDM says (Playground v2.5 is)" if name.startswith("EDM") else "a flow" if flow else None
    if what is not None:
        raise RunError(
            Exit.USAGE,
            f"{place} was trained as {what}: its scheduler is {name}, prediction {settings.get('prediction_type')}; no "
            "scheduler here follows that, give a base of epsilon or v-prediction",
        )
