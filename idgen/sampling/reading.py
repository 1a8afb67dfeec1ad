"""Reads the parts of a Stable Diffusion base from local files: folders in diffusers layout, or single files.

A single file (.safetensors in the original layout) has no settings and no tokenizer: those come from a folder of the
same family, which must be given, as diffusers would fetch it from the network otherwise.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import diffusers
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from idgen import weights
from idgen.errors import Exit, RunError
from idgen.recipes.families import FAMILIES
from idgen.recipes.recipe import Base, Dtype
from idgen.sampling import part_names
from idgen.sampling.library_messages import explained, quiet
from idgen.sampling.parts import ModelKind, PipelineKind
from idgen.weights import single_files
from idgen.weights.headers import Shapes, dtypes_of, shapes_of

Pipeline = Any
"""diffusers carries no types."""
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in get_args(Dtype)}

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIXES = ("first_stage_model.", "vae.")
PREFIXES = {"unet": (UNET_PREFIX,), "vae": VAE_PREFIXES}
"""Of the original layout."""
WHOLE = (UNET_PREFIX, *VAE_PREFIXES, *(one.text_prefix for one in FAMILIES.values() if one.text_prefix))
"""Of all parts of a base, of whatever family."""
TEXT_ENCODERS = {"text_encoder": "CLIPTextModel", "text_encoder_2": "CLIPTextModelWithProjection"}
"""Folder in diffusers layout -> class in transformers."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of a base lie on this machine."""

    weights: Path
    """Folder in diffusers layout, or a single file."""
    config: Path
    """Folder in diffusers layout with the settings and the tokenizers; the same as `weights` when that is a folder."""
    denoiser: Path
    """Folder or file; the UNet of `weights` when nothing takes its place."""
    vae: Path
    """Folder or file, as `denoiser`."""
    variant: str | None
    """What diffusers calls so: fp16 when the base's folder has no other."""


def find(spec: Base) -> Files:
    """Return where everything lies that `spec` names. Raises RunError when something is missing or of another form."""
    at = weights.locate(spec.weights, spec.revision)
    if at.is_file() and not spec.config:
        raise RunError(
            Exit.USAGE,
            f"{at} is a single file, which has no settings and no tokenizer; give base.config=<a folder in diffusers "
            f"layout of the same family ({spec.kind}); no weights are read from it>",
        )
    config = weights.locate(spec.config) if at.is_file() else at
    if not (config / "model_index.json").is_file():
        raise RunError(Exit.USAGE, f"{config} is not a base in diffusers layout: it has no model_index.json")
    single = at.is_file()
    denoiser = weights.locate(spec.unet) if spec.unet else at if single else at / FAMILIES[spec.kind].denoiser
    vae = weights.locate(spec.vae) if spec.vae else at if single else at / "vae"
    for path in (at, denoiser, vae):
        if path.is_file() and path.suffix != ".safetensors":
            raise RunError(
                Exit.USAGE, f"{path} may be a pickle, which can run code; give the .safetensors file of these weights"
            )
    return Files(
        at, config, denoiser, vae, None if single else weights.weight_variant(at, FAMILIES[spec.kind].denoiser)
    )


def read_unet(files: Files) -> nn.Module:
    """Return the UNet in the precision it is stored in: LoRAs are merged in float32 before the one and only cast."""
    with explained(f"{files.denoiser} cannot be read as a UNet for a base like {files.config}"):
        stored = stored_dtype(_weight_files(files.denoiser, files.variant), UNET_PREFIX)
        return _read(diffusers.UNet2DConditionModel, "unet", files, files.denoiser, stored)


def read_vae(files: Files, dtype: torch.dtype) -> nn.Module:
    """Return the VAE in `dtype`."""
    with explained(f"{files.vae} cannot be read as a VAE for a base like {files.config}"):
        return _read(diffusers.AutoencoderKL, "vae", files, files.vae, dtype)


def read_pipeline(kind: PipelineKind, files: Files, parts: Mapping[str, object]) -> Pipeline:
    """Return a pipeline of class `kind` around `parts`; text encoders are read in the precision they are stored in.

    `parts` are the UNet, the VAE, None for what is not wanted, and settings of the pipeline.
    """
    with explained(f"{files.weights} cannot be loaded as a base for {kind.__name__}"):
        if files.weights.is_file():
            made = kind.from_single_file(
                str(files.weights),
                config=str(files.config),
                dtype=stored_dtype([files.weights], "cond"),
                local_files_only=True,
                **parts,
            )
        else:
            texts = {
                name: read_text_encoder(getattr(transformers, encoder), files, name)
                for name, encoder in TEXT_ENCODERS.items()
                if name not in parts and (files.weights / name).is_dir()
            }
            made = kind.from_pretrained(files.weights, dtype=torch.float32, local_files_only=True, **texts, **parts)
        for name, part in made.components.items():
            if isinstance(part, nn.Module):
                _check_complete(part, name)
        return made


