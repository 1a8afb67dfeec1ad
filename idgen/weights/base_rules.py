"""Whether the parts of a base belong together, by their settings. No torch here."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES, FamilyName

_TEXTS = {one.text_prefix: name for name, one in FAMILIES.items() if one.text_prefix}
"""How names of a whole base in one file begin -> its family."""
_CHANNELS, _SCALE = 4, 0.18215
"""diffusers' defaults, of a VAE's settings that are older than these two."""
_PREDICTIONS = ("epsilon", "v_prediction", "sample")
_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""What every scheduler of recipes/schedulers.py knows."""
_OWN_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
"""Settings of which a scheduler has one at most; those of a name that says Karras take the place of all."""


def check_vae(settings: Mapping[str, object], kind: FamilyName, place: str, names: Iterable[str] = ()) -> None:
    """Raise RunError when the VAE at `place` has latents of another family than base.kind `kind`.

    `settings` are those of its config.json, `names` those of its tensors where it is a single file.
    """
    family = FAMILIES[kind]
    channels = settings.get("latent_channels", _CHANNELS)
    if channels != family.latent_channels:
        raise RunError(
            Exit.USAGE,
            f"the VAE of {place} has latents of {channels} channels, but {kind} has {family.latent_channels}: it "
            "belongs to another family",
        )
    found = {other for name in names for start, other in _TEXTS.items() if name.startswith(start)}
    scale = settings.get("scaling_factor", _SCALE)
    others = [other.latent_scale for other in FAMILIES.values() if other.latent_scale != family.latent_scale]
    if scale in others or found - {family.vae_of}:
        raise RunError(
            Exit.USAGE,
            f"the VAE of {place} is not one of {FAMILIES[family.vae_of].title}, which {kind} needs: its latents "
            "belong to another family, so pictures would have wrong colours; give a VAE of this family, or none",
        )


def check_schedule(settings: Mapping[str, object], place: str) -> None:
    """Raise RunError when the scheduler's `settings` of a base at `place` are such that no scheduler here follows them.

    That is a base trained as EDM says or as a flow, one that predicts something else, and settings that clash.
    """
    trained = _other_training(settings)
    if trained is not None:
        raise RunError(
            Exit.USAGE,
            f"{place} was trained {trained}, which no scheduler here supports: use a base with epsilon or v-prediction",
        )
    betas = settings.get("beta_schedule", _BETA_SCHEDULES[0])
    if betas not in _BETA_SCHEDULES and settings.get("trained_betas") is None:
        raise RunError(
            Exit.USAGE,
            f"the scheduler of {place} has beta_schedule {betas}; supported are {', '.join(_BETA_SCHEDULES)}",
        )
    own = [name for name in _OWN_SIGMAS if settings.get(name)]
    if len(own) > 1:
        raise RunError(Exit.USAGE, f"the scheduler of {place} sets {' and '.join(own)}, which exclude each other")


def check_texts(folder: Path, kind: FamilyName) -> None:
    """Raise RunError when a base's folder lacks a text encoder that its family has; SDXL's refiner lacks the first."""
    family = FAMILIES[kind]
    wanted = () if family.text_apart else family.text_encoders
    missing = [name for name in wanted if not (folder / name).is_dir()]
    if missing:
        is_refiner = missing == ["text_encoder"] and len(wanted) > 1
        refiner = "; SDXL's refiner lacks it: use the base that it refines" if is_refiner else ""
        raise RunError(Exit.USAGE, f"{folder} has no {missing[0]}, so it is not a complete {kind} base{refiner}")


def _other_training(settings: Mapping[str, object]) -> str | None:
    """Return how a base was trained, where that is neither with epsilon nor v-prediction over betas."""
    name, prediction = str(settings.get("_class_name", "")), str(settings.get("prediction_type") or "epsilon")
    continuous = settings.get("timestep_type") == "continuous"
    if name.startswith("EDM") or continuous or settings.get("sigma_data") is not None:
        says = f"its scheduler is {name}{' with continuous timesteps' if continuous else ''}"
        return f"with EDM ({says}; as Playground v2.5 and CosXL were)"
    if "flow" in prediction or settings.get("use_flow_sigmas") or "Flow" in name:
        return f"as a flow (its scheduler is {name}, its prediction {prediction})"
    return None if prediction in _PREDICTIONS else f"for prediction_type {prediction}"
