"""Whether the parts of a base belong together, by their settings. No torch here."""

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
_PREDICTIONS = ("epsilon", "v_prediction", "sample")
_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""What every scheduler of recipes/schedulers.py knows."""
_OWN_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
"""Settings of which a scheduler has one at most; those of a name that says Karras take the place of all."""


def family(unet: Mapping[str, Any]) -> str:
    """Return the base.kind that a UNet of such settings belongs to."""
    if unet.get("addition_embed_type") is None:
        return "sd15"
    return "kolors" if unet.get("encoder_hid_dim_type") == "text_proj" else "sdxl"


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
    others = [other for other in LATENT_SCALES.values() if other != LATENT_SCALES[kind]]
    if scale in others or families - {_OF_KIND[kind]}:
        raise RunError(
            Exit.USAGE,
            f"the VAE of {place} is not one of {_OF_KIND[kind]}, which {kind} needs: its latents are another family's, "
            "and pictures would come out in wrong colours; give a VAE of this family, or none",
        )


def check_schedule(settings: Mapping[str, Any], place: str) -> None:
    """Raise RunError when the scheduler's `settings` of a base at `place` are such that no scheduler here follows them.

    That is a base trained as EDM says or as a flow, one that predicts something else, and settings that clash.
    """
    trained = _other_training(settings)
    if trained is not None:
        raise RunError(
            Exit.USAGE,
            f"{place} was trained {trained}, which no scheduler here follows: give a base of epsilon or v-prediction",
        )
    betas = settings.get("beta_schedule", _BETA_SCHEDULES[0])
    if betas not in _BETA_SCHEDULES and settings.get("trained_betas") is None:
        raise RunError(
            Exit.USAGE,
            f"the scheduler of {place} has beta_schedule {betas}; there are {', '.join(_BETA_SCHEDULES)}",
        )
    own = [name for name in _OWN_SIGMAS if settings.get(name)]
    if len(own) > 1:
        raise RunError(Exit.USAGE, f"the scheduler of {place} says {' and '.join(own)}, which exclude each other")


def check_texts(folder: Path, kind: str) -> None:
    """Raise RunError when a base's folder lacks a text encoder that its family has; SDXL's refiner lacks the first."""
    wanted = {"sd15": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2")}.get(kind, ())
    missing = [name for name in wanted if not (folder / name).is_dir()]
    if missing:
        is_refiner = missing == ["text_encoder"] and kind == "sdxl"
        refiner = "; SDXL's refiner lacks it: give the base that it refines" if is_refiner else ""
        raise RunError(Exit.USAGE, f"{folder} has no {missing[0]}, so it is no whole {kind} base{refiner}")


def _other_training(settings: Mapping[str, Any]) -> str | None:
    """Return how a base was trained, where that is neither with epsilon nor v-prediction over betas."""
    name, prediction = str(settings.get("_class_name", "")), str(settings.get("prediction_type") or "epsilon")
    continuous = settings.get("timestep_type") == "continuous"
    if name.startswith("EDM") or continuous or settings.get("sigma_data") is not None:
        says = f"its scheduler is {name}{' with continuous timesteps' if continuous else ''}"
        return f"as EDM says ({says}; Playground v2.5 and CosXL are)"
    if "flow" in prediction or settings.get("use_flow_sigmas") or "Flow" in name:
        return f"as a flow (its scheduler is {name}, its prediction {prediction})"
    return None if prediction in _PREDICTIONS else f"for prediction_type {prediction}"