def read_text_encoder(kind: ModelKind, files: Files, name: str, unused: Container[str] = ()) -> nn.Module:
    """Return a text encoder of class `kind` from the base's folder, in the precision it is stored in.

    Raises ValueError when weights are missing, but for the `unused` ones.
    """
    folder = files.weights / name
    made: nn.Module
    _check_folder_numbers(folder, files.variant)
    made, info = kind.from_pretrained(
        folder,
        dtype=stored_dtype(_weight_files(folder, files.variant)),
        variant=_variant(files, folder),
        local_files_only=True,
        output_loading_info=True,
    )
    # transformers would go on with random weights in their place
    if missing := [key for key in info["missing_keys"] if key not in unused]:
        raise ValueError(f"{len(missing)} weights of the {name} are missing, {min(missing)} for one")
    single_files.check_expected(info["unexpected_keys"], folder, f"the {name}", "text")
    return made


def stored_dtype(files: Sequence[Path], prefix: str = "") -> torch.dtype:
    """Return the dtype that holds the weights in `files` whose names begin with `prefix` (all where none does).

    float32 where dtypes are mixed, and for pickles, whose tensors cannot be looked at ahead.
    """
    found: dict[str, str] = {}
    for path in files:
        if path.suffix != ".safetensors":
            return torch.float32
        with safe_open(path, "pt") as file:
            found |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    wanted = {name: dtype for name, dtype in found.items() if name.startswith(prefix)} or found
    floats = {dtype for dtype in wanted.values() if "F" in dtype}
    (only,) = floats if len(floats) == 1 else ("mixed",)
    return {"F16": torch.float16, "BF16": torch.bfloat16}.get(only, torch.float32)


def _read(kind: ModelKind, name: Literal["unet", "vae"], files: Files, path: Path, dtype: torch.dtype) -> nn.Module:
    """Return one diffusers model; single files may have diffusers' names or the original ones."""
    if path.is_file():
        return _read_file(kind, name, files.config, path, dtype)
    made: nn.Module
    _check_folder_numbers(path, files.variant)
    with quiet():
        made, info = kind.from_pretrained(
            path, dtype=dtype, variant=_variant(files, path), local_files_only=True, output_loading_info=True
        )
    _check_complete(made, name)
    single_files.check_expected(info["unexpected_keys"], path, f"the {name}", name)
    return made


def _read_file(kind: ModelKind, name: str, config: Path, path: Path, dtype: torch.dtype) -> nn.Module:
    """Return one diffusers model of a file that is this part alone, or a whole base. Raises as `_read`."""
    shapes = _of_part(path, PREFIXES[name])
    dtypes = dtypes_of(path)
    single_files.check_numbers({tensor: dtypes[tensor] for tensor in shapes}, path)
    # diffusers knows a UNet of the original layout by a prefix that one alone may lack
    prefix = UNET_PREFIX if any(tensor.startswith("input_blocks.") for tensor in shapes) else ""
    given = {f"{prefix}{tensor}": one for tensor, one in load_file(path).items()} if prefix else str(path)
    made: nn.Module
    try:
        with quiet():  # its own cast warns about modules to keep in float32: none
            made = kind.from_single_file(given, dtype=dtype, config=str(config), subfolder=name, local_files_only=True)
        _check_complete(made, name)
        single_files.check_all_read(shapes, len(made.state_dict()), path, f"the {name}")
    except Exception:  # of whatever kind: diffusers stumbles over what is missing
        part_names.check_part(kind, config, name, shapes, prefix)
        raise
    return made


def _of_part(path: Path, prefixes: tuple[str, ...]) -> Shapes:
    """Return the tensors of one part of a whole base, or all of a file that is that part alone.

    Raises RunError when there is anything outside of a base's parts.
    """
    shapes = shapes_of(path)
    own = {name: shape for name, shape in shapes.items() if name.startswith(prefixes)}
    if own:
        single_files.check_outside(shapes, WHOLE, path)
    return own or shapes


def _check_folder_numbers(folder: Path, variant: str | None) -> None:
    """Raise RunError when weights of a component's folder are quantised."""
    for path in _weight_files(folder, variant):
        if path.suffix == ".safetensors":
            single_files.check_numbers(dtypes_of(path), path)


def _weight_files(path: Path, variant: str | None) -> list[Path]:
    return [path] if path.is_file() else weights.weight_files(path, variant)


def _variant(files: Files, folder: Path) -> str | None:
    """Return what a component's folder is read in; in one that is not the base's own, what is there decides."""
    wanted = files.variant if folder.parent == files.weights else weights.component_variant(folder)
    return wanted if any(f".{wanted}" in path.name for path in weights.weight_files(folder, wanted)) else None


def _check_complete(module: nn.Module, name: str) -> None:
    """Raise ValueError when weights are missing: diffusers leaves those without memory."""
    missing = [key for key, tensor in module.named_parameters() if tensor.is_meta]
    if missing:
        raise ValueError(f"{len(missing)} weights of the {name} are missing, {missing[0]} for one")
